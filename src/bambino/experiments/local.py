"""Runs on this machine: jobs, several at a time, each in a process of its own."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bambino.runs.record import newest_step
from bambino.stopping import on_stop


@dataclass(frozen=True)
class Job:
    """A function that runs in a process of its own and leaves a run directory."""

    name: str
    folder: Path
    steps: int
    function: Callable[..., None]
    arguments: tuple[Any, ...]

    def progress(self) -> dict[str, Any]:
        """The newest step's row of metrics; empty before the first."""
        return newest_step(self.folder)


def run_jobs(jobs: Sequence[Job], pool: Executor, on_done: Callable[[Job], None]) -> None:
    """Run all jobs, begun in their order, as many at a time as the pool has processes; tell of each that is done.

    A job's exception is raised, and what has not begun by then never begins.
    """
    futures: dict[Future[None], Job] = {pool.submit(job.function, *job.arguments): job for job in jobs}
    try:
        for future in as_completed(futures):
            future.result()
            on_done(futures[future])
    except BaseException:
        for future in futures:
            future.cancel()
        raise


@dataclass(frozen=True)
class Program:
    """A command line of bambino's, run in a process of its own."""

    name: str
    words: tuple[str, ...]
    """As after `bambino`, such as ("train", "--resume", "runs/first")."""
    log: Path
    """What it says goes to the end of this file."""


MODULE = "bambino.cli.main"
"""What `python -m` runs as bambino's command line."""


THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
"""What libraries read their number of CPU threads from."""


PRELOADED = [
    "bambino.cli.train",
    "bambino.cli.display",
    "bambino.training.trainer",
    "bambino.training.pretrain",
    "bambino.evaluation.in_training",
]
"""Imported once, by the server that all programs are forked from: PyTorch alone takes seconds to import."""


def run_programs(
    next_program: Callable[[], Program | None],
    workers: int,
    threads: int,
    on_end: Callable[[Program, int], None],
) -> int | None:
    """Run programs, so many at a time, until none is left; whatever one of them does, the others go on.

    A signal to stop is passed on to what runs (`bambino train` then saves and stops), and nothing more begins. What
    runs also stops when this process is killed.

    Args:
        next_program: the next one to begin; None: none now, ask again when another has ended.
        workers: how many at a time.
        threads: CPU threads of each.
        on_end: called with each program that ended and its exit status; minus a signal's number where that ended it.

    Returns:
        The number of the signal that stopped them; None where all ran to their end.
    """
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # else a look for a GPU keeps forked processes from using it
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    running: dict[BaseProcess, Program] = {}
    stopped: list[int] = []

    def pass_on(number: int) -> None:
        stopped.append(number)
        for process in running:
            process.terminate()

    with on_stop(pass_on):
        while True:
            while len(running) < workers and not stopped and (program := next_program()) is not None:
                process: BaseProcess = context.Process(target=_run, args=(program, threads))
                process.start()
                running[process] = program
            if not running:
                return stopped[0] if stopped else None
            connection.wait([process.sentinel for process in running], timeout=1)
            for ended in [process for process in running if process.exitcode is not None]:
                on_end(running.pop(ended), ended.exitcode or 0)


def _run(program: Program, threads: int) -> None:
    """The command line, in this process of its own."""
    import torch

    os.setsid()  # Ctrl-C reaches the parent, which passes it on once
    threading.Thread(target=_end_with_parent, daemon=True).start()
    log = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ |= dict.fromkeys(THREADS, str(threads))
    torch.set_num_threads(threads)
    sys.argv[1:] = program.words
    runpy.run_module(MODULE, run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    """Once the parent has died, stop as if it had asked."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
