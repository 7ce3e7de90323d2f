"""Curves from run directories; forgetting by hand and by its laws."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import there
from hypothesis import given
from hypothesis import strategies as st

from bambino.analysis.curves import Curve, reach, read_curves
from bambino.analysis.forgetting import ForgettingSettings, forgetting, forgetting_of
from bambino.errors import CurveError, RunDirectoryError


def curve(
    name: str, *values: float, steps: tuple[int, ...] | None = None, words: tuple[float, ...] | None = None
) -> Curve:
    steps = steps or tuple(10 * i for i in range(len(values)))
    return Curve(name, steps, words or tuple(5.0 * step for step in steps), values)


def english(*values: float) -> Curve:
    return curve("bits_per_byte/en", *values)


def italian(*values: float) -> Curve:
    return curve("bits_per_byte/it", *values)


# ------------------------------------------------------------------------------------------------------- forgetting


def test_forgetting_of_losses_by_hand() -> None:
    # English gets better by 0.2, then worse: 2.0, 1.8, 2.5. Italian falls from 4 to 3.
    found = forgetting(english(2.0, 1.8, 2.5), italian(4.0, 3.5, 3.0))
    assert found.backward_transfer == pytest.approx(-0.5)  # -2.5 - -2.0
    assert found.average_forgetting == pytest.approx(0.7)  # -1.8 - -2.5
    assert found.l2_gain == pytest.approx(1.0)


def test_forgetting_of_accuracies_by_hand() -> None:
    found = forgetting(curve("pairs/blimp", 0.6, 0.7, 0.65), curve("pairs/it", 0.5, 0.55, 0.5))
    assert found.backward_transfer == pytest.approx(0.05)
    assert found.average_forgetting == pytest.approx(0.05)
    assert found.l2_gain == pytest.approx(0.0)


values = st.lists(st.floats(0.1, 9), min_size=2, max_size=6)


@given(values)
def test_forgetting_is_at_least_minus_the_backward_transfer_and_equal_with_two_evaluations(levels: list[float]) -> None:
    found = forgetting(english(*levels), italian(*levels))
    assert found.average_forgetting >= -found.backward_transfer
    two = forgetting(english(levels[0], levels[-1]), italian(levels[0], levels[-1]))
    assert two.average_forgetting == pytest.approx(-two.backward_transfer)


def test_curves_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(CurveError, match="not measured at the same steps"):
        forgetting(english(2, 3), italian(4, 3, 2))
    with pytest.raises(CurveError, match=r"measured at steps 0\. Forgetting needs"):
        forgetting(english(2), italian(4))
    late = curve("bits_per_byte/en", 2.0, 3.0, steps=(10, 20))
    with pytest.raises(CurveError, match=r"measured at steps 10, 20\. Forgetting needs an evaluation at step 0"):
        forgetting(late, late)
    with pytest.raises(CurveError, match="speech/words/baby has no better direction"):
        forgetting(curve("speech/words/baby", 1, 2), italian(4, 3))


# ------------------------------------------------------------------------------------------------------------ speed


def test_when_a_level_is_reached_by_hand() -> None:
    it = curve("bits_per_byte/it", 4.0, 3.0, 3.5, 2.0, steps=(0, 10, 20, 30), words=(0.0, 100.0, 200.0, 300.0))
    assert (there(reach(it, 4.5)).step, there(reach(it, 4.5)).words) == (0, 0)
    assert (there(reach(it, 3.75)).step, there(reach(it, 3.75)).words) == (2.5, 25)
    assert there(reach(it, 3.0)).step == 10
    assert there(reach(it, 2.75)).step == pytest.approx(25)
    assert reach(it, 1.9) is None
    pairs = curve("pairs/it", 0.5, 0.5, 0.7)
    assert there(reach(pairs, 0.6)).step == pytest.approx(15)
    assert there(reach(pairs, 0.5)).step == 0


@given(values, st.floats(0.1, 9))
def test_a_level_is_reached_if_and_only_if_the_best_value_is_as_good(levels: list[float], level: float) -> None:
    it = italian(*levels)
    reached = reach(it, level)
    assert (reached is not None) == (min(levels) <= level)
    assert reached is None or it.steps[0] <= reached.step <= it.steps[-1]


# ------------------------------------------------------------------------------------------------- run directories


def run_directory(
    path: Path, rows: Sequence[Any], sources: Sequence[dict[str, Any]] = ({"words": 50, "tokens": 100},)
) -> Path:
    path.mkdir(exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (path / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (path / "data.json").write_text(json.dumps({"clm": list(sources)}), encoding="utf-8")
    return path


def evaluation(step: int, en: float, it: float, **other: float | None) -> dict[str, Any]:
    return {
        "kind": "evaluation",
        "step": step,
        "eval/bits_per_byte/en": en,
        "eval/bits_per_byte/it": it,
        **{f"eval/{name.replace('__', '/')}": value for name, value in other.items()},
    }


ROWS = [
    evaluation(0, 2.0, 4.0),
    {"kind": "step", "step": 1, "total/clm_tokens": 400},
    {"kind": "step", "step": 2, "total/clm_tokens": 800},
    evaluation(2, 2.2, 3.0, speech__words__baby=7.0),
    {"kind": "step", "step": 3, "total/clm_tokens": 1000},
    evaluation(3, 2.6, 2.8, speech__words__baby=None),
]


def test_curves_are_read_with_the_words_heard(tmp_path: Path) -> None:
    curves = read_curves(run_directory(tmp_path / "run", ROWS))
    it = curves["bits_per_byte/it"]
    assert (it.steps, it.values) == ((0, 2, 3), (4.0, 3.0, 2.8))
    assert it.words == (0, 400, 500)  # half a word per token
    assert (curves["speech/words/baby"].steps, curves["speech/words/baby"].values) == ((2,), (7.0,))


def test_forgetting_of_a_run_directory_by_hand(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run", ROWS)
    settings = ForgettingSettings(levels=(3.5, 2.0), gains=(1.1, 2.0))
    result = forgetting_of(run, settings)
    scores = {score.name: score.value for score in result.scores}
    assert scores["forgetting/backward_transfer"] == pytest.approx(-0.6)
    assert scores["forgetting/average_forgetting"] == pytest.approx(0.6)
    assert scores["forgetting/l2_gain"] == pytest.approx(1.2)
    assert scores["forgetting/l1_loss_at_gain/1.1"] == pytest.approx(0.4)  # half way from 0.2 to 0.6
    assert scores["forgetting/words_to_reach/3.5"] == pytest.approx(200)
    assert math.isnan(scores["forgetting/words_to_reach/2"])
    assert math.isnan(scores["forgetting/l1_loss_at_gain/2"])
    assert result.verdict == "L1 worse by 0.600 bits per byte, L2 better by 1.200 bits per byte; one run"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["{", ROWS[0]], r"metrics\.jsonl, line 1: JSONDecodeError"),
        ([ROWS[0], "[]"], r"metrics\.jsonl, line 2: TypeError"),
        ([ROWS[0], {"step": 3}], r"metrics\.jsonl, line 2: KeyError: 'kind'"),
        ([ROWS[1]], "has no evaluation. Train with evaluation.eval_steps"),
    ],
)
def test_logs_that_cannot_be_read_are_named(rows: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises((CurveError, RunDirectoryError), match=message):
        read_curves(run_directory(tmp_path / "run", rows))


def test_a_row_that_is_cut_at_the_end_is_passed_over(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run", ROWS)
    log = run / "metrics.jsonl"
    log.write_text(log.read_text(encoding="utf-8") + '{"kind": "evaluation", "st', encoding="utf-8")
    assert read_curves(run)["bits_per_byte/it"].steps == (0, 2, 3)


def test_a_directory_that_is_no_run_and_a_measure_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"There is no .*nowhere.metrics\.jsonl"):
        read_curves(tmp_path / "nowhere")
    run = run_directory(tmp_path / "run", ROWS)
    with pytest.raises(CurveError, match=r"no measure 'pairs/it'\. It has: bits_per_byte/en, bits_per_byte/it"):
        forgetting_of(run, ForgettingSettings(l2="pairs/it"))
    (run / "data.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunDirectoryError, match=r"run: KeyError: 'clm'\. Is it the directory of"):
        read_curves(run)
    (run / "data.json").unlink()
    with pytest.raises(RunDirectoryError, match=r"There is no .*data\.json"):
        read_curves(run)
