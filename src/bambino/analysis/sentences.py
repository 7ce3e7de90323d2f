"""What an experiment answers, in words: a verdict names its size, its interval and the test behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bambino.analysis.curves import unit_of
from bambino.measures import LEVEL
from bambino.runs.account import heard_in_all

if TYPE_CHECKING:
    from bambino.analysis.answers import Effect, EqualGain, Outcomes

ALPHA = 1 - LEVEL
"""A corrected p below it tells two conditions apart."""
EVEN = 0.01
"""Costs whose quotient is this close to 1 are called equal."""


def verdict(found: Outcomes, condition: str, effect: Effect | None) -> str:
    """What can be said of a condition by the primary metric; of the baseline, that the others are compared with it.

    Args:
        effect: on the primary metric; None: no seed in common with the baseline.
    """
    baseline, metric = found.baseline, found.primary
    if condition == baseline:
        return f"{baseline} is what the others are compared with."
    if effect is None:
        lacking = [name for name in (condition, baseline) if not found.runs[name]]
        why = f"no seed of {lacking[0]} is finished" if lacking else "they share no seed with a number"
        return f"{condition} is not compared with {baseline}: {why}."
    if effect.p_value is None:
        seeds = len(effect.seeds)
        why = "with one seed nothing can be tested" if seeds == 1 else "seeds do not differ, so there is no t-test"
        where = f"seed {effect.seeds[0]}" if seeds == 1 else f"with each of {seeds} seeds"
        return f"{condition} is {_relation(metric, effect, baseline)} ({metric}, {where}); {why}."
    if is_significant(effect):
        return f"{condition} is {_relation(metric, effect, baseline)} ({metric}, {test_in_words(effect)})."
    by_mean = _relation(metric, effect, "it")
    said = f"{condition} is not distinguishable from {baseline}: by the mean {by_mean}"
    return f"{said} ({metric}, {test_in_words(effect)})."


def remarks(
    found: Outcomes,
    condition: str,
    effect: Effect | None,
    equal_gain: EqualGain | None,
    budgets: Mapping[str, Mapping[str, float]],
) -> tuple[str, ...]:
    """What must be known beside a verdict.

    Args:
        effect: on the primary metric.
        budgets: condition -> total -> mean over seeds.
    """
    if condition == found.baseline or effect is None:
        return ()
    said = []
    if equal_gain is not None and found.languages is not None:
        said.append(_at_equal_gain(equal_gain.gap, *found.languages))
    said.append(_costs(budgets[condition], budgets[found.baseline]))
    if missing := [str(seed) for seed in found.seeds if seed not in effect.seeds]:
        said.append(f"Not paired, for one of the two lacks it: seed{'s' * (len(missing) > 1)} {', '.join(missing)}.")
    return tuple(filter(None, said))


def p_in_words(p_value: float) -> str:
    """`p = 0.012`, `p < 0.001`."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}" if p_value < 0.995 else "p = 1"


def is_significant(effect: Effect) -> bool:
    """Whether it was tested, and the corrected p is below ALPHA."""
    return effect.corrected_p is not None and effect.corrected_p < ALPHA


def test_in_words(effect: Effect) -> str:
    """Seeds, test and corrected p; where the correction turns the verdict, the p before it too."""
    if effect.p_value is None or effect.corrected_p is None:
        seeds = "one seed" if len(effect.seeds) == 1 else f"with each of {len(effect.seeds)} seeds"
        return f"{seeds}, not tested"
    correction = f" after Holm over {effect.tests} tests" if effect.tests > 1 else ""
    before = f", {effect.p_value:.3f} before" if effect.p_value < ALPHA <= effect.corrected_p else ""
    return f"n = {len(effect.seeds)} seeds, paired t-test, {p_in_words(effect.corrected_p)}{correction}{before}"


def _at_equal_gain(gap: Effect, l1: str, l2: str) -> str:
    """What it loses of L1 for the same L2."""
    loss = f"At equal gain in {l2} its loss in {l1} is"
    size = f"{'smaller' if gap.better > 0 else 'greater'} by {_size(l1, gap)}" if gap.better else "as great"
    if gap.p_value is None or is_significant(gap):
        return f"{loss} {size} ({test_in_words(gap)})."
    return f"{loss} not distinguishable: by the mean {size} ({test_in_words(gap)})."


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


def _costs(mine: Mapping[str, float], yours: Mapping[str, float]) -> str:
    """What it took beside the baseline; empty where that is not known."""
    costs = {
        "L2 words heard": (mine.get("words_heard", 0.0), yours.get("words_heard", 0.0)),
        "words heard in all": (heard_in_all(mine), heard_in_all(yours)),
        "FLOPs": (mine.get("flops", 0.0), yours.get("flops", 0.0)),
    }
    quotients = {what: one / other for what, (one, other) in costs.items() if other}
    said = [_times(quotient, what) for what, quotient in quotients.items()]
    return f"Its budget: {', '.join(said)}." if said else ""


def _times(quotient: float, what: str) -> str:
    """`as many words`, `no words`, `2.10 times the words`."""
    if abs(quotient - 1) <= EVEN:
        return f"as many {what}"
    return f"{quotient:.2f} times the {what}" if quotient else f"no {what}"
