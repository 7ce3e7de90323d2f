"""Lines of a file of tests, each a JSON object, with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bambino.errors import TextError, shortened
from bambino.files import json_of
from bambino.text.sieve import LONGEST, as_line, is_broken
from bambino.text.sources import bytes_of
from bambino.text.unicode import all_composed, composed


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """`FILE, line 3` and what the line says, in NFC; empty lines are passed over, a byte order mark is taken off.

    Raises:
        TextError: a file that cannot be read, a line that is not UTF-8, or too long.
    """
    for number, raw in enumerate(bytes_of(path).removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if raw.strip():
            where = f"{path}, line {number}"
            if len(raw) > 4 * LONGEST:
                raise TextError(f"{where}: longer than {4 * LONGEST:,} bytes. Is it a line?")
            try:
                yield where, composed(raw.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise TextError(f"{where}: not UTF-8 ({error}). Save the whole file as UTF-8.") from None


def objects_of(path: Path, way_out: str = "Each line must be one JSON object.") -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each line is, and its object, its texts in NFC.

    Raises:
        TextError: a line that is not UTF-8, or no JSON object.
    """
    for where, line in lines_of(path):
        try:
            found = all_composed(json_of(line))
        except (ValueError, RecursionError) as error:  # brackets that JSON reads may be too deep for `all_composed`
            raise TextError(f"{where}: not JSON ({error}). {way_out}") from None
        if not isinstance(found, dict):
            raise TextError(f"{where}: no JSON object. {way_out}")
        yield where, found


def texts_of(path: Path) -> list[str]:
    """The text of each line's object; newlines inside it become spaces.

    Raises:
        TextError: as `objects_of`; a line without a text.
    """
    texts = []
    for where, found in objects_of(path):
        text = found.get("text")
        if not isinstance(text, str) or not text.strip():
            raise TextError(f"{where}: text = {shortened(repr(text))} must be a non-empty string.")
        if is_broken(text):
            raise TextError(f"{where}: text holds NUL or half a character (another encoding?). Save the file as UTF-8.")
        texts.append(as_line(text))
    return texts
