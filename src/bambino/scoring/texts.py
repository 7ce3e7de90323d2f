"""Log-probability, perplexity and bits per byte of texts under any causal LM: whatever is scored goes through here.

Texts are read in groups of similar length; what several begin with is read once (`prefix_trees`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.errors import ModelError, TextError
from bambino.scoring.forward import (
    context_length,
    eval_mode,
    hidden_states,
    log_probs_at,
    reads_trees,
    token_log_probs,
)
from bambino.scoring.prefix_trees import Forest, grow
from bambino.scoring.prepacked import prepacked
from bambino.text.batches import pad
from bambino.text.tokens import count_after, encode, encode_with_ends, start_token

TOKENS_PER_FORWARD = 4096
"""Upper bound on batch x length when texts are scored."""


WORTH_PREPACKING = 4096
"""Tokens from which on a faster order of the weights pays for making it."""


READERS = 8
"""Groups of texts that a CPU reads at a time, at most; each takes memory for its activations."""


TREE_COLUMNS = 128
"""Width of a tree of texts that begin alike; attention costs more in wider ones, and narrower ones share less."""


@dataclass(frozen=True)
class TextScore:
    """What a model makes of one text."""

    log_prob: float
    """Sum over the tokens that count, in nats."""
    tokens: int
    """Tokens that count."""
    num_bytes: int
    """UTF-8 bytes of the whole text."""
    tokens_read: int
    """Tokens of its rows, start tokens included: what the score costs where no other text shares its beginning."""

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood per token; infinite when no token counts."""
        if self.tokens == 0:
            return math.inf
        mean = -self.log_prob / self.tokens
        return math.exp(mean) if mean < 700 else math.inf

    @property
    def bits_per_byte(self) -> float:
        return -self.log_prob / math.log(2) / self.num_bytes if self.num_bytes else math.nan


@dataclass(frozen=True, eq=False)
class TokenScores:
    """What a model makes of those tokens of some texts that count, text after text."""

    text: np.ndarray
    """Which text each token is of."""
    end: np.ndarray
    """Where the token's own text ends, in characters of its text; -1 where that was not asked for."""
    log_prob: np.ndarray
    """Given everything before it in its text, in nats."""
    read: np.ndarray
    """For each text, the tokens of its rows."""


def score_texts(
    lm: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    *,
    count_from: list[int] | None = None,
) -> list[TextScore]:
    """Score each text, the model's start token prepended; beginnings that many share are read once.

    Texts longer than the model's context are read in windows that each begin with the start token.

    Args:
        count_from: one character offset per text; only tokens that end after it count (the rest is context).

    Raises:
        ModelError: the model's log-probabilities are not numbers.
    """
    return sums(score_tokens(lm, tokenizer, texts, count_from=count_from), texts)


def score_tokens(
    lm: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    *,
    count_from: list[int] | None = None,
    with_ends: bool = False,
) -> TokenScores:
    """Score each token, as `score_texts` does.

    Args:
        with_ends: ask where tokens end; it takes the tokenizer half as long again.
    """
    windows = _windows(lm, tokenizer, texts, count_from, with_ends)
    if not windows:
        nothing = np.zeros(0, dtype=np.int64)
        return TokenScores(nothing, nothing, np.zeros(0), np.zeros(len(texts)))
    with eval_mode(lm):
        scores = row_log_probs(
            lm, [w.row for w in windows], None if count_from is None else [w.counted for w in windows]
        )
    lengths = np.array([len(window.row) for window in windows])
    window_text = np.array([window.text for window in windows])
    is_counted = np.concatenate([window.counted for window in windows])
    is_counted[lengths.cumsum() - lengths] = False  # nothing predicts a window's first token
    ends = np.concatenate([window.ends for window in windows])
    read = np.bincount(window_text, lengths, len(texts))
    return TokenScores(window_text.repeat(lengths)[is_counted], ends[is_counted], scores[is_counted], read)


def sums(tokens: TokenScores, texts: list[str]) -> list[TextScore]:
    """The score of each text, by those of its tokens.

    Raises:
        ModelError: a log-probability is not a number.
    """
    log_prob = np.bincount(tokens.text, tokens.log_prob, len(texts))
    if np.isnan(log_prob).any():
        first = texts[int(np.isnan(log_prob).argmax())]
        raise ModelError(f"The model's log-probabilities are not numbers (NaN), first for {first!r}. Is it broken?")
    count = np.bincount(tokens.text, minlength=len(texts))
    return [
        TextScore(float(log_prob[i]), int(count[i]), len(text.encode("utf-8")), int(tokens.read[i]))
        for i, text in enumerate(texts)
    ]


def require_tokens(scores: Iterable[TextScore], texts: Iterable[str]) -> None:
    """Refuse texts to be compared of which one has no token that counts: its score would be 0, the best there is.

    Raises:
        TextError: quoting the first.
    """
    for score, text in zip(scores, texts, strict=True):
        if score.tokens == 0:
            raise TextError(
                f"No token of {text!r} counts, so nothing of it is scored: the model's tokenizer makes none of it, or "
                "only one that nothing comes before. Leave the text out, or give the tokenizer a BOS."
            )


def bits_per_byte(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> float:
    """Total bits of the texts over their total UTF-8 bytes; comparable between tokenizers, models and languages."""
    scores = score_texts(lm, tokenizer, texts)
    return -sum(s.log_prob for s in scores) / math.log(2) / sum(s.num_bytes for s in scores)


def row_log_probs(lm: PreTrainedModel, rows: list[list[int]], counted: list[np.ndarray] | None = None) -> np.ndarray:
    """log p(token | tokens before it in its row), in nats; the rows one after the other, zero at their first tokens.

    Rows that begin alike are read as trees where that leaves out a quarter of the columns and the model can read them.

    Args:
        counted: for each row, which of its tokens are wanted (booleans); None: all. The LM head does not run for the
            others, whose entries mean nothing.
    """
    forest = grow(rows, TREE_COLUMNS)
    plain = sum(len(row) - 1 for row in rows)
    if forest.columns < 0.75 * plain and reads_trees(lm, max(map(len, rows)), forest.width):
        return _log_probs_on_trees(lm, forest, None if counted is None else np.concatenate(counted))
    starts = np.cumsum([0, *map(len, rows)])
    result = np.zeros(starts[-1])

    def read(group: list[int]) -> None:
        batch = pad([rows[i] for i in group], pad_id=0).to(lm.device)
        is_wanted = batch.is_real.clone()
        if counted is not None:
            is_wanted[batch.is_real] = torch.from_numpy(np.concatenate([counted[i] for i in group])).to(lm.device)
        scores = token_log_probs(lm, batch, is_wanted)[batch.is_real].cpu().double().numpy()
        result[np.concatenate([np.arange(starts[i], starts[i + 1]) for i in group])] = scores

    for_each_group(lm, read, [len(row) for row in rows])
    return result


def _log_probs_on_trees(lm: PreTrainedModel, forest: Forest, is_counted: np.ndarray | None) -> np.ndarray:
    """`row_log_probs` of the rows that the forest grew from."""
    is_wanted = np.ones(len(forest.tree), dtype=bool)
    if is_counted is not None:
        is_wanted[:] = False
        is_wanted[forest.edge_of[is_counted & (forest.edge_of >= 0)]] = True
    edges = np.searchsorted(forest.tree, np.arange(len(forest.trees) + 1))
    scores = np.zeros(len(forest.tree) + 1)  # the last is that of first tokens

    @torch.no_grad()
    def read(group: list[int]) -> None:
        batch = pad([forest.trees[t].ids for t in group], pad_id=0).to(lm.device)
        ends = pad([forest.trees[t].ends for t in group], pad_id=0).input_ids.to(lm.device)
        row_starts = np.arange(len(group)) * batch.input_ids.shape[1]
        here = np.concatenate([np.arange(edges[t], edges[t + 1]) for t in group])
        places = forest.column[here] + np.repeat(row_starts, [edges[t + 1] - edges[t] for t in group])
        here, places = here[is_wanted[here]], places[is_wanted[here]]
        needed, state_of = np.unique(places, return_inverse=True)
        states = hidden_states(lm, batch.input_ids, batch.is_real, ends=ends).flatten(0, 1)
        on_device = (torch.from_numpy(x).to(lm.device) for x in (needed, state_of, forest.token[here]))
        needed_states, state_of_each, tokens = on_device
        scores[here] = log_probs_at(lm, states[needed_states], state_of_each, tokens).cpu().double().numpy()

    for_each_group(lm, read, [len(tree.ids) for tree in forest.trees])
    by_token: np.ndarray = scores[forest.edge_of]
    return by_token


def for_each_group(lm: PreTrainedModel, read: Callable[[list[int]], None], lengths: list[int]) -> None:
    """Read all rows in groups of similar length."""
    groups = list(_groups(sorted(range(len(lengths)), key=lengths.__getitem__), lengths))
    with prepacked(lm) if sum(lengths) >= WORTH_PREPACKING else nullcontext():
        _in_threads(lm, read, groups)


def _in_threads(lm: PreTrainedModel, read: Callable[[list[int]], None], groups: list[list[int]]) -> None:
    """On a CPU several groups at a time, each with its share of the threads: threads that wait for each other in
    every operation waste half of their time and more where the machine has other work.
    """
    threads = torch.get_num_threads() if lm.device.type == "cpu" else 1
    workers = min(threads, len(groups), READERS)
    if workers <= 1:
        for group in groups:
            read(group)
        return
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,)) as pool:
            list(pool.map(read, groups))
    finally:
        torch.set_num_threads(threads)  # for threads that begin later


def _groups(order: list[int], lengths: list[int]) -> Iterator[list[int]]:
    """Consecutive items of `order` (sorted by length) in groups of at most TOKENS_PER_FORWARD padded tokens."""
    group: list[int] = []
    for i in order:
        if group and (len(group) + 1) * lengths[i] > TOKENS_PER_FORWARD:
            yield group
            group = []
        group.append(i)
    if group:
        yield group


@dataclass(frozen=True)
class _Window:
    """A part of a text that fits the model's context."""

    text: int
    """Which of the texts."""
    row: list[int]
    counted: np.ndarray
    """Which of the row's tokens end after the text's context."""
    ends: np.ndarray
    """Where each token's text ends, in characters; -1 where that was not asked for."""


def _windows(
    lm: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    count_from: list[int] | None,
    with_ends: bool,
) -> list[_Window]:
    start = start_token(tokenizer)
    longest = (context_length(lm) or 1 << 30) - 1
    head = [] if start is None else [start]
    if count_from is None and not with_ends:
        rows = [(row, [-1] * len(row)) for row in encode(tokenizer, texts)]
    else:
        rows = encode_with_ends(tokenizer, texts)
    windows = []
    for i, (row, ends) in enumerate(rows):
        count = len(row) if count_from is None else count_after(ends, count_from[i])
        body = row[len(head) :]
        for first in range(0, len(body), longest):
            part = head + body[first : first + longest]
            of_part = np.array(ends[: len(head)] + ends[len(head) + first : len(head) + first + longest])
            windows.append(_Window(i, part, np.arange(len(part)) + first >= len(row) - count, of_part))
    return windows
