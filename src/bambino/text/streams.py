"""Streams: endless, resumable sequences of batches of L2 text.

Order is a pure function of (seed, stream, epoch) and position is an integer, so resuming a stream is knowing how many
rows were taken from it. A stream runs on over the end of an epoch: nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from bambino.errors import RecipeError, TextError
from bambino.randomness import permutation
from bambino.recipe import curricula
from bambino.recipe.schedule import Place
from bambino.recipe.text_settings import TextConfig
from bambino.text.batches import TokenBatch, pad
from bambino.text.heldout import spread
from bambino.text.lines import Corpus, SourceReport, choose_lines, corpus_of, load_corpus
from bambino.text.mixture import Weight, changes, lines_for, mean_weights, mixed_order
from bambino.text.tokens import TokenRows, tokenize

SAMPLE = 200
"""Lines by which the share of unknown tokens is told."""


@dataclass(frozen=True, eq=False)
class LineStream:
    """An endless stream of lines; what it yields is a pure function of its fields and the position asked for."""

    rows: TokenRows
    source_of: np.ndarray
    weights: Sequence[Weight]
    seed: int
    name: str
    """Streams of other names have other orders."""
    eos: int | None
    """Appended to lines that were not truncated; None: to none."""
    pad_id: int = 0
    total: int = 0
    """Lines heard in the run, where weights change over it: that is then its only epoch."""
    numbers: np.ndarray | None = None
    """Of each line: an epoch hears the smallest first, lines without one (NaN) last; None: in no such order."""
    _orders: dict[int, np.ndarray] = field(default_factory=dict, repr=False)
    """Cache: the order of the last epoch asked for."""

    def __post_init__(self) -> None:
        if self.epoch_size == 0:
            raise TextError(f"text.weights = {self.weights} leave no line in an epoch. Use larger weights.")

    @cached_property
    def epoch_size(self) -> int:
        """Lines heard in one epoch."""
        if changes(self.weights):
            return self.total
        return sum(whole * len(lines) + part for lines, whole, part in self._shares())

    def indices(self, first: int, count: int) -> list[int]:
        """Line numbers of the stream's items first .. first + count - 1."""
        result: list[int] = []
        while len(result) < count:
            epoch, position = divmod(first + len(result), self.epoch_size)
            order = self.epoch_order(epoch)
            result += order[position : position + count - len(result)].tolist()
        return result

    def row(self, i: int) -> list[int]:
        """Line i as trained on: with EOS, unless it was truncated."""
        ids = self.rows[i].tolist()
        return ids if self.eos is None or self.rows.is_truncated[i] else [*ids, self.eos]

    @cached_property
    def has_eos(self) -> np.ndarray:
        """Whether EOS ends each line as trained on."""
        return np.zeros_like(self.rows.is_truncated) if self.eos is None else ~self.rows.is_truncated

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each line as trained on."""
        lengths: np.ndarray = np.diff(self.rows.offsets) + self.has_eos
        return lengths

    def batch(self, first: int, count: int) -> TokenBatch:
        """The stream's next `count` lines, one a row, right-padded."""
        return pad([self.row(i) for i in self.indices(first, count)], self.pad_id)

    def words(self, first: int, count: int) -> int:
        """Words in `batch(first, count)`."""
        return int(self.rows.words[np.array(self.indices(first, count), dtype=int)].sum())

    def prompts(self, first: int, count: int, tokens: int) -> TokenBatch:
        """The first tokens of the next `count` lines, left-padded (so that utterances begin in one column)."""
        return pad([self.rows[i].tolist()[:tokens] for i in self.indices(first, count)], self.pad_id, "left")

    def _shares(self) -> list[tuple[np.ndarray, int, int]]:
        """Per source: its lines, how often all of them are heard in an epoch, how many are heard once more."""
        shares = []
        for s, weight in enumerate(mean_weights(self.weights)):
            lines = np.flatnonzero(self.source_of == s)
            shares.append((lines, int(weight), round((weight - int(weight)) * len(lines))))
        return shares

    def epoch_order(self, epoch: int) -> np.ndarray:
        """The line numbers of one epoch, in order."""
        if epoch not in self._orders:
            self._orders.clear()
            self._orders[epoch] = self._make_order(epoch)
        return self._orders[epoch]

    def _make_order(self, epoch: int) -> np.ndarray:
        if changes(self.weights):
            return mixed_order(self.source_of, self.weights, self.total, self.seed, self.name, epoch)
        chosen = []
        for s, (lines, whole, part) in enumerate(self._shares()):
            chosen.append(np.tile(lines, whole))
            if part:
                window = np.arange(epoch * part, (epoch + 1) * part) % len(lines)
                chosen.append(lines[permutation(len(lines), self.seed, f"{self.name}/weight/{s}", 0)][window])
        pool = np.concatenate(chosen)
        order: np.ndarray = pool[permutation(len(pool), self.seed, self.name, epoch)]
        return order if self.numbers is None else order[np.argsort(self.numbers[order], kind="stable")]


@dataclass(frozen=True, eq=False)
class PackedStream:
    """The lines of a LineStream end to end, cut into rows of exactly `length` tokens; no pads."""

    lines: LineStream
    length: int
    _cached_ends: dict[int, np.ndarray] = field(default_factory=dict, repr=False)
    """Cache: the ends of lines in the last epoch asked for."""
    _rows: dict[int, int] = field(default_factory=dict, repr=False)
    """Cache: rows in each epoch so far."""

    def __post_init__(self) -> None:
        if self.rows_in(0) == 0:
            total = self._ends(0)[-1]
            raise TextError(f"An epoch of {total} tokens does not fill one row of text.max_length = {self.length}.")

    @property
    def epoch_size(self) -> int:
        """Rows heard in the first epoch."""
        return self.rows_in(0)

    def rows_in(self, epoch: int) -> int:
        """Rows that an epoch fills; under fractional weights epochs differ."""
        if epoch not in self._rows:
            self._rows[epoch] = int(self._ends(epoch)[-1]) // self.length
        return self._rows[epoch]

    def batch(self, first: int, count: int) -> TokenBatch:
        """The stream's next `count` rows."""
        stretches = list(self._stretches(first, count))
        input_ids = torch.from_numpy(np.concatenate([one.ids for one in stretches])).long().view(count, self.length)
        documents = torch.from_numpy(np.concatenate([one.lines for one in stretches])).view(count, self.length)
        return TokenBatch(input_ids, torch.ones_like(input_ids, dtype=torch.bool), documents)

    def words(self, first: int, count: int) -> int:
        """Words that begin in `batch(first, count)`."""
        return sum(int(one.words_begun.sum()) for one in self._stretches(first, count))

    def _stretches(self, first: int, count: int) -> Iterator[_Stretch]:
        """The tokens of the next `count` rows, epoch by epoch."""
        epoch = 0
        while count:
            rows = max(0, min(count, self.rows_in(epoch) - first))
            if rows:
                yield self._stretch(epoch, first * self.length, rows * self.length)
            first, count, epoch = max(0, first - self.rows_in(epoch)), count - rows, epoch + 1

    def _stretch(self, epoch: int, first: int, count: int) -> _Stretch:
        """So many tokens of an epoch from its `first` on."""
        ends, rows = self._ends(epoch), self.lines.rows
        assert rows.begun is not None, "lines that are packed are not cut"
        tokens = np.arange(first, first + count)
        places = np.searchsorted(ends, tokens, side="right")
        lines = self.lines.epoch_order(epoch)[places]
        before_end = ends[places] - tokens  # 1 of a line's last token, which is EOS where the line has one
        is_eos = (before_end == 1) & self.lines.has_eos[lines]
        where = np.where(is_eos, 0, rows.offsets[lines] + self.lines.lengths[lines] - before_end)
        ids = np.where(is_eos, self.lines.eos or 0, rows.ids[where])
        return _Stretch(ids, places, np.where(is_eos, 0, rows.begun[where]))

    def _ends(self, epoch: int) -> np.ndarray:
        """How many tokens of an epoch stand up to the end of each of its lines."""
        if epoch not in self._cached_ends:
            self._cached_ends.clear()
            self._cached_ends[epoch] = np.cumsum(self.lines.lengths[self.lines.epoch_order(epoch)], dtype=np.int64)
        return self._cached_ends[epoch]


@dataclass(frozen=True)
class _Stretch:
    """Tokens of an epoch that stand side by side."""

    ids: np.ndarray
    lines: np.ndarray
    """The place in the epoch of each one's line."""
    words_begun: np.ndarray
    """How many words begin in each."""


@dataclass(frozen=True)
class Streams:
    """What the baby hears and what its prompts are cut from; a pure function of a step's place in the run."""

    clm: LineStream | PackedStream
    lines: LineStream
    """What prompts are cut from, each phase in an order of its own."""
    batch_size: int
    prompt_tokens: int | Mapping[float, int]
    """Length of a prompt, or its values over training."""
    is_single: bool
    """Whether all phases take their lines from the clm stream (the release)."""
    manifest: dict[str, Any]
    """Per source: hash, lines kept, dropped and why, truncated, tokens."""
    reports: list[SourceReport] = field(default_factory=list)
    """What became of each source."""
    sample: list[str] = field(default_factory=list)
    """Some lines of what is heard, as they are written."""
    _prompts: dict[str, LineStream] = field(default_factory=dict, repr=False)
    """Cache: the prompt streams asked for."""

    def clm_batch(self, at: Place) -> TokenBatch:
        """The text of a clm step."""
        return self.clm.batch(self.position(at), self.batch_size)

    def clm_words(self, at: Place) -> int:
        """Words in the text of a clm step."""
        return self.clm.words(self.position(at), self.batch_size)

    def clm_lines(self, at: Place) -> list[int] | None:
        """Line numbers of a clm step's rows; None where rows are no lines (packed)."""
        if isinstance(self.clm, PackedStream):
            return None
        return self.clm.indices(self.position(at), self.batch_size)

    def prompt_batch(self, phase: str, at: Place, copies: int = 1) -> TokenBatch:
        """The prompts of a phase's step, left-padded; ppo's are the stream "prompts", others' "prompts/PHASE".

        Args:
            copies: each prompt so many times, one below the other; their number divides the batch size.
        """
        count = self.batch_size // copies
        first = self.position(at) if self.is_single else at.nth * count
        once = self.prompts(phase).prompts(first, count, curricula.at(self.prompt_tokens, at.progress))
        return TokenBatch(once.input_ids.repeat_interleave(copies, 0), once.is_real.repeat_interleave(copies, 0))

    def prompts(self, phase: str) -> LineStream:
        """The stream of a phase's prompts; every condition's are cut from the same lines in the same order."""
        if self.is_single:
            return self.lines
        if phase not in self._prompts:
            name = "prompts" if phase == "ppo" else f"prompts/{phase}"
            self._prompts[phase] = replace(self.lines, name=name, _orders={})
        return self._prompts[phase]

    def position(self, at: Place) -> int:
        """Lines of a phase's stream before those of a step."""
        return (at.step if self.is_single else at.nth) * self.batch_size


def build_streams(
    text: TextConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int,
    batch_size: int,
    prompt_tokens: int | Mapping[float, int],
    dataset: Iterable[str | None] | None = None,
    steps: int = 0,
) -> Streams:
    """Read, choose and tokenize the text of a run; `dataset` (texts in memory) replaces text.sources.

    Args:
        steps: how many batches of the clm stream are heard in the run, over which text.weights may change.

    Raises:
        TextError: text that cannot be used. RecipeError: settings that exclude each other.
    """
    if text.single_stream and (text.mode == "packed" or text.prompt_sources is not None):
        raise RecipeError(
            "text.single_stream",
            "text.single_stream cuts prompts from the lines of the clm stream: use text.mode lines and no "
            "text.prompt_sources, or set text.single_stream to false.",
        )
    corpus = read_corpus(text, seed, text.sources, text.weights, dataset)
    heard = line_stream(text, seed, corpus, tokenizer, "clm", cut=text.mode == "lines", rows=steps * batch_size)
    reports, sample = corpus.reports, spread(corpus.lines, SAMPLE)
    manifest = {"clm": [report.made_of() for report in corpus.reports]}
    clm = heard if text.mode == "lines" else PackedStream(heard, text.max_length)
    if text.prompt_sources is not None:
        corpus = read_corpus(replace(text, order_by=None), seed, text.prompt_sources, None, None)
        reports = reports + corpus.reports
        manifest["prompts"] = [report.made_of() for report in corpus.reports]
    lines = heard if text.single_stream else replace(heard, weights=mean_weights(heard.weights), _orders={})
    if text.mode == "packed" or text.prompt_sources is not None:
        lines = line_stream(text, seed, corpus, tokenizer, "prompts", cut=True)
    return Streams(clm, lines, batch_size, prompt_tokens, text.single_stream, manifest, reports, sample)


def read_corpus(
    text: TextConfig,
    seed: int,
    sources: list[str],
    weights: Sequence[Weight] | None,
    dataset: Iterable[str | None] | None = None,
) -> Corpus:
    """The training lines of a run, from `sources` or from texts in memory: held-out and short ones left out."""
    limits: dict[str, Any] = {
        "min_chars": text.min_chars,
        "heldout_every": text.heldout_every,
        "normalization": text.normalization,
        "line_breaks": text.line_breaks,
    }
    if dataset is not None and text.order_by is not None:
        way_out = "Name files or a data set in text.sources, or leave it out."
        raise RecipeError(
            "text.order_by", f"text.order_by = {text.order_by}: texts in memory have no fields. {way_out}"
        )
    if dataset is not None:
        corpus = corpus_of(dataset, "train_dataset", **limits)
    else:
        fields: dict[str, Any] = {"jsonl_field": text.jsonl_field, "order_by": text.order_by}
        where: dict[str, Any] = {"streaming": text.streaming, "cache": text.cache}
        corpus = load_corpus(sources, weights=weights, **fields, **limits, **where)
    return choose_lines(corpus, seed=seed, max_lines=text.max_lines, max_words=text.max_words)


def line_stream(
    text: TextConfig,
    seed: int,
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    *,
    cut: bool,
    rows: int = 0,
) -> LineStream:
    """Tokenized lines as an endless stream.

    Args:
        name: fixes the order of the lines.
        cut: whether they are cut at text.max_length; else they will be packed to it.
        rows: heard in the run, over which weights may change; 0: weights are their means.
    """
    eos = tokenizer.eos_token_id if text.append_eos else None
    tokens = tokenize(
        corpus,
        tokenizer,
        max_length=text.max_length if cut else None,
        append_eos=eos is not None,
        prepend_bos=text.prepend_bos,
        cache=text.cache,
    )
    weights = mean_weights(corpus.weights)
    stream = LineStream(tokens, corpus.source_of, weights, seed, name, eos, numbers=corpus.numbers)
    if not (rows and changes(corpus.weights)):
        return stream
    total = rows if cut else lines_for(rows * text.max_length, stream.lengths, corpus.source_of, corpus.weights)
    return replace(stream, weights=corpus.weights, total=total, _orders={})
