"""The held-out rule, the same for everyone, and even choices among items."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

from bambino.text.unicode import composed

Split = Literal["all", "dev", "test"]


def heldout_of(lines: Iterable[str], heldout_every: int | None, split: Split = "all") -> list[str]:
    """The held-out ones of some lines (all when heldout_every is None), of one half or both."""
    return [
        line for line in lines if (heldout_every is None or is_heldout(line, heldout_every)) and in_split(line, split)
    ]


def spread(items: list[Any], at_most: int) -> list[Any]:
    """At most so many of the items, evenly spaced, in order."""
    if len(items) <= at_most:
        return items
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
