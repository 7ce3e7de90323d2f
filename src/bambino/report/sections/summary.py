"""What was asked, what the answer is and by which test, and how far the runs have come."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median

from bambino.analysis.answers import Answer
from bambino.analysis.curves import unit_of
from bambino.recipe.metrics import direction_of
from bambino.report.answer import method_of, tables_of
from bambino.report.charts import dots
from bambino.report.page import Charts, Figure, Folded, Items, Part, Section, Table, Verdicts, Words
from bambino.report.reported import Reported, SeedRun
from bambino.report.sections.titles import title_of
from bambino.report.tables import Rows

DWARFS = 8
"""A difference that is so many times the median one is not drawn beside the others."""


def summary(reported: Reported) -> Section:
    """The head of the page."""
    parts: list[Part] = []
    if reported.inquiry.question:
        parts.append(Words(reported.inquiry.question, "lead"))
    parts += _state(reported)
    found = reported.answer
    if found is not None and len(found.conditions) > 1:
        parts += _answer(found)
    elif reported.measures:
        parts.append(Table(before_and_after(reported)))
    return Section("", parts)


def _answer(found: Answer) -> Iterator[Part]:
    """Verdicts, effect sizes, the test; every table of the answer."""
    compared = [one for name, one in found.conditions.items() if one.metrics[found.primary].effect is not None]
    if compared:
        yield Verdicts([(one.verdict, " ".join(one.remarks)) for one in compared])
    alone = [
        name
        for name, one in found.conditions.items()
        if name != found.baseline and one.metrics[found.primary].effect is None
    ]
    if alone:
        yield Words(f"No finished seed in common with {found.baseline}: {', '.join(alone)}.")
    yield from _effects(found)
    primary, *others = tables_of(found)
    yield Table(primary.rows)
    yield Words(method_of(found), "small")
    if found.hypotheses:
        yield Folded("Hypotheses, as written down before", [Items(found.hypotheses)])
    for table in others:
        yield Folded(table.title, [Table(table.rows)])


def _effects(found: Answer) -> Iterator[Part]:
    """The differences on the primary metric, with intervals; those that would dwarf all others are told in words."""
    effects = {name: one.metrics[found.primary].effect for name, one in found.conditions.items()}
    differences = {name: effect.difference for name, effect in effects.items() if effect is not None}
    sizes = {name: abs(one.mean) for name, one in differences.items()}
    outside = [name for name, size in sizes.items() if size > DWARFS * median(sizes.values())]
    rows = [
        {
            "condition": name,
            "part": name,
            "amount": one.mean,
            "low": math.nan if one.interval is None else one.interval.low,
            "high": math.nan if one.interval is None else one.interval.high,
        }
        for name, one in differences.items()
        if name not in outside
    ]
    if rows:
        better = {1: "; to the right is better", -1: "; to the left is better"}.get(
            direction_of(found.primary) or 0, ""
        )
        title = f"{title_of(found.primary, found.languages)}, less that of {found.baseline}, 95 % intervals{better}"
        yield Charts([Figure(title, dots(rows, list(found.conditions), unit_of(found.primary), level=0.0))])
    if outside:
        said = ", ".join(f"{name} ({differences[name].mean:+.3f})" for name in outside)
        yield Words(f"Too far off for this chart: {said}.", "small")


def _state(reported: Reported) -> Iterator[Part]:
    """How many runs, of what, and how far."""
    count, conditions, seeds = len(reported.runs), reported.conditions, reported.seeds
    if not count:
        yield Words("No run directory is here; the answer is what bambino experiment wrote of its result files.")
        return
    going = [run for run in reported.runs if not run.is_over]
    if count == 1:
        (run,) = reported.runs
        yield Words(f"One run: {run.condition}, seed {run.seed}. {_how_far(run)}")
    else:
        said = f"{count} runs of {_counted(len(conditions), 'condition')} with {_counted(len(seeds), 'seed')}"
        yield Words(f"{said} ({', '.join(map(str, seeds))}); {count - len(going)} finished.")
        if going:
            yield Folded(
                f"{_counted(len(going), 'run')} not finished",
                [Items([f"{_name(run)}: {_how_far(run)}" for run in going])],
            )
    if reported.trials:
        yield Words(f"{_counted(reported.trials, 'trial')} that chose settings left out.", "small")


def _how_far(run: SeedRun) -> str:
    done = f"{run.record.steps_done:,} of {run.max_steps:,} steps"
    if run.is_over:
        return f"{done}, finished."
    return f"{done}; it failed: {run.failure}" if run.failure else f"{done}; it is going on, or was stopped."


def before_and_after(reported: Reported) -> Rows:
    """Every measure before the first step and now, of each condition by the mean over seeds."""
    rows = [["measure", *(f"{condition}, {when}" for condition in reported.conditions for when in ("first", "last"))]]
    names = dict.fromkeys(name for run in reported.runs for name in run.curves if f"eval/{name}" in reported.measures)
    for name in names:
        cells = []
        for condition in reported.conditions:
            curves = [run.curves[name].values for run in reported.of(condition) if name in run.curves]
            cells += [f"{sum(values[end] for values in curves) / len(curves):.4g}" if curves else "" for end in (0, -1)]
        rows.append([title_of(name, reported.languages), *cells])
    return rows


def _name(run: SeedRun) -> str:
    return f"{run.condition}, seed {run.seed}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
