"""What a tokenizer cannot spell: unknown tokens, and the characters that are in them or in no token at all.

A model pays the bits of one token for whatever an unknown token hides, and none for a character that is in no token, so
its bits per byte are too low and do not compare with those of a model that reads every character.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from bambino.text.tokens import encode, encoded_by

COMPARABLE = 0.001
"""Largest share of unread characters with which bits per byte compare between tokenizers: each hides some ten bits of
a text of two bits per byte, half a percent in all."""


@dataclass(frozen=True)
class Unknown:
    """Counts over some texts."""

    tokens: int
    """Tokens that stand for what the tokenizer does not know."""
    of_tokens: int
    characters: int
    """Characters in these or in no token, white space left out; of a tokenizer written in Python, one for each of these
    tokens."""
    of_characters: int

    @property
    def share(self) -> float:
        """Of the characters."""
        return self.characters / max(1, self.of_characters)

    @property
    def is_comparable(self) -> bool:
        """Whether bits per byte compare with those of other tokenizers."""
        return self.share <= COMPARABLE

    def __str__(self) -> str:
        share = self.tokens / max(1, self.of_tokens)
        return f"{share:.1%} of the tokens are unknown (<unk>), and {self.share:.1%} of the characters are not read"


def unknown_in(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Unknown:
    """What a tokenizer does not know of some texts.

    Raises:
        TextError: it cannot read one of them.
    """
    if not tokenizer.is_fast:
        rows = encode(tokenizer, texts, with_start=False)
        tokens = sum(row.count(tokenizer.unk_token_id) for row in rows)
        return Unknown(tokens, sum(map(len, rows)), tokens, sum(len("".join(text.split())) for text in texts))
    found = encoded_by(tokenizer, texts, add_special_tokens=False, return_offsets_mapping=True)
    unknown = -1 if tokenizer.unk_token_id is None else tokenizer.unk_token_id
    counts = np.zeros(4, dtype=np.int64)
    for text, ids, spans in zip(texts, found["input_ids"], found["offset_mapping"], strict=True):
        counts += _of_text(text, np.array(ids, dtype=np.int64) == unknown, np.array(spans, dtype=np.int64))
    return Unknown(*counts.tolist())


def _of_text(text: str, is_unknown: np.ndarray, spans: np.ndarray) -> tuple[int, int, int, int]:
    """The numbers of `Unknown` of a text.

    Args:
        is_unknown: (tokens,) whether each is unknown.
        spans: (tokens, 2) the characters between which each lies.
    """
    begin, end = spans.reshape(-1, 2)[~is_unknown].T
    covers = np.bincount(begin, minlength=len(text) + 1) - np.bincount(end, minlength=len(text) + 1)
    is_read = covers.cumsum()[:-1] > 0
    is_visible = np.array([not char.isspace() for char in text], dtype=bool)
    return int(is_unknown.sum()), len(is_unknown), int((is_visible & ~is_read).sum()), int(is_visible.sum())
