"""What stands between a beginning and what follows it: a space, or nothing where none is written.

Nothing stands after an elided word (l'amico, dell'uomo, qu'il), a hyphen (well-known), an opening bracket, and beside
letters of a script that writes no spaces (那个男孩). An apostrophe that cuts a vowel off (un po' di), makes a plural's
genitive (the dogs' tails) or closes a quotation ('yes' is) has its space.
"""

from __future__ import annotations

import re
import unicodedata

from bambino.text.words import is_spaceless

_APOSTROPHE = "['’ʼ]"  # noqa: RUF001
_ELIDED = re.compile(rf"(?:\b[^\W\d_]|[^\W\d_aeiouàèéìòùáíóú]|qu){_APOSTROPHE}$", re.IGNORECASE)
"""One letter (l', c', O'), a consonant (dell', anch') or qu (jusqu')."""
_GENITIVE = re.compile(rf"\w{{2,}}s{_APOSTROPHE}$", re.IGNORECASE)
_QUOTATION = re.compile(r"(?:^|[\s(])['‘]\S")  # noqa: RUF001
_HYPHENED = re.compile(r"\w[-\u2010\u2011]$")


def delimiter(before: str, after: str) -> str:
    """What is written between two texts: a space or nothing."""
    return "" if _ends_joined(before) or is_spaceless(before[-1:], after[:1]) else " "


def _ends_joined(before: str) -> bool:
    """Whether what follows is written onto the text."""
    last = before[-1:]
    if last == "«":  # »Hallo« ends so
        return before.count("«") > before.count("»")
    if (last and (last in "¿¡" or unicodedata.category(last) == "Ps")) or _HYPHENED.search(before):
        return True
    return bool(_ELIDED.search(before)) and not _GENITIVE.search(before) and not _QUOTATION.search(before)
