"""The laboratory, tiny: every condition, equal FLOPs, pieces, and what its tables say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bambino.experiments.nursery import lab as nursery_lab
from bambino.experiments.nursery.designs import Design, part_seed
from bambino.experiments.nursery.lab import LAB_CONDITIONS, TRIALS, Lab, claimed, main, show, tasks, work
from bambino.experiments.nursery.results import MEASURES
from bambino.experiments.nursery.tables import comparisons_markdown, trials_markdown
from bambino.nursery import Grammar
from bambino.runs.log import RunLog

pytestmark = pytest.mark.slow
TINY = Design(
    "tiny",
    base_lines=300,
    base_steps=6,
    l2_lines=80,
    cycles=2,
    evaluations=1,
    test_sentences=10,
    doublets=1,
    prompts=4,
    hidden_size=16,
    layers=1,
    context=128,
)


CONDITIONS = LAB_CONDITIONS | {"best": replace(LAB_CONDITIONS["best"], recast_steps=2)}
"""The lab's, with fewer recasts."""


def do_all(folder: Path, names: tuple[str, ...], save_steps: int = 5) -> Lab:
    lab = Lab(folder / "lab", folder / "out", TINY, save_steps=save_steps)
    work(tasks(lab, {name: CONDITIONS[name] for name in names}, [1], [2]))
    return lab


def kept(folder: Path, name: str) -> dict[str, Any]:
    """A run's small file, but for the seconds."""
    found: dict[str, Any] = json.loads((folder / "out" / f"{name}-1-2.json").read_text(encoding="utf-8"))
    del found["numbers"]["seconds"]
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    do_all(folder, tuple(CONDITIONS), save_steps=50)
    return folder


def test_every_condition_leaves_a_small_file_with_its_code_and_settings(done: Path) -> None:
    files = {path.stem for path in (done / "out").iterdir()}
    assert files == {"base-1", *(f"{name}-1-2" for name in LAB_CONDITIONS)}
    for name in LAB_CONDITIONS:
        one = kept(done, name)
        assert one["numbers"].keys() == {measure.name for measure in MEASURES} - {"seconds"}
        assert "git_commit" in one["environment"]
        assert one["environment"]["packages"]["torch"]
        assert one["settings"]["seed"] == 12
        assert str(done) not in json.dumps(one)
    models = json.loads((done / "out" / "base-1.json").read_text())["models"]
    assert list(models) == ["baby", "parent", "parent30", "parent10"]


def test_a_phase_of_best_hears_no_l1_line_twice(done: Path) -> None:
    # 10 clm and 2 recast steps a cycle, 2 cycles, two L1 lines beside each of 32: 1536 lines, all of the baby's text's
    # beginning, whatever the run's seed (12) is.
    run = nursery_lab.Lab(done / "lab", done / "out", TINY).run("best", CONDITIONS["best"], 1, 2)
    assert run is not None
    lines = (done / "lab" / "runs" / "best-1-2-l1.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == run.replayed_lines == 1536
    assert lines[:300] == list(Grammar.load("en").texts(part_seed(1, 0), TINY.base_lines))


def test_clm_flops_costs_what_bambino_costs_to_half_a_step(done: Path) -> None:
    cost = {name: kept(done, name)["numbers"]["tflops"] for name in ("clm", "bambino", "clm-flops")}
    # Steps differ a little in their tokens; one of clm's 20 steps is 5 %.
    assert cost["clm-flops"] == pytest.approx(cost["bambino"], abs=0.05 * cost["clm"])
    assert cost["clm-flops"] > cost["clm"]


def test_parents_differ_and_the_oracle_reads_nothing(done: Path) -> None:
    heard = {name: kept(done, name) for name in LAB_CONDITIONS}
    four = ("bambino", "bambino-oracle", "bambino-parent30", "bambino-parent10")
    assert len({heard[name]["numbers"]["l2/excess"] for name in four}) == 4
    assert len({heard[name]["human_perplexity"] for name in LAB_CONDITIONS}) == 1  # one judge for all
    assert heard["bambino-oracle"]["numbers"]["tflops"] < heard["bambino"]["numbers"]["tflops"]


def test_a_lab_stopped_anywhere_goes_on_to_the_same_numbers(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_step, steps = RunLog.step, []

    def stumble(self: RunLog, step: int, phase: str, row: dict[str, Any]) -> dict[str, Any]:
        logged = log_step(self, step, phase, row)
        steps.append(phase)
        if len(steps) in (4, 17, 31):  # in the baby, in clm, in bambino
            raise KeyboardInterrupt
        return logged

    monkeypatch.setattr(RunLog, "step", stumble)
    stops = 0
    while True:
        try:
            do_all(tmp_path, ("clm", "bambino"), save_steps=2)
            break
        except KeyboardInterrupt:
            stops += 1
    assert stops == 3
    for name in ("clm", "bambino"):
        again, whole = kept(tmp_path, name), kept(done, name)
        assert again["settings"].pop("save_steps") != whole["settings"].pop("save_steps")
        assert again == whole


def test_what_is_whole_is_not_done_again(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(nursery_lab, "train_base", never)
    monkeypatch.setattr(nursery_lab, "run_condition", never)
    do_all(done, ("clm", "bambino"))


def test_a_lab_keeps_its_design(done: Path) -> None:
    with pytest.raises(SystemExit, match="another design"):
        Lab(done / "lab", done / "out", Design())


def test_what_another_process_holds_is_left_to_it(tmp_path: Path) -> None:
    with claimed(tmp_path / "run") as mine:
        assert mine
        with claimed(tmp_path / "run") as again:
            assert not again
    with claimed(tmp_path / "run") as free:
        assert free


def test_trials_are_equally_many() -> None:
    conditions = [trial.name for trial in TRIALS.values()]
    assert conditions.count("clm") == conditions.count("bambino")
    assert len(set(TRIALS.values())) == len(TRIALS)


def test_tuning_bases_are_not_reported(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="for tuning"):
        main(["run", "--lab", str(tmp_path / "lab"), "--out", str(tmp_path), "--bases", "11"])


def made_up(name: str, base: int, seed: int, value: float) -> dict[str, Any]:
    """A small file whose every number is `value`."""
    numbers = {measure.name: value for measure in MEASURES}
    return {"name": name, "condition": name, "base": base, "seed": seed, "language": "it", "numbers": numbers}


def test_paired_tests_by_hand() -> None:
    # Differences -0.3, -0.4, -0.5: mean -0.4, half width 4.303 * 0.1 / sqrt 3 = 0.248. By base: -0.35 and -0.5.
    gaps = {(1, 1): -0.3, (1, 2): -0.4, (2, 1): -0.5}
    runs = [made_up("clm", base, seed, 1.0) for base, seed in gaps]
    runs += [made_up("bambino", base, seed, 1 + gap) for (base, seed), gap in gaps.items()]
    table = comparisons_markdown(runs)
    line = next(line for line in table.splitlines() if line.startswith("| bambino - clm |"))
    assert "| -0.400 | -0.648 to -0.152 | 3 |" in line
    assert line.endswith("| -0.350, -0.500 |")


def test_the_best_trial_comes_first() -> None:
    trials = [made_up(name, 11, 1, value) for name, value in (("clm-1", 0.9), ("clm-2", 0.7))]
    lines = trials_markdown([{**one, "condition": "clm"} for one in trials]).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| clm-2", "| clm-1"]


def test_the_tables_of_a_whole_lab(done: Path) -> None:
    text = show(done / "out")
    assert "| 1 | parent10 |" in text
    assert "| at the end | untrained | clm | bambino | best | ppo | clm-flops |" in text
