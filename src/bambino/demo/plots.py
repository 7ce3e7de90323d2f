"""The demo's curves, as a picture and for its page: learning and forgetting over the cycles, the paper's ppo phases
shaded."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from bambino.experiments.nursery.designs import CONDITIONS, Design
from bambino.experiments.nursery.results import Result
from bambino.report import plots
from bambino.report.charts import lines
from bambino.report.page import Charts
from bambino.report.page import Figure as ChartFigure
from bambino.report.series import Band, Block, band

STYLES = {"clm": ("#1f6fb2", "o"), "bambino": ("#c2374a", "D"), "best": ("#2b8a3e", "s")}
"""Condition -> colour and marker."""


PANELS = {
    "l2/excess": "{l2}: excess bits per byte",
    "l1/excess": "{l1}: excess bits per byte",
    "l2/pairs": "{l2} minimal pairs right, %",
    "l1/pairs": "{l1} minimal pairs right, %",
    "perplexity": "parent's perplexity of utterances",
    "grammatical": "grammatical sentences said, %",
}
"""Number -> title."""


def write_plots(output_dir: Path, results: list[Result], design: Design) -> Path:
    """Write curves.png and curves.svg; returns the latter's path.

    One x axis for all: the cycle, whatever steps a condition has in it, so that at one x all have heard the same text.
    """
    panels = [
        plots.Panel(
            title=design.named(title),
            curves=[curve(results, condition, name) for condition in STYLES],
            level=(human_perplexity(results), "human sentences") if name == "perplexity" else None,
            is_log=name == "perplexity",
            reaches=(-1.0, 10.0) if name == "grammatical" else None,
        )
        for name, title in PANELS.items()
    ]
    figure = plots.draw(panels, ppo_blocks(design), "cycle (shaded: ppo of bambino)")
    return plots.save(figure, output_dir, "curves")


def charts(results: list[Result], design: Design) -> Charts:
    """The same panels for the page."""
    shades = [Block(begin, end, "ppo of bambino") for begin, end in ppo_blocks(design)]
    return Charts([_chart(results, design.named(title), name, shades) for name, title in PANELS.items()], list(STYLES))


def _chart(results: list[Result], title: str, name: str, shades: list[Block]) -> ChartFigure:
    curves = {condition: curve(results, condition, name) for condition in STYLES}
    bands = [one for condition in STYLES if (one := _band(condition, curves[condition])) is not None]
    along = {"cycle": {condition: one.x for condition, one in curves.items()}}
    level = human_perplexity(results) if name == "perplexity" else None
    called = " (dashed: human sentences)" if level is not None else ""
    return ChartFigure(title + called, lines(bands, list(STYLES), along, blocks=shades, level=level))


def _band(condition: str, one: plots.PlottedCurve) -> Band | None:
    return band(condition, [dict(enumerate(values)) for values in one.runs])


def curve(results: list[Result], condition: str, name: str) -> plots.PlottedCurve:
    """A number of a condition over the cycles, a run per seed."""
    runs = [result.ages for result in results if result.condition == condition]
    x = [age.step / CONDITIONS[condition].cycle_steps for age in runs[0]]
    return plots.PlottedCurve(condition, *STYLES[condition], x, [[age.numbers[name] for age in ages] for ages in runs])


def human_perplexity(results: list[Result]) -> float:
    """The parent's, of the sentences that prompts are cut from; mean over runs."""
    return fmean(result.human_perplexity for result in results)


def ppo_blocks(design: Design) -> list[tuple[float, float]]:
    """Where bambino's ppo steps begin and end, in cycles."""
    bambino = CONDITIONS["bambino"]
    return [(cycle + bambino.clm_steps / bambino.cycle_steps, cycle + 1) for cycle in range(design.cycles)]
