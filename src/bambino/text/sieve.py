"""Which texts are used, as which lines, and why others are not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bambino.text.heldout import is_heldout
from bambino.text.reading import Item
from bambino.text.unicode import composed

if TYPE_CHECKING:
    from bambino.text.lines import SourceReport

LineBreaks = Literal["spaces", "ends"]
LONGEST = 1_000_000
"""Characters of the longest line. A longer one is a whole file without line ends, and takes minutes to tokenize."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def as_line(text: str) -> str:
    """A text in memory as a line: newlines become spaces."""
    return " ".join(text.split("\n")).strip()


def is_broken(text: str) -> bool:
    """Whether a text holds NUL or half a character, as files of another encoding do."""
    return "\0" in text or _LONE_SURROGATE.search(text) is not None


@dataclass(frozen=True)
class Sieve:
    """Which lines of a text are used, and in which form."""

    min_chars: int = 0
    """Shorter lines are dropped."""
    heldout_every: int | None = None
    """Held-out lines are dropped; None: none are."""
    normalization: str | None = "NFC"
    """The Unicode form of all lines; None: as they are written."""
    is_of_heldout: bool = False
    """Whether it is held-out lines that are used, and no others."""
    line_breaks: LineBreaks = "spaces"
    """What they are inside a text."""

    def lines(self, items: Iterable[Item], report: SourceReport) -> Iterator[tuple[str, float]]:
        """The texts as lines with their numbers, without those that cannot be used, which the report counts."""
        for text, number in items:
            pieces = [text] if text is None or self.line_breaks == "spaces" else text.split("\n")
            report.lines += len(pieces) - 1
            for piece in pieces:
                line = self._line(piece, report)
                if line is not None:
                    yield line, number

    def _line(self, text: str | None, report: SourceReport) -> str | None:
        """The line that is used, or None."""
        line = as_line(text or "")
        reason = _flaw(text, line)
        if reason is None and self.normalization is not None:
            written, line = line, composed(line)
            report.reading.normalized += line != written
        if reason is None and len(line) < self.min_chars:
            reason = f"shorter than {self.min_chars} characters"
        if reason is None and self.heldout_every is not None and is_heldout(line, self.heldout_every):
            reason = None if self.is_of_heldout else "held out"
        elif reason is None and self.is_of_heldout and self.heldout_every is not None:
            return None
        if reason is None:
            return line
        report.drop(reason)
        return None


def _flaw(text: str | None, line: str) -> str | None:
    """Why a text cannot be used, whatever the settings are; None where it can."""
    if text is None:
        return "null"
    if not line:
        return "empty"
    if "\0" in line:
        return "contains NUL (another encoding?)"
    if _LONE_SURROGATE.search(line):
        return "holds half a character (a lone surrogate)"
    return f"longer than {LONGEST:,} characters" if len(line) > LONGEST else None
