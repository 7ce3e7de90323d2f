"""Files and folders -> kept lines, with a report of what was dropped and why."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bambino.errors import TextError
from bambino.randomness import permutation
from bambino.text.heldout import Split, in_split, spread
from bambino.text.mixture import Weight
from bambino.text.reading import Fields, Item, content_of, items_of
from bambino.text.sieve import LineBreaks, Sieve
from bambino.text.sources import find
from bambino.text.stored import Columns, stored
from bambino.text.stored_lines import TYPES, Kept, StoredLines, write_lines
from bambino.text.words import count_words


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

    def add(self, other: SourceReport) -> None:
        """Count what became of another source as well: its files, and lines that are not used."""
        self.lines += other.lines
        for reason, count in other.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count
        self.reading.files += other.reading.files
        self.reading.left_out |= other.reading.left_out
        self.reading.normalization = other.reading.normalization
        self.reading.normalized += other.reading.normalized

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

    lines: Sequence[str]
    """In memory, or on disk."""
    source_of: np.ndarray
    """Index of each line's source."""
    weights: Sequence[Weight]
    """How often each source's lines are heard per epoch."""
    reports: list[SourceReport]
    numbers: np.ndarray | None = None
    """The number of each line by which an epoch is ordered, NaN where it has none; None: epochs have no such order."""

    @cached_property
    def words(self) -> np.ndarray:
        """Whitespace-separated words of each line."""
        if isinstance(self.lines, StoredLines):
            return self.lines.column("words")
        return np.array([count_words(line) for line in self.lines], dtype=np.int32)

    @property
    def sizes(self) -> np.ndarray:
        """UTF-8 bytes of each line."""
        if isinstance(self.lines, StoredLines):
            return self.lines.sizes
        return np.array([len(line.encode()) for line in self.lines], dtype=np.int64)

    def take(self, chosen: np.ndarray) -> Corpus:
        """Those of the lines at some places."""
        if len(chosen) == len(self.lines):
            return self
        lines: Sequence[str]
        if isinstance(self.lines, StoredLines):
            lines = self.lines.take(chosen)
        else:
            lines = [self.lines[i] for i in chosen.tolist()]
        numbers = None if self.numbers is None else self.numbers[chosen]
        return replace(self, lines=lines, source_of=self.source_of[chosen], numbers=numbers)

    def count_unique(self, mine: np.ndarray) -> int:
        """How many of some lines are different."""
        if isinstance(self.lines, StoredLines):
            hashes = np.sort(self.lines.column("hashes")[mine])
            return int(np.count_nonzero(np.diff(hashes))) + (len(hashes) > 0)
        return len({self.lines[i] for i in np.flatnonzero(mine).tolist()})


def load_corpus(
    sources: Sequence[str],
    *,
    weights: Sequence[Weight] | None = None,
    jsonl_field: str = "text",
    order_by: str | None = None,
    min_chars: int = 0,
    heldout_every: int | None = None,
    normalization: str | None = "NFC",
    line_breaks: LineBreaks = "spaces",
    streaming: bool = False,
    cache: str | None = None,
) -> Corpus:
    """Read the training lines of files, folders and data sets.

    Dropped and counted per source: empty lines, lines that are not UTF-8 or hold NUL or half a character, lines of
    fewer than min_chars characters, of more than LONGEST, held-out lines, JSON objects without the field.

    Args:
        cache: a folder where the lines are kept, out of memory; None: they are in memory.

    Raises:
        TextError: no source, a missing path, a file that cannot be read or is no text, a folder without text, a source
            without a usable line. StorageError: the cache cannot be written.
    """
    if not sources:
        raise TextError("text.sources is empty. Give at least one file or folder: --text.sources '[corpus.txt]'")
    sieve = Sieve(min_chars, heldout_every, normalization, line_breaks=line_breaks)
    fields = Fields(jsonl_field, order_by, streaming)
    corpus = _read(sources, fields, sieve, cache)
    for count, report in zip(np.bincount(corpus.source_of, minlength=len(sources)), corpus.reports, strict=True):
        if not count:
            read = f"{report.lines} read, dropped {report.dropped or 'none'}"
            raise TextError(f"{report.path} has no usable line: {read}.")
    if corpus.numbers is not None and np.isnan(corpus.numbers).all():
        problem = f"text.order_by = {order_by}: no line of {', '.join(map(str, sources))} has a number there."
        raise TextError(f"{problem} Name a field or column with numbers, or leave it out (null).")
    return replace(corpus, weights=list(weights or corpus.weights))


def _read(sources: Sequence[str], fields: Fields, sieve: Sieve, cache: str | None) -> Corpus:
    """The lines of sources that a sieve lets through, in memory or on disk."""
    contents = [content_of(source, fields) for source in sources]
    reports = [_report_of(source, content["sha256"], sieve) for source, content in zip(sources, contents, strict=True)]

    def kept() -> Iterator[Kept]:
        for i, (source, report) in enumerate(zip(sources, reports, strict=True)):
            for line, number in sieve.lines(items_of(source, fields, report), report):
                yield line, i, number

    if cache is None:
        lines, source_of, numbers = list[str](), list[int](), list[float]()
        for line, source, number in kept():
            lines.append(line)
            source_of.append(source)
            numbers.append(number)
        corpus = Corpus(lines, np.array(source_of, dtype=int), [1.0] * len(sources), reports, np.array(numbers))
    else:
        corpus = _stored(contents, fields, sieve, cache, kept, reports)
    return corpus if fields.order is not None else replace(corpus, numbers=None)


def _report_of(source: str, sha256: str, sieve: Sieve) -> SourceReport:
    """What is known of a source before its lines are read."""
    found = find(source)
    reading = HowRead(list(map(str, found.files)), found.left_out, sieve.normalization)
    return SourceReport(str(source), sha256, reading=reading)


def _stored(
    contents: list[dict[str, Any]],
    fields: Fields,
    sieve: Sieve,
    cache: str,
    kept: Callable[[], Iterable[Kept]],
    reports: list[SourceReport],
) -> Corpus:
    """Lines on disk, read now or before."""

    def make(columns: Columns) -> dict[str, Any]:
        write_lines(columns, kept())
        for report, content in zip(reports, contents, strict=True):
            if content_of(report.path, fields) != content:
                raise TextError(f"{report.path} was changed while it was read. Start again when it is whole.")
        return {"reports": [[report.lines, report.dropped, report.reading.normalized] for report in reports]}

    settings = {"fields": asdict(fields), "sieve": asdict(sieve), "unicode": unicodedata.unidata_version}
    found = stored(cache, {"lines": contents, **settings}, TYPES, make)
    for report, counted in zip(reports, found.counted["reports"], strict=True):
        report.lines, report.dropped, report.reading.normalized = counted
    lines = StoredLines(found)
    return Corpus(lines, lines.column("sources"), [1.0] * len(reports), reports, lines.column("numbers"))


def corpus_of(
    texts: Iterable[str | None],
    name: str,
    min_chars: int = 0,
    heldout_every: int | None = None,
    normalization: str | None = "NFC",
    line_breaks: LineBreaks = "spaces",
) -> Corpus:
    """A corpus of texts that are already in memory; nulls are dropped."""
    texts = list(texts)
    report = SourceReport(name, lines=len(texts), reading=HowRead(normalization=normalization))
    sieve = Sieve(min_chars, heldout_every, normalization, line_breaks=line_breaks)
    kept = [line for line, _ in sieve.lines(_without_numbers(texts), report)]
    if not kept:
        raise TextError(f"{name} has no usable text: {report.lines} read, dropped {report.dropped or 'none'}.")
    digest = hashlib.sha256()
    for text in texts:
        digest.update((text or "").encode("utf-8", "replace") + b"\n")
    report.sha256 = digest.hexdigest()
    return Corpus(kept, np.zeros(len(kept), dtype=int), [1.0], [report])


def _without_numbers(texts: Iterable[str | None]) -> Iterator[Item]:
    return ((text, math.nan) for text in texts)


def load_heldout(
    sources: Sequence[str],
    *,
    heldout_every: int | None,
    split: Split = "all",
    max_lines: int,
    jsonl_field: str = "text",
    normalization: str | None = "NFC",
    line_breaks: LineBreaks = "spaces",
    streaming: bool = False,
    report: SourceReport | None = None,
    cache: str | None = None,
) -> list[str]:
    """The held-out lines of the sources (all lines when heldout_every is None), at most max_lines, spread evenly.

    Args:
        report: filled with which files were read, and how many of their lines cannot be used, by reason.
        cache: as of `load_corpus`.
    """
    sieve = Sieve(0, heldout_every, normalization, is_of_heldout=True, line_breaks=line_breaks)
    corpus = _read(sources, Fields(jsonl_field, None, streaming), sieve, cache)
    lines = [line for line in corpus.lines if in_split(line, split)]
    if not lines:
        rule = "" if heldout_every is None else f" (sha256 of the line modulo {heldout_every} is 0, split {split})"
        fewer = ", or a smaller heldout_every (null: all lines)" if rule else ""
        way_out = f"Use a larger text to evaluate on{fewer}."
        raise TextError(f"{', '.join(map(str, sources))}: no held-out line{rule}. {way_out}")
    if report is not None:
        for part in corpus.reports:
            report.add(part)
    return spread(lines, max_lines)


def heldout_in(
    texts: Iterable[str | None],
    heldout_every: int | None,
    split: Split = "all",
    normalization: str | None = "NFC",
    line_breaks: LineBreaks = "spaces",
) -> list[str]:
    """The held-out ones of texts in memory, as lines; those that cannot be used are left out."""
    sieve = Sieve(0, heldout_every, normalization, is_of_heldout=True, line_breaks=line_breaks)
    kept = sieve.lines(_without_numbers(texts), SourceReport(path=""))
    return [line for line, _ in kept if in_split(line, split)]


def choose_lines(corpus: Corpus, *, seed: int, max_lines: int | None, max_words: int | None) -> Corpus:
    """The budget: lines in an order fixed by the seed, until max_lines or max_words is reached.

    Counts the lines left out ("over the budget") and the words kept in the reports.
    """
    chosen = np.arange(len(corpus.lines))
    if max_lines is not None or max_words is not None:
        order = permutation(len(corpus.lines), seed, "budget", 0)[:max_lines]
        if max_words is not None:
            words = corpus.words[order]
            order = order[np.cumsum(words) <= max_words]
            if len(order) == 0:
                raise TextError(f"text.max_words = {max_words} is less than the first line's {words[0]} words.")
        chosen = np.sort(order)
    result = corpus.take(chosen)
    sizes = result.sizes
    for s, report in enumerate(corpus.reports):
        mine = result.source_of == s
        over = int((corpus.source_of == s).sum()) - int(mine.sum())
        report.kept, report.unique = int(mine.sum()), result.count_unique(mine)
        report.words = int(result.words[mine].sum())
        report.reading.bytes = int(sizes[mine].sum())
        if over:
            report.dropped["over the budget"] = over
    return result
