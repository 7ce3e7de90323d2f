"""A concrete grammar: how one language says the meanings of the world; english.yaml or italian.yaml -> words.

The notation of `constructions`. A construction has one or more options; each says:

    say      a template: words, $part(what it is told), @table(features); `-` is nothing, `a_b` two words
    when     features that must hold for the option: `polarity.value = positive, my.mood = question`
    weight   how often, among the options with the same `when` (1 when left out)
    any other key: a feature that the construction then has, for those above it

An argument or feature is `my.x` (x is among what the construction's category asks, see `asks`), `part.x` (a feature of
a part) or, otherwise, the value itself. So agreement is: the verb's template position is told `subject.number`, and the
subject got its number from its own parts. Words have the features of their class (a noun's gender) and `onset`, the
kind of sound they begin with. Each part is said at most once and in one piece, which keeps the language context-free.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from bambino.nursery.morphology import Lexicon, matches, read_lexicon, split_words
from bambino.nursery.world import Meaning, NurseryError, split_category

Asks = tuple[str, ...]
FILES = {"en": "english.yaml", "it": "italian.yaml"}


@dataclass(frozen=True)
class Value:
    """An argument: a feature of a part, something asked of the construction itself, or a fixed value."""

    source: str | None
    """A part's name, `my`, or None for a fixed value."""
    name: str
    """The feature, or the fixed value."""


@dataclass(frozen=True)
class Item:
    """One place of a template."""

    kind: str
    """`word`, `part` or `table`."""
    name: str
    arguments: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Option:
    """One way to say a construction."""

    items: tuple[Item, ...]
    when: tuple[tuple[Value, str], ...]
    probability: float
    """Among the options with the same `when`; conditions exclude each other."""
    gives: tuple[tuple[str, Value], ...]
    """Feature -> where it comes from."""


@dataclass(frozen=True)
class Table:
    """Function words by features; rows and columns are patterns, the first that fits counts."""

    rows: tuple[tuple[str, tuple[str, ...]], ...]
    columns: tuple[str, ...]
    _cache: dict[Asks, tuple[str, ...]] = field(default_factory=dict, compare=False)

    def look_up(self, values: Asks) -> tuple[str, ...]:
        """The words (none, one or two) for the features asked for.

        Raises:
            NurseryError: features that no row and column fit.
        """
        if values not in self._cache:
            self._cache[values] = self._find(values)
        return self._cache[values]

    def _find(self, values: Asks) -> tuple[str, ...]:
        for row, forms in self.rows:
            width = len(row.split())
            if matches(row, values[:width]):
                for column, form in zip(self.columns, forms, strict=True):
                    if matches(column, values[width:]):
                        return split_words(form)
        raise NurseryError(f"table without a form for {values}: rows {[row for row, _ in self.rows]}")


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

    def told(self, item: Item, values: list[str]) -> list[str]:
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

    language: str
    split_elided: bool
    """Whether l'uccello is two words."""
    asks: Mapping[str, tuple[str, ...]]
    options: Mapping[str, tuple[Option, ...]]
    tables: Mapping[str, Table]
    lexicon: Lexicon

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


def load_concrete(language: str) -> Concrete:
    """Read a language of this package: `en` or `it`."""
    if language not in FILES:
        raise NurseryError(f"The nursery has no language {language!r}. It has: {', '.join(FILES)}.")
    return read_concrete(yaml.safe_load(Path(__file__).with_name(FILES[language]).read_text(encoding="utf-8")))


def read_concrete(raw: Mapping[str, Any]) -> Concrete:
    """The language that a YAML document describes."""
    asks = {category: tuple(names) for category, names in raw["asks"].items()}
    tables = {name: _read_table(name, entry) for name, entry in raw["tables"].items()}
    options = {str(name): _read_options(str(name), entry) for name, entry in raw["constructions"].items()}
    for name, found in options.items():
        for option in found:
            for item in option.items:
                if item.kind == "table" and item.name not in tables:
                    raise NurseryError(f"{raw['language']}: {name} uses @{item.name}, which is no table.")
    return Concrete(raw["language"], raw["split_elided"], asks, options, tables, read_lexicon(raw))


def _read_table(name: str, entry: Mapping[str, Any]) -> Table:
    columns = tuple(map(str, entry["columns"]))
    rows = tuple((str(row), tuple(str(forms).split())) for row, forms in entry["rows"].items())
    for row, forms in rows:
        if len(forms) != len(columns):
            raise NurseryError(f"table {name}, row {row}: {len(forms)} forms for {len(columns)} columns.")
    return Table(rows, columns)


def _read_options(name: str, entry: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> tuple[Option, ...]:
    entries = [entry] if isinstance(entry, Mapping) else list(entry)
    whens = [_read_when(one.get("when", "")) for one in entries]
    weights = [float(one.get("weight", 1)) for one in entries]
    made = []
    for one, when, weight in zip(entries, whens, weights, strict=True):
        share = weight / sum(w for w, other in zip(weights, whens, strict=True) if other == when)
        gives = tuple((k, _read_value(v)) for k, v in one.items() if k not in ("say", "when", "weight"))
        made.append(Option(_read_template(str(one.get("say", "-"))), when, share, gives))
    for first, second in pairwise(made):
        if first.when == second.when and first.gives != second.gives:
            raise NurseryError(f"{name}: options that differ by chance must have the same features.")
    return tuple(made)


def _read_when(text: str) -> tuple[tuple[Value, str], ...]:
    sides = [part.split("=") for part in text.split(",") if part.strip()]
    return tuple((_read_value(left.strip()), right.strip()) for left, right in sides)


def _read_value(raw: object) -> Value:
    text = {True: "yes", False: "no"}.get(raw, str(raw)) if isinstance(raw, bool) else str(raw)
    source, dot, name = text.strip().partition(".")
    return Value(source, name) if dot else Value(None, source)


_PLACE = re.compile(r"([$@])(\w+)(?:\(([^)]*)\))?|(\S+)")


def _read_template(text: str) -> tuple[Item, ...]:
    items = []
    for sign, name, arguments, word in _PLACE.findall(text):
        if word:
            items += [Item("word", one) for one in split_words(word)]
        else:
            values = tuple(_read_value(one) for one in arguments.split(",") if one.strip())
            items.append(Item("part" if sign == "$" else "table", name, values))
    return tuple(items)
