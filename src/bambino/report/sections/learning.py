"""Learning and forgetting: every measure of evaluations over time, and L1 lost against L2 gained."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bambino.analysis.curves import PREFIX
from bambino.recipe.metrics import direction_of
from bambino.report.charts import ALONG, lines, paths
from bambino.report.page import Charts, Figure, Folded, Part, Section, Words
from bambino.report.reported import Reported
from bambino.report.sections.titles import title_of
from bambino.report.series import Block, evaluation_bands, places, shaded, walks

FEW = 4
"""Conditions that are named; of more, how many they are."""
CHANCE = {"pairs/": 0.5}
"""How the names of measures begin -> what guessing gets, drawn as a line."""


def learning(reported: Reported) -> Section | None:
    """Every headline measure along the runs."""
    measures = [name.removeprefix(PREFIX) for name in reported.measures]
    if not measures:
        return None
    judged = [name for name in measures if direction_of(name) and not name.startswith("speech/")]
    others = [name for name in measures if name not in judged]
    (blocks, whose), along = shaded(reported), _along(reported)
    parts: list[Part] = [Words(_how(reported, whose), "small"), _charts(reported, judged, along, blocks)]
    if others:
        parts.append(Folded("Other measures, and of what the baby says", [_charts(reported, others, along, blocks)]))
    return Section("Learning and forgetting", parts)


def trade_off(reported: Reported) -> Section | None:
    """L1 lost against L2 gained, over time."""
    found = walks(reported)
    if reported.languages is None or not any(len(one.step) > 1 for one in found):
        return None
    l1, l2 = (title_of(name) for name in reported.languages)
    what = (
        "From the first evaluation, at 0 and 0, to the end (large dot): how much better L2 became, to the right, and "
        "how much worse L1, upwards. Best is far to the right and low. Means over seeds; small circles are where "
        "each seed ends."
    )
    figure = Figure(f"{l1}: lost; {l2}: gained", paths(found, reported.conditions, f"gained, {l2}", f"lost, {l1}"))
    return Section("What L2 cost in L1", [Words(what, "small"), Charts([figure], reported.conditions)])


def _charts(reported: Reported, measures: Sequence[str], along: Sequence[str], blocks: Sequence[Block]) -> Charts:
    figures = [_figure(reported, measure, along, blocks) for measure in measures]
    return Charts(figures, reported.conditions, {field: ALONG[field] for field in along})


def _figure(reported: Reported, measure: str, along: Sequence[str], blocks: Sequence[Block]) -> Figure:
    bands = evaluation_bands(reported, f"{PREFIX}{measure}")
    level = next((chance for prefix, chance in CHANCE.items() if measure.startswith(prefix)), None)
    where = {field: {one.condition: places(reported, one)[field] for one in bands} for field in along}
    spec = lines(bands, reported.conditions, where, blocks=blocks, level=level)
    return Figure(title_of(measure, reported.languages), spec)


def _along(reported: Reported) -> list[str]:
    """Fields that may stand along x; of several conditions, whose steps are not alike, words come first."""
    ends = [run.record.words_heard(run.record.steps_done) for run in reported.runs]
    has_words = any(words > 0 for words in ends) and not any(map(math.isnan, ends))
    has_flops = any(run.record.totals.get("flops") for run in reported.runs)
    fields = ["step", *["words"] * has_words, *["flops"] * has_flops]
    if len(reported.conditions) > 1 and has_words:
        fields.remove("words")
        fields.insert(0, "words")
    return fields


def _how(reported: Reported, whose: str) -> str:
    """What lines, bands and shades are."""
    most = max(len(reported.of(condition)) for condition in reported.conditions)
    said = ["Lines are means over seeds, bands reach from the lowest to the highest."] if most > 1 else []
    said.append("Point at a line for its numbers.")
    if whose:
        said.append(f"Shaded where steps stand along: {whose}.")
    if cycles := _cycles(reported):
        said.append(f"Steps in turn: {'; '.join(cycles)}.")
    return " ".join(said)


def _cycles(reported: Reported) -> list[str]:
    """10 clm, 2 ppo (bambino): the cycles of the conditions that learn, each with whose it is."""
    whose: dict[str, list[str]] = {}
    for condition in reported.conditions:
        record = reported.of(condition)[0].record
        cycle = record.settings.get("schedule", {}).get("cycle")
        if isinstance(cycle, dict) and record.steps:
            said = ", ".join(f"{count} {phase}" for phase, count in cycle.items())
            whose.setdefault(said, []).append(condition)
    if len(reported.conditions) == 1:
        return list(whose)
    return [f"{said} ({', '.join(names) if len(names) <= FEW else len(names)})" for said, names in whose.items()]
