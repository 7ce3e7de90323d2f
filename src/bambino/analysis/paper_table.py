"""The paper's own table: of each condition the average over Italian tasks and the average over English ones.

Averages are over tasks that all results hold, so that rows compare; the Italian one also over the informative tasks
alone (`verdicts.py`). Reads files only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from bambino.analysis.comparison import check_same_items
from bambino.analysis.results import Results
from bambino.analysis.verdicts import UNINFORMATIVE, average, uninformative
from bambino.errors import ResultsError
from bambino.measures import Interval, Score, TaskResult


@dataclass(frozen=True)
class Average:
    """Over tasks, of one model or of a condition's models."""

    value: float
    """Mean over models."""
    interval: Interval | None
    """Over items, of one model; None of several."""
    ends: tuple[float, float] | None
    """Lowest and highest, of several models; None of one."""


@dataclass(frozen=True)
class Column:
    """One average, of all rows."""

    title: str
    tasks: tuple[str, ...]
    """What it is over."""
    chance: float | None
    """What guessing scores, averaged likewise."""
    averages: Mapping[str, Average]
    """Row -> its average."""


@dataclass(frozen=True)
class PaperTable:
    """All averages, and what was left out of them."""

    models: Mapping[str, int]
    """Row -> of how many models (seeds) it is."""
    columns: Sequence[Column]
    """Those that have a task."""
    lacking: tuple[str, ...]
    """Tasks asked for that not all results hold."""
    uninformative: tuple[str, ...]
    """Tasks on which no reference is above chance."""
    is_judged: bool
    """Whether references told which tasks are informative."""


def paper_table(
    rows: Mapping[str, Sequence[Results]],
    references: Sequence[Results],
    l2_tasks: Collection[str],
    l1_tasks: Collection[str],
) -> PaperTable:
    """The table.

    Args:
        rows: a condition or a model -> its results, one for each seed.
        references: results of models that ought to pass. Tasks on which none of them is above chance are uninformative,
            and so are those that any result calls so.
        l2_tasks, l1_tasks: names of tasks, as `tasks/sentipolc`, `pairs/blimp`.

    Raises:
        ResultsError: no task is held by all results, they are of other items, or scores by item are missing.
    """
    every = [results for those in rows.values() for results in those]
    wanted = [*l2_tasks, *l1_tasks]
    shared = [task for task in wanted if all(task in results.tasks for results in every)]
    if not shared:
        raise ResultsError(f"All of these results hold none of {', '.join(wanted)}. Evaluate with --suite paper.")
    for task in shared:
        _check(task, [*every, *(results for results in references if task in results.tasks)])
    dull = tuple(task for task in shared if task in l2_tasks and _is_uninformative(task, every, references))
    chosen = {
        "Italian": [task for task in shared if task in l2_tasks],
        "Italian, informative": [task for task in shared if task in l2_tasks and task not in dull] if dull else [],
        "English": [task for task in shared if task in l1_tasks],
    }
    columns = [_column(title, tasks, rows) for title, tasks in chosen.items() if tasks]
    lacking = tuple(task for task in wanted if task not in shared)
    models = {name: len(those) for name, those in rows.items()}
    return PaperTable(models, columns, lacking, dull, is_judged=bool(references or dull))


def _check(task: str, every: Sequence[Results]) -> None:
    first = every[0]
    for results in every:
        found = results.tasks[task]
        check_same_items(first.tasks[task], found, f"{first.model} and {results.model}")
        if found.main.name not in found.item_scores:
            raise ResultsError(f"{task} of {results.model} has no scores by item. Keep items.json beside results.json.")


def _is_uninformative(task: str, every: Sequence[Results], references: Sequence[Results]) -> bool:
    tried = [results.tasks[task] for results in references if task in results.tasks]
    marked = any(results.tasks[task].verdict.startswith(UNINFORMATIVE) for results in every)
    return marked or bool(tried and uninformative(tried))


def _column(title: str, tasks: Sequence[str], rows: Mapping[str, Sequence[Results]]) -> Column:
    averages, chance = {}, None
    for name, those in rows.items():
        scores = [_average([results.tasks[task] for task in tasks]) for results in those]
        values = [score.value for score in scores]
        is_one = len(values) == 1
        ends = None if is_one else (min(values), max(values))
        averages[name] = Average(fmean(values), scores[0].interval if is_one else None, ends)
        chance = scores[0].chance
    return Column(title, tuple(tasks), chance, averages)


def _average(tasks: Sequence[TaskResult]) -> Score:
    """Of one model, tasks that are called uninformative counted as all others."""
    if len(tasks) == 1:
        return tasks[0].main
    mean = average([replace(task, verdict="") for task in tasks], "average")
    assert mean is not None, "there are tasks"
    return mean
