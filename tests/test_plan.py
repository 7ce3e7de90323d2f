"""Where an experiment runs: commands for elsewhere, and how many at a time here."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_resume import train

import bambino
from bambino.cli.main import main
from bambino.experiments.runner import available_memory, workers_for
from bambino.recipe.settings import Recipe

FILE = """
question: Does feedback help?
hypotheses: [It does not.]
primary: bits_per_byte/it
settings:
  baby.model: "${models}/baby"
  text: {sources: ["${models}/it.txt"], heldout_every: 5, max_length: 40, max_lines: 24}
  batch_size: 4
  passes: 1
  schedule.cycle: {clm: 1}
  evaluation: {eval_steps: 3, utterances: 0, texts: {it: ["${models}/it.txt"]}}
conditions:
  clm: {}
seeds: {development: [1], test: [11]}
tuning:
  conditions:
    clm: {clm.learning_rate: [1e-3, 4e-3]}
"""
Plan = Callable[[], tuple[list[str], str]]


@pytest.fixture
def words(tmp_path: Path, baby_folder: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`bambino experiment ...` in a folder with a space in its paths."""
    (tmp_path / "my models").mkdir()
    (tmp_path / "my models" / "baby").symlink_to(baby_folder)
    (tmp_path / "my models" / "it.txt").symlink_to(text_file)
    (tmp_path / "help.yaml").write_text(FILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return ["experiment", "help.yaml", "--set", "models=my models", "--out", "my runs"]


@pytest.fixture
def plan(words: list[str], capsys: pytest.CaptureFixture[str]) -> Plan:
    """plan(): the commands of `--plan`, and what it notes beside."""

    def planned() -> tuple[list[str], str]:
        capsys.readouterr()
        assert main([*words, "--plan"]) == 0
        said = capsys.readouterr()
        return said.out.splitlines(), said.err

    return planned


def run(line: str) -> int:
    """A command of a plan, here."""
    command, *rest = shlex.split(line)
    assert command == "bambino"
    return main(rest)


def test_the_commands_of_a_plan_are_the_experiment(
    plan: Plan, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trials, notes = plan()
    assert len(trials) == 2
    assert notes.count("to do  tuning  clm-1-") == 2
    assert "--clm.learning_rate=4e-3" in notes
    assert "later  test    clm, with what its trials choose: plan again once they have ended" in notes
    assert [run(line) for line in trials] == [0, 0]

    (test,), notes = plan()
    assert notes.count("done   tuning  clm-1-") == 2
    assert "to do  test    clm-11-" in notes
    assert "my runs/clm-11-" in test
    assert [run(test), run(test)] == [0, 0]  # once more, by a queue that lost count

    capsys.readouterr()
    assert main(words) == 0
    results = [json.loads(path.read_text()) for path in (tmp_path / "my runs" / "results").glob("clm-*.json")]
    assert sorted(result["stage"] for result in results) == ["test", "tuning", "tuning"]
    assert not list((tmp_path / "my runs").glob("*.log"))  # what has run elsewhere does not run again
    assert plan()[0] == []


def test_a_command_of_a_plan_goes_on_with_a_run_that_was_stopped(plan: Plan, tmp_path: Path) -> None:
    line, other = plan()[0]
    recipe = bambino.load_recipe(shlex.split(line)[2], [])
    train(recipe, stop_after=3)
    assert run(line) == 0
    rows = [json.loads(row) for row in (Path(recipe.output_dir) / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "phase" in row] == [1, 2, 3, 4, 5, 6]
    assert plan()[0] == [other]


@pytest.mark.slow
def test_a_plan_runs_through_xargs_and_as_an_array(words: list[str], tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "how-to" / "clusters.md").read_text(encoding="utf-8")
    xargs = next(line.strip() for line in page.splitlines() if "xargs" in line and "EXPERIMENT" in line)
    script = page.split("```bash\n")[1].split("```")[0]
    (tmp_path / "array.sh").write_text(script, encoding="utf-8")
    experiment = shlex.join(["bambino", *words])
    own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    array = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_CPUS_PER_TASK": "1"}
    for line in (xargs.replace("bambino experiment EXPERIMENT.yaml", experiment), f"{experiment} --plan > runs.txt"):
        subprocess.run(["bash", "-c", line], check=True, env=os.environ | own)
    assert len((tmp_path / "runs.txt").read_text().splitlines()) == 1  # trials have run, so the test is known
    subprocess.run(["bash", "array.sh"], check=True, env=os.environ | own | array)
    assert main(words) == 0
    assert not list((tmp_path / "my runs").glob("*.log"))


# ------------------------------------------------------------------------------------------------ how many at a time


def test_fifty_conditions_queue_for_the_memory_there_is(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe()  # its models are small: a run takes one GiB for libraries, and less than a MiB more
    gib = 1 << 30
    assert workers_for(iter([recipe] * 50), 64, 7 * gib) == 3  # in half of it
    assert workers_for(iter([recipe] * 50), 2, 7 * gib) == 2
    assert workers_for(iter([recipe] * 50), 64, gib) == 1


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/job/step\n", {"job/memory.max": "5000", "job/step/memory.max": "max", "memory.max": "7000"}, 5000),
        ("0::/\n", {"memory.max": "5000"}, 5000),
        ("2:cpu:/job\n1:memory:/job\n", {"memory/job/memory.limit_in_bytes": "5000"}, 5000),
        ("0::/job\n", {"job/memory.max": "max"}, None),
        ("", {}, None),
    ],
)
def test_memory_is_what_the_container_or_job_may_use(
    tmp_path: Path, groups: str, files: dict[str, str], limit: int | None
) -> None:
    for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert available_memory(tmp_path) == (limit or machine)
