"""Experiments on a Ray cluster: a worker and a node are lost, Ctrl-C is passed on, files are not seen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from bambino.cli.main import main
from bambino.errors import ExperimentError
from bambino.experiments.loading import load_experiment
from bambino.experiments.local import Program
from bambino.experiments.outcomes import read_results
from bambino.experiments.ray import Cluster, _on_worker, _wait_for_lock
from bambino.experiments.runner import Runner
from bambino.recipe.settings import Recipe
from bambino.runs.directory import LOCK

FILE = """
question: Does feedback help?
hypotheses: [It does not.]
primary: bits_per_byte/it
settings:
  baby.model: "${models}/baby"
  parent: {model: "${models}/parent", must_know_l2: false}
  text: {sources: ["${it}"], heldout_every: 5, max_length: 40, max_lines: 24}
  batch_size: 4
  passes: 16
  save_steps: 5
  rollout: {prompt_tokens: 4, max_new_tokens: 5}
  evaluation: {eval_steps: 24, utterances: 0, texts: {it: ["${it}"]}}
conditions:
  clm: {schedule.cycle: {clm: 1}}
  paper: {schedule.cycle: {clm: 2, ppo: 1}}
seeds: {test: [11, 12]}
"""
PATIENCE = 240.0
"""Seconds until what is waited for counts as failed."""


@dataclass
class World:
    """An experiment, and the cluster that it runs on."""

    folder: Path
    variables: dict[str, str]
    address: str
    cluster: psutil.Process

    @contextmanager
    def started(self, out: Path) -> Iterator[subprocess.Popen[str]]:
        """The command line, a warning being an error; it does not outlive its test."""
        sets = [word for name, value in self.variables.items() for word in ("--set", f"{name}={value}")]
        words = ["experiment", str(self.folder / "help.yaml"), *sets, "--ray", self.address, "--out", str(out)]
        command = [sys.executable, "-W", "error", "-m", "bambino", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as driver:
            try:
                yield driver
            finally:
                driver.kill()

    def running(self, out: Path) -> dict[str, psutil.Process]:
        """Name of each run that is at work and has a checkpoint -> its process."""
        found: dict[str, psutil.Process] = {}
        for process in self.cluster.children(recursive=True):
            try:
                words = process.cmdline()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            names = [Path(word).stem for word in words if "bambino.experiments.ray" in words and str(out) in word]
            found |= {name: process for name in names if any((out / name / "checkpoints").glob("step-*"))}
        return found


def within_patience(what: Callable[[], Any]) -> Any:
    """What something gives, once that is anything."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it does not happen")


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, baby_folder: Path, parent_folder: Path, text_file: Path
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    for name, place in (("baby", baby_folder), ("parent", parent_folder)):
        (folder / name).symlink_to(place)
    (folder / "help.yaml").write_text(FILE, encoding="utf-8")
    sockets = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # their paths may have 107 bytes, pytest's folders have more
    script = Path(__file__).with_name("ray_cluster.py")
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, str(script), sockets], **pipes) as process:
        cluster = psutil.Process(process.pid)
        parts: list[psutil.Process] = []
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            parts = cluster.children(recursive=True)
            yield World(folder, {"models": str(folder), "it": str(text_file)}, address, cluster)
        finally:
            parts += cluster.children(recursive=True)
            process.communicate()  # its stdin is closed
            for part in parts:  # what it left, if it did not end as it should
                if part.is_running():
                    part.kill()
            shutil.rmtree(sockets, ignore_errors=True)


@pytest.fixture(scope="module")
def undisturbed(world: World) -> dict[str, Any]:
    """The results of the experiment, run on this machine."""
    experiment = load_experiment(world.folder / "help.yaml", world.variables)
    runner = Runner(experiment, world.folder / "local", world.folder / "local" / "results")
    assert runner.work(2, 1, lambda run, found: None) is None
    return results_in(world.folder / "local")


def results_in(out: Path) -> dict[str, Any]:
    """Fingerprint -> result, but for the seconds that it took."""
    results = read_results(out / "results")
    for result in results.values():
        assert result["costs"].pop("total/seconds") > 0
    return results


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ctrl_c_saves_what_runs_and_the_same_command_goes_on(world: World, undisturbed: dict[str, Any]) -> None:
    out = world.folder / "stopped"
    with world.started(out) as driver:
        begun = within_patience(lambda: world.running(out))
        driver.send_signal(signal.SIGINT)
        said, _ = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 130, said
    assert "Stopped. Go on with the same command." in said
    assert not world.running(out)
    for name in begun:
        assert "Stopped after step" in (out / f"{name}.log").read_text()
    with world.started(out) as driver:
        said, _ = driver.communicate(timeout=2 * PATIENCE)
    assert driver.returncode == 0, said
    assert results_in(out) == undisturbed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_node_that_does_not_see_the_files_is_named(world: World, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("")
    programs = [Program("own", ("train", str(recipe)), tmp_path / "own.log")]

    def next_program() -> Program | None:
        if not programs:
            recipe.unlink(missing_ok=True)  # long before a worker could begin
        return programs.pop() if programs else None

    with pytest.raises(ExperimentError, match=r"The node .* does not see .*recipe.yaml. .* storage that all nodes see"):
        Cluster(world.address, 1, 0, lambda line: None).run_programs(next_program, 2, 1, lambda program, status: None)


@pytest.mark.slow
@pytest.mark.parametrize(("share", "seen"), [(0.0, "''"), (0.5, "'0'")])
def test_a_run_sees_the_gpu_that_it_shares_and_else_none(world: World, tmp_path: Path, share: float, seen: str) -> None:
    code = (
        'import os\nprint(f\'{os.environ.get("CUDA_VISIBLE_DEVICES")!r} {os.environ["OMP_NUM_THREADS"]}\')\nKINDS = {}'
    )
    (tmp_path / "show.py").write_text(code)
    words = ("train", "--code", str(tmp_path / "show.py"), "--help")
    programs = [Program("show", words, tmp_path / "show.log")]
    told: list[str] = []

    def next_program() -> Program | None:
        return programs.pop() if programs else None

    Cluster(world.address, 1, share, told.append).run_programs(next_program, 1, 3, lambda program, status: None)
    assert (tmp_path / "show.log").read_text().startswith(f"{seen} 3\n")
    assert told[0] == f"Ray: 3 nodes with 2 CPUs and 2 GPUs; 1 and {share:g} a run."
    assert len(told) == (1 if share else 2)  # that GPUs lie idle is told


TWO_SIGNALS = """import signal, time
signals = []
signal.signal(signal.SIGTERM, lambda number, frame: signals.append(number))
print("ready", flush=True)
while len(signals) < 2: time.sleep(0.05)
KINDS = {}
"""


@pytest.mark.slow
def test_a_second_signal_is_passed_on_like_the_first(world: World, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(TWO_SIGNALS)
    log = tmp_path / "own.log"
    programs = [Program("own", ("train", "--code", str(tmp_path / "own.py"), "--help"), log)]
    statuses: list[int] = []

    def send() -> None:
        within_patience(lambda: log.exists() and "ready" in log.read_text())
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(2)  # between two looks for signals lies a second

    threading.Thread(target=send, daemon=True).start()
    stopped_by = Cluster(world.address, 1, 0, lambda line: None).run_programs(
        lambda: programs.pop() if programs else None, 1, 1, lambda program, status: statuses.append(status)
    )
    assert (stopped_by, statuses) == (signal.SIGTERM, [0])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_experiment_that_lost_a_worker_and_a_node_ends_like_an_undisturbed_one(
    world: World, undisturbed: dict[str, Any]
) -> None:
    out = world.folder / "disturbed"
    with world.started(out) as driver:
        first, process = within_patience(lambda: world.running(out)).popitem()
        process.parent().kill()
        process.wait(10)  # it ends with its worker, so that its run can go on elsewhere
        assert not (out / first / "model").exists()  # nor did it end by itself

        others = within_patience(lambda: [item for item in world.running(out).items() if item[0] != first])
        second, process = others[0]
        node = process.parent().parent()
        assert "raylet" in node.name()
        for part in (node, *node.children(recursive=True)):  # as a machine that loses power
            part.kill()
        assert not (out / second / "model").exists()
        said, _ = driver.communicate(timeout=2 * PATIENCE)
    assert driver.returncode == 0, said
    assert results_in(out) == undisturbed
    for name in (first, second):
        log = (out / f"{name}.log").read_text()
        assert log.count("lines kept") == 2  # in two processes
        assert log.count("step 0: ") == 1  # of which one began it


# ------------------------------------------------------------------------------------------------ without a cluster


@pytest.fixture
def _own_ctrl_c() -> Iterator[None]:
    """What happens on Ctrl-C is as before: a worker's task takes it over."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("_own_ctrl_c")
def test_on_a_worker_a_program_says_all_to_its_log(tmp_path: Path) -> None:
    log, here = str(tmp_path / "run.log"), os.getcwd()
    assert _on_worker(("trian",), log, here, [], {}) == 2
    assert "Did you mean train" in Path(log).read_text()
    problem = _on_worker(("train", "no.yaml"), log, here, ["/no.yaml"], {})
    assert "does not see /no.yaml" in str(problem)


def test_a_run_that_another_process_still_holds_is_waited_for(tmp_path: Path) -> None:
    _wait_for_lock(tmp_path)
    held = FileLock(tmp_path / LOCK, thread_local=False)
    held.acquire()
    began = time.monotonic()
    _wait_for_lock(tmp_path, patience=0.2)  # then the run itself says who holds it
    assert time.monotonic() - began > 0.2
    threading.Timer(0.2, held.release).start()
    _wait_for_lock(tmp_path)
    assert time.monotonic() - began < 10


@pytest.fixture
def words(tmp_path: Path, make_recipe: Callable[..., Recipe]) -> list[str]:
    """An experiment on Ray whose runs are to do."""
    recipe = make_recipe()
    folder = tmp_path / "models"
    folder.mkdir()
    for name, place in (("baby", recipe.baby.model), ("parent", recipe.parent.model)):
        (folder / name).symlink_to(str(place))
    (tmp_path / "help.yaml").write_text(FILE, encoding="utf-8")
    sets = ["--set", f"models={folder}", "--set", f"it={recipe.text.sources[0]}"]
    return ["experiment", str(tmp_path / "help.yaml"), *sets, "--out", str(tmp_path / "out"), "--ray"]


def test_without_ray_its_extra_is_named(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(words) == 2
    assert "Ray is not installed. Install it: pip install 'bambino-lm[ray]'" in capsys.readouterr().err


def test_where_no_cluster_answers_it_is_said_at_once(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert main([*words, "127.0.0.1:1"]) == 2
    assert time.monotonic() - began < 60  # Ray itself tries for minutes
    assert "Connection refused. Start a cluster with `ray start --head`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ray", "--plan"], "--plan: not allowed with argument --ray"),
        (["--gpus-per-run", "0.5"], "--gpus-per-run is of a Ray cluster. Give --ray too"),
        (["--ray", "--gpus-per-run", "2"], "--gpus-per-run 2: a run uses one GPU. Use 0 to 1."),
        (["--ray", "--cpus-per-run", "0"], "--cpus-per-run 0 is too small"),
    ],
)
def test_shares_of_a_cluster_that_cannot_be_are_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["experiment", "help.yaml", *words]) == 2
    assert said in capsys.readouterr().err
