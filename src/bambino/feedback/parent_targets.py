"""The parent's distribution over the baby's next token, at every place of what was heard or said: dense feedback.

Texts are the baby's token rows; `scoring/next_tokens.py` says what the distribution is. Nothing is wanted of first
tokens, after bytes that are no text, and of places where too much of the probability had to be dropped; special tokens
get nothing, but for EOS where the parent knows where lines end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from bambino.errors import RecipeError, TextError
from bambino.feedback.answers import Targets
from bambino.scoring.next_tokens import NextTokenReader
from bambino.scoring.texts import row_log_probs
from bambino.speaking.speaker import Speaker
from bambino.text.tokens import encode

if TYPE_CHECKING:
    from bambino.feedback.settings import ParentTargetsConfig

LINES_WITH_ENDS = 64
"""Lines on which it is tried whether the parent knows where lines end."""


@dataclass(frozen=True, eq=False)
class ParentTargets:
    """The kind of feedback: a parent, and how it answers."""

    parent: Speaker
    config: ParentTargetsConfig

    def reader(self, baby: PreTrainedTokenizerBase, lines: Sequence[str]) -> TargetReader:
        """How targets are found for a baby's tokens.

        Args:
            lines: some lines of L2, on which it is seen whether the parent knows where lines end.

        Raises:
            RecipeError: the tokens of parent or baby are no bytes of texts.
        """
        try:
            return TargetReader(self.parent, self.config, baby, knows_ends(self.parent, lines))
        except TextError as error:
            raise RecipeError(self.config.section, f"{self.config.section}: {error}") from None


class TargetReader:
    """Finds what the parent expects a baby to say next."""

    def __init__(
        self, parent: Speaker, config: ParentTargetsConfig, baby: PreTrainedTokenizerBase, knows_ends: bool
    ) -> None:
        self.config, self.lm, self.knows_ends, self.eos = config, parent.lm, knows_ends, baby.eos_token_id
        self._reader = NextTokenReader(
            parent.lm, parent.tokenizer, baby, eos=knows_ends, rule=config.rule, top=config.top
        )

    @cached_property
    def unanswered(self) -> int | None:
        """The baby's token that the parent says nothing about: EOS, where the parent does not know where lines end."""
        return None if self.knows_ends else self.eos

    def __call__(self, rows: Sequence[list[int]], first: Sequence[int] | None = None) -> tuple[list[RowTargets], int]:
        """The targets of rows of the baby's tokens, at all places from a row's token `first` (1) on; and how many
        tokens the parent read for them."""
        pieces, lead = self._reader.other.pieces, self._reader.other.lead
        texts, ends, columns = [], [], []
        for i, row in enumerate(rows):
            text = self._reader.other.bytes_of(row)
            done = list(accumulate(len(pieces[token]) for token in row))
            begin, is_text_to = 1 if first is None else first[i], text_to(text)
            wanted = (c for c in range(begin, len(row)) if row[c] != self.unanswered)
            can_be_asked = {0, *range(len(lead) + 1, len(lead) + is_text_to + 1)}
            columns.append([c for c in wanted if done[c - 1] in can_be_asked])
            texts.append(text[:is_text_to])
            ends.append([max(0, done[c - 1] - len(lead)) for c in columns[-1]])
        found = self._reader(texts, ends)
        counts = [len(of) for of in columns]
        parts = zip(
            columns,
            found.ids.int().cpu().split(counts),
            found.probs.half().cpu().split(counts),
            found.dropped.cpu().split(counts),
            strict=True,
        )
        return [RowTargets(torch.tensor(of, dtype=torch.long), *rest) for of, *rest in parts], found.tokens_read


@dataclass(frozen=True, eq=False)
class RowTargets:
    """Targets at places of one row, those that are not to be trusted included."""

    position: Int[Tensor, " n"]
    """Token of the row that each is the distribution of."""
    ids: Int[Tensor, "n K"]
    probs: Float[Tensor, "n K"]
    dropped: Float[Tensor, " n"]
    """Share of the parent's probability that could not be turned into the baby's tokens."""

    @property
    def num_bytes(self) -> int:
        return self.ids.nbytes + self.probs.nbytes + self.dropped.nbytes + self.position.nbytes

    def moved(self, columns: int) -> RowTargets:
        """The same in a row that begins so many tokens earlier."""
        return replace(self, position=self.position + columns)


def joined(rows: Sequence[tuple[int, RowTargets]], max_dropped: float) -> tuple[Targets, Float[Tensor, " M"]]:
    """The targets to be trusted of some rows of a batch, and what was dropped at all of their places."""
    dropped = torch.cat([of.dropped for _, of in rows])
    is_good = dropped <= max_dropped
    row = torch.tensor([i for i, _ in rows]).repeat_interleave(torch.tensor([len(of.dropped) for _, of in rows]))
    position, ids, probs = (
        torch.cat(part) for part in zip(*((of.position, of.ids, of.probs) for _, of in rows), strict=True)
    )
    return Targets(row[is_good], position[is_good], ids[is_good], probs[is_good]), dropped


def text_to(said: bytes) -> int:
    """The byte to which bytes are the beginning of a text, which may end inside a character."""
    try:
        said.decode()
    except UnicodeDecodeError as error:
        return error.start if error.reason == "invalid start byte" else error.end
    return len(said)


def knows_ends(parent: Speaker, lines: Sequence[str]) -> bool:
    """Whether the parent's EOS is ten times as likely where lines end as at other tokens, and likely at all (0.01)."""
    eos = parent.tokenizer.eos_token_id
    if eos is None or not lines:
        return False
    rows, is_end = [], []
    for row in encode(parent.tokenizer, list(lines[:LINES_WITH_ENDS])):
        for length in {len(row), *range(2, len(row), max(1, len(row) // 8))}:
            rows.append([*row[:length], eos])
            is_end.append(length == len(row))
    log_probs = row_log_probs(parent.lm, rows)
    last = np.exp(log_probs[np.cumsum([len(row) for row in rows]) - 1])
    at_ends, elsewhere = last[is_end].mean(), last[~np.array(is_end)].mean()
    return bool(at_ends >= 0.01 and at_ends >= 10 * elsewhere)
