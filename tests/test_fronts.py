"""The front over conditions and seeds, by hand, from result files, run directories and sweeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bambino import BambinoTrainer, Recipe, measures_of
from bambino.analysis.fronts import Point, front_of, read_points
from bambino.analysis.interpolation import swept
from bambino.cli.main import main
from bambino.errors import CurveError, ResultsError
from bambino.report.front import draw_front, front_rows
from bambino.runs.names import condition_of

L1, L2 = "bits_per_byte/en", "bits_per_byte/it"


def result(folder: Path, run: str, seed: int, *evaluations: tuple[float, float]) -> str:
    """A result file with bits per byte of L1 and L2 at steps 0, 10, ..."""
    rows = [{"step": 10 * i, f"eval/{L1}": l1, f"eval/{L2}": l2} for i, (l1, l2) in enumerate(evaluations)]
    content = {"run": run, "settings": {"seed": seed}, "evaluations": rows, "costs": {}}
    (folder / f"{run}.json").write_text(json.dumps(content))
    return str(folder / f"{run}.json")


def test_a_runs_condition_is_its_name_without_its_seed() -> None:
    assert condition_of("replay25-347", 347) == "replay25"
    assert condition_of("replay25-347-0a1b2c3d", 347) == "replay25"
    assert condition_of("replay-25", 347) == "replay-25"
    assert condition_of("first", 1) == "first"


def test_the_front_over_seeds_by_hand(tmp_path: Path) -> None:
    files = [
        # gains 2.0 and 1.0, losses 1.0 and 0.8
        result(tmp_path, "clm-1", 1, (1.75, 4.5), (2.0, 3.0), (2.75, 2.5)),
        result(tmp_path, "clm-2", 2, (1.75, 4.5), (2.55, 3.5)),
        # gains 1.5, loses 0.25: beats clm
        result(tmp_path, "replay-1-0a1b2c3d", 1, (1.75, 4.5), (2.0, 3.0)),
        # gains 2 and loses 0.5
        result(tmp_path, "best-1", 1, (1.75, 4.5), (2.25, 2.5)),
    ]
    points = front_of([point for file in files for point in read_points(file, L1, L2)])
    assert [(p.condition, p.seeds, p.on_front) for p in points] == [
        ("replay", 1, True),
        ("clm", 2, False),
        ("best", 1, True),
    ]
    clm = points[1]
    assert (clm.l2_gain.mean, clm.l1_loss.mean) == pytest.approx((1.5, 0.9))
    assert clm.l2_gain.interval is not None
    # standard error 0.7071 / sqrt 2 = 0.5, t of one degree of freedom 12.706
    assert (clm.l2_gain.interval.low, clm.l2_gain.interval.high) == pytest.approx((1.5 - 6.353, 1.5 + 6.353), abs=1e-3)
    assert front_rows(points)[1] == ["replay", "1", "+1.500", "+0.250", "*"]
    assert front_rows(points)[2][4] == ""
    assert len(draw_front(points, L1, L2).axes[0].texts) == 3


def test_models_between_stand_beside_runs(tmp_path: Path) -> None:
    scores = {0.0: {L1: 2.0, L2: 4.0}, 0.5: {L1: 2.25, L2: 3.0}, 1.0: {L1: 3.0, L2: 2.0}}
    for seed in (1, 2):
        about: dict[str, Any] = {"first": "a", "last": "b", "measured": {}, "run": f"clm-{seed}", "seed": seed}
        swept(scores, l1=L1, l2=L2, **about).save(tmp_path / f"clm-{seed}")
    files = [tmp_path / f"clm-{seed}" / "interpolation.json" for seed in (1, 2)]
    points = [point for file in files for point in read_points(file, L1, L2)]
    assert points == [Point("clm @ 0.5", 1, 1.0, 0.25), Point("clm @ 0.5", 2, 1.0, 0.25)]
    assert front_of(points)[0].seeds == 2
    with pytest.raises(ResultsError, match=r"is of bits_per_byte/en and bits_per_byte/it, not of pairs/en"):
        read_points(files[0], "pairs/en", L2)


def test_what_cannot_be_placed_is_refused(tmp_path: Path) -> None:
    once = result(tmp_path, "once-1", 1, (1.75, 4.5))
    twice = result(tmp_path, "twice-1", 1, (1.75, 4.5), (1.75, 4.0))
    with pytest.raises(ResultsError, match="not measured before its first step"):
        read_points(once, L1, L2)
    with pytest.raises(ResultsError, match=r"has no measure pairs/en at its start and end\. It has: bits_per"):
        read_points(twice, "pairs/en", L2)
    with pytest.raises(CurveError, match="no better direction"):
        read_points(twice, L1, "step")
    with pytest.raises(ResultsError, match="Two runs are twice with seed 1"):
        front_of([*read_points(twice, L1, L2), *read_points(twice, L1, L2)])


def test_a_folder_stands_for_its_runs_and_a_run_for_the_model_that_it_left(tmp_path: Path) -> None:
    file = Path(result(tmp_path, "kept-1", 1, (1.75, 4.5), (2.0, 3.0), (3.0, 2.75)))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_step": 10}))
    for name in ("tuning.json", "answer.json"):
        (tmp_path / name).write_text('{"experiment": "first"}')
    by_glob = [point for path in sorted(tmp_path.glob("*.json")) for point in read_points(path, L1, L2)]
    assert read_points(tmp_path, L1, L2) == by_glob == [Point("kept", 1, 1.5, 0.25)]


def test_the_command_reads_run_directories(
    make_recipe: Callable[..., Recipe], text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = f"{{it: [{text_file}], en: [{text_file}]}}"
    settings = ("--schedule.cycle", "{clm: 1}", "--evaluation.texts", texts, "--evaluation.eval_steps", "3")
    recipe = make_recipe(*settings, output_dir="clm-347")
    BambinoTrainer(args=recipe, measures=measures_of(recipe)).train()
    assert main(["interpolate", recipe.output_dir, "--at", "0.5"]) == 0
    sweep = f"{recipe.output_dir}/evaluation/interpolation.json"
    capsys.readouterr()
    assert main(["front", recipe.output_dir, sweep, "--output_dir", str(tmp_path / "front")]) == 0
    said = capsys.readouterr().out
    assert {"clm", "clm @ 0.5"} <= {line[:12].strip() for line in said.splitlines()}
    assert (tmp_path / "front" / "front.svg").is_file()
