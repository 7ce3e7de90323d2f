"""What runs pay in L1 for equal gains in L2, by hand and by its laws."""

import pytest
from conftest import there
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from test_forgetting import curve, english, italian

from bambino.analysis.trade_offs import Paid, end_point, front, paid_for, trade_off
from bambino.errors import CurveError
from bambino.report.tables import trade_off_table


def test_l1_loss_at_equal_l2_gain_by_hand() -> None:
    l1, l2 = english(2.0, 2.2, 2.8), italian(4.0, 3.0, 2.0)
    assert paid_for(l1, l2, 0) == Paid(0, 0)
    paid = there(paid_for(l1, l2, 0.5))  # half way to the second evaluation
    assert paid.l1_loss == pytest.approx(0.1)
    assert paid.words == 25
    paid = there(paid_for(l1, l2, 1.5))  # half way from 0.2 to 0.8
    assert paid.l1_loss == pytest.approx(0.5)
    assert paid.words == 75
    assert there(paid_for(l1, l2, 2)).l1_loss == pytest.approx(0.8)
    assert paid_for(l1, l2, 2.1) is None


def test_a_gain_counts_when_it_is_first_made() -> None:
    paid = there(paid_for(english(2.0, 2.1, 2.5, 2.9), italian(4.0, 3.0, 3.5, 2.0), 1))
    assert paid.l1_loss == pytest.approx(0.1)
    assert paid.words == 50


def test_two_runs_at_equal_gain_by_hand() -> None:
    # one loses 0.2 per unit of gain and gains 2; other loses 0.5 per unit and gains 1: on 0 to 1 the mean gap is -0.15
    one = (english(2.0, 2.4), italian(4.0, 2.0))
    other = (english(2.0, 2.5), italian(4.0, 3.0))
    result = there(trade_off(one, other))
    assert result.gains[0] == 0
    assert result.gains[-1] == pytest.approx(1)
    assert (result.one[-1].l1_loss, result.other[-1].l1_loss) == pytest.approx((0.2, 0.5))
    assert (result.one[-1].words, result.other[-1].words) == (25, 50)
    assert result.mean_gap == pytest.approx(-0.15)
    assert there(trade_off(other, one)).mean_gap == pytest.approx(0.15)
    assert there(trade_off(one, one)).mean_gap == 0
    assert trade_off(one, (english(2.0, 2.5), italian(4.0, 4.1))) is None
    with pytest.raises(CurveError, match="same measures"):
        trade_off(one, (english(2.0, 2.5), curve("pairs/it", 0.5, 0.6)))


@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=2, max_size=6))
def test_every_gain_in_common_has_a_loss_for_both_runs(points: list[tuple[float, float]]) -> None:
    one = (english(2.0, *(2 - loss for loss, _ in points)), italian(4.0, *(4 - gain for _, gain in points)))
    other = (english(2.0, 2.5), italian(4.0, 3.0))
    result = trade_off(one, other)
    if result is not None:
        assert len(result.gains) == len(result.one) == len(result.other)


def test_the_front_by_hand() -> None:
    points = [(1.0, 0.5), (2.0, 0.4), (0.5, 0.1), (0.4, 0.1), (2.0, 0.4)]
    # (1, 0.5) gains less and loses more than (2, 0.4); (0.4, 0.1) gains less than (0.5, 0.1); equal points stay
    assert front(points) == [2, 1, 4]
    assert front([]) == []


def test_the_end_of_a_run_by_hand() -> None:
    assert end_point(english(2.0, 2.6, 2.5), italian(4.0, 3.5, 3.0)) == (1.0, 0.5)


# ONE loses 0.2 of L1 per unit of L2 and gains 2 in 50 words, OTHER loses 0.5 per unit and gains 1 in 50 words
ONE = (english(2.0, 2.4), italian(4.0, 2.0))
OTHER = (english(2.0, 2.5), italian(4.0, 3.0))


def printed(table: Table) -> list[list[str]]:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table)
    return [line.split() for line in captured.get().splitlines()]


def test_a_table_of_one_pair_of_runs_by_hand() -> None:
    table, said = trade_off_table([ONE], [OTHER], "clm", "bambino")
    rows = printed(table)
    assert ["0.250", "0.050", "0.125", "-0.075", "6", "12"] in rows
    assert ["1.000", "0.200", "0.500", "-0.300", "25", "50"] in rows
    assert said == "Mean L1 loss over all gains, one - other: -0.150 bits per byte (one pair of runs: no interval)."


def test_a_table_over_seeds_by_hand() -> None:
    # second pair: ONE against one that loses 0.3 per unit. Gaps -0.15 and -0.1: t = 5, one degree of freedom, p 0.126
    steeper = (english(2.0, 2.6), italian(4.0, 2.0))
    table, said = trade_off_table([ONE, ONE], [OTHER, steeper], "clm", "bambino")
    # the largest gains in common are 1 and 2; losses 0.2 and 0.4, 0.5 and 0.6; words 25 and 50, 50 and 50
    assert ["1.500", "0.300", "0.550", "-0.250", "38", "50"] in printed(table)
    assert "-0.125 bits per byte" in said
    assert "p 0.13 (t, 2 pairs of runs)" in said


def test_runs_without_a_gain_in_common_are_refused() -> None:
    with pytest.raises(CurveError, match="pair 2 have no L2 gain in common"):
        trade_off_table([ONE, ONE], [OTHER, (english(2.0, 2.5), italian(4.0, 4.1))], "clm", "bambino")
