"""What an experiment answers, in words: a verdict names its size, its interval and the test behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bambino.analysis.curves import unit_of
from bambino.measures import LEVEL

if TYPE_CHECKING:
    from bambino.analysis.answers import Effect, Outcomes

COSTS = {"words_heard": "L2 words", "flops": "FLOPs"}
"""Total -> what it is, of those that a verdict sets beside the baseline's."""
ALPHA = 1 - LEVEL
"""A corrected p below it tells two conditions apart."""
EVEN = 0.01
"""Costs whose quotient is this close to 1 are called equal."""


def verdict(
    found: Outcomes, condition: str, effect: Effect | None, budgets: Mapping[str, Mapping[str, float]]
) -> str:
    """What can be said of a condition by the primary metric; of the baseline, that the others are compared with it.

    Args:
        effect: on the primary metric; None: no seed in common with the baseline.
        budgets: condition -> total -> mean over seeds.
    """
    baseline = found.baseline
    if condition == baseline:
        return f"{baseline} is what the others are compared with."
    if effect is None:
        lacking = condition if not found.runs[condition] else baseline if not found.runs[baseline] else None
        why = f"no seed of {lacking} is finished" if lacking else "they share no seed with a number"
        return f"{condition} is not compared with {baseline}: {why}."
    parts = [_compared(found, condition, effect), _costs(budgets[condition], budgets[baseline], baseline)]
    if missing := [str(seed) for seed in found.seeds if seed not in effect.seeds]:
        parts.append(f"Not paired, for one of the two is missing: seed{'s' * (len(missing) > 1)} {', '.join(missing)}.")
    return " ".join(filter(None, parts))


def p_in_words(p_value: float) -> str:
    """`p = 0.012`, `p < 0.001`."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}" if p_value < 0.995 else "p = 1"


def is_significant(effect: Effect) -> bool:
    """Whether it was tested, and the corrected p is below ALPHA."""
    return effect.corrected_p is not None and effect.corrected_p < ALPHA


def _compared(found: Outcomes, condition: str, effect: Effect) -> str:
    """The sentence on the primary metric."""
    baseline, metric, seeds = found.baseline, found.primary, len(effect.seeds)
    if effect.p_value is None or effect.corrected_p is None:
        why = "with one seed nothing can be tested" if seeds == 1 else "seeds do not differ, so there is no t-test"
        where = f"seed {effect.seeds[0]}" if seeds == 1 else f"with each of {seeds} seeds"
        return f"{condition} is {_relation(metric, effect, baseline)} ({metric}, {where}); {why}."
    correction = f" after Holm over {effect.tests} tests" if effect.tests > 1 else ""
    before = f", {effect.p_value:.3f} before" if effect.p_value < ALPHA <= effect.corrected_p else ""
    test = f"({metric}, n = {seeds} seeds, paired t-test, {p_in_words(effect.corrected_p)}{correction}{before})"
    if is_significant(effect):
        return f"{condition} is {_relation(metric, effect, baseline)} {test}."
    by_mean = _relation(metric, effect, "it")
    return f"{condition} is not distinguishable from {baseline}: by the mean {by_mean} {test}."


def _relation(metric: str, effect: Effect, other: str) -> str:
    """Better or worse, by how much."""
    if not effect.better:
        return f"equal to {other}"
    return f"{'better' if effect.better > 0 else 'worse'} than {other} by {_size(metric, effect)}"


def _size(metric: str, effect: Effect) -> str:
    """How much better or worse, as a positive number, with its interval."""
    unit = unit_of(metric)
    sign = 1 if effect.difference.mean >= 0 else -1
    said = f"{abs(effect.difference.mean):.3f}" + ("" if unit == "share" else f" {unit}")
    interval = effect.difference.interval
    if interval is None:
        return said
    ends = sorted((sign * interval.low, sign * interval.high))
    return f"{said} [{ends[0]:.3f}, {ends[1]:.3f}]"


def _costs(mine: Mapping[str, float], yours: Mapping[str, float], baseline: str) -> str:
    """What it cost beside the baseline; empty where that is not known."""
    quotients = {what: mine[total] / yours[total] for total, what in COSTS.items() if yours.get(total)}
    said = [
        f"as many {what}" if abs(quotient - 1) <= EVEN else f"{quotient:.2f} times the {what}"
        for what, quotient in quotients.items()
    ]
    return f"It took {' and '.join(said)} of {baseline}." if said else ""
