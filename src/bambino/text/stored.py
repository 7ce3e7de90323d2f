"""Arrays on disk that are made once and mapped into memory from then on.

    FOLDER/KEY/NAME.bin     the numbers of an array, as they are in memory
    FOLDER/KEY/made.json    what it was made of, the length and type of each array, and what else was counted

KEY is the sha256 of all that the content depends on, so what is found under it is never out of date. A folder appears
whole, when its last byte is on disk; of several processes one makes it and the others wait.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock

from bambino.files import json_of, write_folder, write_json, writing

FORMAT = 1
"""Goes up when what is stored under the same key would be another content."""
MADE = "made.json"


@dataclass(frozen=True)
class Stored:
    """What lies in a folder."""

    key: str
    arrays: dict[str, np.ndarray]
    """Mapped into memory; they cannot be written to."""
    counted: dict[str, Any]
    """What was counted on the way."""


class Columns:
    """Arrays that grow on disk.

    Args:
        types: name -> type of its numbers.
    """

    def __init__(self, folder: Path, types: Mapping[str, str]) -> None:
        self.types, self.lengths = types, dict.fromkeys(types, 0)
        self._files: dict[str, IO[bytes]] = {}
        folder.mkdir()
        for name in types:
            self._files[name] = _file_of(folder, name).open("wb")

    def append(self, columns: Mapping[str, np.ndarray]) -> None:
        """More numbers at the end of some arrays."""
        for name, numbers in columns.items():
            self._files[name].write(np.ascontiguousarray(numbers, dtype=self.types[name]).data)
            self.lengths[name] += len(numbers)

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def stored(
    cache: str, made_of: Mapping[str, Any], types: Mapping[str, str], make: Callable[[Columns], dict[str, Any]]
) -> Stored:
    """What was made of this, now or before.

    Args:
        made_of: all that the content depends on, as JSON can say it.
        make: fills the columns and gives what it counted.

    Raises:
        StorageError: it cannot be written. Whatever `make` raises; then nothing is left.
    """
    text = json.dumps({"format": FORMAT, "types": dict(types), **made_of}, sort_keys=True)
    folder = Path(cache).expanduser()
    place = folder / hashlib.sha256(text.encode()).hexdigest()[:32]

    def write(part: Path) -> None:
        columns = Columns(part, types)
        try:
            counted = make(columns)
        finally:
            columns.close()
        made = {"made_of": made_of, "types": dict(types), "lengths": columns.lengths, "counted": counted}
        write_json(part / MADE, made)

    if (found := _open(place)) is not None:
        return found
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{place.name}.lock"):
            if (found := _open(place)) is not None:
                return found
            write_folder(place, write)
    found = _open(place)
    assert found is not None, "a folder that was just written is whole"
    return found


def _open(place: Path) -> Stored | None:
    """What lies there; None where nothing does, or where it is not as long as it was."""
    try:
        made = json_of((place / MADE).read_bytes())
        arrays = {name: _mapped(place, name, dtype, made["lengths"][name]) for name, dtype in made["types"].items()}
    except (OSError, ValueError, KeyError):
        return None
    return Stored(place.name, arrays, made["counted"])


def _mapped(place: Path, name: str, dtype: str, length: int) -> np.ndarray:
    file = _file_of(place, name)
    if file.stat().st_size != length * np.dtype(dtype).itemsize:
        raise ValueError(f"{file} is not as long as it was")
    return np.asarray(np.memmap(file, dtype, mode="r")) if length else np.empty(0, dtype)


def _file_of(folder: Path, name: str) -> Path:
    return folder / f"{name}.bin"
