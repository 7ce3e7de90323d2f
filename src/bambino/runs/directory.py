"""The run directory: all that anything later reads.

recipe.yaml          every setting, resolved
environment.json     package versions, git commit, device; where they changed on resuming, too
data.json            what the run is made of: per text source hash, lines kept, dropped and why, truncated, tokens,
                     words; sha256 of models, tokenizers, evaluation files; names of rewards, BabyLM's rules for them
metrics.jsonl        a row per step, a row per evaluation, a row per alarm
utterances.jsonl     what the baby said: step, prompt, utterance, parent perplexity, reward
dreams.jsonl         with dreaming: the first baby's own texts, written once
constants/           what never changes, written once: the first baby's weights, where it is the reference
checkpoints/         see checkpoint.py
model/               the trained baby
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bambino.errors import RunDirectoryError
from bambino.files import JsonLinesLog, fsync, write_atomically, write_json
from bambino.runs.names import DREAMS, NEWBORN

FORMAT = 2
"""Of run directories, in data.json. 1 (which had no number) can be read and compared, not resumed."""
LOCK = ".lock"
"""Held by the process that runs; that it exists says that bambino made this directory."""


OWN_FOLDERS = ("checkpoints", "constants", NEWBORN)


OWN_FILES = ("metrics.jsonl", "utterances.jsonl", "data.json", "environment.json", "failure.json", DREAMS)


OWN_NAMES = (*OWN_FOLDERS, "model", *OWN_FILES)
"""What a run writes and replaces; in a directory where no run was begun, it is somebody else's."""


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
    def constants(self) -> Path:
        return self.path / "constants"

    @property
    def dreams(self) -> Path:
        return self.path / DREAMS

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
        self._lock.release()

    def _hold(self) -> FileLock:
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
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


def read_manifest(path: Path) -> dict[str, Any]:
    """data.json of a run that is to go on.

    Raises:
        RunDirectoryError: it cannot be read, or is of another format than this bambino's.
    """
    try:
        manifest: dict[str, Any] = json.loads((path / "data.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{path / 'data.json'} cannot be read, so this run cannot go on: {error}") from None
    if manifest.get("format") != FORMAT:
        raise RunDirectoryError(
            f"The run in {path} was made by an earlier bambino. It can be evaluated and compared, not resumed: start "
            "another with its own output_dir."
        )
    return manifest


def holds_run(path: str | Path) -> bool:
    """Whether a run was begun there."""
    return (Path(path).expanduser() / "recipe.yaml").exists()
