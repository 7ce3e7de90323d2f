"""The run directory: all that anything later reads.

recipe.yaml          every setting, resolved
environment.json     package versions, git commit, device; where they changed on resuming, too
data.json            what the run is made of: per text source hash, lines kept, dropped and why, truncated, tokens;
                     sha256 of models, tokenizers and evaluation files; names of the rewards
metrics.jsonl        a row per step, a row per evaluation
utterances.jsonl     what the baby said: step, prompt, utterance, parent perplexity, reward
reference/           the first baby, when it is the reference; written once
checkpoints/         see checkpoint.py
model/               the trained baby
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from pathlib import Path
from typing import IO, Any

from bambino.checkpoint import fsync
from bambino.model_card import NEWBORN

LOCK = ".lock"
"""Held by the process that runs; that it exists says that bambino made this directory."""
OWN_FOLDERS = ("checkpoints", "reference", NEWBORN)
OWN_FILES = ("metrics.jsonl", "utterances.jsonl", "data.json", "environment.json", "failure.json")
OWN_NAMES = (*OWN_FOLDERS, "model", *OWN_FILES)
"""What a run writes and replaces; in a directory where no run was begun, it is somebody else's."""


class RunDirectoryError(RuntimeError):
    """A run directory that cannot be used; the message names the way out."""


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


class RunDirectory:
    """Paths and logs of one run, held by one process at a time."""

    def __init__(self, path: str | Path) -> None:
        self.path = claim(path)
        self._lock = self._hold()
        self.metrics = JsonLinesLog(self.path / "metrics.jsonl")
        self.utterances = JsonLinesLog(self.path / "utterances.jsonl")

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def reference(self) -> Path:
        return self.path / "reference"

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    def describe(self, recipe_yaml: str, manifest: dict[str, Any], environment: dict[str, Any]) -> None:
        """Write what the run is made of, before its first step; the recipe last, for it says that a run was begun."""
        write_json(self.path / "data.json", manifest)
        write_json(self.path / "environment.json", environment)
        write_atomically(self.recipe, recipe_yaml)

    def log_offsets(self) -> dict[str, int]:
        return {"metrics": self.metrics.offset(), "utterances": self.utterances.offset()}

    def truncate_logs(self, offsets: dict[str, int]) -> list[Path]:
        """Cut both logs back; returns those in which rows are missing."""
        logs = {"metrics": self.metrics, "utterances": self.utterances}
        return [log.path for name, log in logs.items() if not log.truncate(offsets[name])]

    def close(self) -> None:
        self.metrics.close()
        self.utterances.close()
        self._lock.close()

    def _hold(self) -> IO[bytes]:
        lock = (self.path / LOCK).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise RunDirectoryError(
                f"{self.path} is in use by another process. Wait for it or use another output_dir."
            ) from None
        return lock


def claim(path: str | Path) -> Path:
    """Make a directory for a run and leave the mark that it is one, or know it by that mark (a run killed early).

    Raises:
        RunDirectoryError: it cannot be made, or holds files of a run's names that no run of ours put there.
    """
    folder = Path(path).expanduser()
    taken = [name for name in OWN_NAMES if (folder / name).exists()]
    if taken and not (folder / LOCK).exists() and not holds_run(folder):
        raise RunDirectoryError(
            f"output_dir = {path} holds {', '.join(taken)} already and no run of bambino's, which would replace them. "
            "Use another."
        )
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK).touch()
        for place in new:
            fsync(place.parent)
    except OSError as error:
        raise RunDirectoryError(f"output_dir = {path} cannot be made: {error.strerror}. Use another.") from None
    return folder


def check_is_free_for_model(path: Path, run: str | Path) -> None:
    """Refuse to save a model where a run keeps what it goes on from.

    Raises:
        RunDirectoryError: `path` is the run's directory or one of OWN_FOLDERS in it.
    """
    folder = Path(run).expanduser().resolve()
    if path.resolve() in (folder, *(folder / name for name in OWN_FOLDERS)):
        raise RunDirectoryError(
            f"{path} is the run's own. Save the model in another folder, or name none: then it goes to {run}/model."
        )


def holds_run(path: str | Path) -> bool:
    """Whether a run was begun there."""
    return (Path(path).expanduser() / "recipe.yaml").exists()


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
