"""Intervals and tests against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bambino.analysis.statistics import bootstrap, bootstrap_of, holm, mcnemar, paired_bootstrap, paired_t, t_interval
from bambino.measures import Interval


def test_the_bootstrap_of_a_fair_coin_is_the_binomial_interval() -> None:
    # 100 items, half of them right: the mean's standard error is sqrt(0.25 / 100) = 0.05, so 0.5 +- 1.96 * 0.05.
    interval = bootstrap([0.0, 1.0] * 50)
    assert interval.low == pytest.approx(0.402, abs=0.015)
    assert interval.high == pytest.approx(0.598, abs=0.015)


def test_equal_items_leave_no_doubt() -> None:
    assert bootstrap([0.25] * 7) == Interval(0.25, 0.25)


def test_an_interval_is_the_same_every_time() -> None:
    values = [0.1, 0.7, 0.4, 0.9]
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap(values) != bootstrap(values, seed=1)


def test_the_bootstrap_of_a_statistic_sees_whole_items() -> None:
    # The statistic only holds if labels and predictions are resampled together.
    labels = np.array([0, 1, 1, 0])
    assert bootstrap_of(lambda picks: float((labels[picks] == labels[picks]).mean()), 4) == Interval(1.0, 1.0)


def test_no_items_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        bootstrap([])


def test_paired_differences_do_not_depend_on_what_both_share() -> None:
    # Items vary a lot, but one is always exactly 1 above the other.
    other = [float(10 * i) for i in range(20)]
    difference = paired_bootstrap([value + 1 for value in other], other)
    assert (difference.mean, difference.interval) == (1.0, Interval(1.0, 1.0))
    assert difference.p_value == pytest.approx(2 / 2000)


def test_a_system_does_not_differ_from_itself() -> None:
    difference = paired_bootstrap([0.0, 1.0, 1.0], [0.0, 1.0, 1.0])
    assert (difference.mean, difference.p_value) == (0.0, 1.0)


def test_mcnemar_by_hand() -> None:
    # One alone is right five times, the other never: 2 * (1/2)^5 = 0.0625. Items both get right do not count.
    assert mcnemar([True] * 8, [True] * 3 + [False] * 5) == pytest.approx(0.0625)
    # 4 against 1: P(at least 4 of 5) = (5 + 1) / 32, twice that is 0.375.
    assert mcnemar([True] * 4 + [False], [False] * 4 + [True]) == pytest.approx(0.375)
    assert mcnemar([True, False], [True, False]) == 1.0


def test_the_t_interval_of_three_seeds_by_hand() -> None:
    # Mean 2, standard deviation 1, standard error 1 / sqrt(3); t(0.975, 2 degrees) = 4.303.
    interval = t_interval([1.0, 2.0, 3.0])
    assert interval is not None
    assert interval.high - 2.0 == pytest.approx(4.303 / math.sqrt(3), abs=1e-3)
    assert 2.0 - interval.low == pytest.approx(4.303 / math.sqrt(3), abs=1e-3)
    assert t_interval([1.0]) is None


def test_the_paired_t_test_by_hand() -> None:
    # Differences 1, 2, 3: t = 2 * sqrt(3) = 3.4641 with 2 degrees of freedom;
    # p = 1 - t / sqrt(2 + t^2) = 1 - 3.4641 / sqrt(14) = 0.0742.
    difference = paired_t([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert difference is not None
    assert difference.mean == pytest.approx(2.0)
    assert difference.p_value == pytest.approx(0.0742, abs=1e-4)


def test_seeds_that_all_differ_alike_need_no_test() -> None:
    same, apart = paired_t([1.0, 2.0], [1.0, 2.0]), paired_t([2.0, 3.0], [1.0, 2.0])
    assert same is not None
    assert apart is not None
    assert (same.p_value, apart.p_value) == (1.0, 0.0)


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.03, 0.04: 3 * 0.01 = 0.03; 2 * 0.03 = 0.06; 1 * 0.04 may not be below 0.06.
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert holm({}) == {}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=6))
def test_correction_never_makes_a_comparison_look_surer(p_values: dict[str, float]) -> None:
    corrected = holm(p_values)
    assert list(corrected) == list(p_values)
    assert all(p_values[name] <= corrected[name] <= 1 for name in p_values)


def test_no_number_is_no_comparison() -> None:
    with pytest.raises(ValueError, match="overt has no p value"):
        holm({"bits": 1e-4, "overt": math.nan})
    with pytest.raises(ValueError, match="an item is no number"):
        paired_bootstrap([math.nan, 1.0, 2.0], [1.0, 1.0, 1.0])
