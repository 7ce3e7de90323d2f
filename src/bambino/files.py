"""Files and folders that are either as they were or wholly new, also after a power cut; logs that can be cut back."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from bambino.errors import StorageError


def write_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a folder of a run's own, whole or not at all; a folder of that name is replaced.

    Raises:
        StorageError: the disk is full, or the folder that it lies in is gone or may not be written to.
    """
    part = _part_of(path)
    with writing(path, part):
        remove(part)
        path.parent.mkdir(exist_ok=True)  # no more than this: a run's directory that is gone stays gone
        write(part)
        replace_folder(part, path)


def replace_folder(part: Path, path: Path) -> None:
    """Make the finished folder `part` the folder `path`, on disk; a folder of that name is replaced."""
    for file in [*part.rglob("*"), part]:
        fsync(file)
    discard(path)
    os.replace(part, path)
    fsync(path.parent)


def discard(path: Path) -> None:
    """Remove a folder, if there is one: at once under its name, so that a kill leaves no half of it there."""
    old = path.with_name(f".part-{path.name}.old")
    remove(old)
    if os.path.lexists(path):
        os.replace(path, old)
        remove(old)


def add_files(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a folder of the user's: each of its files appears whole, whatever else lies there stays.

    Raises:
        StorageError: the disk is full, or the folder may not be written to.
    """
    part = path / ".part-bambino"
    with writing(path, part):
        path.mkdir(parents=True, exist_ok=True)
        remove(part)
        write(part)
        for file in [file for file in part.rglob("*") if file.is_file()]:
            fsync(file)
            place = path / file.relative_to(part)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, place)
        remove(part)
        fsync(path)


@contextmanager
def writing(path: Path, part: Path | None = None) -> Iterator[None]:
    """Around all that writes `path`: where it fails, what was written of it so far (`part`) is removed.

    Raises:
        StorageError: in place of what Python and the libraries raise when a disk is full or a folder read-only.
    """
    try:
        yield
    except Exception as error:
        if part is not None:
            with suppress(OSError):
                remove(part)
        reason = _reason(error)
        if reason is None:
            raise
        raise StorageError(f"{path} cannot be written: {reason}.") from error


def _reason(error: Exception) -> str | None:
    """What the system said, as Python, safetensors and tokenizers pass it on; None of any other error."""
    if isinstance(error, StorageError):
        return None
    if isinstance(error, OSError):
        return error.strerror or str(error)
    said = re.search(r"([^:]+) \(os error \d+\)", str(error))
    return said[1].strip() if said else None


def remove(path: Path) -> None:
    """Remove a file, a link (what it points to stays) or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _part_of(path: Path) -> Path:
    """Where what will be `path` is written first."""
    return path.with_name(f".part-{path.name}")


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
    """A log of one JSON object a line; `truncate` cuts it back to where a checkpoint was made.

    Raises:
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        self._file: IO[bytes] = os.fdopen(descriptor, "ab", buffering=0)
        self._hash, self._hashed = hashlib.sha256(), 0

    def append(self, row: dict[str, Any]) -> None:
        """Write one row; numbers that JSON has no word for (inf, nan) become null."""
        rest = _one_line(json.dumps(finite(row), ensure_ascii=False)).encode() + b"\n"
        with writing(self.path):
            while rest:
                rest = rest[self._file.write(rest) :]

    def offset(self) -> int:
        """Bytes written so far, all of them on disk."""
        with writing(self.path):
            os.fsync(self._file.fileno())
        return self._file.tell()

    def digest(self) -> str:
        """sha256 of what was written so far."""
        with self.path.open("rb") as file:
            file.seek(self._hashed)
            while part := file.read(1 << 20):
                self._hash.update(part)
            self._hashed = file.tell()
        return self._hash.hexdigest()

    def truncate(self, offset: int) -> bool:
        """Cut back to an offset. False where rows before it are missing: then all whole rows stay."""
        self._hash, self._hashed = hashlib.sha256(), 0
        with writing(self.path):
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
    """The file is either as it was or wholly new, also after a power cut.

    Raises:
        StorageError: it cannot be written.
    """

    def write(part: Path) -> None:
        with part.open("x", encoding="utf-8") as file:
            file.write(text)

    write_file(path, write)


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` make a file, whole or not at all, whatever else is written to its folder meanwhile.

    Raises:
        StorageError: it cannot be written.
    """
    part = _part_of(path)
    with writing(path, part):
        remove(part)
        write(part)
        fsync(part)
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
