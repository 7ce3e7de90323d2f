"""A source of text -> its texts: lines of files, texts of JSON objects, a column of a table or of a data set.

Each text may come with a number, by which the lines of an epoch are ordered.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bambino.errors import TextError
from bambino.files import json_of
from bambino.text import hub
from bambino.text.sources import TABLES, find, kind_of, lines_of, readable, sha256_of, unpacked

if TYPE_CHECKING:
    from bambino.text.lines import SourceReport

Item = tuple[str | None, float]
"""A text, or null, and its number; NaN: it has none."""
LONGEST_CELL = 1 << 22
"""Bytes of the longest cell of a table."""
_ESCAPED = re.compile("[\udc80-\udcff]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


@dataclass(frozen=True)
class Fields:
    """Which fields of an object, or columns of a table, are read."""

    text: str = "text"
    order: str | None = None
    """The one with the number; None: no text has one."""
    streaming: bool = False
    """Whether data sets are read as they come, without a copy on disk."""

    @property
    def columns(self) -> dict[str, str]:
        """Setting -> the column that it names."""
        return {"text.jsonl_field": self.text} | ({} if self.order is None else {"text.order_by": self.order})


def number_of(value: Any) -> float:
    """A number, or the first one in a text (3 of "3-5 years"); NaN where there is none."""
    if isinstance(value, str):
        found = _NUMBER.search(value)
        return float(found[0].replace(",", ".")) if found else math.nan
    return float(value) if isinstance(value, int | float) else math.nan


def content_of(source: str | Path, fields: Fields) -> dict[str, Any]:
    """What tells whether a source has changed: the sha256 of all its files, or of the columns of a data set that are
    read (of one that is streamed, of its version); and the endings and sizes of the files."""
    data_set = hub.data_set_of(source)
    if data_set is None:
        files = find(source).files
        return {"sha256": sha256_of(files), "files": [["".join(path.suffixes[-2:]), _size(path)] for path in files]}
    if fields.streaming:
        version = f"{data_set} {hub.version_of(data_set)}"
        return {"sha256": hashlib.sha256(version.encode()).hexdigest(), "files": []}
    digest = hashlib.sha256()
    for table in hub.tables_of(data_set, fields.columns, streaming=False):
        for column in table.columns:
            values = ["" if value is None else str(value) for value in _cells(column)]
            digest.update(" ".join(map(str, map(len, values))).encode() + "".join(values).encode("utf-8", "replace"))
    return {"sha256": digest.hexdigest(), "files": []}


def items_of(source: str | Path, fields: Fields, report: SourceReport) -> Iterator[Item]:
    """All texts of a source; what is none is counted in the report.

    Raises:
        TextError: it cannot be read, or is empty.
    """
    before, data_set = report.lines, hub.data_set_of(source)
    if data_set is not None:
        tables = hub.tables_of(data_set, fields.columns, streaming=fields.streaming)
        yield from _of_tables(str(source), tables, fields, report)
    else:
        for path in find(source).files:
            yield from _of_file(path, fields, report)
    if report.lines == before:
        raise TextError(f"{source} is empty.")


def _of_file(path: Path, fields: Fields, report: SourceReport) -> Iterator[Item]:
    kind = kind_of(path)
    if kind == ".parquet":
        return _of_tables(str(path), _parquet_tables(path, fields), fields, report)
    return _of_csv(path, fields, report) if kind in TABLES else _of_lines(path, fields, report)


def _of_lines(path: Path, fields: Fields, report: SourceReport) -> Iterator[Item]:
    """Those lines of a file that are text.

    Raises:
        TextError, after the last: most lines are not.
    """
    is_jsonl, before, unreadable = kind_of(path) == ".jsonl", report.lines, 0
    for raw in lines_of(path):
        report.lines += 1
        try:
            line = raw.decode("utf-8")
            unreadable += "\0" in line
            yield _of_json(line, fields) if is_jsonl else (line, math.nan)
        except UnicodeDecodeError:
            unreadable += 1
            report.drop("not UTF-8")
        except (KeyError, TypeError, ValueError):
            report.drop(f"no JSON object with a text in {fields.text!r}")
    lines = report.lines - before
    if unreadable * 2 > lines:
        problem = f"{unreadable:,} of its {lines:,} lines are not UTF-8, or hold NUL"
        raise TextError(f"{path} is no text, or of another encoding: {problem}. Save it as UTF-8, or leave it out.")


def _of_json(line: str, fields: Fields) -> Item:
    found = json_of(line)
    text = found[fields.text]
    if not isinstance(text, str):
        raise TypeError
    return text, math.nan if fields.order is None else number_of(found.get(fields.order))


def _of_csv(path: Path, fields: Fields, report: SourceReport) -> Iterator[Item]:
    for row in _rows(path, fields):
        yield from _counted(row[fields.text], None if fields.order is None else row[fields.order], report)


def _counted(text: str | None, number: Any, report: SourceReport) -> Iterator[Item]:
    """A row of a table, unless its text is not UTF-8."""
    report.lines += 1
    if text is not None and not text.isascii() and _ESCAPED.search(text):
        report.drop("not UTF-8")
    else:
        yield text, number_of(number)


def _rows(path: Path, fields: Fields) -> Iterator[dict[str, str | None]]:
    """The rows of a table whose first row names its columns; cells that hold line breaks or separators are quoted.

    Bytes that are not UTF-8 become halves of characters, as `surrogateescape` writes them.
    """
    csv.field_size_limit(LONGEST_CELL)
    with unpacked(path) as file, readable(path):
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        rows = csv.DictReader(text, delimiter="\t" if kind_of(path) == ".tsv" else ",")
        try:
            hub.check_columns(str(path), list(rows.fieldnames or []), fields.columns)
            yield from rows
        except csv.Error as error:
            raise TextError(f"{path}, line {rows.line_num}: no row of a table ({error}).") from None


def _parquet_tables(path: Path, fields: Fields) -> Iterator[Any]:
    arrow, parquet = (hub.needed(package, f"Reading {path}") for package in ("pyarrow", "pyarrow.parquet"))
    with readable(path):
        try:
            with parquet.ParquetFile(path) as file:
                hub.check_columns(str(path), file.schema_arrow.names, fields.columns)
                yield from file.iter_batches(hub.ROWS, columns=list(fields.columns.values()))
        except arrow.ArrowException as error:
            raise TextError(f"{path} is no Parquet file, or a damaged one: {error}") from None


def _of_tables(where: str, tables: Iterable[Any], fields: Fields, report: SourceReport) -> Iterator[Item]:
    """The texts of Arrow tables."""
    for table in tables:
        texts = _cells(table.column(fields.text))
        numbers = [None] * len(texts) if fields.order is None else _cells(table.column(fields.order))
        for text, number in zip(texts, numbers, strict=True):
            if not isinstance(text, str | None):
                kind = type(text).__name__
                raise TextError(
                    f"{where}: the column {fields.text!r} holds {kind}, no text. Set text.jsonl_field to one of texts."
                )
            yield from _counted(text, number, report)


def _cells(column: Any) -> list[Any]:
    """The values of a column; bytes that are not UTF-8 become halves of characters, as `surrogateescape` has them."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        cells = column.cast("binary").to_pylist()
        values = [None if cell is None else cell.decode("utf-8", "surrogateescape") for cell in cells]
    return values


def _size(path: Path) -> int:
    with readable(path):
        return path.stat().st_size
