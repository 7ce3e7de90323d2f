"""Unicode's composed form: an accented letter as one character, however a file spells it (macOS writes two)."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache
from typing import Any

MOST_MARKS = 1000
"""Accents in a row, as no language has them, from which on a text stays as it is: to sort them would take minutes."""


def composed(text: str) -> str:
    """The text in NFC; the same text where it is already."""
    if text.isascii() or (len(text) > MOST_MARKS and _many_marks().search(text)):
        return text
    return unicodedata.normalize("NFC", text)


def all_composed(value: Any) -> Any:
    """Every text in a value from JSON in NFC."""
    if isinstance(value, str):
        return composed(value)
    if isinstance(value, list):
        return [all_composed(item) for item in value]
    return {composed(key): all_composed(item) for key, item in value.items()} if isinstance(value, dict) else value


@cache
def _many_marks() -> re.Pattern[str]:
    marks = "".join(char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.combining(char))
    return re.compile(f"[{marks}]{{{MOST_MARKS}}}")
