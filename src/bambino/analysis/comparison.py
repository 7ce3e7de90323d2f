"""Is one model better than another? Paired on the same items, or over seeds; many comparisons are corrected for.

Shares of right items are tested with McNemar's exact test, other scores with the paired bootstrap; over seeds with the
paired t-test. All tests of one comparison are corrected together (Holm), and the table says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bambino.analysis.results import Results, disagreement, unread
from bambino.analysis.statistics import Difference, holm, mcnemar, paired_bootstrap, paired_t
from bambino.errors import ResultsError
from bambino.measures import TaskResult


@dataclass(frozen=True)
class Comparison:
    """A score of two models, or of two conditions over seeds."""

    score: str
    one: float
    other: float
    difference: Difference
    """one - other; its p_value is not corrected."""
    test: str
    """`McNemar`, `bootstrap` or `t`."""
    corrected_p: float = 1.0
    """Corrected for all comparisons made together."""


def compare(one: Results, other: Results) -> list[Comparison]:
    """Each task's main score, as far as both models have it item by item; of tasks whose main score is no mean over
    items (speech), what is.

    Raises:
        ResultsError: they share no such score, or one was measured on other items.
    """
    found = []
    for name, task in one.tasks.items():
        theirs = other.tasks.get(name)
        if theirs is None:
            continue
        for score in _compared(task):
            mine, yours = task.item_scores.get(score), theirs.item_scores.get(score)
            if mine is None or yours is None or not any(map(_both_measured, mine, yours)):
                continue
            if len(mine) != len(yours):
                raise ResultsError(f"{score} has {len(mine)} items in {one.model} and {len(yours)} in {other.model}.")
            check_same_items(task, theirs, f"{one.model} and {other.model}")
            if unread(task, theirs):
                continue
            found.append(_on_items(score, mine, yours))
    if not found:
        raise ResultsError(
            f"{one.model} and {other.model} share no score with items that compare. "
            + " ".join([*not_compared([one], [other]), "Evaluate both on the same tasks."])
        )
    return _corrected(found)


def compare_over_seeds(ones: Sequence[Results], others: Sequence[Results]) -> list[Comparison]:
    """Main scores of two conditions, run i of each with the same seed: paired t-tests.

    Raises:
        ResultsError: fewer than two seeds, unequally many, or no task that all share.
    """
    if len(ones) != len(others) or len(ones) < 2:
        raise ResultsError(f"{len(ones)} results against {len(others)}: give two or more of each, in order of seeds.")
    every = [*ones, *others]
    found = []
    for name, task in ones[0].tasks.items():
        if not all(name in results.tasks and results.tasks[name].main.name == task.main.name for results in every):
            continue
        for results in every:
            check_same_items(task, results.tasks[name], f"{ones[0].model} and {results.model}")
        mine, yours = ([results.tasks[name].main.value for results in side] for side in (ones, others))
        if not all(map(math.isfinite, [*mine, *yours])) or any(unread(task, r.tasks[name]) for r in every):
            continue  # nothing was said that it could be measured on, or not all was read
        difference = paired_t(mine, yours)
        assert difference is not None, "two or more seeds"
        found.append(Comparison(task.main.name, _mean(mine), _mean(yours), difference, "t"))
    if not found:
        why = " ".join([*not_compared(ones, others), "Evaluate all on the same tasks."])
        raise ResultsError(f"These results share no task that compares. {why}")
    return _corrected(found)


def not_compared(ones: Sequence[Results], others: Sequence[Results]) -> list[str]:
    """Which tasks of both sides are left out of their comparison, and why."""
    found = []
    for name in ones[0].tasks:
        tasks = [results.tasks[name] for results in (*ones, *others) if name in results.tasks]
        if why := next(filter(None, (unread(tasks[0], task) for task in tasks)), ""):
            found.append(f"{name} is not compared, for one tokenizer does not know what another reads: {why}.")
    return found


def _compared(task: TaskResult) -> list[str]:
    """Names of the scores that stand for a task."""
    with_items = [score.name for score in task.scores if score.name in task.item_scores]
    return [task.main.name] if task.main.name in with_items else with_items


def check_same_items(task: TaskResult, theirs: TaskResult, models: str) -> None:
    """Raises ResultsError where two results of a task are of other data or scored in another way."""
    if difference := disagreement(task, theirs):
        raise ResultsError(f"{task.task} of {models} do not compare: {difference}. Evaluate both alike.")


def _on_items(score: str, mine: list[float], yours: list[float]) -> Comparison:
    """Items that either lacks (a silent baby's utterance) are left out."""
    both = [pair for pair in zip(mine, yours, strict=True) if _both_measured(*pair)]
    mine, yours = [one for one, _ in both], [other for _, other in both]
    difference = paired_bootstrap(mine, yours)
    if set(mine) | set(yours) <= {0.0, 0.5, 1.0}:
        decided = [(a == 1.0, b == 1.0) for a, b in zip(mine, yours, strict=True) if 0.5 not in (a, b)]
        p = mcnemar([a for a, _ in decided], [b for _, b in decided])
        difference = Difference(difference.mean, difference.interval, p)
        return Comparison(score, _mean(mine), _mean(yours), difference, "McNemar")
    return Comparison(score, _mean(mine), _mean(yours), difference, "bootstrap")


def _corrected(found: list[Comparison]) -> list[Comparison]:
    corrected = holm({c.score: c.difference.p_value for c in found})
    return [Comparison(c.score, c.one, c.other, c.difference, c.test, corrected[c.score]) for c in found]


def _both_measured(one: float, other: float) -> bool:
    return math.isfinite(one) and math.isfinite(other)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
