"""Models between a first and a last one: what each gains of L2 and loses of L1. Reads no model."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bambino.analysis.curves import direction
from bambino.analysis.trade_offs import front
from bambino.errors import ResultsError, shortened
from bambino.files import json_of, write_json

FILE = "interpolation.json"


@dataclass(frozen=True)
class Blend:
    """A model between the first and the last."""

    share: float
    """How much of the way to the last one: 0 is the first, 1 the last."""
    scores: dict[str, float]
    """Main score of each measure, by its name (`bits_per_byte/it`)."""
    l2_gain: float
    """How much better L2 is than the first model's, in its measure's unit."""
    l1_loss: float
    """How much worse L1 is than the first model's."""


@dataclass(frozen=True)
class Sweep:
    """Models between a first and a last one, by rising share."""

    first: str
    last: str
    l1: str
    """The measure that stands for L1, such as `bits_per_byte/en`."""
    l2: str
    measured: dict[str, Any]
    """Measure -> what its scores depend on: lines, split, sha256 of the data."""
    blends: tuple[Blend, ...]
    run: str = ""
    """Name of the run that the last one comes from, if it does."""
    seed: int | None = None
    """Its seed."""

    @property
    def on_front(self) -> list[float]:
        """Shares of the blends that no other one beats in both languages, by rising gain."""
        return [self.blends[i].share for i in front([(blend.l2_gain, blend.l1_loss) for blend in self.blends])]

    def save(self, folder: Path) -> Path:
        """Write interpolation.json; gives its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE
        write_json(path, {**asdict(self), "on_front": self.on_front})
        return path


def swept(
    scores: dict[float, dict[str, float]],
    *,
    first: str,
    last: str,
    l1: str,
    l2: str,
    measured: dict[str, Any],
    run: str = "",
    seed: int | None = None,
) -> Sweep:
    """The sweep that these scores make, by share; share 0 must be among them, and both measures.

    Raises:
        CurveError: a measure of which more is neither better nor worse.
    """
    l1_sign, l2_sign, start = direction(l1), direction(l2), scores[0.0]
    blends = (
        Blend(share, found, l2_sign * found[l2] - l2_sign * start[l2], l1_sign * start[l1] - l1_sign * found[l1])
        for share, found in sorted(scores.items())
    )
    return Sweep(first, last, l1, l2, measured, tuple(blends), run, seed)


def load_sweep(path: str | Path) -> Sweep:
    """Read interpolation.json, or the one in a folder.

    Raises:
        ResultsError: it is not there, or is something else.
    """
    file = Path(path).expanduser()
    file = file / FILE if os.path.isdir(file) else file
    try:
        content = json_of(file.read_bytes())
        del content["on_front"]
        return Sweep(**{**content, "blends": tuple(Blend(**blend) for blend in content["blends"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(
            f"{file} is no result of bambino interpolate: {type(error).__name__}: {shortened(error)}"
        ) from None
