"""Texts without spaces: cut into words, in the one way there is.

A set of words is uniquely decodable if no text can be cut up in two ways. Sardinas and Patterson (1953): start from
what is left where one word begins with another (`kivan` less `kiva` is `n`), go on with what is left where such a
remainder and a word begin alike, and the set is uniquely decodable unless a remainder is a word itself. Whether a word
ends after `kiva` may depend on what follows, so that cutting takes the lexicon and not only the letters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Segmenter:
    """Cuts texts into these words."""

    words: frozenset[str]

    def split(self, text: str) -> tuple[str, ...]:
        """The words of a text. What is no word is left in as few letters as can be; joined, the pieces are the text."""
        best = [(0, 0)]  # to each place: letters that are in no word, where the last piece begins
        for end in range(1, len(text) + 1):
            ways = [(best[start][0], start) for start in self._starts(text, end)]
            best.append(min([*ways, (best[end - 1][0] + 1, end - 1)]))
        pieces: list[str] = []
        end = len(text)
        while end > 0:
            start = best[end][1]
            if pieces and text[start:end] not in self.words and pieces[-1] not in self.words:
                pieces[-1] = text[start:end] + pieces[-1]
            else:
                pieces.append(text[start:end])
            end = start
        return tuple(reversed(pieces))

    def begun(self, text: str) -> Iterator[tuple[tuple[str, ...], str]]:
        """Every (words, rest) whose words are said whole and whose rest, not empty, begins another word or is one."""
        ways: dict[int, list[tuple[str, ...]]] = {0: [()]}
        for place in range(len(text)):
            for words in ways.get(place, []):
                if text[place:] in self._beginnings:
                    yield words, text[place:]
                for end in range(place + 1, min(place + self._longest, len(text) - 1) + 1):
                    if text[place:end] in self.words:
                        ways.setdefault(end, []).append((*words, text[place:end]))

    def ambiguous(self) -> str | None:
        """A remainder that makes some text ambiguous; None if the words are uniquely decodable."""
        ordered = [word for word in self.words if word]
        left = {word[end:] for word in ordered for end in range(1, len(word)) if word[:end] in self.words}
        seen: set[str] = set()
        while left:
            rest = left.pop()
            if rest in self.words:
                return rest
            seen.add(rest)
            more = {word[len(rest) :] for word in self._beginning_with(rest)}
            more |= {rest[end:] for end in range(1, len(rest)) if rest[:end] in self.words}
            left |= more - seen
        return None

    def _starts(self, text: str, end: int) -> Iterator[int]:
        return (s for s in range(max(0, end - self._longest), end) if text[s:end] in self.words)

    def _beginning_with(self, rest: str) -> list[str]:
        return [word for word in self.words if word.startswith(rest)] if rest in self._beginnings else []

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.words))

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(word[:end] for word in self.words for end in range(1, len(word) + 1))
