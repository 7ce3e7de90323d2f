"""Curves from run directories; forgetting, fronts and the bilingual score by hand and by their laws."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bambino.evaluation.learning.curves import Curve, CurveError, reach, read_curves
from bambino.evaluation.learning.forgetting import (
    ForgettingSettings,
    Scale,
    Scales,
    bilingual_score,
    forgetting,
    forgetting_of,
    front,
    l1_loss_at,
    trade_off,
)


def curve(name, *values, steps=None, words=None):
    steps = steps or tuple(10 * i for i in range(len(values)))
    return Curve(name, steps, words or tuple(5.0 * step for step in steps), values)


def english(*values):
    return curve("bits_per_byte/en", *values)


def italian(*values):
    return curve("bits_per_byte/it", *values)


# ------------------------------------------------------------------------------------------------------- forgetting


def test_forgetting_of_losses_by_hand():
    # English gets better by 0.2, then worse: 2.0, 1.8, 2.5. Italian falls from 4 to 3.
    found = forgetting(english(2.0, 1.8, 2.5), italian(4.0, 3.5, 3.0))
    assert found.backward_transfer == pytest.approx(-0.5)  # -2.5 - -2.0
    assert found.average_forgetting == pytest.approx(0.7)  # -1.8 - -2.5
    assert found.l2_gain == pytest.approx(1.0)


def test_forgetting_of_accuracies_by_hand():
    found = forgetting(curve("pairs/blimp", 0.6, 0.7, 0.65), curve("pairs/it", 0.5, 0.55, 0.5))
    assert found.backward_transfer == pytest.approx(0.05)
    assert found.average_forgetting == pytest.approx(0.05)
    assert found.l2_gain == pytest.approx(0.0)


values = st.lists(st.floats(0.1, 9), min_size=2, max_size=6)


@given(values)
def test_forgetting_is_at_least_minus_the_backward_transfer_and_equal_with_two_evaluations(levels):
    found = forgetting(english(*levels), italian(*levels))
    assert found.average_forgetting >= -found.backward_transfer
    two = forgetting(english(levels[0], levels[-1]), italian(levels[0], levels[-1]))
    assert two.average_forgetting == pytest.approx(-two.backward_transfer)


def test_curves_that_do_not_belong_together_are_refused():
    with pytest.raises(CurveError, match="not measured at the same steps"):
        forgetting(english(2, 3), italian(4, 3, 2))
    with pytest.raises(CurveError, match=r"measured at steps 0\. Forgetting needs"):
        forgetting(english(2), italian(4))
    late = curve("bits_per_byte/en", 2.0, 3.0, steps=(10, 20))
    with pytest.raises(CurveError, match=r"measured at steps 10, 20\. Forgetting needs an evaluation at step 0"):
        forgetting(late, late)
    with pytest.raises(CurveError, match="utterances/words has no better direction"):
        forgetting(curve("utterances/words", 1, 2), italian(4, 3))


# ------------------------------------------------------------------------------------------------------- trade-offs


def test_l1_loss_at_equal_l2_gain_by_hand():
    l1, l2 = english(2.0, 2.2, 2.8), italian(4.0, 3.0, 2.0)
    assert l1_loss_at(l1, l2, 0) == 0
    assert l1_loss_at(l1, l2, 0.5) == pytest.approx(0.1)  # half way to the second evaluation
    assert l1_loss_at(l1, l2, 1.5) == pytest.approx(0.5)  # half way from 0.2 to 0.8
    assert l1_loss_at(l1, l2, 2) == pytest.approx(0.8)
    assert l1_loss_at(l1, l2, 2.1) is None


def test_a_gain_counts_when_it_is_first_made():
    assert l1_loss_at(english(2.0, 2.1, 2.5, 2.9), italian(4.0, 3.0, 3.5, 2.0), 1) == pytest.approx(0.1)


def test_two_runs_at_equal_gain_by_hand():
    # one loses 0.2 per unit of gain and gains 2; other loses 0.5 per unit and gains 1: on 0 to 1 the mean gap is -0.15
    one = (english(2.0, 2.4), italian(4.0, 2.0))
    other = (english(2.0, 2.5), italian(4.0, 3.0))
    result = trade_off(one, other)
    assert result.gains[0] == 0
    assert result.gains[-1] == pytest.approx(1)
    assert (result.one[-1], result.other[-1]) == (pytest.approx(0.2), pytest.approx(0.5))
    assert result.mean_gap == pytest.approx(-0.15)
    assert trade_off(other, one).mean_gap == pytest.approx(0.15)
    assert trade_off(one, one).mean_gap == 0
    assert trade_off(one, (english(2.0, 2.5), italian(4.0, 4.1))) is None
    with pytest.raises(CurveError, match="same measures"):
        trade_off(one, (english(2.0, 2.5), curve("pairs/it", 0.5, 0.6)))


@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=2, max_size=6))
def test_every_gain_in_common_has_a_loss_for_both_runs(points):
    one = (english(2.0, *(2 - loss for loss, _ in points)), italian(4.0, *(4 - gain for _, gain in points)))
    other = (english(2.0, 2.5), italian(4.0, 3.0))
    result = trade_off(one, other)
    if result is not None:
        assert len(result.gains) == len(result.one) == len(result.other)


def test_the_front_by_hand():
    points = [(1.0, 0.5), (2.0, 0.4), (0.5, 0.1), (0.4, 0.1), (2.0, 0.4)]
    # (1, 0.5) gains less and loses more than (2, 0.4); (0.4, 0.1) gains less than (0.5, 0.1); equal points stay
    assert front(points) == [2, 1, 4]
    assert front([]) == []


# ------------------------------------------------------------------------------------------------------------ speed


def test_when_a_level_is_reached_by_hand():
    it = curve("bits_per_byte/it", 4.0, 3.0, 3.5, 2.0, steps=(0, 10, 20, 30), words=(0.0, 100.0, 200.0, 300.0))
    assert (reach(it, 4.5).step, reach(it, 4.5).words) == (0, 0)
    assert (reach(it, 3.75).step, reach(it, 3.75).words) == (2.5, 25)
    assert reach(it, 3.0).step == 10
    assert reach(it, 2.75).step == pytest.approx(25)
    assert reach(it, 1.9) is None
    pairs = curve("pairs/it", 0.5, 0.5, 0.7)
    assert reach(pairs, 0.6).step == pytest.approx(15)
    assert reach(pairs, 0.5).step == 0


@given(values, st.floats(0.1, 9))
def test_a_level_is_reached_if_and_only_if_the_best_value_is_as_good(levels, level):
    it = italian(*levels)
    reached = reach(it, level)
    assert (reached is not None) == (min(levels) <= level)
    assert reached is None or it.steps[0] <= reached.step <= it.steps[-1]


# -------------------------------------------------------------------------------------------------- bilingual score

SCALES = Scales(l1=Scale(unknown=4.0, known=2.0), l2=Scale(unknown=5.0, known=1.0))


def test_the_bilingual_score_by_hand():
    # L1 3.0: half of the way from 4 to 2. L2 2.0: three quarters of the way from 5 to 1. 2 * 1/2 * 3/4 / (5/4) = 3/5
    assert bilingual_score(3.0, 2.0, SCALES) == pytest.approx(3 / 5)
    assert bilingual_score(2.0, 1.0, SCALES) == 1
    accuracies = Scales(l1=Scale(0.5, 0.9), l2=Scale(0.5, 0.7))
    assert bilingual_score(0.8, 0.6, accuracies) == pytest.approx(2 * 0.75 * 0.5 / 1.25)


def test_both_monolinguals_score_0_and_so_does_who_lost_both():
    assert bilingual_score(2.0, 5.0, SCALES) == 0  # the baby before L2
    assert bilingual_score(4.0, 1.0, SCALES) == 0  # the parent
    assert bilingual_score(6.0, 6.0, SCALES) == 0


@given(st.floats(0, 8), st.floats(0, 8), st.floats(0, 1), st.floats(0.1, 10))
def test_the_bilingual_score_is_bounded_rises_with_either_language_and_knows_no_unit(l1, l2, better, unit):
    score = bilingual_score(l1, l2, SCALES)
    assert 0 <= score <= 1
    assert bilingual_score(l1 - better, l2, SCALES) >= score - 1e-12
    assert bilingual_score(l1, l2 - better, SCALES) >= score - 1e-12
    scaled = Scales(l1=Scale(4 * unit, 2 * unit), l2=Scale(5 * unit, unit))
    assert bilingual_score(l1 * unit, l2 * unit, scaled) == pytest.approx(score, abs=1e-9)
    retention, attainment = SCALES.l1.share(l1), SCALES.l2.share(l2)
    swapped = Scales(l1=SCALES.l2, l2=SCALES.l1)
    assert bilingual_score(l2, l1, swapped) == pytest.approx(score)
    assert min(retention, attainment) - 1e-12 <= score <= max(retention, attainment) + 1e-12


def test_a_measure_that_does_not_tell_the_monolinguals_apart_is_refused():
    with pytest.raises(CurveError, match=r"Both monolinguals are at 2\.0"):
        Scale(2.0, 2.0).share(1.0)


# ------------------------------------------------------------------------------------------------- run directories


def run_directory(path, rows, sources=({"words": 50, "tokens": 100},)):
    path.mkdir(exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (path / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (path / "data.json").write_text(json.dumps({"clm": list(sources)}), encoding="utf-8")
    return path


def evaluation(step, en, it, **other):
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
    evaluation(2, 2.2, 3.0, utterances__words=7.0),
    {"kind": "step", "step": 3, "total/clm_tokens": 1000},
    evaluation(3, 2.6, 2.8, utterances__words=None),
]


def test_curves_are_read_with_the_words_heard(tmp_path):
    curves = read_curves(run_directory(tmp_path / "run", ROWS))
    it = curves["bits_per_byte/it"]
    assert (it.steps, it.values) == ((0, 2, 3), (4.0, 3.0, 2.8))
    assert it.words == (0, 400, 500)  # half a word per token
    assert (curves["utterances/words"].steps, curves["utterances/words"].values) == ((2,), (7.0,))


def test_forgetting_of_a_run_directory_by_hand(tmp_path):
    run = run_directory(tmp_path / "run", ROWS)
    settings = ForgettingSettings(levels=(3.5, 2.0), gains=(1.1,), scales=SCALES)
    result = forgetting_of(run, settings)
    scores = {score.name: score.value for score in result.scores}
    assert scores["forgetting/backward_transfer"] == pytest.approx(-0.6)
    assert scores["forgetting/average_forgetting"] == pytest.approx(0.6)
    assert scores["forgetting/l2_gain"] == pytest.approx(1.2)
    assert scores["forgetting/l1_loss_at_gain/1.1"] == pytest.approx(0.4)  # half way from 0.2 to 0.6
    assert scores["forgetting/words_to_reach/3.5"] == pytest.approx(200)
    assert math.isnan(scores["forgetting/words_to_reach/2"])
    # before: all of L1, and 4.0 is a quarter of the way from 5 to 1
    assert scores["forgetting/bilingual/before"] == pytest.approx(2 * 1 * 0.25 / 1.25)
    # after: L1 2.6 is 0.7 of the way from 4 to 2, L2 2.8 is 0.55 of the way from 5 to 1
    assert scores["forgetting/bilingual/after"] == pytest.approx(2 * 0.7 * 0.55 / 1.25)
    assert result.verdict == "L1 worse by 0.600 bits per byte, L2 better by 1.200 bits per byte; one run"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["{"], r"metrics\.jsonl, line 1: JSONDecodeError"),
        ([ROWS[0], "[]"], r"metrics\.jsonl, line 2: TypeError"),
        ([ROWS[0], {"step": 3}], r"metrics\.jsonl, line 2: KeyError: 'kind'"),
        ([ROWS[1]], "has no evaluation. Train with evaluation.eval_steps"),
    ],
)
def test_logs_that_cannot_be_read_are_named(rows, message, tmp_path):
    with pytest.raises(CurveError, match=message):
        read_curves(run_directory(tmp_path / "run", rows))


def test_a_directory_that_is_no_run_and_a_measure_that_is_not_there(tmp_path):
    with pytest.raises(CurveError, match=r"There is no .*nowhere.metrics\.jsonl"):
        read_curves(tmp_path / "nowhere")
    run = run_directory(tmp_path / "run", ROWS)
    with pytest.raises(CurveError, match=r"no measure 'pairs/it'\. It has: bits_per_byte/en, bits_per_byte/it"):
        forgetting_of(run, ForgettingSettings(l2="pairs/it"))
    (run / "data.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CurveError, match=r"data\.json: KeyError: 'clm'"):
        read_curves(run)
    (run / "data.json").unlink()
    with pytest.raises(CurveError, match=r"There is no .*data\.json"):
        read_curves(run)
