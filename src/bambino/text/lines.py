"""Files and folders -> kept lines, with a report of what was dropped and why."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bambino.errors import TextError
from bambino.randomness import permutation
from bambino.text.heldout import Split, heldout_of, is_heldout, spread
from bambino.text.words import count_words

SUFFIXES = (".txt", ".jsonl")


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


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


@dataclass(frozen=True)
class Corpus:
    """Kept lines of one or several sources."""

    lines: list[str]
    source_of: np.ndarray
    """Index of each line's source."""
    weights: list[float]
    """How often each source's lines are heard per epoch."""
    reports: list[SourceReport]


def load_corpus(
    sources: Sequence[str],
    *,
    weights: Sequence[float] | None = None,
    jsonl_field: str = "text",
    min_chars: int = 0,
    heldout_every: int | None = None,
) -> Corpus:
    """Read the training lines of files and folders.

    Dropped and counted per source: empty lines, lines that are not UTF-8 or hold NUL or half a character, lines of
    fewer than min_chars characters, held-out lines, JSON objects without the field.

    Raises:
        TextError: no source, a missing path, a folder without text, a source without a usable line.
    """
    if not sources:
        raise TextError("text.sources is empty. Give at least one file or folder: --text.sources '[corpus.txt]'")
    lines: list[str] = []
    source_of: list[int] = []
    reports = []
    for i, source in enumerate(sources):
        report = SourceReport(path=str(source))
        kept = [
            line
            for line in _read_source(source, jsonl_field, report)
            if _keep(line, min_chars, heldout_every, report.dropped)
        ]
        if not kept:
            raise TextError(f"{source} has no usable line: {report.lines} read, dropped {report.dropped or 'none'}.")
        lines += kept
        source_of += [i] * len(kept)
        reports.append(report)
    return Corpus(lines, np.array(source_of), list(weights or [1.0] * len(sources)), reports)


def corpus_of(texts: Iterable[str], name: str, min_chars: int = 0, heldout_every: int | None = None) -> Corpus:
    """A corpus of texts that are already in memory; newlines inside a text become spaces."""
    report = SourceReport(path=name)
    digest, kept = hashlib.sha256(), []
    for text in texts:
        report.lines += 1
        digest.update(text.encode("utf-8", "replace") + b"\n")
        line = as_line(text)
        if _keep(line, min_chars, heldout_every, report.dropped):
            kept.append(line)
    if not kept:
        raise TextError(f"{name} has no usable text: {report.lines} read, dropped {report.dropped or 'none'}.")
    report.sha256 = digest.hexdigest()
    return Corpus(kept, np.zeros(len(kept), dtype=int), [1.0], [report])


def as_line(text: str) -> str:
    """A text in memory as a line: newlines become spaces."""
    return " ".join(text.split("\n")).strip()


def load_heldout(
    sources: Sequence[str],
    *,
    heldout_every: int | None,
    split: Split = "all",
    max_lines: int,
    jsonl_field: str = "text",
    dropped: dict[str, int] | None = None,
) -> list[str]:
    """The held-out lines of the sources (all lines when heldout_every is None), at most max_lines, spread evenly.

    Args:
        dropped: filled with how many lines of the sources cannot be used, by reason, as in `load_corpus`.
    """
    report = SourceReport(path="")
    read = [
        line
        for source in sources
        for line in _read_source(source, jsonl_field, report)
        if _keep(line, 0, None, report.dropped)
    ]
    if dropped is not None:
        dropped |= report.dropped
    lines = heldout_of(read, heldout_every, split)
    if not lines:
        rule = "" if heldout_every is None else f" (sha256 of the line modulo {heldout_every} is 0, split {split})"
        way_out = "Use a larger text to evaluate on" + (
            ", or a smaller heldout_every (null: all lines)." if rule else "."
        )
        raise TextError(f"{', '.join(map(str, sources))}: no held-out line{rule}. {way_out}")
    return spread(lines, max_lines)


def find_files(source: str | Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """The file itself (of any ending but .json), or the files below a folder that end so, sorted by path."""
    path = Path(source)
    if path.suffix.lower() == ".json" and path.is_file():
        way_out = "Write an object a line, in a .jsonl file."
        raise TextError(f"{source} is a JSON document, not lines of text. {way_out}")
    if path.is_file():
        return [path]
    endings = " or ".join(suffixes)
    if not path.is_dir():
        raise TextError(f"There is no text at {source}. Give the path of a {endings} file, or of a folder of them.")
    files = sorted(p for p in path.rglob("*") if p.suffix in suffixes and p.is_file())
    if not files:
        raise TextError(f"The folder {source} holds no {endings} file.")
    return files


def _read_source(source: str | Path, jsonl_field: str, report: SourceReport) -> list[str]:
    """All lines of a source that are text, stripped; what is not is counted in the report."""
    digest, lines, dropped = hashlib.sha256(), [], Counter[str]()
    for path in find_files(source):
        data = path.read_bytes()
        digest.update(data)
        for raw in data.removeprefix(b"\xef\xbb\xbf").splitlines():
            report.lines += 1
            try:
                line = raw.decode("utf-8")
                lines.append((_json_text(line, jsonl_field) if path.suffix == ".jsonl" else line).strip())
            except UnicodeDecodeError:
                dropped["not UTF-8"] += 1
            except (KeyError, TypeError, ValueError, RecursionError):  # a number too long, brackets too deep
                dropped[f"no JSON object with a text in {jsonl_field!r}"] += 1
    if report.lines == 0:
        raise TextError(f"{source} is empty.")
    report.sha256 = digest.hexdigest()
    for reason, count in dropped.items():
        report.dropped[reason] = report.dropped.get(reason, 0) + count
    return lines


def _json_text(line: str, jsonl_field: str) -> str:
    text = json.loads(line)[jsonl_field]
    if not isinstance(text, str):
        raise TypeError
    return " ".join(text.split("\n"))


def is_broken(text: str) -> bool:
    """Whether a text holds NUL or half a character, as files of another encoding do."""
    return "\0" in text or _LONE_SURROGATE.search(text) is not None


def _keep(line: str, min_chars: int, heldout_every: int | None, dropped: dict[str, int]) -> bool:
    reason = None
    if not line:
        reason = "empty"
    elif "\0" in line:
        reason = "contains NUL (another encoding?)"
    elif _LONE_SURROGATE.search(line):
        reason = "holds half a character (a lone surrogate)"
    elif len(line) < min_chars:
        reason = f"shorter than {min_chars} characters"
    elif heldout_every is not None and is_heldout(line, heldout_every):
        reason = "held out"
    if reason is not None:
        dropped[reason] = dropped.get(reason, 0) + 1
    return reason is None


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
        if over:
            report.dropped["over the budget"] = over
    return result
