"""Texts that a program hands over, in place of files: what can be a list of texts, and what is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from bambino.errors import TextError

_ROWS = "Pass a list of texts, or rows that each have one under text.jsonl_field"


def texts_of(dataset: Any, field: str) -> list[str | None] | None:
    """The text of each row, None where it is null; None of no dataset.

    Args:
        dataset: its rows are strings, or mappings with a text under `field`.

    Raises:
        TextError: it is no list of texts (a path, a table, several splits), or a row has none.
    """
    if dataset is None:
        return None
    kind = type(dataset).__name__
    if isinstance(dataset, str | bytes | PurePath):
        raise TextError(f"train_dataset = {dataset!r} is no list of texts. A path goes to text.sources. {_ROWS}.")
    if isinstance(dataset, Mapping):
        names, one = ", ".join(map(str, dataset)), next(iter(dataset), "train")
        raise TextError(f"train_dataset is a {kind} of {names}, no list of texts. Pass one of these: dataset[{one!r}].")
    if hasattr(dataset, "columns"):  # a table goes through its columns' names, or through its columns
        raise TextError(f"train_dataset is a {kind}, a table. Pass its column of texts: list(table[{field!r}]).")
    try:
        rows = iter(dataset)
    except TypeError:
        raise TextError(f"train_dataset is of the type {kind}, no list of texts. {_ROWS}.") from None
    return [_text(row, number, field) for number, row in enumerate(rows)]


def _text(row: Any, number: int, field: str) -> str | None:
    if isinstance(row, Mapping):
        if field not in row:
            there = ", ".join(map(str, row))
            raise TextError(
                f"train_dataset, row {number}: no {field}; there are {there}. Set text.jsonl_field to one of these."
            )
        row = row[field]
    if isinstance(row, str):
        return row
    if row is None or type(row).__name__ == "NAType" or (isinstance(row, float) and math.isnan(row)):
        return None
    raise TextError(f"train_dataset, row {number}: {row!r:.80} is of the type {type(row).__name__}, no text. {_ROWS}.")
