"""The run directory: all that anything later reads.

recipe.yaml          every setting, resolved
environment.json     package versions, git commit, device; where they changed on resuming, too
data.json            what the run is made of: per text source hash, lines kept, dropped and why, truncated, tokens,
                     words; the files read, left out and why, lines brought to NFC; what of the text baby and parent
                     cannot spell; sha256 of models, tokenizers, evaluation files; names of rewards, BabyLM's rules for
                     them
memory.json          the most memory that the run took so far, in bytes: of the process, and of tensors on a CUDA device
metrics.jsonl        a row per step, a row per evaluation, a row per alarm
utterances.jsonl     what the baby said: step, prompt, utterance, parent perplexity, surprisal word by word, reward
dreams.jsonl         with dreaming: the first baby's own texts, written once
constants/           what never changes, written once: the first baby's weights, where it is the reference
checkpoints/         see checkpoint.py
revisions/           the baby after so many words in its life, as from_pretrained opens it: chck_1M, ...
model/               the trained baby
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bambino.errors import RunDirectoryError, StorageError
from bambino.files import JsonLinesLog, fsync, json_of, remove, sha256, write_atomically, write_json, writing
from bambino.models.revisions import REVISIONS
from bambino.runs.names import DREAMS, NEWBORN

FORMAT = 2
"""Of run directories, in data.json. 1 (which had no number) can be read and compared, not resumed."""
LOCK = ".lock"
"""Held by the process that runs; that it exists says that bambino made this directory."""


OWN_FOLDERS = ("checkpoints", "constants", REVISIONS, NEWBORN)


OWN_FILES = (
    "metrics.jsonl",
    "utterances.jsonl",
    "data.json",
    "environment.json",
    "memory.json",
    "failure.json",
    DREAMS,
)


OWN_NAMES = (*OWN_FOLDERS, "model", *OWN_FILES)
"""What a run writes and replaces; in a directory where no run was begun, it is somebody else's."""


DESCRIPTIONS = ("recipe.yaml", "data.json")
"""Files that say what run it is; they never change."""


class RunDirectory:
    """Paths and logs of one run, held by one process at a time.

    Raises:
        RunDirectoryError: it cannot be made or held, or something else lies where a run writes.
        StorageError: its logs cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self._lock = Path(path).expanduser(), lock(path)
        try:
            self._clear()
            self.metrics = JsonLinesLog(self.path / "metrics.jsonl")
            self.utterances = JsonLinesLog(self.path / "utterances.jsonl")
            self._held = self._identities()
        except BaseException:
            self._lock.release()
            raise

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def revisions(self) -> Path:
        return self.path / REVISIONS

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

    def digests(self) -> dict[str, str]:
        """sha256 of the files that say what run it is."""
        return {name: sha256(self.path / name) for name in DESCRIPTIONS}

    def check_is_there(self) -> None:
        """What is written goes where it is looked for.

        Raises:
            StorageError: the directory, its lock or a log was moved, deleted or replaced meanwhile.
        """
        with writing(self.path):
            now = self._identities()
        if gone := [name for name, identity in self._held.items() if now[name] != identity]:
            what = self.path if LOCK in gone else self.path / gone[0]
            raise StorageError(f"{what} was moved, deleted or replaced while the run was going on.")

    def log_marks(self) -> dict[str, dict[str, Any]]:
        """How long both logs are, in bytes, all of them on disk, and the sha256 of what is in them."""
        return {
            "log_offsets": {name: log.offset() for name, log in self._logs.items()},
            "log_digests": {name: log.digest() for name, log in self._logs.items()},
        }

    def truncate_logs(self, offsets: dict[str, int], digests: dict[str, str] | None = None) -> dict[Path, str]:
        """Cut both logs back; returns those that are not as they were then, and what became of them."""
        changed = {}
        for name, log in self._logs.items():
            if not log.truncate(offsets[name]):
                changed[log.path] = "has lost rows that it had"
            elif digests and log.digest() != digests[name]:
                changed[log.path] = "does not hold the rows that it had"
        return changed

    @property
    def _logs(self) -> dict[str, JsonLinesLog]:
        return {"metrics": self.metrics, "utterances": self.utterances}

    def close(self) -> None:
        self.metrics.close()
        self.utterances.close()
        self._lock.release()

    def _clear(self) -> None:
        """Remove what a process that was killed left half written; on a full disk it may be what is in the way."""
        names = {f".part-{name}" for name in (*OWN_NAMES, *DESCRIPTIONS)}
        with writing(self.path):
            beside = (*self.checkpoints.glob(".part-step-*"), *self.revisions.glob(".part-chck_*"))
            for place in (*self.path.glob(".part-*"), *beside):
                if place.name.removesuffix(".old") in names or place in beside:
                    remove(place)

    def _identities(self) -> dict[str, tuple[int, int] | None]:
        """Which files stand under the names of the lock and the logs: device and inode."""
        found: dict[str, tuple[int, int] | None] = {}
        for name in (LOCK, "metrics.jsonl", "utterances.jsonl"):
            try:
                status = (self.path / name).stat()
                found[name] = status.st_dev, status.st_ino
            except (FileNotFoundError, NotADirectoryError):
                found[name] = None
        return found


def lock(path: str | Path) -> FileLock:
    """Make a directory for a run, or know it by its mark (a run killed early), and hold it until the lock is released.

    Raises:
        RunDirectoryError: it cannot be made, another process holds it, or it holds files of a run's names that no run
            of ours put there.
    """
    folder = Path(path).expanduser()
    taken = [name for name in OWN_NAMES if (folder / name).exists()]
    if taken and not (folder / LOCK).exists() and not holds_run(folder):
        raise RunDirectoryError(
            f"output_dir = {path} holds {', '.join(taken)} already and no run of bambino's, which would replace them. "
            "Use another."
        )
    if any((folder / "checkpoints").glob("step-*")) and not holds_run(folder):
        raise RunDirectoryError(
            f"output_dir = {path} holds checkpoints of a run whose recipe.yaml is gone. Put it back and go on with "
            "--resume, or use another."
        )
    _check_kinds(folder)
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    held = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held.acquire(timeout=0)
        for place in new:
            fsync(place.parent)
    except Timeout:
        raise RunDirectoryError(
            f"{path} is in use by another process. Wait for it or use another output_dir."
        ) from None
    except OSError as error:
        held.release()
        problem = "written to" if folder.is_dir() else "made"
        raise RunDirectoryError(f"output_dir = {path} cannot be {problem}: {error.strerror}. Use another.") from None
    return held


def _check_kinds(folder: Path) -> None:
    """Refuse links, pipes and the like under a run's names: they would be written through or wait for ever.

    Raises:
        RunDirectoryError: naming the first.
    """
    folders = (*OWN_FOLDERS, "model")
    for name in (*folders, *OWN_FILES, "recipe.yaml", LOCK):
        place = folder / name
        is_fine = place.is_dir() if name in folders else place.is_file()
        if os.path.lexists(place) and (place.is_symlink() or not is_fine):
            kind = "folder" if name in folders else "file"
            raise RunDirectoryError(
                f"{place} is a link or no {kind}, and a run writes a {kind} there. Remove it, or use another "
                "output_dir (which may itself be a link)."
            )


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
        manifest: dict[str, Any] = json_of((path / "data.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{path / 'data.json'} cannot be read, so this run cannot go on: {error}") from None
    if not isinstance(manifest, dict):
        raise RunDirectoryError(f"{path / 'data.json'} is damaged: it does not say what the run is made of.")
    if manifest.get("format") != FORMAT:
        raise RunDirectoryError(
            f"The run in {path} was made by an earlier bambino. It can be evaluated and compared, not resumed: start "
            "another with its own output_dir."
        )
    return manifest


def holds_run(path: str | Path) -> bool:
    """Whether a run was begun there; never where no file system takes such a name."""
    return os.path.exists(os.path.join(os.path.expanduser(path), "recipe.yaml"))
