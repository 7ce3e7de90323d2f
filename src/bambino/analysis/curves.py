"""Learning curves: the evaluations that a run left in its directory, over steps and over words heard. Reads files only.

Words heard are those of the text that exposure (clm) went through up to an evaluation (`RunRecord.words_heard`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bambino.errors import CurveError
from bambino.recipe.metrics import direction_of
from bambino.runs.record import read_run

PREFIX = "eval/"


@dataclass(frozen=True)
class Curve:
    """One measure along a run, at each of its evaluations."""

    name: str
    """As in metrics.jsonl without `eval/`: `bits_per_byte/it`, `pairs/blimp`."""
    steps: tuple[int, ...]
    """Steps done, rising; the first is usually 0, before the run."""
    words: tuple[float, ...]
    """L2 words heard up to then."""
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.steps) == len(self.words) == len(self.values):
            raise CurveError(
                f"{self.name}: {len(self.steps)} steps, {len(self.words)} words, {len(self.values)} values."
            )
        if not self.steps:
            raise CurveError(f"{self.name} has no evaluation.")

    @property
    def sign(self) -> int:
        """1 when higher is better, -1 when lower is."""
        return direction(self.name)

    @property
    def goodness(self) -> tuple[float, ...]:
        """The values, with their sign turned where lower is better."""
        return tuple(self.sign * value for value in self.values)

    @property
    def unit(self) -> str:
        return unit_of(self.name)


@dataclass(frozen=True)
class Reached:
    """When a level was first reached, linearly interpolated between two evaluations."""

    step: float
    words: float


def direction(name: str) -> int:
    """1 when higher is better (pairs, tasks), -1 when lower is (bits per byte, log-perplexity).

    Raises:
        CurveError: a measure of which more is neither better nor worse.
    """
    found = direction_of(name)
    if found is None:
        raise CurveError(
            f"{name} has no better direction. Use bits_per_byte/..., pairs/..., tasks/... or speech/log_perplexity/..."
        )
    return found


def unit_of(name: str) -> str:
    """What a measure with a better direction is counted in."""
    if name.startswith("bits_per_byte/"):
        return "bits per byte"
    return "share" if name.startswith(("pairs/", "tasks/")) else "nats per parent token"


def read_curves(run_dir: str | Path) -> dict[str, Curve]:
    """All measures of a run's evaluation rows, by name; evaluations without a number for a measure are left out of it.

    Raises:
        CurveError: there is no evaluation.
        RunDirectoryError: no metrics.jsonl or data.json there, a line that is no JSON object.
    """
    run = read_run(run_dir)
    ordered = [{**row, "words": run.words_heard(row["step"])} for row in run.evaluations]
    if not ordered:
        raise CurveError(f"{run.path / 'metrics.jsonl'} has no evaluation. Train with evaluation.eval_steps.")
    return curves_of(ordered)


def curves_of(rows: Sequence[dict[str, Any]]) -> dict[str, Curve]:
    """All measures of evaluation rows, by name.

    Args:
        rows: by rising steps, each with the L2 words heard until then (`words`).
    """
    names = dict.fromkeys(key for row in rows for key in row if key.startswith(PREFIX))
    return {name.removeprefix(PREFIX): curve for name in names if (curve := _curve(name, rows)) is not None}


def curve_of(curves: dict[str, Curve], name: str) -> Curve:
    """One of the curves.

    Raises:
        CurveError: it is not among them.
    """
    if name not in curves:
        raise CurveError(f"The run has no measure {name!r}. It has: {', '.join(sorted(curves))}.")
    return curves[name]


def check_pair(l1: Curve, l2: Curve) -> None:
    """Whether two curves can stand for L1 and L2 of one run.

    Raises:
        CurveError: they are not of the same steps, fewer than two, or do not begin at step 0.
    """
    if l1.steps != l2.steps:
        raise CurveError(f"{l1.name} and {l2.name} were not measured at the same steps.")
    if len(l1.steps) < 2 or l1.steps[0] != 0:
        raise CurveError(
            f"{l1.name} was measured at steps {', '.join(map(str, l1.steps))}. Forgetting needs an evaluation at "
            "step 0, before L2, and a later one: train with evaluation.eval_steps."
        )


def reach(curve: Curve, level: float) -> Reached | None:
    """When the curve first reaches the level, from whichever side is worse; None when it never does.

    Between evaluations it is taken to be straight; a level held at the first evaluation was reached there.
    """
    wanted = curve.sign * level
    for i, value in enumerate(curve.goodness):
        if value >= wanted:
            return Reached(curve.steps[0], curve.words[0]) if i == 0 else _between(curve, i, wanted)
    return None


def interpolated(places: Sequence[float], i: int, part: float) -> float:
    """The point `part` of the way from entry i - 1 to entry i."""
    return places[i - 1] + part * (places[i] - places[i - 1])


def part_of_way(goodness: Sequence[float], i: int, wanted: float) -> float:
    """How far between entries i - 1 (below) and i (at or above) the wanted value lies."""
    return (wanted - goodness[i - 1]) / (goodness[i] - goodness[i - 1])


def _between(curve: Curve, i: int, wanted: float) -> Reached:
    part = part_of_way(curve.goodness, i, wanted)
    return Reached(interpolated(curve.steps, i, part), interpolated(curve.words, i, part))


def _curve(key: str, rows: Sequence[dict[str, Any]]) -> Curve | None:
    kept = [row for row in rows if isinstance(row.get(key), (int, float)) and math.isfinite(row[key])]
    if not kept:
        return None
    steps, words, values = (tuple(row[name] for row in kept) for name in ("step", "words", key))
    return Curve(key.removeprefix(PREFIX), steps, words, values)
