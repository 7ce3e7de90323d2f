"""Settings that change over training: a child hears short sentences before long ones, and is understood before it is
corrected.

A setting that may change is a number, or a mapping of shares of the run to numbers, {0: 4, 0.5: 8}: linear in between,
as the first number before the first share, as the last after the last. Between whole numbers it is rounded down. A
value is a pure function of the share of steps done (`Place.progress`), so resuming needs no state.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, overload

from pydantic import Field

from bambino.recipe.checks import AtLeastOne, NotNegative, Positive, Share

AtLeastOneOverTraining = AtLeastOne | Annotated[dict[Share, AtLeastOne], Field(min_length=1)]
PositiveOverTraining = Positive | Annotated[dict[Share, Positive], Field(min_length=1)]
NotNegativeOverTraining = Positive | Annotated[dict[Share, NotNegative], Field(min_length=1)]
"""Positive; over training it may be 0 for a while."""
NumberOverTraining = float | Annotated[dict[Share, float], Field(min_length=1)]


@overload
def at(setting: int | Mapping[float, int], progress: float) -> int: ...
@overload
def at(setting: float | Mapping[float, float], progress: float) -> float: ...
def at(setting: float | Mapping[float, float], progress: float) -> float:
    """The setting's value when a share `progress` of the run is done."""
    if not isinstance(setting, Mapping):
        return setting
    shares = sorted(setting)
    after = bisect_right(shares, progress)
    if after in (0, len(shares)):
        return setting[shares[max(0, after - 1)]]
    begin, end = shares[after - 1], shares[after]
    value = setting[begin] + (setting[end] - setting[begin]) * (progress - begin) / (end - begin)
    is_whole = all(isinstance(number, int) for number in setting.values())
    return math.floor(value + 1e-9) if is_whole else value


@overload
def largest(setting: int | Mapping[float, int]) -> int: ...
@overload
def largest(setting: float | Mapping[float, float]) -> float: ...
def largest(setting: float | Mapping[float, float]) -> float:
    """The largest value that it ever has."""
    return max(setting.values()) if isinstance(setting, Mapping) else setting


def mean(setting: float | Mapping[float, float]) -> float:
    """The mean of a setting that need not be whole over all of training."""
    if not isinstance(setting, Mapping):
        return setting
    knots = sorted({0.0, 1.0, *setting})
    return sum((end - begin) * (at(setting, begin) + at(setting, end)) / 2 for begin, end in pairwise(knots))
