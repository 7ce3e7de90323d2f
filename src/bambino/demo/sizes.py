"""Which of the three sizes suits this machine, and how long it will take, said before anything begins.

Results depend on the size's name, not on the machine: the machine only proposes a name.
"""

from __future__ import annotations

from dataclasses import dataclass

from bambino.experiments.nursery.designs import SIZES

PATIENCE = 4.5
"""Minutes that a demo of a proposed size may take."""


START = 0.25
"""Minutes that pass before the first step: processes, imports, the sentences that models are evaluated on."""


@dataclass(frozen=True)
class Work:
    """Minutes of two CPU cores that reach 150 GFLOP/s together (`matrix_rate`)."""

    bases: float
    """Training both base models."""
    conditions: float
    """Running all conditions, with one seed."""


REFERENCE_RATE = 150.0
"""GFLOP/s of two cores, what `Work` is given for."""


WORK = {"small": Work(0.55, 1.1), "medium": Work(2.0, 2.1), "large": Work(2.8, 5.0)}
"""Medium's base models as measured (81 s for 900 steps at 187 GFLOP/s); its conditions by the FLOPs of `best`, which
takes longest, beside a base model's (3.50 and 3.26 TFLOP), and a fifth for the parent's speaking and the evaluations;
the others by their steps and cycles."""


def expected_minutes(size: str, rate: float, seeds: int = 1, *, has_bases: bool = False) -> float:
    """How long a demo of a size takes at a rate in GFLOP/s; without training base models where they are there."""
    work = WORK[size]
    return START + ((0.0 if has_bases else work.bases) + seeds * work.conditions) * REFERENCE_RATE / rate


def proposed_size(rate: float) -> str:
    """The largest size that is done within PATIENCE from scratch, with one seed; small where none is."""
    fitting = [size for size in SIZES if expected_minutes(size, rate) <= PATIENCE]
    return fitting[-1] if fitting else next(iter(SIZES))


def expectation(size: str, rate: float, seeds: int, *, has_bases: bool) -> str:
    """In words: what this machine can do, which size is run, how long it takes."""
    minutes = expected_minutes(size, rate, seeds, has_bases=has_bases)
    about = "less than a minute" if minutes < 0.75 else f"about {minutes:.0f} minute{'s' * (round(minutes) != 1)}"
    return f"This machine reaches {rate:.0f} GFLOP/s on two cores: size {size}, {about}."
