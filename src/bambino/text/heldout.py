"""The held-out rule, the same for everyone, and even choices among items."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, TypeVar

from bambino.text.unicode import composed

T = TypeVar("T")
Split = Literal["all", "dev", "test"]


def spread(items: Sequence[T], at_most: int) -> list[T]:
    """At most so many of the items, evenly spaced, in order."""
    if len(items) <= at_most:
        return list(items)
    return [items[i * len(items) // at_most] for i in range(at_most)]


def is_heldout(line: str, every: int) -> bool:
    """The held-out rule: the sha256 of the stripped line is 0 modulo `every`. The same for everyone.

    Of a line in another Unicode form than NFC, that of the line in NFC: so twins are held out together.
    """
    return int(hashlib.sha256(composed(line.strip()).encode("utf-8")).hexdigest(), 16) % every == 0


def in_split(line: str, split: Split) -> bool:
    """Halves held-out lines by a second hash: sha256 of "split:" + line, even dev, odd test."""
    if split == "all":
        return True
    digest = hashlib.sha256(("split:" + composed(line.strip())).encode("utf-8")).digest()
    return digest[-1] % 2 == (0 if split == "dev" else 1)
