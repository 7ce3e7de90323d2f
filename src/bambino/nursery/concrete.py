"""A concrete grammar: how one language says the meanings of the world; english.yaml, ... -> words.

`notation.py` explains the constructions. Words have the features of their class (a noun's gender) and `onset`, the kind
of sound they begin with. Each part is said at most once and in one piece, which keeps the language context-free.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bambino.errors import NurseryError
from bambino.nursery.knobs import FILES, Language, read_language
from bambino.nursery.morphology import Entry, Lexicon, read_lexicon, split_words
from bambino.nursery.notation import Asks, NotatedItem, NotatedTable, Option, Value, read_options, read_table
from bambino.nursery.world import Meaning, split_category


@dataclass(frozen=True)
class Flaw:
    """A mistake to make: a part (or table) of one construction is told other values than the grammar says."""

    at: Meaning
    """The very node (compared by identity) whose template is told wrong."""
    target: str
    """Its part or table."""
    feature: str
    """The feature to get wrong; empty where `values` are all the target is told."""
    values: tuple[str, ...]
    """The wrong value of the feature, or all the values told."""

    def told(self, item: NotatedItem, values: list[str]) -> list[str]:
        """What the target is told instead."""
        if not self.feature:
            return list(self.values)
        return [
            self.values[0] if argument.name == self.feature else value
            for argument, value in zip(item.arguments, values, strict=True)
        ]


@dataclass(frozen=True)
class Concrete:
    """One language."""

    language: Language
    split_elided: bool
    """Whether l'uccello is two words."""
    asks: Mapping[str, tuple[str, ...]]
    options: Mapping[str, tuple[Option, ...]]
    tables: Mapping[str, NotatedTable]
    lexicon: Lexicon

    @property
    def is_spaced(self) -> bool:
        """Whether there are spaces between words."""
        return self.language.settings.get("spaces") != "no"

    def words(self) -> set[str]:
        """Every word and punctuation mark of templates, tables and lexicon, whether or not some sentence holds it."""
        options = (item for found in self.options.values() for option in found for item in option.items)
        forms = (form for table in self.tables.values() for _, row in table.rows for form in row)
        said = {item.name for item in options if item.kind == "word"}
        return said | {word for form in forms for word in split_words(form)} | self.lexicon.forms()

    def asked(self, category: str) -> tuple[str, ...]:
        """The names of what a category must be told."""
        return self.asks.get(split_category(category)[0], ())

    def linearise(
        self, meaning: Meaning, uniform: random.Random, asks: Asks = (), flaw: Flaw | None = None
    ) -> list[str]:
        """The meaning in words. Uses only `uniform.random()`, where there is a choice between ways to say it."""
        rule = meaning.rule
        if rule.is_word:
            return list(self.lexicon.word(rule.base, rule.name, asks).tokens)
        option = self._choose(meaning, asks, uniform)
        said: list[str] = []
        for item in option.items:
            if item.kind == "word":
                said.append(item.name)
                continue
            values = [self._value(meaning, argument, asks) for argument in item.arguments]
            if flaw is not None and flaw.at is meaning and flaw.target == item.name:
                values = flaw.told(item, values)
            if item.kind == "table":
                said += self.tables[item.name].look_up(tuple(values))
            else:
                said += self.linearise(meaning.part(item.name), uniform, tuple(values), flaw)
        return said

    def feature(self, meaning: Meaning, name: str, asks: Asks | None = None) -> str:
        """A feature of a meaning as this language says it (`gender`: f). Only `onset` depends on what is asked."""
        rule = meaning.rule
        if rule.is_word:
            return self.lexicon.feature(rule.base, rule.name, name, asks)
        option = self._fitting(meaning, asks or ())[0]
        for key, value in option.gives:
            if key == name:
                return self._value(meaning, value, asks or ())
        raise NurseryError(f"{self.language}: construction {rule.name} has no feature {name}. Add `{name}: ...` to it.")

    def _value(self, meaning: Meaning, value: Value, asks: Asks) -> str:
        if value.source is None:
            return value.name
        if value.source == "my":
            return asks[self.asks[meaning.rule.base].index(value.name)]
        part = meaning.part(value.source)
        return self.feature(
            part, value.name, self._told(meaning, value.source, asks) if value.name == "onset" else None
        )

    def _told(self, meaning: Meaning, part: str, asks: Asks) -> Asks:
        """What the template tells a part."""
        for item in self._fitting(meaning, asks)[0].items:
            if item.kind == "part" and item.name == part:
                return tuple(self._value(meaning, argument, asks) for argument in item.arguments)
        return ()

    def _fitting(self, meaning: Meaning, asks: Asks) -> list[Option]:
        options = self.options[meaning.rule.name]
        if not options[0].when:
            return list(options)
        fitting = [o for o in options if all(self._value(meaning, v, asks) == wanted for v, wanted in o.when)]
        if not fitting:
            raise NurseryError(f"{self.language}: no option of {meaning.rule.name} fits {meaning}.")
        return fitting

    def _choose(self, meaning: Meaning, asks: Asks, uniform: random.Random) -> Option:
        fitting = self._fitting(meaning, asks)
        if len(fitting) == 1:
            return fitting[0]
        draw = uniform.random()
        for option in fitting:
            draw -= option.probability
            if draw < 0:
                return option
        return fitting[-1]


def load_concrete(name: str) -> Concrete:
    """Read a language of this package, as `read_language` reads its name."""
    language = read_language(name)
    return read_concrete(_document(FILES[language.code]), language)


@cache
def _document(name: str) -> Mapping[str, Any]:
    """A file of this package, read once for all settings."""
    found: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return found


def read_concrete(raw: Mapping[str, Any], language: Language) -> Concrete:
    """The language that a YAML document describes, in the setting of its knobs."""
    knobs = language.settings
    asks = {category: tuple(names) for category, names in raw["asks"].items()}
    tables = {name: read_table(name, entry) for name, entry in raw["tables"].items()}
    options = {str(name): read_options(str(name), entry, knobs) for name, entry in raw["constructions"].items()}
    for name, found in options.items():
        for option in found:
            for item in option.items:
                if item.kind == "table" and item.name not in tables:
                    raise NurseryError(f"{language}: {name} uses @{item.name}, which is no table.")
    concrete = Concrete(language, raw["split_elided"], asks, options, tables, read_lexicon(raw))
    return _in_script(concrete, raw["script"]) if knobs.get("script") == "own" else concrete


def _in_script(concrete: Concrete, script: Mapping[str, str]) -> Concrete:
    """The same language in letters of its own."""
    letters = str.maketrans(dict(script))
    for word in concrete.words():
        foreign = [letter for letter in word if letter.isalpha() and letter not in script]
        if foreign:
            raise NurseryError(f"{concrete.language}: the script has no letter for the {foreign[0]!r} of {word!r}.")

    def written(option: Option) -> Option:
        items = (replace(item, name=item.name.translate(letters)) if item.kind == "word" else item
                 for item in option.items)  # fmt: skip
        return replace(option, items=tuple(items))

    def entry_of(entry: Entry) -> Entry:
        return replace(entry, forms=tuple(form.translate(letters) for form in entry.forms))

    tables = {
        name: NotatedTable(
            tuple((row, tuple(f.translate(letters) for f in forms)) for row, forms in table.rows), table.columns
        )
        for name, table in concrete.tables.items()
    }
    lexicon = concrete.lexicon
    entries = {base: {word: entry_of(e) for word, e in found.items()} for base, found in lexicon.entries.items()}
    return replace(
        concrete,
        options={name: tuple(map(written, found)) for name, found in concrete.options.items()},
        tables=tables,
        lexicon=Lexicon(entries, lexicon.onsets),
    )
