"""Lines on disk in place of a list of strings: their text end to end, and what is asked of all of them at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar, overload

import numpy as np
from tqdm import tqdm

from bambino.text.stored import Columns, Stored
from bambino.text.words import count_words

BLOCK = 10_000
"""Lines that are in memory at a time."""
TYPES = {"text": "u1", "ends": "<i8", "words": "<i4", "hashes": "<u8", "sources": "<i4", "numbers": "<f8"}

Kept = tuple[str, int, float]
"""A line, the index of its source, and its number (NaN: it has none)."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class StoredLines(Sequence[str]):
    """Lines that lie on disk, or some of them."""

    stored: Stored
    chosen: np.ndarray | None = None
    """Which of the lines these are; None: all."""

    def __len__(self) -> int:
        return len(self.stored.arrays["words"]) if self.chosen is None else len(self.chosen)

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> list[str]: ...
    def __getitem__(self, i: int | slice) -> str | list[str]:
        places = range(len(self))[i]
        return self._line(places) if isinstance(places, int) else list(map(self._line, places))

    def take(self, chosen: np.ndarray) -> StoredLines:
        """Those of the lines at some places."""
        return StoredLines(self.stored, chosen if self.chosen is None else self.chosen[chosen])

    def column(self, name: str) -> np.ndarray:
        """A number of each line: words, hashes, sources or numbers."""
        numbers = self.stored.arrays[name]
        return numbers if self.chosen is None else numbers[self.chosen]

    @property
    def sizes(self) -> np.ndarray:
        """UTF-8 bytes of each line."""
        every = np.diff(self.stored.arrays["ends"], prepend=0)
        return every if self.chosen is None else every[self.chosen]

    @property
    def digest(self) -> str:
        """Of what these lines are."""
        rest = "" if self.chosen is None else hashlib.sha256(self.chosen.astype("<i8").tobytes()).hexdigest()
        return self.stored.key + rest

    def _line(self, place: int) -> str:
        i = place if self.chosen is None else int(self.chosen[place])
        text, ends = self.stored.arrays["text"], self.stored.arrays["ends"]
        return text[ends[i - 1] if i else 0 : ends[i]].tobytes().decode()


def write_lines(columns: Columns, kept: Iterable[Kept]) -> None:
    """Fill the columns of `TYPES`."""
    end = 0
    for block in shown(blocks_of(kept, BLOCK), "Reading"):
        lines, sources, numbers = zip(*block, strict=True)
        texts = [line.encode() for line in lines]
        ends = end + np.cumsum(list(map(len, texts)))
        end = int(ends[-1])
        columns.append(
            {
                "text": np.frombuffer(b"".join(texts), np.uint8),
                "ends": ends,
                "words": np.array(list(map(count_words, lines))),
                "hashes": np.array(list(map(_hash, texts)), dtype=np.uint64),
                "sources": np.array(sources),
                "numbers": np.array(numbers),
            }
        )


def blocks_of(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, so many at a time."""
    each = iter(items)
    while block := list(islice(each, size)):
        yield block


def shown(blocks: Iterable[list[T]], doing: str, total: int | None = None) -> Iterator[list[T]]:
    """The blocks, while a terminal shows how many of `total` lines have been passed on."""
    with tqdm(desc=doing, total=total, unit=" lines", unit_scale=True, disable=None) as bar:
        for block in blocks:
            yield block
            bar.update(len(block))


def _hash(text: bytes) -> int:
    """Eight bytes by which different lines are told apart: of 10 million, two share them once in 400 000 corpora."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
