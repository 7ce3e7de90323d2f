"""Words: pieces of text between white space, as `str.split` cuts them (and as BabyLM counts them).

A word counts where it begins: with the token that holds its first byte. So text that is cut, in a line or between
packed rows, has as many words as begin in what is kept, and none counts twice.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence

_WORD = re.compile(r"\S+")
_SPACELESS = (
    "CJK ",
    "IDEOGRAPHIC ",
    "HIRAGANA ",
    "KATAKANA",
    "FULLWIDTH ",
    "THAI ",
    "LAO ",
    "KHMER ",
    "MYANMAR ",
    "TIBETAN ",
)
"""How the names of their characters begin."""


def count_words(text: str) -> int:
    """Words of a text."""
    return len(text.split())


def words_begun(text: str, ends: Sequence[int]) -> list[int]:
    """How many words begin in each token of a text.

    Args:
        ends: where the text of each token ends, in characters, never falling. A word beyond all of them, which the
            tokenizer dropped, counts with the last.
    """
    begun = [0] * len(ends)
    for word in _WORD.finditer(text) if begun else ():
        begun[min(bisect_right(ends, word.start()), len(ends) - 1)] += 1
    return begun


def is_spaceless(*characters: str) -> bool:
    """Whether one of these is of a script that writes no spaces between words; an empty text is of none."""
    return any(unicodedata.name(character, "").startswith(_SPACELESS) for character in characters if character)
