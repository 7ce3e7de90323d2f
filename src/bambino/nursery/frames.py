"""What describes a phenomenon: the shape of its meanings, and how the doublets of its minimal pairs are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Path_ = tuple[str, ...]
"""The names of parts that lead from a meaning to one inside it."""


@dataclass(frozen=True)
class Shape:
    """What a meaning must look like: constructions allowed at the top, shapes of some parts; the rest is free."""

    names: tuple[str, ...]
    parts: Mapping[str, Shape] = field(default_factory=dict)
    evenly: bool = False
    """Draw the names with equal chances instead of the world's."""


def shape(names: str, evenly: bool = False, **parts: Shape | str) -> Shape:
    """`shape("the a", ...)`: one of these constructions, with parts of these shapes."""
    made = {part: one if isinstance(one, Shape) else shape(one) for part, one in parts.items()}
    return Shape(tuple(names.split()), made, evenly)


@dataclass(frozen=True)
class Frame:
    """How the doublets of a phenomenon are made."""

    shape: Shape
    at: Path_
    """The construction that makes the mistake ..."""
    target: str
    """... in telling this part or table ..."""
    feature: str
    """... this feature (empty: everything it is told, from `tells`)."""
    twin: str
    """How the twin differs: `number`, `gender`, `class`, `case`, `onset`, `elision`, `person`, `form` (see `_twin`)."""
    twin_at: Path_
    """The number, noun, pronoun or (`case`) governing word that differs."""
    unheard: Path_
    """The construction that must hold two words apart."""
    attractor: Path_ | None = None
    """A noun phrase between subject and verb, whose number matches or does not."""
