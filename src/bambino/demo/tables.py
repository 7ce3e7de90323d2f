"""The demo's tables, and in words what they show and what they do not."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from rich import box
from rich.table import Table

from bambino.demo.results import MEASURES, Result, spread, verdicts
from bambino.demo.settings import CONDITIONS, LANGUAGES

Rows = list[list[str]]
"""A table in plain text: a heading, then rows; the first column is what is measured."""


def base_rows(bases: dict[str, Any]) -> Rows:
    """Does each base model know its language, and only that?"""
    names = {"en": "English baby", "it": "Italian parent"}
    heading = ["before", *(names[language] for language in LANGUAGES)]
    rows = [heading]
    for language, word in LANGUAGES.items():
        right = [f"{100 * bases[model][language]['pairs']:.1f}" for model in LANGUAGES]
        excess = [f"{bases[model][language]['excess']:.3f}" for model in LANGUAGES]
        rows.append([f"{word} minimal pairs right, % (chance: 50)", *right])
        rows.append([f"{word}: bits per byte above the true entropy", *excess])
    return rows


def result_rows(results: list[Result]) -> Rows:
    """Measures by conditions; mean over seeds with a 95 % interval where there are several."""
    count = len({result.seed for result in results})
    rows = [[f"after ({count} seeds, ± 95 % interval)" if count > 1 else "after (one seed)", *CONDITIONS]]
    for measure in MEASURES:
        title = measure.title
        if measure.name == "perplexity":
            title += f" (human sentences: {fmean(result.human_perplexity for result in results):.2f})"
        values = ([r.numbers[measure.name] for r in results if r.condition == one] for one in CONDITIONS)
        rows.append([title, *(spread(one).show(measure.style) for one in values)])
    return rows


def phenomena_rows(results: list[Result]) -> Rows:
    """Minimal pairs right by phenomenon and condition."""
    rows = [["minimal pairs right, %", *CONDITIONS]]
    for phenomenon in results[0].phenomena:
        values = ([r.phenomena[phenomenon] for r in results if r.condition == one] for one in CONDITIONS)
        language, _, name = phenomenon.partition("_")
        title = f"{LANGUAGES[language]}: {name.replace('_', ' ')}"
        rows.append([title, *(spread(one).show(".0f") for one in values)])
    return rows


def base_table(bases: dict[str, Any]) -> Table:
    return _table(base_rows(bases))


def result_table(results: list[Result]) -> Table:
    return _table(result_rows(results))


def phenomena_table(results: list[Result]) -> Table:
    return _table(phenomena_rows(results))


def lesson(results: list[Result]) -> list[str]:
    """What the runs show, then what they do not."""
    seeds = len({result.seed for result in results})
    by_condition = {one: [r.numbers for r in results if r.condition == one] for one in CONDITIONS}
    heard = {one: fmean(numbers["it/excess"] for numbers in by_condition[one]) for one in CONDITIONS}
    english = {one: fmean(numbers["en/excess"] for numbers in by_condition[one]) for one in CONDITIONS}
    gain = fmean(n["it/excess"] for n in by_condition["bambino"]) < heard["clm"]
    headline = (
        "bambino is nearer to the true Italian than clm here."
        if gain
        else "bambino does not beat clm here: hearing alone comes as near to the true Italian, or nearer."
    )
    if seeds == 1:
        headline += " This is one seed; run --seeds 5 before believing a small difference."
    return [
        headline,
        f"Hearing Italian takes the excess from {heard['untrained']:.2f} to {heard['clm']:.2f} bits per byte and costs "
        f"English {english['clm'] - english['untrained']:+.2f}; feedback alone takes it to {heard['ppo']:.2f}.",
        "bambino against clm, which heard the same batches (bambino also had the feedback, which costs more compute):",
        *(f"  {sentence}" for sentence in verdicts(results)),
        "What this does not show: anything about real languages or large models; about other base models (they are "
        "raised once, seeds vary the Italian text, its order and the sampling); which condition is best at equal "
        "compute (see the costs).",
    ]


def _table(rows: Rows) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if i == 0 else "right", overflow="fold", min_width=0 if i == 0 else 9)
    for row in rows[1:]:
        table.add_row(*row)
    return table
