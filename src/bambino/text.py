"""Text: files and folders -> kept lines (with a report of what was dropped and why) -> token rows -> padded batches."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

SUFFIXES = (".txt", ".jsonl")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
Split = Literal["all", "dev", "test"]


class TextError(ValueError):
    """Text that cannot be used; the message names the file and the way out."""


@dataclass
class SourceReport:
    """What became of one source; goes into the run's data manifest."""

    path: str
    sha256: str = ""
    """Of the source's bytes (of all files of a folder, in order)."""
    lines: int = 0
    """Lines read."""
    kept: int = 0
    words: int = 0
    """Whitespace-separated words in the kept lines."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason -> lines."""
    truncated: int = 0
    """Kept lines longer than max_length tokens."""
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


@dataclass(frozen=True)
class TokenRows:
    """Token ids of lines, stored flat; EOS not included."""

    ids: np.ndarray
    offsets: np.ndarray
    """Row i is ids[offsets[i] : offsets[i + 1]]."""
    is_truncated: np.ndarray
    """Whether row i was cut at max_length."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.ids[self.offsets[i] : self.offsets[i + 1]]


@dataclass(frozen=True)
class TokenBatch:
    """Right-padded token rows."""

    input_ids: Int[Tensor, "B T"]
    is_real: Bool[Tensor, "B T"]
    """False on pads."""
    documents: Int[Tensor, "B T"] | None = None
    """Packed rows: which line of the row a token belongs to."""

    @property
    def is_target(self) -> Bool[Tensor, "B T"]:
        """Column t: whether token t is predicted, i.e. it and the token before it are real and of one line."""
        wanted = self.is_real.clone()
        wanted[:, 0] = False
        wanted[:, 1:] &= self.is_real[:, :-1]
        if self.documents is not None:
            wanted[:, 1:] &= self.documents[:, 1:] == self.documents[:, :-1]
        return wanted

    def to(self, device: torch.device | str) -> TokenBatch:
        documents = None if self.documents is None else self.documents.to(device)
        return TokenBatch(self.input_ids.to(device), self.is_real.to(device), documents)

    def rows(self, rows: slice) -> TokenBatch:
        """A part of the batch."""
        documents = None if self.documents is None else self.documents[rows]
        return TokenBatch(self.input_ids[rows], self.is_real[rows], documents)


# ---------------------------------------------------------------------------------------------------------- reading


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
        raise TextError(f"{', '.join(map(str, sources))}: no held-out line{rule}. Use a larger text to evaluate on.")
    return spread(lines, max_lines)


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
    """The held-out rule: the sha256 of the stripped line is 0 modulo `every`. The same for everyone."""
    return int(hashlib.sha256(line.strip().encode("utf-8")).hexdigest(), 16) % every == 0


def in_split(line: str, split: Split) -> bool:
    """Halves held-out lines by a second hash: sha256 of "split:" + line, even dev, odd test."""
    if split == "all":
        return True
    digest = hashlib.sha256(("split:" + line.strip()).encode("utf-8")).digest()
    return digest[-1] % 2 == (0 if split == "dev" else 1)


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


def source_sha256(source: str | Path) -> str:
    """Of a source's bytes (of all files of a folder, in order), as in its SourceReport."""
    digest = hashlib.sha256()
    for path in find_files(source):
        digest.update(path.read_bytes())
    return digest.hexdigest()


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
    words = np.array([len(corpus.lines[i].split()) for i in order])
    if max_words is not None:
        order = order[np.cumsum(words) <= max_words]
        if len(order) == 0:
            raise TextError(f"text.max_words = {max_words} is less than the first line's {words[0]} words.")
    chosen = np.sort(order)
    result = Corpus([corpus.lines[i] for i in chosen], corpus.source_of[chosen], corpus.weights, corpus.reports)
    for s, report in enumerate(corpus.reports):
        mine = [line for line, source in zip(result.lines, result.source_of, strict=True) if source == s]
        over = int((corpus.source_of == s).sum()) - len(mine)
        report.kept, report.words = len(mine), sum(len(line.split()) for line in mine)
        if over:
            report.dropped["over the budget"] = over
    return result


# ------------------------------------------------------------------------------------------------------- tokenizing


def start_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """What begins a text: BOS, or EOS where a tokenizer has no BOS (it ends the text before), or None."""
    return tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str], *, with_start: bool = True) -> list[list[int]]:
    """Token ids of each text: what the tokenizer prepends, plus the start token if it prepends none; never EOS.

    A text that spells a special token ("</s>") is read as those characters. with_start=False leaves everything to the
    tokenizer, except that an EOS it appends is taken off.
    """
    if not texts:
        return []
    rows = tokenizer(texts, return_attention_mask=False, split_special_tokens=True, verbose=False)["input_ids"]
    start = start_token(tokenizer) if with_start else None
    return [_with_start(_without_eos(list(row), tokenizer), start) for row in rows]


def encode_from(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], offsets: list[int]
) -> list[tuple[list[int], int]]:
    """Token ids as `encode` gives them, and how many of the last ones end after a character offset of their text.

    A token that lies across the offset counts; what is prepended never does.
    """
    if not texts:
        return []
    encoded = tokenizer(
        texts, return_attention_mask=False, return_offsets_mapping=True, split_special_tokens=True, verbose=False
    )
    start = start_token(tokenizer)
    result = []
    for ids, spans, offset in zip(encoded["input_ids"], encoded["offset_mapping"], offsets, strict=True):
        row = _without_eos(list(ids), tokenizer)
        ends = reversed([end for _, end in spans[: len(row)]])
        counted = next((i for i, end in enumerate(ends) if end <= offset), len(row))
        result.append((_with_start(row, start), counted))
    return result


def _without_eos(row: list[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return row[:-1] if len(row) > 1 and row[-1] == tokenizer.eos_token_id else row


def _with_start(row: list[int], start: int | None) -> list[int]:
    return row if start is None or row[:1] == [start] else [start, *row]


def tokenize(
    corpus: Corpus, tokenizer: PreTrainedTokenizerBase, *, max_length: int | None, append_eos: bool, prepend_bos: bool
) -> TokenRows:
    """Tokenize a corpus once; fills `truncated` and `tokens` of its reports. max_length None: nothing is cut.

    A line is truncated when it, with the EOS that would follow, is longer than max_length; then it is cut to
    max_length tokens and no EOS follows.
    """
    rows: list[np.ndarray] = []
    truncated = np.zeros(len(corpus.lines), dtype=bool)
    for first in range(0, len(corpus.lines), 10_000):
        for row in encode(tokenizer, corpus.lines[first : first + 10_000], with_start=prepend_bos):
            length = len(row) + append_eos
            if max_length is not None and length > max_length:
                truncated[len(rows)] = True
                row = row[:max_length]
            rows.append(np.array(row, dtype=np.int32))
    lengths = np.array([len(row) for row in rows])
    for s, report in enumerate(corpus.reports):
        mine = corpus.source_of == s
        report.truncated = int(truncated[mine].sum())
        report.tokens = int(lengths[mine].sum() + (append_eos * ~truncated[mine]).sum())
    return TokenRows(np.concatenate(rows), np.concatenate([[0], np.cumsum(lengths)]), truncated)


def pad(rows: list[list[int]], pad_id: int, side: Literal["left", "right"] = "right") -> TokenBatch:
    """Rows of unequal length as one batch."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    is_real = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        ids[i, where] = torch.as_tensor(row, dtype=torch.long)
        is_real[i, where] = True
    return TokenBatch(ids, is_real)


def without_pads(batch: TokenBatch) -> TokenBatch:
    """The same rows, several to a row where they fit (first fit, longest first): fewer pads to compute.

    `documents` keeps them apart, so every token's log-prob is what it was; the order of rows is not kept.
    """
    lengths = batch.is_real.sum(1).tolist()
    width = max(lengths)
    bins: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fitting = next((b for b, free in enumerate(room) if free >= lengths[i]), None)
        if fitting is None:
            bins.append([])
            room.append(width)
            fitting = -1
        bins[fitting].append(i)
        room[fitting] -= lengths[i]
    if len(bins) == len(lengths) or batch.documents is not None:
        return batch
    ids = [torch.cat([batch.input_ids[i][batch.is_real[i]] for i in rows]).tolist() for rows in bins]
    joined = pad(ids, pad_id=0)
    documents = torch.full_like(joined.input_ids, -1)
    for b, rows in enumerate(bins):
        owners = torch.tensor(rows).repeat_interleave(torch.tensor([lengths[i] for i in rows]))
        documents[b, : len(owners)] = owners
    return TokenBatch(joined.input_ids, joined.is_real, documents)


def permutation(n: int, seed: int, stream: str, epoch: int) -> np.ndarray:
    """A permutation of n that depends on nothing else. Raw PCG64 output is stable across NumPy versions."""
    stream_id = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "little")
    generator = np.random.PCG64(np.random.SeedSequence([seed, stream_id, epoch]))
    return np.argsort(generator.random_raw(n), kind="stable")
