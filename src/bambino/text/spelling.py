"""Words of a text: runs of letters, casefolded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

WORD = re.compile(r"[^\W\d_]+(?:['’](?=[^\W\d_]))?")  # noqa: RUF001
"""Letters, with the apostrophe that joins them to the next letters: l'uomo is l' and uomo, don't is don' and t."""
APOSTROPHES = "'’"  # noqa: RUF001


def words_of(text: str) -> list[str]:
    """The words of a text, casefolded: runs of letters; an elided word keeps its apostrophe (`l'`, `dell'`)."""
    return [normal(match.group()) for match in WORD.finditer(text)]


def count_words(lines: Iterable[str]) -> Counter[str]:
    """How often each word of `words_of` occurs in the lines; each spelling is casefolded once, as corpora are large."""
    spelled = Counter(word for line in lines for word in WORD.findall(line))
    counts: Counter[str] = Counter()
    for word, count in spelled.items():
        counts[normal(word)] += count
    return counts


def words_after(prompt: str, text: str, has_ended: bool) -> list[str]:
    """The words of a text that end after its prompt; a last word that the token limit may have cut is left out.

    A word that begins in the prompt and ends after it counts: whoever goes on finishes it.
    """
    found = [match for match in WORD.finditer(text) if match.end() > len(prompt)]
    if found and not has_ended and not text[found[-1].end() :].strip(APOSTROPHES):
        found.pop()
    return [normal(match.group()) for match in found]


def normal(word: str) -> str:
    """A word as it is counted: casefolded, with the plain apostrophe."""
    return word.replace("’", "'").casefold()  # noqa: RUF001
