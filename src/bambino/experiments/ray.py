"""Runs on a Ray cluster: a task each, begun again on another worker where its own is lost.

A task has a process of its own, which is killed with its worker. The next one goes on from the run's last checkpoint,
so run directories must lie on storage that all nodes see, under one path. Ray is an extra, imported where it is needed.
"""

from __future__ import annotations

import logging
import os
import platform
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bambino.errors import ExperimentError, UsageError
from bambino.experiments.local import MODULE, THREADS, Program
from bambino.runs.directory import LOCK
from bambino.stopping import SIGNALS, on_stop

INSTALL = "pip install 'bambino-lm[ray]'"

RETRIES = 10
"""How often a run is begun again whose worker was lost; then it counts as failed, and the next call goes on with it."""
OBJECTS = 80 << 20
"""Bytes for Ray's objects in a cluster of our own: words and exit statuses, so little more than Ray's least."""
PATIENCE = 300.0
"""Seconds until another node's lock is taken for lasting: file servers keep that of a lost machine for a while."""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and what each run takes of it."""

    address: str | None
    """As of `ray.init`; None: the cluster that runs on this machine, else one that is started for this call."""
    cpus: int
    """Of each run."""
    gpus: float
    """Of each run: a fraction where several share one; 0: none is seen."""
    tell: Callable[[str], None]
    """Takes lines about the cluster, for the user."""

    def run_programs(
        self,
        next_program: Callable[[], Program | None],
        workers: int,
        threads: int,
        on_end: Callable[[Program, int], None],
    ) -> int | None:
        """As `local.run_programs`, on the cluster; what it has no room for waits.

        Args:
            workers: how many the cluster is given at a time, whether they run or wait.

        Raises:
            UsageError: Ray is not installed, or there is no cluster at that address.
            ExperimentError: a node does not see the files of a run. What runs has been told to stop.
        """
        signals: list[int] = []
        with _connected(self.address) as ray, on_stop(signals.append):
            self._describe(ray.nodes())
            task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=RETRIES)(_on_worker)
            running: dict[Any, Program] = {}
            passed_on = 0
            try:
                while True:
                    while len(running) < workers and not signals and (program := next_program()) is not None:
                        running[task.options(name=program.name).remote(*self._order(program, threads))] = program
                    if not running:
                        return signals[0] if signals else None
                    for _ in signals[passed_on:]:
                        _stop(ray, running)
                        passed_on += 1
                    for ended in ray.wait(list(running), timeout=1)[0]:
                        program = running.pop(ended)
                        on_end(program, _status(ray, ended, program))
            except BaseException:
                _stop(ray, running)
                ray.wait(list(running), num_returns=len(running), timeout=PATIENCE)
                raise

    def _order(self, program: Program, threads: int) -> tuple[tuple[str, ...], str, str, list[str], dict[str, str]]:
        """The arguments of `_on_worker`."""
        named = [os.path.abspath(word) for word in program.words if os.path.exists(word)]
        environment = dict.fromkeys(THREADS, str(threads))
        if not self.gpus:  # Ray shows those that it gives, and hides none
            environment["CUDA_VISIBLE_DEVICES"] = ""
        return program.words, str(program.log.absolute()), os.getcwd(), named, environment

    def _describe(self, nodes: list[dict[str, Any]]) -> None:
        """Tell what the cluster has, and what keeps runs from it."""
        there = [node["Resources"] for node in nodes if node["Alive"]]
        cpus, gpus = (sum(node.get(kind, 0) for node in there) for kind in ("CPU", "GPU"))
        self.tell(f"Ray: {len(there)} nodes with {cpus:g} CPUs and {gpus:g} GPUs; {self.cpus} and {self.gpus:g} a run.")
        if not any(node.get("CPU", 0) >= self.cpus and node.get("GPU", 0) >= self.gpus for node in there):
            self.tell("No node has as much as one run takes: all wait until one joins. Ctrl-C stops the waiting.")
        if gpus and not self.gpus:
            self.tell("Runs use no GPU. Give --gpus-per-run 1, or a fraction for several on one.")


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray itself, connected."""
    try:
        import ray
    except ImportError:
        raise UsageError(f"--ray: Ray is not installed. Install it: {INSTALL}") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS")
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _knock(address or "auto")
        try:
            ray.init(address or "auto", **quiet)
        except ConnectionError:
            if address:
                raise
            ray.init("local", include_dashboard=False, object_store_memory=OBJECTS, **quiet)
    except (OSError, ImportError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        way_out = "Start a cluster with `ray start --head`, or give the address that it says."
        raise UsageError(f"--ray {address or ''}: {str(error).rstrip('.')}. {way_out}") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray has put its own there
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises OSError where nobody answers at HOST:PORT; Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "://" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _stop(ray: Any, running: dict[Any, Program]) -> None:
    """Pass a signal on: what runs saves and stops, at the second time at once; what waits never begins."""
    for task in running:
        ray.cancel(task)


def _status(ray: Any, task: Any, program: Program) -> int:
    """The exit status of a task that ended; of one that was lost for good 1, with the reason in its log.

    Raises:
        ExperimentError: its node cannot run anything of ours.
    """
    try:
        found: int | str = ray.get(task)
    except ray.exceptions.TaskCancelledError:
        return -signal.SIGTERM
    except ray.exceptions.RayError as error:
        with program.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"\n{error}\n")
        return 1
    if isinstance(found, str):
        raise ExperimentError(found)
    return found


# ----------------------------------------------------------------------------------------------------- on the worker


def _on_worker(
    words: tuple[str, ...], log: str, folder: str, named: list[str], environment: dict[str, str]
) -> int | str:
    """Run a program in a process of its own.

    Args:
        log: what it says goes to the end of this file. Its run directory lies beside, with the name of the log.
        folder: where it is started.
        named: files and folders that its words name.
        environment: variables that it has beside the worker's.

    Returns:
        Its exit status; in words what is wrong where this node does not see its files.
    """
    if missing := [path for path in (folder, *named) if not os.path.exists(path)]:
        way_out = "Put the experiment, its --out and its models on storage that all nodes see, under the same path."
        return f"The node {platform.node()} does not see {missing[0]}. {way_out}"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a script began Ray, and with it ray.cancel
    _wait_for_lock(Path(log).with_suffix(""))
    command = [sys.executable, "-m", __name__, *words]
    own: dict[str, Any] = {"cwd": folder, "env": os.environ | environment, "start_new_session": True}
    with (
        open(log, "ab") as said,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT, **own) as process,
    ):
        while True:
            try:
                while process.poll() is None:
                    time.sleep(0.2)  # short, since Ray interrupts no wait
                return process.returncode
            except KeyboardInterrupt:  # by ray.cancel
                process.terminate()


def _wait_for_lock(run: Path, patience: float = PATIENCE) -> None:
    """Until nobody holds a run directory: a process whose worker was lost may still be about to end."""
    if (run / LOCK).exists():
        with suppress(Timeout), FileLock(run / LOCK, timeout=patience):
            pass


def _end_with_worker() -> None:
    """Once the worker has died, and with it the other end of this pipe, end at once: its place may be needed."""
    os.read(0, 1)
    os._exit(1)


def _main() -> None:
    """The command line, in the process of a task."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # Ray blocks Ctrl-C
    threading.Thread(target=_end_with_worker, daemon=True).start()
    runpy.run_module(MODULE, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
