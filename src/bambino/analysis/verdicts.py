"""What results say: above chance or not, tasks that tell models apart, averages over those, gain over a baseline.

A result's main score is its first; its verdict compares the score's interval with the score's chance, and with what
always choosing the shortest option would score, where the result has it (`MAIN/shortest`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from bambino.analysis.results import disagreement, lower_is_better, unread
from bambino.analysis.statistics import bootstrap_of, paired_bootstrap
from bambino.errors import ResultsError
from bambino.measures import Score, TaskResult

UNINFORMATIVE = "uninformative"


ROUNDING = 1e-9
"""Shares this close are equal."""


def against(score: Score, level: float, name: str) -> str:
    """`above NAME`, `below NAME` or `not distinguishable from NAME`, by the score's interval.

    Raises:
        ValueError: the score has no interval.
    """
    if score.interval is None:
        raise ValueError(f"{score.name} has no interval to go by")
    if score.interval.low - ROUNDING <= level <= score.interval.high + ROUNDING:
        return f"not distinguishable from {name}"
    return f"{'above' if score.value > level else 'below'} {name}"


def in_words(task: str, scores: Sequence[Score]) -> str:
    """A classification result's verdict: the main score against chance, accuracy against the majority class.

    Where the options' lengths alone beat chance (XCOPA: the right sentence is often the shorter), they are named too.
    """
    values = {score.name: score for score in scores}
    main, accuracy, majority = scores[0], values[f"{task}/accuracy"], values[f"{task}/accuracy/majority"]
    if main.chance is None:
        raise ValueError(f"{main.name} has no chance level to go by")
    shortest = values[f"{main.name}/shortest"].value
    parts = [against(main, main.chance, "chance")]
    if shortest > main.chance + ROUNDING:
        parts.append(against(main, shortest, "the shortest option"))
    parts.append(f"accuracy {against(accuracy, majority.value, 'the majority class')}")
    return "; ".join(parts)


def is_above_chance(result: TaskResult) -> bool:
    """Whether the main score's whole interval lies above chance, and above always choosing the shortest option."""
    main = result.scores[0]
    if main.interval is None or main.chance is None:
        return False
    shortest = [score.value for score in result.scores if score.name == f"{main.name}/shortest"]
    return main.interval.low > max([main.chance, *shortest]) + ROUNDING


def uninformative(references: Sequence[TaskResult]) -> bool:
    """Whether a task cannot tell models apart: no reference (English baby, Italian parent) is above chance on it.

    Raises:
        ValueError: no reference, or results of different tasks.
    """
    if len({result.task for result in references}) != 1:
        raise ValueError("uninformative() takes the references' results of one task")
    return not any(is_above_chance(result) for result in references)


def is_classification(result: TaskResult) -> bool:
    """Told by the name: tasks/..."""
    return result.task.startswith("tasks/")


def with_verdicts(results: Sequence[TaskResult], references: Sequence[TaskResult]) -> list[TaskResult]:
    """The results, those of uninformative classification tasks marked so; others, and those that no reference has been
    tried on, stay as they are.

    Args:
        references: all results of the reference models.
    """
    marked = []
    for result in results:
        tried = [reference for reference in references if reference.task == result.task]
        if (
            is_classification(result)
            and tried
            and uninformative(tried)
            and not result.verdict.startswith(UNINFORMATIVE)
        ):
            verdict = f"{UNINFORMATIVE} (no reference is above chance); {result.verdict}".removesuffix("; ")
            result = replace(result, verdict=verdict)
        marked.append(result)
    return marked


def average(results: Sequence[TaskResult], name: str, *, left_out: Collection[str] = ()) -> Score | None:
    """Mean of the main scores over tasks, without those left out or marked uninformative; None when none is left.

    The interval is over items: all tasks' items are resampled together, and each task averaged on its own.
    """
    kept = [r for r in results if r.task not in left_out and not r.verdict.startswith(UNINFORMATIVE)]
    if not kept:
        return None
    mains = [result.scores[0] for result in kept]
    chances = [main.chance for main in mains if main.chance is not None]
    per_item = [np.array(result.item_scores[main.name]) for result, main in zip(kept, mains, strict=True)]
    values = np.concatenate(per_item)
    task_of = np.repeat(np.arange(len(kept)), [len(part) for part in per_item])

    def mean_over_tasks(picks: np.ndarray) -> float:
        drawn = np.bincount(task_of[picks], minlength=len(kept))
        sums = np.bincount(task_of[picks], weights=values[picks], minlength=len(kept))
        return float((sums[drawn > 0] / drawn[drawn > 0]).mean())

    return Score(
        name=name,
        value=float(np.mean([main.value for main in mains])),
        unit=mains[0].unit,
        items=len(values),
        interval=bootstrap_of(mean_over_tasks, len(values)),
        chance=float(np.mean(chances)) if len(chances) == len(mains) else None,
    )


def averaged(results: Sequence[TaskResult]) -> TaskResult | None:
    """The average over informative classification tasks as a result; None where there are fewer than two."""
    tasks = [result for result in results if is_classification(result)]
    kept = [result for result in tasks if not result.verdict.startswith(UNINFORMATIVE)]
    mean = average(kept, "average/balanced_accuracy") if len(kept) > 1 else None
    if mean is None:
        return None
    left_out = [result.task for result in tasks if result not in kept]
    return TaskResult("average", [mean], {"tasks": [result.task for result in kept], UNINFORMATIVE: left_out})


def with_baseline(result: TaskResult, baseline: TaskResult) -> TaskResult:
    """The result with the untrained baby's main score and, where both have it item by item, the gain over it: positive
    is better, also where less is better (bits per byte).

    Raises:
        ResultsError: other task or other items.
    """
    main, its = result.scores[0], baseline.scores[0]
    mine, theirs = result.item_scores.get(main.name), baseline.item_scores.get(main.name)
    difference = disagreement(result, baseline) or unread(result, baseline)
    if main.name != its.name or (mine and theirs and len(mine) != len(theirs)):
        difference = difference or "another number of items"
    if difference:
        raise ResultsError(
            f"the untrained baby was measured otherwise: {difference}. Evaluate it again with these options."
        )
    more = [Score(f"{main.name}/untrained", its.value, its.unit, its.items, its.interval, its.chance)]
    if mine is not None and theirs is not None:
        gain = paired_bootstrap(theirs, mine) if lower_is_better(main) else paired_bootstrap(mine, theirs)
        more.append(Score(f"{main.name}/gain", gain.mean, main.unit, main.items, gain.interval, 0.0))
    return replace(result, scores=[*result.scores, *more])
