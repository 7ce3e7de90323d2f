"""Files and folders -> kept lines, with a report of what was dropped and why."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bambino.errors import TextError
from bambino.files import json_of
from bambino.randomness import permutation
from bambino.text.heldout import Split, heldout_of, is_heldout, spread
from bambino.text.sources import bytes_of, find
from bambino.text.unicode import composed
from bambino.text.words import count_words

LONGEST = 1_000_000
"""Characters of the longest line. A longer one is a whole file without line ends, and takes minutes to tokenize."""


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class HowRead:
    """How a source was read: for whoever wants to know, not what makes two runs the same."""

    files: list[str] = field(default_factory=list)
    """Files that were read."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Other files and folders -> why they were not."""
    normalization: str | None = None
    """The Unicode form that lines were brought to; None: to none."""
    normalized: int = 0
    """Lines that this changed."""
    bytes: int = 0
    """Of the kept lines in UTF-8."""


@dataclass
class SourceReport:
    """What became of one source; goes into the run's data manifest."""

    path: str
    sha256: str = ""
    """Of the source's bytes (of all files of a folder, in order)."""
    lines: int = 0
    """Lines read."""
    kept: int = 0
    unique: int = 0
    """Different lines among the kept ones."""
    words: int = 0
    """Whitespace-separated words in the kept lines."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason -> lines."""
    truncated: int = 0
    """Kept lines longer than max_length tokens."""
    words_cut: int = 0
    """Words that begin beyond max_length in these, so that they are never heard."""
    tokens: int = 0
    """Baby tokens in the kept lines, as trained on (BOS and EOS included)."""
    reading: HowRead = field(default_factory=HowRead)

    def drop(self, reason: str) -> None:
        """Count a line that is not used."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def made_of(self) -> dict[str, Any]:
        """What a run is made of, for data.json: all but how it was read."""
        numbers = asdict(self)
        del numbers["reading"]
        return numbers

    def __str__(self) -> str:
        """In a sentence, for the console."""
        reading = self.reading
        files = f" ({_some([Path(file).name for file in reading.files])})" if len(reading.files) > 1 else ""
        said = [f"{self.path}{files}: {self.kept:,} of {self.lines:,} lines kept"]
        if self.dropped:
            said.append("dropped " + ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items()))
        if reading.normalized:
            said.append(f"{reading.normalized:,} brought to {reading.normalization}")
        if reading.left_out:
            said.append("left out " + _some([f"{path} ({why})" for path, why in reading.left_out.items()]))
        return "; ".join(said) + "."


def _some(names: list[str], at_most: int = 8) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - at_most:,} more (data.json has all)" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


@dataclass(frozen=True)
class Corpus:
    """Kept lines of one or several sources."""

    lines: list[str]
    source_of: np.ndarray
    """Index of each line's source."""
    weights: list[float]
    """How often each source's lines are heard per epoch."""
    reports: list[SourceReport]


@dataclass(frozen=True)
class _Sieve:
    """Which lines of a text are used, and in which form."""

    min_chars: int = 0
    """Shorter lines are dropped."""
    heldout_every: int | None = None
    """Held-out lines are dropped; None: none are."""
    normalization: str | None = "NFC"
    """The Unicode form of all lines; None: as they are written."""

    def lines(self, texts: Iterable[str | None], report: SourceReport) -> list[str]:
        """The texts as lines, without those that cannot be used, which the report counts."""
        report.reading.normalization = self.normalization
        return [line for line in (self._line(text, report) for text in texts) if line is not None]

    def _line(self, text: str | None, report: SourceReport) -> str | None:
        """The line that is used, or None."""
        line = (text or "").strip()
        reason = _flaw(text, line)
        if reason is None and self.normalization is not None:
            written, line = line, composed(line)
            report.reading.normalized += line != written
        if reason is None and len(line) < self.min_chars:
            reason = f"shorter than {self.min_chars} characters"
        if reason is None and self.heldout_every is not None and is_heldout(line, self.heldout_every):
            reason = "held out"
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


def load_corpus(
    sources: Sequence[str],
    *,
    weights: Sequence[float] | None = None,
    jsonl_field: str = "text",
    min_chars: int = 0,
    heldout_every: int | None = None,
    normalization: str | None = "NFC",
) -> Corpus:
    """Read the training lines of files and folders.

    Dropped and counted per source: empty lines, lines that are not UTF-8 or hold NUL or half a character, lines of
    fewer than min_chars characters, of more than LONGEST, held-out lines, JSON objects without the field.

    Raises:
        TextError: no source, a missing path, a file that cannot be read or is no text, a folder without text, a source
            without a usable line.
    """
    if not sources:
        raise TextError("text.sources is empty. Give at least one file or folder: --text.sources '[corpus.txt]'")
    sieve = _Sieve(min_chars, heldout_every, normalization)
    lines: list[str] = []
    source_of: list[int] = []
    reports = []
    for i, source in enumerate(sources):
        report = SourceReport(path=str(source))
        kept = sieve.lines(_read_source(source, jsonl_field, report), report)
        if not kept:
            raise TextError(f"{source} has no usable line: {report.lines} read, dropped {report.dropped or 'none'}.")
        lines += kept
        source_of += [i] * len(kept)
        reports.append(report)
    return Corpus(lines, np.array(source_of), list(weights or [1.0] * len(sources)), reports)


def corpus_of(
    texts: Iterable[str | None],
    name: str,
    min_chars: int = 0,
    heldout_every: int | None = None,
    normalization: str | None = "NFC",
) -> Corpus:
    """A corpus of texts that are already in memory; newlines inside a text become spaces, nulls are dropped."""
    report = SourceReport(path=name)
    texts = list(texts)
    report.lines = len(texts)
    kept = _Sieve(min_chars, heldout_every, normalization).lines(map(_as_line_or_null, texts), report)
    if not kept:
        raise TextError(f"{name} has no usable text: {report.lines} read, dropped {report.dropped or 'none'}.")
    digest = hashlib.sha256()
    for text in texts:
        digest.update((text or "").encode("utf-8", "replace") + b"\n")
    report.sha256 = digest.hexdigest()
    return Corpus(kept, np.zeros(len(kept), dtype=int), [1.0], [report])


def as_line(text: str) -> str:
    """A text in memory as a line: newlines become spaces."""
    return " ".join(text.split("\n")).strip()


def _as_line_or_null(text: str | None) -> str | None:
    return None if text is None else as_line(text)


def load_heldout(
    sources: Sequence[str],
    *,
    heldout_every: int | None,
    split: Split = "all",
    max_lines: int,
    jsonl_field: str = "text",
    normalization: str | None = "NFC",
    report: SourceReport | None = None,
) -> list[str]:
    """The held-out lines of the sources (all lines when heldout_every is None), at most max_lines, spread evenly.

    Args:
        report: filled with which files were read, and how many of their lines cannot be used, by reason.
    """
    report = report or SourceReport(path="")
    read = (line for source in sources for line in _read_source(source, jsonl_field, report))
    lines = heldout_of(_Sieve(normalization=normalization).lines(read, report), heldout_every, split)
    if not lines:
        rule = "" if heldout_every is None else f" (sha256 of the line modulo {heldout_every} is 0, split {split})"
        fewer = ", or a smaller heldout_every (null: all lines)" if rule else ""
        way_out = f"Use a larger text to evaluate on{fewer}."
        raise TextError(f"{', '.join(map(str, sources))}: no held-out line{rule}. {way_out}")
    return spread(lines, max_lines)


def heldout_in(
    texts: Iterable[str | None], heldout_every: int | None, split: Split = "all", normalization: str | None = "NFC"
) -> list[str]:
    """The held-out ones of texts in memory, as lines; those that cannot be used are left out."""
    lines = _Sieve(normalization=normalization).lines(map(_as_line_or_null, texts), SourceReport(path=""))
    return heldout_of(lines, heldout_every, split)


def _read_source(source: str | Path, jsonl_field: str, report: SourceReport) -> Iterator[str]:
    """All lines of a source that are text; what is not is counted in the report."""
    digest, found, before = hashlib.sha256(), find(source), report.lines
    report.reading.files += map(str, found.files)
    report.reading.left_out |= found.left_out
    for path in found.files:
        data = bytes_of(path)
        digest.update(data)
        yield from _read_lines(path, data, jsonl_field, report)
    if report.lines == before:
        raise TextError(f"{source} is empty.")
    report.sha256 = digest.hexdigest()


def _read_lines(path: Path, data: bytes, jsonl_field: str, report: SourceReport) -> Iterator[str]:
    """Those lines of a file that are text.

    Raises:
        TextError, after the last: most lines are not.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    report.lines += len(lines)
    is_jsonl, unreadable = path.suffix.lower() == ".jsonl", 0
    for raw in lines:
        try:
            line = raw.decode("utf-8")
            unreadable += "\0" in line
            yield _json_text(line, jsonl_field) if is_jsonl else line
        except UnicodeDecodeError:
            unreadable += 1
            report.drop("not UTF-8")
        except (KeyError, TypeError, ValueError):
            report.drop(f"no JSON object with a text in {jsonl_field!r}")
    if unreadable * 2 > len(lines):
        problem = f"{unreadable:,} of its {len(lines):,} lines are not UTF-8, or hold NUL"
        raise TextError(f"{path} is no text, or of another encoding: {problem}. Save it as UTF-8, or leave it out.")


def _json_text(line: str, jsonl_field: str) -> str:
    text = json_of(line)[jsonl_field]
    if not isinstance(text, str):
        raise TypeError
    return as_line(text)


def is_broken(text: str) -> bool:
    """Whether a text holds NUL or half a character, as files of another encoding do."""
    return "\0" in text or _LONE_SURROGATE.search(text) is not None


def choose_lines(corpus: Corpus, *, seed: int, max_lines: int | None, max_words: int | None) -> Corpus:
    """The budget: lines in an order fixed by the seed, until max_lines or max_words is reached.

    Counts the lines left out ("over the budget") and the words kept in the reports.
    """
    order = permutation(len(corpus.lines), seed, "budget", 0)[:max_lines]
    words = np.array([count_words(corpus.lines[i]) for i in order])
    if max_words is not None:
        order = order[np.cumsum(words) <= max_words]
        if len(order) == 0:
            raise TextError(f"text.max_words = {max_words} is less than the first line's {words[0]} words.")
    chosen = np.sort(order)
    result = Corpus([corpus.lines[i] for i in chosen], corpus.source_of[chosen], corpus.weights, corpus.reports)
    for s, report in enumerate(corpus.reports):
        mine = [line for line, source in zip(result.lines, result.source_of, strict=True) if source == s]
        over = int((corpus.source_of == s).sum()) - len(mine)
        report.kept, report.unique, report.words = len(mine), len(set(mine)), sum(map(count_words, mine))
        report.reading.bytes = sum(len(line.encode("utf-8")) for line in mine)
        if over:
            report.dropped["over the budget"] = over
    return result
