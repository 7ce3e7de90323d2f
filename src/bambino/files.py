"""Files and folders that are either as they were or wholly new, also after a power cut; logs that can be cut back."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


def replace_folder(part: Path, path: Path) -> None:
    """Make the finished folder `part` the folder `path`, on disk; a folder of that name is replaced."""
    for file in [*part.rglob("*"), part]:
        fsync(file)
    _remove(path)
    os.replace(part, path)
    fsync(path.parent)


def write_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a folder of a run's own, whole or not at all; a folder of that name is replaced."""
    part = path.with_name(f".part-{path.name}")
    _remove(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(part)
    replace_folder(part, path)


def add_files(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a folder of the user's: each of its files appears whole, whatever else lies there stays."""
    part = path / ".part-bambino"
    path.mkdir(parents=True, exist_ok=True)
    _remove(part)
    write(part)
    for file in [file for file in part.rglob("*") if file.is_file()]:
        fsync(file)
        place = path / file.relative_to(part)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, place)
    _remove(part)
    fsync(path)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync(path: Path) -> None:
    """On disk: a file's content, a folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class JsonLinesLog:
    """A log of one JSON object a line; `truncate` cuts it back to where a checkpoint was made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] = path.open("ab")

    def append(self, row: dict[str, Any]) -> None:
        """Write one row; numbers that JSON has no word for (inf, nan) become null."""
        self._file.write(_one_line(json.dumps(finite(row), ensure_ascii=False)).encode() + b"\n")
        self._file.flush()

    def offset(self) -> int:
        """Bytes written so far, all of them on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def truncate(self, offset: int) -> bool:
        """Cut back to an offset. False where rows before it are missing: then all whole rows stay."""
        content_is_there = self.path.stat().st_size >= offset
        self._file.truncate(offset if content_is_there else self.path.read_bytes().rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)
        return content_is_there

    def close(self) -> None:
        self._file.close()


def json_of(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is not UTF-8, not JSON, or nested too deeply.
    """
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """The file is either as it was or wholly new, also after a power cut."""
    part = path.with_name(f".part-{path.name}")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    fsync(path.parent)


def finite(value: Any) -> Any:
    """A value as JSON can say it: inf and nan become None, numbers and arrays of NumPy and PyTorch plain ones."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list) else value


def _one_line(text: str) -> str:
    """JSON without the characters that end a line for some readers (Python's str.splitlines among them)."""
    for character in "\x85\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
