"""The feedback meter: gains over exposure alone at the same batches, by hand, from result files and run directories."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bambino import BambinoTrainer, Recipe, measures_of
from bambino.analysis.feedback_meter import Estimate, MeasuredRun, feedback_meter, read_measured
from bambino.cli.main import main
from bambino.errors import CurveError, ResultsError
from bambino.experiments.summary import main as summary
from bambino.measures import Interval
from bambino.report.meter import draw_meter, meter_rows, shown

MEASURE = "bits_per_byte/it"


def measured(condition: str, seed: int, value: float, clm_tokens: float = 100, **totals: float) -> MeasuredRun:
    return MeasuredRun(condition, seed, value, {"clm_tokens": clm_tokens, **totals})


CLM = [measured("clm", 1, 2.5), measured("clm", 2, 2.7)]
FED = [
    measured("recast", 1, 2.4, words_said=0, words_written_by_parent=100_000, parent_flops=2e15),
    measured("recast", 2, 2.5, words_said=0, words_written_by_parent=100_000, parent_flops=4e15),
]


def test_gains_and_quotients_over_two_seeds_by_hand() -> None:
    (reading,) = feedback_meter([*CLM, *FED], MEASURE).readings
    assert (reading.condition, reading.seeds) == ("recast", (1, 2))
    # 0.1 and 0.2: mean 0.15, standard error 0.0707 / sqrt 2 = 0.05, t of one degree of freedom 12.706
    assert reading.gain.mean == pytest.approx(0.15)
    assert reading.gain.interval is not None
    assert (reading.gain.interval.low, reading.gain.interval.high) == pytest.approx(
        (0.15 - 0.6353, 0.15 + 0.6353), abs=1e-4
    )
    # per million words: 1 and 2; per 10^15 FLOPs: 0.05 and 0.05; no word was said, no token counted
    assert {price: each.mean for price, each in reading.per.items()} == pytest.approx(
        {"words_written_by_parent": 1.5, "parent_flops": 0.05}
    )
    assert reading.spent == {"words_said": 0, "words_written_by_parent": 100_000, "parent_flops": 3e15}


def test_of_accuracies_more_is_better() -> None:
    runs = [measured("clm", 1, 0.5), measured("fed", 1, 0.6)]
    (reading,) = feedback_meter(runs, "pairs/it").readings
    assert reading.gain.mean == pytest.approx(0.1)
    assert reading.gain.interval is None
    with pytest.raises(CurveError, match="has no better direction"):
        feedback_meter(runs, "speech/words/baby")


def test_who_heard_other_batches_or_has_no_seed_in_common_is_left_out() -> None:
    others = [measured("long", 1, 2.0, clm_tokens=200), measured("late", 3, 2.0)]
    meter = feedback_meter([*CLM, *FED, *others], MEASURE)
    assert [reading.condition for reading in meter.readings] == ["recast"]
    assert meter.left_out == {
        "long": "with seed 1 it heard other clm batches than clm",
        "late": "no seed in common with clm",
    }


def test_what_cannot_be_set_against_each_other_is_refused() -> None:
    with pytest.raises(
        ResultsError, match=r"No run is of exposure\. There are: clm, recast\. Name another: --over NAME"
    ):
        feedback_meter([*CLM, *FED], MEASURE, "exposure")
    with pytest.raises(ResultsError, match="Two runs are clm with seed 2"):
        feedback_meter([*CLM, CLM[1]], MEASURE)


def test_the_table_has_what_was_spent_and_gained() -> None:
    meter = feedback_meter([*CLM, *FED], MEASURE)
    assert meter_rows(meter) == [
        ["condition", "gained", "per", "spent"],
        ["recast (2 seeds)", "+0.15 [-0.485, +0.785]", "", ""],
        ["", "+1.5 [-4.85, +7.85]", "million words that the parent wrote", "0.1"],
        ["", "+0.05 [+0.05, +0.05]", "10¹⁵ FLOPs of the parent", "3"],
    ]
    assert [shown(Estimate(-0.1, None)), shown(Estimate(0.1, Interval(0, 1)))] == ["-0.1", "+0.1 [+0, +1]"]


def test_the_figure_has_the_gain_and_each_price_that_was_paid() -> None:
    figure = draw_meter(feedback_meter([*CLM, *FED, measured("fed", 1, 2.6, words_said=9)], MEASURE))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "gain over clm",
        "per million words said",
        "per million words that the parent wrote",
        "per 10¹⁵ FLOPs of the parent",
    ]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["recast", "fed"]


# ------------------------------------------------------------------------------------------------------------- files


def result_file(folder: Path, measured_run: MeasuredRun, **content: Any) -> Path:
    path = folder / f"{measured_run.condition}-{measured_run.seed}.json"
    whole = {
        "run": path.stem,
        "settings": {"seed": measured_run.seed},
        "evaluations": [{"step": 0, f"eval/{MEASURE}": 9.0}, {"step": 5, f"eval/{MEASURE}": measured_run.value}],
        "costs": {f"total/{name}": total for name, total in measured_run.totals.items()},
    }
    path.write_text(json.dumps(whole | content), encoding="utf-8")
    return path


def test_a_result_file_is_read(tmp_path: Path) -> None:
    assert read_measured([result_file(tmp_path, FED[0])], MEASURE) == [FED[0]]
    by_default = result_file(tmp_path, measured("clm", 347, 2.0), settings={})  # what is the default is not written
    assert read_measured([by_default], MEASURE) == [measured("clm", 347, 2.0)]


def test_a_folder_of_an_experiments_results_is_read(tmp_path: Path) -> None:
    """Conditions by name, trials passed over, the model's own evaluation where the best was kept."""
    about = {"run": "clm-1-00ff00ff", "stage": "test", "condition": "clm", "batches": "00ff"}
    best = [{"step": 5, f"eval/{MEASURE}": 2.25}, {"step": 9, f"eval/{MEASURE}": 2.75}]
    result_file(tmp_path, CLM[0], **about, evaluations=best, model_step=5)
    result_file(tmp_path, CLM[1], **about | {"stage": "tuning"})
    (tmp_path / "tuning.json").write_text('{"experiment": "scarcity"}', encoding="utf-8")
    assert read_measured([tmp_path], MEASURE) == [MeasuredRun("clm", 1, 2.25, CLM[0].totals, "00ff")]
    alone = result_file(tmp_path, measured("recast", 1, 2.4), run="recast-1-00ff00ff")
    assert read_measured([alone], MEASURE)[0].condition == "recast"


def test_batches_are_compared_where_they_were_written_down() -> None:
    def of(condition: str, batches: str, tokens: int) -> MeasuredRun:
        return MeasuredRun(condition, 1, 2.0, {"clm_tokens": tokens}, batches)

    runs = [of("clm", "0a0b", 7), of("same", "0a0b", 7), of("other", "0a0c", 7), of("older", "", 7), of("long", "", 9)]
    meter = feedback_meter(runs, MEASURE)
    assert [reading.condition for reading in meter.readings] == ["same", "older"]
    assert list(meter.left_out) == ["other", "long"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "is no result file of a run"),
        ("{}", "is no result file of a run: 'evaluations' is missing"),
        ("{", "is neither a run directory nor a result file"),
        (None, "is neither a run directory nor a result file"),
    ],
)
def test_what_is_no_result_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ResultsError, match=message):
        read_measured([path], MEASURE)


def test_a_measure_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"has no measure pairs/blimp of its model\. It has: bits_per_byte/it\."):
        read_measured([result_file(tmp_path, FED[0])], "pairs/blimp")
    with pytest.raises(ResultsError, match="It has: none"):
        read_measured([result_file(tmp_path, FED[0], evaluations=[])], MEASURE)


def test_the_command_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = [measured("long", 1, 2.0, clm_tokens=200)]
    files = [str(result_file(tmp_path, run)) for run in [*CLM, *FED, *others]]
    assert main(["meter", *files, "--output_dir", str(tmp_path / "meter")]) == 0
    printed = capsys.readouterr().out
    assert "Gained over clm in bits_per_byte/it" in printed
    assert "long is left out: with seed 1 it heard other clm batches than clm" in printed
    assert {path.name for path in (tmp_path / "meter").iterdir()} == {"meter.png", "meter.svg"}


def test_runs_and_their_result_files_give_the_same(
    make_recipe: Callable[..., Recipe], text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (
        "--evaluation.texts",
        f"{{it: [{text_file}]}}",
        "--evaluation.eval_steps",
        "9",
        "--evaluation.max_lines",
        "9",
    )
    conditions = {"clm": ("{clm: 1}", "4"), "fed": ("{clm: 2, ppo: 1}", "6")}
    for name, (cycle, steps) in conditions.items():
        plan = ("--schedule.cycle", cycle, "--max_steps", steps, "--seed", "5")
        recipe = make_recipe(*settings, *plan, output_dir=f"{name}-5")
        BambinoTrainer(args=recipe, measures=measures_of(recipe)).train()
    folders = [tmp_path / f"{name}-5" for name in conditions]
    monkeypatch.setattr("sys.argv", ["summary", "--out", str(tmp_path / "results"), *map(str, folders)])
    summary()
    files = [tmp_path / "results" / f"{folder.name}.json" for folder in folders]
    of_runs, of_files = (read_measured(paths, MEASURE) for paths in (folders, files))
    assert of_runs == of_files
    (reading,) = feedback_meter(of_runs, MEASURE).readings
    assert reading.seeds == (5,)
    assert {"words_said", "parent_tokens", "parent_flops"} <= reading.per.keys()
