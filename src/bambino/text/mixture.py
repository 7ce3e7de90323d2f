"""Sources whose weights change over a run -> which line is heard when.

A weight says how often each line of a source is heard while all lines of weight 1 are heard once. So when a share p of
a run is done, source s has the share w_s(p) n_s / sum of w(p) n of what is heard, n being its lines. Row r of all asks
for the source in whose part of the shares, laid end to end, the fractional part of r times the golden ratio lies: every
stretch of rows holds each source by its share, within a few lines (a Kronecker sequence; Niederreiter 1992, chapter 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bambino.randomness import permutation
from bambino.recipe import curricula

Weight = float | Mapping[float, float]
"""A weight, or its values over training."""
GOLDEN = (5**0.5 - 1) / 2


def changes(weights: Sequence[Weight]) -> bool:
    """Whether some weight is another later on."""
    return any(isinstance(weight, Mapping) for weight in weights)


def mean_weights(weights: Sequence[Weight]) -> list[float]:
    """The mean of each weight over the run."""
    return [curricula.mean(weight) for weight in weights]


def mixed_order(
    source_of: np.ndarray, weights: Sequence[Weight], lines: int, seed: int, name: str, epoch: int
) -> np.ndarray:
    """The line numbers of a run of so many lines; of each source all lines are heard before one is heard again.

    Epoch 0 is the run; in later ones, which a run of packed rows may reach, weights stay as they are at its end.
    """
    rows = np.arange(epoch * lines, (epoch + 1) * lines)
    counts = np.bincount(source_of, minlength=len(weights))
    bounds = np.cumsum(_shares(counts, weights, np.minimum(1.0, rows / lines)), axis=0)
    source = np.zeros(lines, dtype=np.int64)
    for bound in bounds[:-1]:
        source += rows * GOLDEN % 1 >= bound
    order = np.empty(lines, dtype=np.int64)
    for s in range(len(weights)):
        mine, places = np.flatnonzero(source_of == s), np.flatnonzero(source == s)
        passes = range(-(-len(places) // len(mine)))
        stream = f"{name}/mixture/{epoch}/{s}"
        heard = [mine[permutation(len(mine), seed, stream, nth)] for nth in passes]
        order[places] = np.concatenate([*heard, mine[:0]])[: len(places)]
    return order


def lines_for(tokens: int, lengths: np.ndarray, source_of: np.ndarray, weights: Sequence[Weight]) -> int:
    """About how many lines of a mixture hold so many tokens.

    Args:
        lengths: tokens of each line.
    """
    counts = np.bincount(source_of, minlength=len(weights))
    means = np.bincount(source_of, lengths, minlength=len(weights)) / counts
    lengths_over_training = means @ _shares(counts, weights, np.linspace(0, 1, 1001))
    return int(np.ceil(tokens * np.mean(1 / lengths_over_training)))


def _shares(counts: np.ndarray, weights: Sequence[Weight], progress: np.ndarray) -> np.ndarray:
    """(sources, places): the share of each source when so much of the run is done."""
    curves = [dict(weight) if isinstance(weight, Mapping) else {0.0: weight} for weight in weights]
    heights = [np.interp(progress, sorted(curve), [curve[at] for at in sorted(curve)]) for curve in curves]
    parts = np.array(heights) * counts[:, None]
    shares: np.ndarray = parts / parts.sum(0)
    return shares
