"""How sure we are: intervals, paired comparisons and corrections over items (bootstrap) and over seeds (t).

Items are resampled with numbers that depend on `seed` only, so an interval is the same every time it is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bambino.measures import LEVEL, Interval

DRAWS = 2000
"""Bootstrap resamples; the ends of an interval then vary by about 2 % of its width."""


FEW = 3
"""Different values up to which `bootstrap` draws counts: right, wrong and tied."""


@dataclass(frozen=True)
class Difference:
    """One system less another on the same items or the same seeds."""

    mean: float
    interval: Interval
    p_value: float
    """Two-sided, of no difference; not corrected for other comparisons (see `holm`)."""


def bootstrap(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Percentile interval of the mean over items (Efron 1979).

    Few different values (right and wrong) are not picked one by one: how often each is picked is multinomial.
    """
    numbers = np.asarray(values, dtype=float)
    different, counts = np.unique(numbers, return_counts=True)
    if 0 < len(different) <= FEW and not np.isnan(numbers).any():
        generator = np.random.Generator(np.random.PCG64(seed))
        return _percentiles(
            generator.multinomial(len(numbers), counts / len(numbers), DRAWS) @ different / len(numbers)
        )
    return bootstrap_of(lambda picks: float(numbers[picks].mean()), len(numbers), seed=seed)


def bootstrap_of(statistic: Callable[[np.ndarray], float], items: int, *, seed: int = 0) -> Interval:
    """Percentile interval of any statistic of the items.

    Args:
        statistic: from the numbers of the items picked (with repetition) to a number.
        items: how many there are.

    Raises:
        ValueError: there are no items.
    """
    return bootstraps_of(lambda picks: [statistic(picks)], items, seed=seed)[0]


def bootstraps_of(statistics: Callable[[np.ndarray], Sequence[float]], items: int, *, seed: int = 0) -> list[Interval]:
    """Percentile interval of each of several statistics of the items, all over the same resamples.

    Args:
        statistics: from the numbers of the items picked (with repetition) to numbers.
        items: how many there are.

    Raises:
        ValueError: there are no items.
    """
    return [_percentiles(draws) for draws in _resampled(statistics, items, seed).T]


def paired_bootstrap(one: Sequence[float], other: Sequence[float], *, seed: int = 0) -> Difference:
    """Mean of one - other over the same items, with percentile interval; p = share of resamples across 0, twice.

    Raises:
        ValueError: not the same number of items, or an item that is no number.
    """
    gaps = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
    if np.isnan(gaps).any():
        raise ValueError("an item is no number (NaN); leave out such items of both")
    means = _resampled(lambda picks: float(gaps[picks].mean()), len(gaps), seed)
    across = min(float((means <= 0).mean()), float((means >= 0).mean()))
    return Difference(float(gaps.mean()), _percentiles(means), min(1.0, 2 * max(across, 1 / DRAWS)))


def ratio_of_sums(over: Sequence[float], under: Sequence[float], *, seed: int = 0) -> tuple[float, Interval | None]:
    """sum(over) / sum(under) with a percentile interval over the items that both are of; NaN and None for 0 / 0.

    Resamples in which the lower sum is 0 say nothing and are left out.

    Raises:
        ValueError: not the same number of items.
    """
    pairs = np.array(list(zip(over, under, strict=True)), dtype=float).reshape(-1, 2)
    total = pairs.sum(0)
    if total[1] == 0:
        return math.nan, None
    sums = _resampled_sums(pairs, seed)
    sums = sums[sums[:, 1] != 0]
    return float(total[0] / total[1]), _percentiles(sums[:, 0] / sums[:, 1])


def jackknife(statistic: Callable[[list[int]], float], items: int) -> Interval | None:
    """Normal interval from leaving out one item at a time (Tukey 1958); None for fewer than two items.

    For counts of different things, where a bootstrap is biased because resamples repeat items. Its variance is at
    least the true one in expectation, so the interval errs on the wide side (Efron and Stein 1981).

    Args:
        statistic: from the numbers of the items kept to a number.
    """
    if items < 2:
        return None
    everything = list(range(items))
    without = np.array([statistic(everything[:i] + everything[i + 1 :]) for i in everything])
    half = float(stats.norm.ppf((1 + LEVEL) / 2) * math.sqrt((items - 1) * without.var()))
    value = statistic(everything)
    return Interval(value - half, value + half)


def mcnemar(one_right: Sequence[bool], other_right: Sequence[bool]) -> float:
    """Exact two-sided p of McNemar's test (1947): among items that only one system gets right, is it a fair coin?

    Raises:
        ValueError: not the same number of items.
    """
    pairs = list(zip(one_right, other_right, strict=True))
    only_one = sum(a and not b for a, b in pairs)
    only_other = sum(b and not a for a, b in pairs)
    discordant = only_one + only_other
    return float(stats.binomtest(only_one, discordant).pvalue) if discordant else 1.0


def t_interval(values: Sequence[float]) -> Interval | None:
    """Interval of the mean over seeds (Student's t); None for fewer than two."""
    if len(values) < 2:
        return None
    numbers = np.asarray(values, dtype=float)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(numbers) - 1) * numbers.std(ddof=1) / math.sqrt(len(numbers)))
    return Interval(float(numbers.mean()) - half, float(numbers.mean()) + half)


def paired_t(one: Sequence[float], other: Sequence[float]) -> Difference | None:
    """Mean of one - other over seeds, with t interval and paired t-test; None for fewer than two seeds.

    Raises:
        ValueError: not the same number of seeds.
    """
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    interval = t_interval(gaps)
    if interval is None:
        return None
    if min(gaps) == max(gaps):  # the test divides by their spread
        return Difference(gaps[0], interval, 1.0 if gaps[0] == 0 else 0.0)
    return Difference(float(np.mean(gaps)), interval, float(stats.ttest_1samp(gaps, 0.0).pvalue))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Each comparison's p corrected for being one of several (Holm 1979), in the given order.

    Raises:
        ValueError: a p value that is no number.
    """
    if missing := [name for name, p in p_values.items() if math.isnan(p)]:
        raise ValueError(f"{missing[0]} has no p value, so it cannot be one of the comparisons")
    ranked = sorted(p_values, key=lambda name: p_values[name])
    corrected: dict[str, float] = {}
    floor = 0.0
    for rank, name in enumerate(ranked):
        floor = max(floor, min(1.0, (len(ranked) - rank) * p_values[name]))
        corrected[name] = floor
    return {name: corrected[name] for name in p_values}


def _resampled(
    statistic: Callable[[np.ndarray], float] | Callable[[np.ndarray], Sequence[float]], items: int, seed: int
) -> np.ndarray:
    """(DRAWS,) or (DRAWS, numbers): the statistic of each resample."""
    if items < 1:
        raise ValueError("an interval needs at least one item")
    generator = np.random.Generator(np.random.PCG64(seed))
    return np.array([statistic(generator.integers(0, items, items)) for _ in range(DRAWS)])


def _resampled_sums(rows: np.ndarray, seed: int) -> np.ndarray:
    """(DRAWS, columns): column sums of resampled rows."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return np.array([rows[generator.integers(0, len(rows), len(rows))].sum(0) for _ in range(DRAWS)])


def _percentiles(draws: np.ndarray) -> Interval:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
