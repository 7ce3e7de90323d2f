"""Judging results: above chance, uninformative tasks, averages, gain over the untrained baby."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from conftest import there

from bambino.analysis.verdicts import average, in_words, is_above_chance, uninformative, with_baseline, with_verdicts
from bambino.errors import ResultsError
from bambino.measures import Interval, Score, TaskResult


def share(
    name: str, value: float, low: float | None = None, high: float | None = None, chance: float | None = 0.5
) -> Score:
    interval = None if low is None or high is None else Interval(low, high)
    return Score(name, value, "share", 4, interval, chance)


def result(
    task: str = "tasks/mood",
    value: float = 0.6,
    low: float | None = 0.52,
    high: float | None = 0.7,
    *,
    shortest: float = 0.5,
    items: Sequence[float] = (1.0, 0.0, 1.0, 0.4),
    sha: str = "x",
    verdict: str = "",
) -> TaskResult:
    main = task
    scores = [
        share(main, value, low, high),
        share(f"{task}/accuracy", 0.7, 0.6, 0.8),
        share(f"{task}/accuracy/majority", 0.75),
        share(f"{main}/shortest", shortest),
    ]
    return TaskResult(task, scores, {"sha256": sha}, verdict, {main: list(items)})


@pytest.mark.parametrize(
    ("changes", "words", "above"),
    [
        ({}, "above chance; accuracy not distinguishable from the majority class", True),
        ({"low": 0.5}, "not distinguishable from chance; accuracy not distinguishable from the majority class", False),
        (
            {"value": 0.4, "low": 0.3, "high": 0.49},
            "below chance; accuracy not distinguishable from the majority class",
            False,
        ),
        (
            {"shortest": 0.6},
            "above chance; not distinguishable from the shortest option; "
            "accuracy not distinguishable from the majority class",
            False,
        ),
        (
            {"shortest": 0.51},
            "above chance; above the shortest option; accuracy not distinguishable from the majority class",
            True,
        ),
    ],
)
def test_a_verdict_compares_intervals_with_what_needs_no_reading(
    changes: dict[str, Any], words: str, above: bool
) -> None:
    one = result(**changes)
    assert in_words("tasks/mood", one.scores) == words
    assert is_above_chance(one) is above


def test_without_a_shortest_option_chance_alone_is_to_be_beaten() -> None:
    without = replace(result(), scores=result().scores[:1])
    assert is_above_chance(without)
    assert not is_above_chance(replace(without, scores=[share("tasks/mood", 0.6, 0.5, 0.7)]))


def test_rounding_does_not_make_a_difference() -> None:
    assert not is_above_chance(result(value=0.5, low=0.5 + 1e-16 * 4, high=0.5 + 1e-16 * 4))
    assert in_words("tasks/mood", result(value=0.5, low=0.5 + 4e-16, high=0.5 + 4e-16).scores).startswith("not dist")


def test_a_task_is_uninformative_when_no_reference_is_above_chance() -> None:
    above, not_above = result(), result(low=0.45)
    assert uninformative([not_above, not_above])
    assert not uninformative([not_above, above])
    assert not uninformative([above, not_above])
    with pytest.raises(ValueError, match="one task"):
        uninformative([result("a"), result("b")])
    with pytest.raises(ValueError, match="one task"):
        uninformative([])


def test_uninformative_tasks_are_marked_once_and_untried_ones_are_left_alone() -> None:
    baby = [
        result("tasks/a", verdict="above chance"),
        result("tasks/b", verdict="above chance"),
        result("tasks/c", verdict="above chance"),
    ]
    references = [result("tasks/a", low=0.4), result("tasks/a", low=0.3), result("tasks/b", low=0.4), result("tasks/b")]
    marked = with_verdicts(baby, references)
    assert [each.verdict for each in marked] == [
        "uninformative (no reference is above chance); above chance",
        "above chance",
        "above chance",
    ]
    assert with_verdicts(marked, references) == marked


def test_averages_leave_uninformative_tasks_out_by_hand() -> None:
    results = [
        result("a", value=0.6),
        result("b", value=0.8, items=(1.0, 1.0, 0.6, 0.8)),
        result("c", value=0.1, verdict="uninformative (no reference is above chance)"),
        result("d", value=0.2),
    ]
    mean = there(average(results, "italian/average", left_out={"d"}))
    assert mean.value == pytest.approx((0.6 + 0.8) / 2)
    assert (mean.name, mean.items, mean.chance, mean.unit) == ("italian/average", 8, 0.5, "share")
    assert 0 < there(mean.interval).low < 0.7 < there(mean.interval).high < 1
    assert average(results, "x", left_out={"a", "b", "d"}) is None


def test_an_average_weighs_tasks_not_items() -> None:
    many = result("a", value=1.0, items=[1.0] * 200)
    few = result("b", value=0.0, items=[0.0] * 20)
    mean = there(average([many, few], "x"))
    assert mean.value == 0.5
    assert (there(mean.interval).low, there(mean.interval).high) == (0.5, 0.5)


def test_the_untrained_baby_and_the_gain_over_it_are_scores_of_their_own() -> None:
    trained = result(items=(1.0, 1.0, 1.0, 0.0), value=0.75)
    untrained = result(items=(1.0, 0.0, 0.0, 0.0), value=0.25, low=0.0, high=0.5)
    joined = with_baseline(trained, untrained)
    assert joined.scores[:4] == trained.scores
    beside, gain = joined.scores[4:]
    assert (beside.name, beside.value, beside.interval) == (
        "tasks/mood/untrained",
        0.25,
        Interval(0.0, 0.5),
    )
    assert (gain.name, gain.value, gain.chance) == ("tasks/mood/gain", 0.5, 0.0)
    assert there(gain.interval).low == 0.0
    assert there(gain.interval).high == 1.0
    for other in (result(sha="y"), result("other"), result(items=(1.0, 0.0))):
        with pytest.raises(ResultsError, match="the untrained baby was measured otherwise"):
            with_baseline(trained, other)
