"""The notation of a language's YAML: constructions and their options, templates, tables.

A construction has one or more options; each says:

    say      a template: words, $part(what it is told), @table(features); `-` is nothing, `a_b` two words
    when     features that must hold for the option: `polarity.value = positive, my.mood = question`
    weight   how often, among the options with the same `when` (1 when left out)
    any other key: a feature that the construction then has, for those above it

An argument or feature is `my.x` (x is among what the construction's category asks, see `asks`), `part.x` (a feature of
a part), `language.x` (the value of a knob, see `knobs.py`) or, otherwise, the value itself. So agreement is: the verb's
template position is told `subject.number`, and the subject got its number from its own parts. Knobs are settled when
the file is read: an option for another setting is then as if it were not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bambino.errors import NurseryError
from bambino.nursery.morphology import matches, split_words

Knobs = Mapping[str, str]
"""Knob -> value; empty for a language without."""
Asks = tuple[str, ...]


@dataclass(frozen=True)
class Value:
    """An argument: a feature of a part, something asked of the construction itself, or a fixed value."""

    source: str | None
    """A part's name, `my`, or None for a fixed value (the setting of a knob is one)."""
    name: str
    """The feature, or the fixed value."""


@dataclass(frozen=True)
class NotatedItem:
    """One place of a template."""

    kind: str
    """`word`, `part` or `table`."""
    name: str
    arguments: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Option:
    """One way to say a construction."""

    items: tuple[NotatedItem, ...]
    when: tuple[tuple[Value, str], ...]
    probability: float
    """Among the options with the same `when`; conditions exclude each other."""
    gives: tuple[tuple[str, Value], ...]
    """Feature -> where it comes from."""


@dataclass(frozen=True)
class NotatedTable:
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


def read_table(name: str, entry: Mapping[str, Any]) -> NotatedTable:
    """A table.

    Raises:
        NurseryError: a row with more or fewer forms than there are columns.
    """
    columns = tuple(map(str, entry["columns"]))
    rows = tuple((str(row), tuple(str(forms).split())) for row, forms in entry["rows"].items())
    for row, forms in rows:
        if len(forms) != len(columns):
            raise NurseryError(f"table {name}, row {row}: {len(forms)} forms for {len(columns)} columns.")
    return NotatedTable(rows, columns)


def read_options(name: str, entry: Mapping[str, Any] | Sequence[Mapping[str, Any]], knobs: Knobs) -> tuple[Option, ...]:
    """The options of a construction that are there with these knobs.

    Raises:
        NurseryError: none is, or a knob that the language does not have.
    """
    entries = [entry] if isinstance(entry, Mapping) else list(entry)
    entries = [one for one in entries if _is_there(name, str(one.get("when", "")), knobs)]
    if not entries:
        raise NurseryError(f"{name}: no option is left with {dict(knobs)}. Add one for this setting.")
    whens = [_read_when(name, str(one.get("when", "")), knobs) for one in entries]
    weights = [float(one.get("weight", 1)) for one in entries]
    made = []
    for one, when, weight in zip(entries, whens, weights, strict=True):
        share = weight / sum(w for w, other in zip(weights, whens, strict=True) if other == when)
        gives = tuple((k, _read_value(name, v, knobs)) for k, v in one.items() if k not in ("say", "when", "weight"))
        made.append(Option(_read_template(name, str(one.get("say", "-")), knobs), when, share, gives))
    for first, second in pairwise(made):
        if first.when == second.when and first.gives != second.gives:
            raise NurseryError(f"{name}: options that differ by chance must have the same features.")
    return tuple(made)


def _is_there(name: str, when: str, knobs: Knobs) -> bool:
    """Whether the conditions on knobs hold."""
    settled = [(value, wanted) for value, wanted in _read_when(name, when, knobs, settled=True) if value.source is None]
    return all(value.name == wanted for value, wanted in settled)


def _read_when(name: str, text: str, knobs: Knobs, settled: bool = False) -> tuple[tuple[Value, str], ...]:
    """The conditions; those on knobs, which hold, only if `settled`."""
    sides = [part.split("=") for part in text.split(",") if part.strip()]
    read = [(_read_value(name, left.strip(), knobs), right.strip()) for left, right in sides]
    return tuple((value, wanted) for value, wanted in read if settled or value.source is not None)


def _read_value(name: str, raw: object, knobs: Knobs) -> Value:
    text = {True: "yes", False: "no"}.get(raw, str(raw)) if isinstance(raw, bool) else str(raw)
    source, dot, feature = text.strip().partition(".")
    if source == "language":
        if feature not in knobs:
            raise NurseryError(
                f"{name} uses {text.strip()}, which is no knob; there are: {', '.join(knobs) or 'none'}."
            )
        return Value(None, knobs[feature])
    return Value(source, feature) if dot else Value(None, source)


_PLACE = re.compile(r"([$@])(\w+)(?:\(([^)]*)\))?|(\S+)")


def _read_template(construction: str, text: str, knobs: Knobs) -> tuple[NotatedItem, ...]:
    items = []
    for sign, name, arguments, word in _PLACE.findall(text):
        if word:
            items += [NotatedItem("word", one) for one in split_words(word)]
        else:
            values = tuple(_read_value(construction, one, knobs) for one in arguments.split(",") if one.strip())
            items.append(NotatedItem("part" if sign == "$" else "table", name, values))
    return tuple(items)
