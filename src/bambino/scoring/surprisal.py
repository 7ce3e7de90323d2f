"""How little a model expected each word of what was said: its surprisal, in bits.

A word is a space and the letters up to the next space; scripts without spaces (Chinese, Thai: `text/words.py`) are cut
wherever a token ends. Nothing is cut inside a token, so the surprisal of a word is the sum over its tokens, and that of
all words is the utterance's: -log2 P(utterance | prompt).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from unicodedata import category

import numpy as np

from bambino.scoring.texts import TokenScores
from bambino.text.words import is_spaceless

Word = list[Any]
"""[a word as it stands in the utterance, with the space before it; its surprisal in bits, None where it was not read]:
a row's, as JSON has it."""


def surprisals(
    tokens: TokenScores, prompts: Sequence[str], texts: Sequence[str], read: Sequence[str]
) -> list[list[Word]]:
    """The words of each utterance, in order; joined, they are the utterance.

    Args:
        tokens: scores of `read`, with ends.
        texts: prompts and utterances together.
        read: as much of each text as the model was given: all, or less at its end.
    """
    bits = -tokens.log_prob / math.log(2)
    starts = np.searchsorted(tokens.text, np.arange(len(texts) + 1)).tolist()
    rows = zip(pairwise(starts), prompts, texts, map(len, read), strict=True)
    return [
        words_of(text, len(prompt), end, tokens.end[slice(*of)], bits[slice(*of)]) for of, prompt, text, end in rows
    ]


def words_of(text: str, start: int, end: int, ends: np.ndarray, bits: np.ndarray) -> list[Word]:
    """The words of text[start:], of which text[start:end] was read.

    Args:
        ends: where each token's own text ends, in characters of the text; what the tokenizer dropped at the end of the
            text is the last word's.
        bits: of each token.
    """
    said = ends > start
    ends, bits = ends[said].clip(max=end), bits[said]
    last = ends.max(initial=start)
    cuts = [cut for cut in np.unique(ends).tolist() if cut < last and parts(text, cut)]
    bounds = [start, *cuts, *([end] if start < end else [])]
    word_of = np.searchsorted(bounds[1:], ends)
    total, tokens = (np.bincount(word_of, of, len(bounds) - 1).tolist() for of in (bits, None))
    words: list[Word] = [
        [text[first:after], round(value, 5) if count else None]
        for (first, after), value, count in zip(pairwise(bounds), total, tokens, strict=True)
    ]
    return words + ([[text[max(start, end) :], None]] if max(start, end) < len(text) else [])


def parts(text: str, place: int) -> bool:
    """Whether a word may end before this character, which is not the first: never between a character and its marks."""
    before, after = text[place - 1], text[place]
    if before.isspace() or category(after).startswith("M"):
        return False
    return after.isspace() or is_spaceless(before, after)
