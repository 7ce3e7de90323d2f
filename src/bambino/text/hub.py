"""Data sets of the Hugging Face hub as sources of text: `OWNER/NAME`, `OWNER/NAME:CONFIGURATION`,
`OWNER/NAME:CONFIGURATION:SPLIT`.

A folder that is laid out like a repository of the hub stands in for its name where a configuration or a split is given.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bambino.errors import TextError

ROWS = 10_000
"""Rows that are read at a time."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_FILE = re.compile(r"\.(txt|jsonl?|csv|tsv|parquet|gz|bz2|zst)$", re.IGNORECASE)


@dataclass(frozen=True)
class DataSet:
    """A data set of the hub."""

    name: str
    configuration: str | None = None
    """None: the only one, or the one it calls its default."""
    split: str | None = None
    """None: train, or the only one."""

    def __str__(self) -> str:
        return ":".join([self.name, self.configuration or "", self.split or ""]).rstrip(":")


def data_set_of(source: str | Path) -> DataSet | None:
    """The data set that a source names; None of a path."""
    name, *more = str(source).split(":")
    if os.path.exists(source) or len(more) > 2 or not ((more and os.path.isdir(name)) or _is_name(name)):
        return None
    configuration, split = [*(part or None for part in more), None, None][:2]
    return DataSet(name, configuration, split)


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and _FILE.search(name) is None and not os.path.exists(name)


def tables_of(source: DataSet, columns: dict[str, str], *, streaming: bool) -> Iterator[Any]:
    """The rows of a data set as Arrow tables, some at a time.

    Args:
        columns: setting -> the column that it names.
        streaming: they are read as they come; else `datasets` keeps a copy of the data set on disk.

    Raises:
        TextError: `datasets` is missing, the data set cannot be reached, it has no such configuration, split or column.
    """
    with _reading(source) as datasets:
        splits = datasets.load_dataset(source.name, source.configuration, streaming=streaming)
    rows = _split(source, splits)
    for table in rows.with_format("arrow").iter(ROWS):
        check_columns(str(source), table.column_names, columns)
        yield table.select(list(dict.fromkeys(columns.values())))


def version_of(source: DataSet) -> str:
    """What tells one version of a data set from another, without reading it: a commit of the hub is part of it."""
    with _reading(source) as datasets:
        version: str = datasets.load_dataset_builder(source.name, source.configuration).hash
    return version


def check_columns(where: str, there: list[str], columns: dict[str, str]) -> None:
    """Refuse a table without a column that a setting names."""
    for setting, column in columns.items():
        if column not in there:
            names = ", ".join(map(repr, there))
            raise TextError(f"{where} has no column {column!r}. It has {names}: set {setting} to one of these.")


def needed(package: str, what: str) -> Any:
    """A package that is installed on demand.

    Raises:
        TextError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise TextError(f"{what} needs {package.partition('.')[0]}: pip install 'bambino-lm[corpora]'.") from None


@contextmanager
def _reading(source: DataSet) -> Iterator[Any]:
    """The package `datasets`; what it raises becomes a TextError."""
    datasets = needed("datasets", f"Reading {source} from the hub")
    try:
        yield datasets
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise TextError(
            f"{source.name} is no file or folder here, and could not be read from the hub (configuration "
            f"{source.configuration}): {type(error).__name__}: {error}. Without a network, give files or a folder."
        ) from None


def _split(source: DataSet, splits: Mapping[str, Any]) -> Any:
    names = list(splits)
    split = source.split or ("train" if "train" in names else names[0] if len(names) == 1 else None)
    if split not in names:
        asked = f"no split {split!r}" if split else "several splits"
        way_out = f"{DataSet(source.name, source.configuration, names[0])}"
        raise TextError(f"{source} has {asked}; there are {', '.join(names)}. Name one, such as {way_out}.")
    return splits[split]
