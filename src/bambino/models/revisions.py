"""Revisions: a model as it was after so many words, in a folder as on the hub.

    RUN/model/                the trained model, which the hub calls main
    RUN/revisions/chck_2M/    the baby when it had heard two million words in its life

BabyLM's names: chck_1M ... chck_10M, chck_20M ... chck_100M, chck_200M ... chck_1000M; here of any unit.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

from bambino.errors import ModelError
from bambino.files import remove, write_folder

REVISIONS, MAIN, TRAINED = "revisions", "main", "model"
STEPS = [*range(1, 10), *range(10, 100, 10), *range(100, 1001, 100)]
"""How many times the unit each revision is."""
_UNITS = {1_000_000: "M", 1_000: "K", 1: ""}


def name_of(words: int) -> str:
    """The name of the revision after so many words: chck_2M, chck_50K, chck_7."""
    size = next(size for size in _UNITS if words % size == 0)
    return f"chck_{words // size}{_UNITS[size]}"


def words_of(name: str) -> int | None:
    """After how many words a revision of such a name is; None of another name."""
    digits = name.removeprefix("chck_").rstrip("MK")
    sizes = {unit: size for size, unit in _UNITS.items()}
    words = int(digits) * sizes.get(name[5 + len(digits) :], 0) if digits.isdecimal() else 0
    return words if words and name_of(words) == name else None


def reached(before: float, now: float, unit: int) -> list[str]:
    """The revisions whose words are more than `before` and no more than `now`."""
    return [name_of(step * unit) for step in STEPS if before < step * unit <= now]


def revisions_in(folder: Path) -> dict[str, Path]:
    """Name -> folder of the revisions of a run directory, or of the model in one, by their words; then main."""
    run = folder if (folder / TRAINED).is_dir() or (folder / REVISIONS).is_dir() else folder.absolute().parent
    there = (run / REVISIONS).iterdir() if (run / REVISIONS).is_dir() else ()
    found = {path.name: path for path in there if words_of(path.name) is not None}
    ordered = {name: found[name] for name in sorted(found, key=lambda name: words_of(name) or 0)}
    main = folder if (folder / "config.json").is_file() else run / TRAINED
    return ordered | ({MAIN: main} if (main / "config.json").is_file() else {})


def keep_earlier(model: Path, words: float, folder: Path) -> None:
    """Keep what the run around a model kept of its first so many words in a folder too, linked where the disk can."""
    places = (place for place in (model, *model.absolute().parents[:3]) if (place / REVISIONS).is_dir())
    earlier = revisions_in(run) if (run := next(places, None)) is not None else {}
    for name, path in earlier.items():
        if 0 < (words_of(name) or 0) <= words:
            write_folder(folder / name, partial(_linked, path))


def _linked(path: Path, copy: Path) -> None:
    try:
        shutil.copytree(path, copy, copy_function=os.link)
    except OSError:  # another disk, or one without links
        remove(copy)
        shutil.copytree(path, copy)


def revision_in(folder: Path, revision: str, name: str) -> Path:
    """The folder of one.

    Args:
        name: the setting and its value, `baby.model = PATH`, for messages.

    Raises:
        ModelError: there is none of that name.
    """
    found = revisions_in(folder)
    if revision not in found:
        way_out = f"There are: {', '.join(found)}." if found else "There is none: leave the revision out."
        raise ModelError(f"{name} has no revision {revision}. {way_out}")
    return found[revision]
