"""The numbers of a reward audit by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bambino.analysis.reward_audit import (
    KindAudit,
    accuracy,
    auc,
    batch_spread,
    dead_share,
    distinct,
    entropy,
    preferences,
    rank_correlation,
)


def test_accuracy_counts_a_tie_for_one_half() -> None:
    assert accuracy([1.0, 2.0, 3.0, 0.0], [0.0, 2.0, 4.0, -1.0]).value == (1 + 0.5 + 0 + 1) / 4


def test_auc_by_hand() -> None:
    # of the nine (better, worse): 3 > 2, 3 > 1, 3 > 0; 2 = 2, 2 > 1, 2 > 0; 0 < 2, 0 < 1, 0 = 0
    found = auc([3.0, 2.0, 0.0], [2.0, 1.0, 0.0])
    assert found.value == pytest.approx((3 + 2.5 + 0.5) / 9)
    assert found.interval.low <= found.value <= found.interval.high


def test_auc_of_what_is_the_same_is_one_half_and_of_what_lies_apart_one() -> None:
    assert auc([1.0, 2.0], [1.0, 2.0]).value == 0.5
    assert auc([1.0] * 3, [1.0] * 3).value == 0.5
    assert auc([5.0, 6.0], [1.0, 2.0]).value == 1.0
    with pytest.raises(ValueError, match="1 better texts for 2 worse ones"):
        auc([1.0], [1.0, 2.0])


def test_the_best_is_compared_with_each_and_each_with_the_next() -> None:
    found = preferences({"human": [3.0], "shuffled": [2.0], "repeated": [2.0], "other": [9.0]})
    assert {pair: one.value for pair, one in found.items()} == {
        ("human", "shuffled"): 1.0,
        ("human", "repeated"): 1.0,
        ("human", "other"): 0.0,
        ("shuffled", "repeated"): 0.5,
        ("repeated", "other"): 0.0,
    }


def test_rank_correlation_by_hand() -> None:
    assert rank_correlation([1.0, 10.0, 100.0], [1, 2, 3]) == pytest.approx(1.0)
    # ranks 1 2 3 against 1 3 2: 1 - 6 * (0 + 1 + 1) / (3 * 8)
    assert rank_correlation([1.0, 2.0, 3.0], [1, 3, 2]) == pytest.approx(0.5)
    assert math.isnan(rank_correlation([1.0, 1.0], [1, 2]))
    assert math.isnan(rank_correlation([1.0, 2.0], [3, 3]))


def test_entropy_counts_hundredths_of_the_range() -> None:
    assert entropy([2.0] * 7) == 0.0
    assert entropy([0.0, 0.0, 1.0, 1.0]) == pytest.approx(1.0)
    assert entropy([0.0, 0.0, 0.5, 1.0]) == pytest.approx(1.5)  # 1/2, 1/4, 1/4
    assert entropy([0.0, 0.004, 1.0, 1.0]) == pytest.approx(1.0)  # within one hundredth of the range
    assert entropy([i / 1000 for i in range(1000)]) == pytest.approx(math.log2(100), abs=0.01)


def test_a_dead_reward_shows() -> None:
    assert distinct([1.0, 1.0, 2.0, 2.0]) == 0.5
    # deviations 1, 0 and, of the batch of one at the end, 0
    assert batch_spread([0.0, 2.0, 5.0, 5.0, 1.0], 2) == pytest.approx(1 / 3)
    assert dead_share([0.0, 2.0, 5.0, 5.0], 2, lambda rewards: rewards[0] == rewards[1]) == 0.5


def test_whether_a_reward_falls_with_corruption() -> None:
    nothing = KindAudit("x", {}, {}, 0.0, 0.0, {}, 0.0, 0.0, 2.0, 0.0, 0.0)
    found = replace(
        nothing, corruption={"shuffled": {0.0: 5.0, 0.1: 4.0, 0.5: 3.0}, "replaced": {0.0: 5.0, 0.1: 5.0, 0.5: 6.0}}
    )
    assert found.falls("shuffled")
    assert not found.falls("replaced")
    assert found.lost("shuffled") == {0.0: 0.0, 0.1: -0.5, 0.5: -1.0}
    assert replace(found, spread=0.0).lost("shuffled") == {0.0: 0.0, 0.1: 0.0, 0.5: 0.0}
