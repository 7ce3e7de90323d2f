"""Rows of a file of tests, with the place where each stands: .jsonl, .tsv, .csv, .parquet; all texts in NFC.

Columns of a .csv file are parted by commas or by semicolons, whichever its first line has more of; a cell in quotation
marks may hold both, and newlines.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from bambino.errors import TextError, shortened
from bambino.text.json_lines import lines_of, objects_of
from bambino.text.reading import LONGEST_CELL
from bambino.text.sieve import is_broken
from bambino.text.sources import bytes_of, readable
from bambino.text.unicode import all_composed, composed

SUFFIXES = (".jsonl", ".tsv", ".csv", ".parquet")
Row = Mapping[str, Any]


def rows_of(path: Path, way_out: str = "Each line must be one JSON object.") -> Iterator[tuple[str, Row]]:
    """Where each row is, and what it says: `FILE, line 3`; of Parquet `FILE, row 3`.

    Raises:
        TextError: a file that cannot be read, a line that is not UTF-8 or no row; a row of a .csv file that has more or
            fewer cells than its first line has names.
    """
    readers = {".tsv": _tab_separated, ".csv": _comma_separated, ".parquet": _parquet}
    yield from readers.get(path.suffix.lower(), objects_of)(path, way_out)


def columns_of(path: Path) -> set[str]:
    """The names that the first line holds: of .jsonl the keys of its first object, of an empty file none.

    Raises:
        TextError: as `rows_of`, of the first line.
    """
    suffix = path.suffix.lower()
    if suffix == ".tsv":
        return next((set(line.split("\t")) for _, line in lines_of(path)), set())
    if suffix == ".csv":
        return set(next((cells for _, cells in _cells(path, "")), []))
    if suffix == ".parquet":
        return set(_table(path).column_names)
    return next((set(found) for _, found in objects_of(path)), set())


def text_in(where: str, row: Row, name: str) -> str:
    """The text of a cell, as it stands there.

    Raises:
        TextError: it is missing, no text, empty, or holds characters that are none.
    """
    text = row.get(name)
    if not isinstance(text, str) or not text.strip() or is_broken(text):
        raise TextError(f"{where}: {name} = {shortened(repr(text))} must be a non-empty string, of whole characters.")
    return text


def _tab_separated(path: Path, way_out: str) -> Iterator[tuple[str, Row]]:
    names: list[str] | None = None
    csv.field_size_limit(LONGEST_CELL)
    for where, line in lines_of(path):
        cells = next(csv.reader([line], delimiter="\t"))
        if names is not None:
            yield where, dict(zip(names, cells, strict=False))
        names = names or cells


def _comma_separated(path: Path, way_out: str) -> Iterator[tuple[str, Row]]:
    names: list[str] | None = None
    for where, cells in _cells(path, way_out):
        if names is None:
            names = cells
        elif len(cells) != len(names):
            raise TextError(f"{where}: {len(cells)} cells, where the first line names {len(names)} columns.")
        else:
            yield where, dict(zip(names, cells, strict=True))


def _cells(path: Path, way_out: str) -> Iterator[tuple[str, list[str]]]:
    """Where each row of a .csv file that holds anything ends, and its cells."""
    try:
        text = composed(bytes_of(path).removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except UnicodeDecodeError as error:
        raise TextError(f"{path}: not UTF-8 ({error}). Save the whole file as UTF-8.") from None
    first = text.lstrip().partition("\n")[0]
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;", key=first.count))
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield f"{path}, line {reader.line_num}", cells
    except csv.Error as error:
        raise TextError(f"{path}, line {reader.line_num}: no row of a table ({error}). {way_out}") from None


def _parquet(path: Path, way_out: str) -> Iterator[tuple[str, Row]]:
    for number, row in enumerate(_table(path).to_pylist(), start=1):
        yield f"{path}, row {number}", all_composed(row)


def _table(path: Path) -> Any:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise TextError(f"Reading {path} needs `pip install pyarrow`, or save it as .csv or .jsonl.") from None
    with readable(path):
        try:
            return parquet.read_table(path)
        except import_module("pyarrow").ArrowException as error:
            raise TextError(f"{path} cannot be read as Parquet: {error}.") from None
