"""The bilingual score by hand and by its laws, and from results on the same lines."""

import pytest
from conftest import there
from hypothesis import given
from hypothesis import strategies as st

from bambino.analysis.bilingual import Scale, Scales, bilingual, bilingual_score
from bambino.errors import CurveError
from bambino.measures import Score, TaskResult

SCALES = Scales(l1=Scale(unknown=4.0, known=2.0), l2=Scale(unknown=5.0, known=1.0))


def test_the_bilingual_score_by_hand() -> None:
    # L1 3.0: half of the way from 4 to 2. L2 2.0: three quarters of the way from 5 to 1. 2 * 1/2 * 3/4 / (5/4) = 3/5
    assert bilingual_score(3.0, 2.0, SCALES) == pytest.approx(3 / 5)
    assert bilingual_score(2.0, 1.0, SCALES) == 1
    accuracies = Scales(l1=Scale(0.5, 0.9), l2=Scale(0.5, 0.7))
    assert bilingual_score(0.8, 0.6, accuracies) == pytest.approx(2 * 0.75 * 0.5 / 1.25)


def test_both_monolinguals_score_0_and_so_does_who_lost_both() -> None:
    assert bilingual_score(2.0, 5.0, SCALES) == 0  # the baby before L2
    assert bilingual_score(4.0, 1.0, SCALES) == 0  # the parent
    assert bilingual_score(6.0, 6.0, SCALES) == 0


@given(st.floats(0, 8), st.floats(0, 8), st.floats(0, 1), st.floats(0.1, 10))
def test_the_bilingual_score_is_bounded_rises_with_either_language_and_knows_no_unit(
    l1: float, l2: float, better: float, unit: float
) -> None:
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


def test_a_measure_that_does_not_tell_the_monolinguals_apart_is_refused() -> None:
    with pytest.raises(CurveError, match=r"Both monolinguals are at 2\.0"):
        Scale(2.0, 2.0).share(1.0)


def measured(l1: list[float], l2: list[float], sha256: str = "same") -> dict[str, TaskResult]:
    """Results on both texts from bits per byte line by line."""
    texts = {"bits_per_byte/l1": l1, "bits_per_byte/l2": l2}
    return {
        name: TaskResult(
            name, [Score(name, sum(lines) / len(lines), "", len(lines))], {"sha256": sha256}, "", {name: lines}
        )
        for name, lines in texts.items()
    }


FIRST, PARENT = measured([2.0, 2.0], [5.0, 5.0, 5.0]), measured([4.0, 4.0], [1.0, 1.0, 1.0])


def test_a_babys_score_from_three_results_by_hand() -> None:
    # L1 3: half of the way from the parent's 4 to the first baby's 2 is still held; L2 2: three quarters of 5 to 1
    result = bilingual(measured([2.8, 3.2], [2.0, 2.0, 2.0]), FIRST, PARENT)
    values = {score.name: score.value for score in result.scores}
    assert values["bilingual/l1_retention"] == pytest.approx(0.5)
    assert values["bilingual/l2_attainment"] == pytest.approx(0.75)
    assert result.main.name == "bilingual/score"
    assert result.main.value == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    # lines with 2.8 alone hold 0.6 of the way, lines with 3.2 alone 0.4
    retention = there(result.scores[1].interval)
    assert (retention.low, retention.high) == pytest.approx((0.4, 0.6))
    assert there(result.scores[2].interval).low == there(result.scores[2].interval).high == pytest.approx(0.75)


def test_both_monolinguals_score_nothing() -> None:
    assert bilingual(FIRST, FIRST, PARENT).main.value == 0
    assert bilingual(PARENT, FIRST, PARENT).main.value == 0


def test_results_of_other_lines_or_without_a_text_are_refused() -> None:
    with pytest.raises(CurveError, match=r"the first baby has no bits_per_byte/l1\. Evaluate it with"):
        bilingual(FIRST, {}, PARENT)
    with pytest.raises(CurveError, match="the parent was measured on other lines of bits_per_byte/l1 than the baby"):
        bilingual(FIRST, FIRST, measured([4.0], [1.0], sha256="other"))
