"""Markdown tables of the nursery laboratory's small result files: means, paired tests, trials."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean
from typing import Any

from bambino.analysis.statistics import holm, paired_t
from bambino.experiments.nursery.designs import Design
from bambino.experiments.nursery.results import MEASURES, shown

COMPARISONS = (
    ("bambino", "clm"),
    ("bambino", "clm-flops"),
    ("clm", "untrained"),
    ("ppo", "untrained"),
    ("bambino-oracle", "clm"),
    ("bambino-oracle", "bambino"),
    ("ppo-oracle", "ppo"),
    ("bambino-parent30", "bambino"),
    ("bambino-parent10", "bambino"),
)
Cell = tuple[int, int]
"""(base, seed)."""


def markdown(heading: list[str], rows: Iterable[list[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def results_markdown(bases: list[dict[str, Any]], runs: list[dict[str, Any]], order: list[str]) -> str:
    """Base models' scores; then measures by conditions, mean ± half the 95 % t interval over runs."""
    design = Design(l2=runs[0]["language"])
    names = [name for name in order if any(run["name"] == name for run in runs)]
    models = list(dict.fromkeys(name for one in bases for name in one["models"]))
    rows = [
        [str(one["base"]), name, *(f"{100 * one['models'][name][role]['pairs']:.1f}" for role in ("l1", "l2"))]
        + [f"{one['models'][name][role]['excess']:.3f}" for role in ("l1", "l2")]
        for one in bases
        for name in models
        if name in one["models"]
    ]
    titles = ("base", "model", "{l1} pairs, %", "{l2} pairs, %", "{l1} excess bits", "{l2} excess bits")
    first = markdown([design.named(title) for title in titles], rows)
    table = []
    for measure in MEASURES:
        values = ([run["numbers"][measure.name] for run in runs if run["name"] == name] for name in names)
        table.append([design.named(measure.title), *(shown(one, measure.style) for one in values)])
    table.append(["runs", *(str(sum(run["name"] == name for run in runs)) for name in names)])
    human = fmean(run["human_perplexity"] for run in runs)
    note = f"The parent's perplexity of human sentences: {human:.2f}. ± is half the 95 % t interval over runs."
    phenomena = []
    for phenomenon in runs[0]["phenomena"]:
        values = ([run["phenomena"][phenomenon] for run in runs if run["name"] == name] for name in names)
        phenomena.append([phenomenon.replace("_", " "), *(shown(one, ".1f") for one in values)])
    return "\n\n".join(
        [first, markdown(["at the end", *names], table), note, markdown(["pairs right, %", *names], phenomena)]
    )


def comparisons_markdown(runs: list[dict[str, Any]]) -> str:
    """Paired t-tests over the cells that both conditions have; Holm's correction within each measure.

    With several seeds per base model, cells of one base are not independent: `p (bases)` tests the means of the bases.
    """
    design = Design(l2=runs[0]["language"])
    parts = []
    for measure in MEASURES:
        if measure.better == 0:
            continue
        found = {}
        for one, other in COMPARISONS:
            ones, others = (_cells(runs, name, measure.name) for name in (one, other))
            both = sorted(ones.keys() & others.keys())
            test = paired_t([ones[cell] for cell in both], [others[cell] for cell in both])
            if test is not None:
                found[f"{one} - {other}"] = (test, {cell: ones[cell] - others[cell] for cell in both})
        corrected = holm({name: test.p_value for name, (test, _) in found.items()})
        rows = []
        for name, (test, gaps) in found.items():
            means = _base_means(gaps)
            by_bases = paired_t(means, [0.0] * len(means)) if 1 < len(means) < len(gaps) else None
            style = f"+{measure.style}"
            rows.append(
                [
                    name,
                    f"{test.mean:{style}}",
                    f"{test.interval.low:{style}} to {test.interval.high:{style}}",
                    str(len(gaps)),
                    f"{test.p_value:.2g}",
                    f"{corrected[name]:.2g}",
                    "" if by_bases is None else f"{by_bases.p_value:.2g}",
                    ", ".join(f"{mean:{style}}" for mean in means),
                ]
            )
        wanted = "lower" if measure.better < 0 else "higher"
        heading = ["difference", "mean", "95 % interval", "runs", "p", "p (Holm)", "p (bases)", "by base model"]
        parts.append(f"**{design.named(measure.title)}** ({wanted} is better)\n\n{markdown(heading, rows)}")
    return "\n\n".join(parts)


def trials_markdown(trials: list[dict[str, Any]]) -> str:
    """Trials by condition, best first: means over cells on the development test set."""
    rows = []
    for condition in dict.fromkeys(trial["condition"] for trial in trials):
        names = dict.fromkeys(trial["name"] for trial in trials if trial["condition"] == condition)
        ranked = sorted(names, key=lambda name: fmean(_cells(trials, name, "l2/excess").values()))
        for name in ranked:
            numbers = (list(_cells(trials, name, measure.name).values()) for measure in MEASURES[:8])
            means = [f"{fmean(values):{m.style}}" for m, values in zip(MEASURES[:8], numbers, strict=True)]
            rows.append([name, str(len(_cells(trials, name, "l2/excess"))), *means])
    design = Design(l2=trials[0]["language"])
    return markdown(["trial", "runs", *(design.named(measure.title) for measure in MEASURES[:8])], rows)


def _cells(runs: list[dict[str, Any]], name: str, measure: str) -> dict[Cell, float]:
    return {(run["base"], run["seed"]): run["numbers"][measure] for run in runs if run["name"] == name}


def _base_means(gaps: dict[Cell, float]) -> list[float]:
    bases = sorted({base for base, _ in gaps})
    return [fmean(gap for (base, _), gap in gaps.items() if base == one) for one in bases]
