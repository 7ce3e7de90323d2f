"""Learning curves: the evaluations that a run left in its directory, over steps and over words heard. Reads files only.

Words heard are those of the text that exposure (clm) went through up to an evaluation: clm tokens times the corpus's
words per token, both from the run directory; lines cut at text.max_length make it a little too many.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bambino.errors import CurveError

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
        if self.name.startswith("bits_per_byte/"):
            return "bits per byte"
        return "share" if self.name.startswith(("pairs/", "tasks/")) else "nats per parent token"


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
    if name.startswith(("pairs/", "tasks/")):
        return 1
    if name.startswith("bits_per_byte/") or name.endswith("log_perplexity"):
        return -1
    raise CurveError(
        f"{name} has no better direction. Use bits_per_byte/..., pairs/..., tasks/... or a log_perplexity."
    )


def read_curves(run_dir: str | Path) -> dict[str, Curve]:
    """All measures of a run's evaluation rows, by name; evaluations without a number for a measure are left out of it.

    Raises:
        CurveError: no metrics.jsonl or data.json there, a line that is no JSON object, no evaluation.
    """
    path = Path(run_dir).expanduser() / "metrics.jsonl"
    heard = words_heard(run_dir)
    evaluations = {
        row["step"]: {**row, "words": heard(row["step"])} for row in _rows(path) if row["kind"] == "evaluation"
    }
    if not evaluations:
        raise CurveError(f"{path} has no evaluation. Train with evaluation.eval_steps.")
    ordered = [evaluations[step] for step in sorted(evaluations)]
    names = dict.fromkeys(key for row in ordered for key in row if key.startswith(PREFIX))
    return {name.removeprefix(PREFIX): curve for name in names if (curve := _curve(name, ordered)) is not None}


def words_heard(run_dir: str | Path) -> Callable[[int], float]:
    """From a number of steps done to the L2 words that a run had heard by then.

    Raises:
        CurveError: as `read_curves`.
    """
    path = Path(run_dir).expanduser() / "metrics.jsonl"
    tokens = {row["step"]: float(row.get("total/clm_tokens") or 0.0) for row in _rows(path) if row["kind"] == "step"}
    words_per_token = _words_per_token(path.with_name("data.json"))
    steps = sorted(tokens)

    def words(step: int) -> float:
        before = bisect_right(steps, step)
        return words_per_token * tokens[steps[before - 1]] if before else 0.0

    return words


def steps_done(run_dir: str | Path) -> int:
    """How many steps a run has done.

    Raises:
        CurveError: as `read_curves`.
    """
    return max((row["step"] for row in _rows(Path(run_dir).expanduser() / "metrics.jsonl")), default=0)


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


def _curve(key: str, rows: list[dict[str, Any]]) -> Curve | None:
    kept = [row for row in rows if isinstance(row.get(key), (int, float)) and math.isfinite(row[key])]
    if not kept:
        return None
    steps, words, values = (tuple(row[name] for row in kept) for name in ("step", "words", key))
    return Curve(key.removeprefix(PREFIX), steps, words, values)


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise CurveError(f"There is no {path}. Give the output_dir of a run.")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row["kind"], row["step"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise CurveError(f"{path}, line {number}: {type(error).__name__}: {error}. Is it a bambino log?") from None
        rows.append(row)
    return rows


def _words_per_token(path: Path) -> float:
    """Of the text that exposure reads; NaN when the run has none."""
    try:
        sources = json.loads(path.read_text(encoding="utf-8"))["clm"]
        words, tokens = (sum(source[name] for source in sources) for name in ("words", "tokens"))
    except FileNotFoundError:
        raise CurveError(f"There is no {path}. Give the output_dir of a run.") from None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise CurveError(f"{path}: {type(error).__name__}: {error}. Is it a bambino data manifest?") from None
    return words / tokens if tokens else math.nan
