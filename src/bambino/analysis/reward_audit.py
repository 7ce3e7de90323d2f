"""What a reward likes, before anything learns from it: the numbers of `bambino audit`, from rewards alone.

A reward can be wrong in ways that its formula does not show: it prefers what is short, what repeats itself, or nothing
at all. Each number here is a question about texts of known quality, or about what the baby really says.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import stats

from bambino.analysis.statistics import bootstrap, bootstrap_of
from bambino.files import finite, write_json
from bambino.measures import Interval

BINS = 100
"""Bins of the rewards' range over which entropy is counted: 0.01 of it each."""
Preference = tuple[str, str]
"""Names of texts, the better ones first."""


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval over items."""

    value: float
    interval: Interval
    items: int


@dataclass(frozen=True)
class KindAudit:
    """What one kind of feedback made of everything."""

    name: str
    pairs: dict[str, Measured]
    """Pairs file -> share of minimal pairs whose grammatical member earns more, ties one half; chance 0.5."""
    preferences: dict[Preference, Measured]
    """(better, worse) -> AUC: share of all (better text, worse text) of which the better earns more; chance 0.5."""
    bytes_correlation: float
    """Spearman's rank correlation of the reward with the bytes of the baby's utterances; NaN where it does not vary."""
    words_correlation: float
    """The same with their whitespace-separated words."""
    corruption: dict[str, dict[float, float]]
    """How texts were corrupted -> share of words corrupted -> mean reward."""
    entropy: float
    """Of the rewards of the baby's utterances, in bits: at most log2(100) = 6.6; 0 where all are alike."""
    distinct: float
    """Share of the baby's utterances with a reward that no earlier one has."""
    spread: float
    """Standard deviation of the rewards of the baby's utterances."""
    batch_spread: float
    """The same within a batch, mean over batches."""
    dead_batches: float
    """Share of batches in which all rewards are alike."""

    def falls(self, how: str) -> bool:
        """Whether the mean reward falls with every further share of words corrupted."""
        means = [mean for _, mean in sorted(self.corruption[how].items())]
        return all(more > less for more, less in pairwise(means))

    def lost(self, how: str) -> dict[float, float]:
        """Share of words corrupted -> change of the mean reward, in standard deviations of the baby's utterances; 0
        where these do not vary.
        """
        whole = self.corruption[how][0.0]
        unit = self.spread or math.inf
        return {share: (mean - whole) / unit for share, mean in sorted(self.corruption[how].items())}


def accuracy(good: Sequence[float], bad: Sequence[float]) -> Measured:
    """Share of pairs whose first member earns more, ties one half."""
    points = np.sign(np.asarray(good) - np.asarray(bad)) / 2 + 0.5
    return Measured(float(points.mean()), bootstrap(points.tolist()), len(points))


def auc(better: Sequence[float], worse: Sequence[float]) -> Measured:
    """Area under the ROC curve: P(a better text earns more than a worse one), ties one half (Mann and Whitney 1947).

    The interval resamples the texts that the two have in common: item i of both goes with one prompt.
    """
    one, other = np.asarray(better, dtype=float), np.asarray(worse, dtype=float)
    if len(one) != len(other):
        raise ValueError(f"{len(one)} better texts for {len(other)} worse ones; give as many of each.")

    def area(picks: np.ndarray) -> float:
        ranks = stats.rankdata(np.concatenate([one[picks], other[picks]]))
        count = len(picks)
        return float((ranks[:count].sum() - count * (count + 1) / 2) / count**2)

    return Measured(area(np.arange(len(one))), bootstrap_of(area, len(one)), len(one))


def preferences(rewards: Mapping[str, Sequence[float]]) -> dict[Preference, Measured]:
    """AUCs of texts that are named from best to worst: the best against each, and each against the next."""
    names = list(rewards)
    wanted = [(names[0], name) for name in names[1:]] + list(pairwise(names[1:]))
    return {(one, other): auc(rewards[one], rewards[other]) for one, other in wanted}


def rank_correlation(rewards: Sequence[float], lengths: Sequence[float]) -> float:
    """Spearman's rho; NaN where one of them does not vary."""
    if len(set(rewards)) < 2 or len(set(lengths)) < 2:
        return math.nan
    return float(stats.spearmanr(rewards, lengths).statistic)


def entropy(rewards: Sequence[float]) -> float:
    """Bits: of the shares of rewards in each hundredth of their range."""
    low, high = min(rewards), max(rewards)
    if low == high:
        return 0.0
    bins = Counter(min(BINS - 1, int(BINS * (reward - low) / (high - low))) for reward in rewards)
    shares = [count / len(rewards) for count in bins.values()]
    return -sum(share * math.log2(share) for share in shares)


def distinct(rewards: Sequence[float]) -> float:
    """Different values over values."""
    return len(set(rewards)) / len(rewards)


def batch_spread(rewards: Sequence[float], batch_size: int) -> float:
    """Mean over batches of the standard deviation within a batch."""
    return float(np.mean([np.std(batch) for batch in batches(rewards, batch_size)]))


def dead_share(rewards: Sequence[float], batch_size: int, is_dead: Callable[[Sequence[float]], bool]) -> float:
    """Share of batches whose rewards are all alike."""
    return float(np.mean([is_dead(batch) for batch in batches(rewards, batch_size)]))


def batches(rewards: Sequence[float], batch_size: int) -> list[Sequence[float]]:
    """The rewards batch by batch, in order."""
    return [rewards[first : first + batch_size] for first in range(0, len(rewards), batch_size)]


def save_audits(audits: Sequence[KindAudit], path: Path) -> None:
    """All numbers as JSON, kind by kind; what is no number is null."""
    content = {}
    for one in audits:
        found = asdict(one)
        found["preferences"] = {f"{better} over {worse}": m for (better, worse), m in found["preferences"].items()}
        found["falls"] = {how: one.falls(how) for how in one.corruption}
        content[found.pop("name")] = finite(found)
    write_json(path, content)
