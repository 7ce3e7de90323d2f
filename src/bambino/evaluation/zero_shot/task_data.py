"""The items of a classification task: from a local JSONL file or from the hub, checked one by one.

What cannot be scored is refused with file and line: bad input in an evaluation must not become a number.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bambino.errors import TextError, shortened
from bambino.evaluation.zero_shot.task_definitions import DataPlace, FieldText, Task
from bambino.files import sha256
from bambino.text.heldout import spread
from bambino.text.json_lines import objects_of
from bambino.text.sieve import is_broken
from bambino.text.unicode import all_composed

_Row: TypeAlias = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Item:
    """One thing to classify."""

    fields: Mapping[str, FieldText]
    """Template field -> text."""
    label: int
    """Index of the right one among the task's labels."""
    group: int
    """Items of one group (the tokens of a sentence) are not independent, so they are resampled together."""
    place: str
    """`FILE, line 3`."""


@dataclass(frozen=True)
class TaskData:
    """The items of one split, and where they come from."""

    items: list[Item]
    source: str
    """File, or data set on the hub with its split."""
    sha256: str
    """Of the file; of the split's rows, where they are from the hub."""
    train_majority: int | None
    """The label most frequent in the training split; None where there is no such split."""
    empty_tokens: int
    """Token tagging: tokens without text (UINAUIL's EVENTI has some), which are left out."""


def find_data(task: Task, data: str | Path) -> Path | None:
    """The task's file: `data` itself if it is a file, else below it, there or in a folder named like the language."""
    data = Path(data)
    candidates = [data, data / task.local.source, data / task.language / task.local.source]
    return next((path for path in candidates if os.path.isfile(path)), None)


def load_items(task: Task, data: str | Path | None, max_items: int | None = None) -> TaskData:
    """The items of the evaluated split, at most max_items of them (sentences, in token tagging), evenly spread.

    Args:
        data: a file, or a folder that holds the task's file; None: the hub.

    Raises:
        TextError: no such file, a line that cannot be used (named), no item, or a hub that cannot be reached.
    """
    read = _from_file(task, data) if data is not None else _from_hub(task)
    rows = spread(read.rows, max_items or len(read.rows))
    make = _tagged if task.kind == "tokens" else _plain
    items = [item for number, row in enumerate(rows) for item in make(task, read.place, number, *row)]
    if not items:
        raise TextError(f"{read.source} holds no item of split {read.place.split}.")
    if len({item.label for item in items}) < 2:
        raise TextError(f"{read.source}: all {len(items)} items have the same label: there is nothing to tell apart.")
    counts = Counter(label for where, row in read.train for label in _labels(task, read.place, where, row))
    majority = max(range(len(task.labels)), key=lambda label: counts[label]) if counts else None
    labels = sum(len(_labels(task, read.place, where, row)) for where, row in rows)
    return TaskData(items, read.source, read.sha256, majority, labels - len(items))


@dataclass(frozen=True)
class _Read:
    """Rows, each with its place, before they are checked."""

    rows: list[_Row]
    train: list[_Row]
    place: DataPlace
    source: str
    sha256: str


def _from_file(task: Task, data: str | Path) -> _Read:
    path = find_data(task, data)
    if path is None:
        raise TextError(f"There is no {task.local.source} in {data}, which the task {task.name} reads.")
    rows = list(objects_of(path))
    chosen = _of_split(rows, task.local.split, str(path))
    train_split = task.local.train_split
    train = [row for row in rows if train_split is not None and row[1].get("split") == train_split]
    return _Read(chosen, train, task.local, str(path), sha256(path))


def _from_hub(task: Task) -> _Read:
    hub = task.hub
    if hub is None:
        raise TextError(f"The task {task.name} is not on the hub. Give a folder that holds {task.local.source}.")
    train = [] if hub.train_split is None else _hub_rows(hub, hub.train_split)
    rows = _hub_rows(hub, hub.split)
    digest = hashlib.sha256(json.dumps([row for _, row in rows], default=str).encode())
    return _Read(rows, train, hub, f"{hub.source} on the hub, {hub.split}", digest.hexdigest())


def _of_split(rows: list[_Row], split: str, source: str) -> list[_Row]:
    if not any("split" in row for _, row in rows):
        return rows
    for where, row in rows:
        if "split" not in row:
            raise TextError(f"{where}: no split, which other lines of {source} have. Say which split it belongs to.")
    chosen = [(where, row) for where, row in rows if row["split"] == split]
    if not chosen:
        found = ", ".join(sorted({str(row.get("split")) for _, row in rows}))
        raise TextError(f"{source} has no item whose split is {split}; it has {found}.")
    return chosen


def _hub_rows(place: DataPlace, split: str) -> list[_Row]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise TextError(
            f"Reading {place.source} from the hub needs `pip install datasets`, or give a folder."
        ) from None
    try:
        dataset = load_dataset(place.source, place.config, split=split, revision=place.revision)
    except (OSError, ValueError, RuntimeError) as error:
        raise TextError(
            f"{place.source} (configuration {place.config}, split {split}) could not be read from the hub: "
            f"{type(error).__name__}: {error}. Without a network, give a folder that holds the file."
        ) from None
    return [
        (f"{place.source} on the hub, {split}, row {number}", all_composed(dict(row)))
        for number, row in enumerate(dataset)
    ]


def _plain(task: Task, place: DataPlace, number: int, where: str, row: dict[str, Any]) -> list[Item]:
    fields = {name: _text(_value(row, where, spelled), where, name) for name, spelled in place.fields.items()}
    labels = _labels(task, place, where, row)
    if len(labels) != 1:
        raise TextError(f"{where}: {len(labels)} labels, but the item has one text. Give one label.")
    if task.variant is not None and fields[task.variant] not in task.templates[0].prompts:
        known = ", ".join(task.templates[0].prompts)
        raise TextError(f"{where}: {task.variant} is {str(fields[task.variant])!r}. Use one of {known}.")
    return [Item(fields, labels[0], number, where)]


def _tagged(task: Task, place: DataPlace, number: int, where: str, row: dict[str, Any]) -> list[Item]:
    tokens = _value(row, where, place.fields["tokens"])
    if not isinstance(tokens, list) or not tokens:
        raise TextError(f"{where}: tokens must be a list of words.")
    labels = _labels(task, place, where, row)
    if len(labels) != len(tokens):
        raise TextError(f"{where}: {len(tokens)} tokens but {len(labels)} labels.")
    words = [_text(token, where, "token") if token not in ("", None) else "" for token in tokens]
    items = []
    for i, (word, label) in enumerate(zip(words, labels, strict=True)):
        if word:
            marked = [f"«{other}»" if i == j else other for j, other in enumerate(words)]
            texts = {"sentence": " ".join(filter(None, words)), "marked": " ".join(filter(None, marked)), "token": word}
            fields = {name: FieldText(text) for name, text in texts.items()}
            items.append(Item(fields, label, number, where))
    return items


def _labels(task: Task, place: DataPlace, where: str, row: dict[str, Any]) -> list[int]:
    """Indices of the row's labels: one, or one per token."""
    value = _value(row, where, place.label)
    spelled = {spelling: i for i, names in enumerate(task.labels.values()) for spelling in names}
    values = value if isinstance(value, list) else [value]
    unknown = [str(each) for each in values if str(each) not in spelled]
    if unknown:
        raise TextError(
            f"{where}: unknown label {shortened(repr(unknown[0]))}. The task {task.name} knows {', '.join(spelled)}."
        )
    return [spelled[str(each)] for each in values]


def _value(row: dict[str, Any], where: str, names: tuple[str, ...]) -> Any:
    """What the row keeps under the first of the names it has; `a+b` asks for both and joins them."""
    for name in names:
        parts = name.split("+")
        if all(part in row for part in parts):
            return row[name] if len(parts) == 1 else "+".join(str(row[part]) for part in parts)
    raise TextError(
        f"{where}: no field {' or '.join(map(repr, names))}; there are {shortened(', '.join(map(repr, row)))}."
    )


def _text(value: Any, where: str, name: str) -> FieldText:
    if not isinstance(value, str):
        raise TextError(f"{where}: {name} must be a text, not {shortened(repr(value))}.")
    if not value.strip():
        raise TextError(f"{where}: {name} is empty.")
    if is_broken(value):
        raise TextError(f"{where}: {name} holds NUL or half a character (another encoding?).")
    return FieldText(" ".join(value.split()))
