"""Word forms: regular paradigms made by rule from a lemma and its class, irregular ones listed.

A word's entry is `lemma class` or `lemma class = its forms` (`man: uomo m = uomo uomini`). A paradigm names its cells
(`present sg 3`; `*` is any value) and, for each ending of a lemma, the endings of the forms in the order of the cells:
`co: co chi` makes fungo, funghi. The longest ending that fits counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bambino.errors import NurseryError


@dataclass(frozen=True)
class Word:
    """One form of one word."""

    tokens: tuple[str, ...]
    onset: str
    """The kind of sound it begins with, as `onsets` names it."""


@dataclass(frozen=True)
class Entry:
    """A word of one language: all its forms."""

    forms: tuple[str, ...]
    """In the order of the paradigm's cells."""
    cells: tuple[str, ...]
    class_name: str | None
    """What the class is: `gender`."""
    class_value: str


@dataclass(frozen=True)
class Lexicon:
    """Base category -> concept -> entry."""

    entries: Mapping[str, Mapping[str, Entry]]
    onsets: tuple[tuple[str, str], ...]
    """(name, pattern), tried in order."""
    _cache: dict[tuple[str, str, tuple[str, ...]], Word] = field(default_factory=dict)

    def word(self, base: str, concept: str, asks: tuple[str, ...]) -> Word:
        """The form of a concept for the features it is asked for.

        Raises:
            NurseryError: a concept without a word, or a form that the paradigm lacks.
        """
        key = (base, concept, asks)
        if key not in self._cache:
            entry = self._entry(base, concept)
            for cell, form in zip(entry.cells, entry.forms, strict=True):
                if matches(cell, asks):
                    tokens = split_words(form)
                    self._cache[key] = Word(tokens, self.onset(tokens[0]) if tokens else "")
                    break
            else:
                raise NurseryError(f"{base} {concept} has no form for {asks}; its cells are {entry.cells}.")
        return self._cache[key]

    def feature(self, base: str, concept: str, name: str, asks: tuple[str, ...] | None) -> str:
        """`onset` of the form asked for, or the feature that the word's class is."""
        if name == "onset":
            return self.word(base, concept, asks or ()).onset
        entry = self._entry(base, concept)
        if entry.class_name != name:
            raise NurseryError(f"{base} {concept} has no feature {name}.")
        return entry.class_value

    def onset(self, word: str) -> str:
        """The first pattern that the word's beginning matches."""
        for name, pattern in self.onsets:
            if re.match(pattern, word.lower()):
                return name
        raise NurseryError(f"no onset pattern matches {word}")

    def forms(self) -> set[str]:
        """Every word form of the lexicon."""
        return {token for words in self.entries.values() for entry in words.values()
                for form in entry.forms for token in split_words(form)}  # fmt: skip

    def _entry(self, base: str, concept: str) -> Entry:
        try:
            return self.entries[base][concept]
        except KeyError:
            raise NurseryError(f"No word for the {base} {concept}. Add it under words.") from None


def read_lexicon(raw: Mapping[str, Any]) -> Lexicon:
    """The words of a language's YAML."""
    entries: dict[str, Mapping[str, Entry]] = {}
    for name, paradigm in raw["paradigms"].items():
        made = {concept: _read_entry(name, str(text), paradigm) for concept, text in raw["words"][name].items()}
        entries.update(dict.fromkeys(paradigm["of"], made))
    return Lexicon(entries, tuple(raw["onsets"].items()))


def matches(pattern: str, values: Sequence[str]) -> bool:
    """Whether each value equals its place in the pattern, or that place is `*`."""
    places = pattern.split()
    return len(places) == len(values) and all(p in ("*", v) for p, v in zip(places, values, strict=True))


def split_words(form: str) -> tuple[str, ...]:
    """`goes_out` -> (goes, out); `-` -> ()."""
    return () if form == "-" else tuple(form.split("_"))


def _read_entry(name: str, text: str, paradigm: Mapping[str, Any]) -> Entry:
    left, listed, right = text.partition(" = ")
    lemma, *classes = left.split()
    of_class = paradigm.get("class", {})
    value = classes[0] if classes else of_class.get("default", "")
    cells = tuple(map(str, paradigm["cells"]))
    forms = tuple(right.split()) if listed else _inflect(lemma, _endings(paradigm["endings"], value))
    if len(forms) != len(cells):
        raise NurseryError(f"{name} {text!r}: {len(forms)} forms for {len(cells)} cells {cells}.")
    return Entry(forms, cells, of_class.get("name"), value)


def _endings(endings: Mapping[str, Any], of_class: str) -> Mapping[str, str]:
    """The endings of a class, where they are given by class."""
    found = endings[of_class] if isinstance(endings.get(of_class), Mapping) else endings
    return {str(lemma): str(forms) for lemma, forms in found.items()}


def _inflect(lemma: str, endings: Mapping[str, str]) -> tuple[str, ...]:
    if lemma == "-":
        return ("-",)
    fitting = [ending for ending in endings if lemma.endswith(ending)]
    if not fitting:
        raise NurseryError(f"No ending of {list(endings)} fits {lemma}. List its forms: `{lemma} class = ...`.")
    longest = max(fitting, key=len)
    stem = lemma[: len(lemma) - len(longest)]
    return tuple(stem + ("" if form == "-" else form) for form in endings[longest].split())
