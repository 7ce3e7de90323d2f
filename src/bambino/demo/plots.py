"""The demo's plots: learning and forgetting over the cycles, ppo phases shaded. PNG for talks, SVG for the page."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bambino.experiments.nursery.designs import CONDITIONS, Design
from bambino.experiments.nursery.results import Result

COLOURS = {"clm": "#1f6fb2", "ppo": "#b8860b", "bambino": "#c2374a"}


MARKERS = {"clm": "o", "ppo": "s", "bambino": "D"}


PANELS = (
    ("l2/excess", "{l2}: excess bits per byte"),
    ("l1/excess", "{l1}: excess bits per byte"),
    ("l2/pairs", "{l2} minimal pairs right, %"),
    ("l1/pairs", "{l1} minimal pairs right, %"),
    ("perplexity", "parent's perplexity of utterances"),
    ("grammatical", "grammatical sentences said, %"),
)


def write_plots(output_dir: Path, results: list[Result], design: Design) -> None:
    """Write curves.png and curves.svg.

    One x axis for all: the step of Algorithm 1. clm and ppo alone take fewer steps in a cycle and are stretched, so
    that at one x all have been through equally many cycles, and clm and bambino have heard the same text.
    """
    matplotlib.rcParams["svg.hashsalt"] = "bambino"
    figure = Figure(figsize=(11, 9), layout="constrained")
    panels = figure.subplots(3, 2, sharex=True)
    for axes, (name, title) in zip(panels.flat, PANELS, strict=True):
        _shade(axes, design)
        for condition, colour in COLOURS.items():
            x, mean, low, high = curve(results, condition, name, design)
            axes.plot(x, mean, color=colour, marker=MARKERS[condition], markersize=4, label=condition)
            if low != high:
                axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        if name == "perplexity":
            human = fmean(result.human_perplexity for result in results)
            axes.axhline(human, color="#555555", linestyle="--", linewidth=1, label="human sentences")
            axes.set_yscale("log")
            axes.legend(frameon=False, fontsize=8)
        if name == "grammatical":
            axes.set_ylim(bottom=-1, top=max(10.0, axes.get_ylim()[1]))
        axes.set_title(design.named(title), fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0, 0].legend(frameon=False, fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("step of Algorithm 1 (shaded: ppo)")
    figure.savefig(output_dir / "curves.png", dpi=140)
    figure.savefig(output_dir / "curves.svg", metadata={"Date": None})


def curve(
    results: list[Result], condition: str, name: str, design: Design
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Steps of Algorithm 1; mean, smallest and largest over seeds."""
    runs = [result.ages for result in results if result.condition == condition]
    stretch = CONDITIONS["bambino"].cycle_steps / CONDITIONS[condition].cycle_steps
    columns = [[age.numbers[name] for age in ages] for ages in zip(*runs, strict=True)]
    x = [age.step * stretch for age in runs[0]]
    return x, [fmean(c) for c in columns], [min(c) for c in columns], [max(c) for c in columns]


def _shade(axes: Axes, design: Design) -> None:
    bambino = CONDITIONS["bambino"]
    for cycle in range(design.cycles):
        begin = cycle * bambino.cycle_steps + bambino.clm_steps
        axes.axvspan(begin, begin + bambino.ppo_steps, color="#000000", alpha=0.06, linewidth=0)
