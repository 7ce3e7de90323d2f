"""How likely a model finds text that begins with given bytes, wherever they end: exact by covers.

A cover of the bytes x is a row of tokens that says x, and its last token maybe more: the tokens of a beginning y of x,
as the tokenizer splits y alone, and then any token that begins with the rest of x and goes on; where y is all of x,
that token may be any. Texts that begin with x begin with exactly one cover of x, so

    P(text begins with x) = sum over y of p(tokens of y) * sum over w that begin with x - y and go on of p(w | y).

The sum leaves out rows whose beginning is not how the tokenizer would split it: a model that was trained on the
tokenizer's own rows gives them next to nothing. The name is that of Vieira et al. 2024 (arXiv 2412.03719). Beginnings y
go back as far as some token reaches; where a token always ends they need not go further.

All beginnings of a text are read as a tree (`prefix_trees`), once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.scoring.forward import context_length, eval_mode, hidden_states, lm_logits, reads_trees
from bambino.scoring.prefix_trees import Forest, grow
from bambino.scoring.prepacked import prepacked
from bambino.scoring.texts import TREE_COLUMNS, for_each_group
from bambino.text.batches import pad
from bambino.text.tokens import start_token
from bambino.text.vocabulary import Vocabulary

PROBS_AT_ONCE = 1 << 24
"""Probabilities held at a time on a CPU (64 MB); elsewhere 16 times as many."""


@dataclass(frozen=True, eq=False)
class Beginnings:
    """Some places in texts, their covers, and what the model makes of them."""

    places: list[tuple[int, int]]
    """(text, byte before which the place is)."""
    rows: list[list[int]]
    """Tokens of each beginning, the start token first."""
    log_prob: np.ndarray
    """Of each row, given its first token; nats."""
    log_probs: Float[Tensor, "R V"]
    """Of each token after each row, nats."""
    place: np.ndarray
    """Place of each cover, ascending; a place for which the context is too short has none."""
    row: np.ndarray
    """Row that each cover begins with."""
    rest: list[bytes]
    """What a cover's last token must begin with."""
    columns: int
    """Tokens that the model read."""


class Covers:
    """The covers of texts' beginnings under one model.

    Raises:
        TextError: the tokenizer's tokens are no bytes of texts.
    """

    def __init__(self, lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.lm = lm
        self.vocabulary = Vocabulary(tokenizer, lm.get_output_embeddings().weight.shape[0])
        start = start_token(tokenizer)
        self.head = [] if start is None else [start]
        self.room = context_length(lm) or 1 << 30

    def log_prefix_probs(
        self, texts: Sequence[bytes], ends: Sequence[Sequence[int]], read: Callable[[int], None] = lambda tokens: None
    ) -> list[np.ndarray]:
        """The model's log-probability, in nats, that a text begins with the first `end` bytes of each text.

        Args:
            ends: for each text, the bytes before which the beginnings that are asked for end, ascending.
            read: told how many tokens the model read.

        Returns:
            An array for each text, aligned with its ends; -inf where the model's context is too short.
        """
        result: list[np.ndarray] = []
        with eval_mode(self.lm), prepacked(self.lm):
            for first, group in self.groups(ends):
                found = self.read(texts[first : first + len(group)], group)
                read(found.columns)
                totals = np.full(len(found.places), -np.inf)
                np.logaddexp.at(totals, found.place, found.log_prob[found.row] + self._last_token(found))
                result += np.split(totals, np.cumsum([len(of) for of in group])[:-1])
        return result

    def groups(self, ends: Sequence[Sequence[int]]) -> Iterator[tuple[int, Sequence[Sequence[int]]]]:
        """Texts that are read together: the first one's number, and their ends."""
        budget = PROBS_AT_ONCE * (1 if self.lm.device.type == "cpu" else 16) // len(self.vocabulary)
        first = size = 0
        for i, of in enumerate(ends):
            expected = 2 * (max(of, default=0) + 1)
            if i > first and size + expected > budget:
                yield first, ends[first:i]
                first, size = i, 0
            size += expected
        if first < len(ends):
            yield first, ends[first:]

    def starts(self, text: bytes, end: int) -> Iterator[tuple[int, bytes]]:
        """Where the last token of a cover of text[:end] may begin, and what it then must begin with."""
        vocabulary = self.vocabulary
        yield end, b""
        for begin in range(end - 1, max(-1, end - vocabulary.longest), -1):
            if begin + 1 < end and not vocabulary.may_join[text[begin], text[begin + 1]]:
                return
            if vocabulary.begins_a_longer(rest := text[begin:end]):
                yield begin, rest

    def read(self, texts: Sequence[bytes], ends: Sequence[Sequence[int]], *, whole: bool = False) -> Beginnings:
        """All covers of the texts' beginnings, and what the model makes of them.

        Args:
            whole: of each beginning only the one cover whose row is a beginning of the whole text's own tokens.
        """
        lead = self.vocabulary.lead
        texts = [lead + text for text in texts]
        places = [(i, end) for i, of in enumerate(ends) for end in of]
        bounds = self._bounds(texts) if whole else None
        number: dict[bytes, int] = {}
        covers: list[tuple[int, int, bytes]] = []
        for place, (i, end) in enumerate(places):
            text, end = texts[i], end + len(lead)
            for begin, rest in self.starts(text, end) if bounds is None else last_start(text, end, bounds[i]):
                if begin or self.head:
                    covers.append((place, number.setdefault(text[:begin], len(number)), rest))
        rows = [self.head + row for row in self.vocabulary.split_beginnings(list(number))]
        fits = np.array([0 < len(row) <= self.room for row in rows], dtype=bool)
        too_long = {place for place, row, _ in covers if not fits[row]}
        kept = [cover for cover in covers if cover[0] not in too_long]
        log_probs, log_prob, columns = self._read([row for row, fit in zip(rows, fits, strict=True) if fit])
        place_of, number_of = (np.array([cover[k] for cover in kept], dtype=np.int64) for k in (0, 1))
        rows = [row for row, fit in zip(rows, fits, strict=True) if fit]
        row_of = (np.cumsum(fits) - 1)[number_of]
        return Beginnings(places, rows, log_prob, log_probs, place_of, row_of, [rest for *_, rest in kept], columns)

    def gather(self, found: Beginnings, covers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The last tokens that these covers with a rest may have.

        Returns:
            Cover and token of each pair, and its log-probability after the cover's row, in nats.
        """
        extensions = [self.vocabulary.extensions(found.rest[c]) for c in covers]
        cover = covers.repeat([len(of) for of in extensions])
        token = np.concatenate([np.empty(0, dtype=np.int64), *extensions])
        device = found.log_probs.device
        where = (torch.from_numpy(x).to(device) for x in (found.row[cover], token))
        return cover, token, found.log_probs[tuple(where)].cpu().double().numpy()

    def _bounds(self, texts: list[bytes]) -> list[list[int]]:
        """Bytes at which the tokens of each whole text end, 0 first."""
        pieces = self.vocabulary.pieces
        rows = self.vocabulary.split_beginnings(texts)
        return [[0, *accumulate(len(pieces[token]) for token in row)] for row in rows]

    def _last_token(self, found: Beginnings) -> np.ndarray:
        """For each cover, the log-probability that its row goes on with a token that it may end with."""
        result = np.zeros(len(found.rest))
        longer = np.array([c for c, rest in enumerate(found.rest) if rest], dtype=np.int64)
        cover, _, log_probs = self.gather(found, longer)
        total = np.bincount(cover, np.exp(log_probs), len(result))
        with np.errstate(divide="ignore"):
            result[longer] = np.log(total[longer])
        return result

    def _read(self, rows: list[list[int]]) -> tuple[Tensor, np.ndarray, int]:
        """Log-probs of every token after each row, log-prob of each row, and how many columns were read."""
        found = states_of(self.lm, rows)
        with torch.no_grad():
            log_probs = lm_logits(self.lm, found.states).float().log_softmax(-1)
        where = (torch.from_numpy(x).to(log_probs.device) for x in (found.edge_column, found.forest.token))
        of_edge = log_probs[tuple(where)].cpu().double().numpy()
        scores = np.append(of_edge, 0.0)[found.forest.edge_of]
        scores[found.ends] = 0.0
        log_prob = np.add.reduceat(scores, np.append(0, found.ends[:-1] + 1)) if rows else np.zeros(0)
        return log_probs[torch.from_numpy(found.after).to(log_probs.device)], log_prob, found.forest.columns


def last_start(text: bytes, end: int, bounds: list[int]) -> list[tuple[int, bytes]]:
    """The last of the bounds that is not behind the end, and the bytes between them."""
    begin = bounds[bisect_right(bounds, end) - 1]
    return [(begin, text[begin:end])]


@dataclass(frozen=True, eq=False)
class States:
    """What a model makes of rows that begin alike, each with a token more that stands for whatever follows."""

    states: Float[Tensor, "C D"]
    """Of each column of the forest, tree after tree."""
    forest: Forest
    edge_column: np.ndarray
    """Column of each edge, counted through the whole forest."""
    ends: np.ndarray
    """Place of each row's added token among the tokens of all rows."""
    after: np.ndarray
    """Column at which each row ends."""


def states_of(lm: PreTrainedModel, rows: list[list[int]]) -> States:
    """Hidden states after every beginning of the rows; as trees where the model can read them."""
    rows = [[*row, 0] for row in rows]
    forest = grow(rows, TREE_COLUMNS)
    sizes = [len(tree.ids) for tree in forest.trees]
    starts = np.cumsum([0, *sizes])
    edge_column = starts[forest.tree] + forest.column
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64) - 1
    states = torch.empty(starts[-1], lm.get_output_embeddings().weight.shape[1], dtype=lm.dtype, device=lm.device)

    @torch.no_grad()
    def read_trees(group: list[int]) -> None:
        batch = pad([forest.trees[t].ids for t in group], pad_id=0).to(lm.device)
        tree_ends = pad([forest.trees[t].ends for t in group], pad_id=0).input_ids.to(lm.device)
        columns = np.concatenate([np.arange(starts[t], starts[t + 1]) for t in group])
        hidden = hidden_states(lm, batch.input_ids, batch.is_real, ends=tree_ends)[batch.is_real]
        states[torch.from_numpy(columns).to(lm.device)] = hidden

    @torch.no_grad()
    def read_rows(group: list[int]) -> None:
        batch = pad([rows[i][:-1] for i in group], pad_id=0).to(lm.device)
        edges = np.concatenate([forest.edge_of[ends[i] - len(rows[i]) + 2 : ends[i] + 1] for i in group])
        hidden = hidden_states(lm, batch.input_ids, batch.is_real)[batch.is_real]
        states[torch.from_numpy(edge_column[edges]).to(lm.device)] = hidden

    with eval_mode(lm):
        if reads_trees(lm, max(map(len, rows), default=1) - 1, forest.width):
            for_each_group(lm, read_trees, sizes)
        else:
            for_each_group(lm, read_rows, [len(row) - 1 for row in rows])
    return States(states, forest, edge_column, ends, edge_column[forest.edge_of[ends]])
