"""What a model had heard before a run: by the ledger beside it, by the run directory that it lies in, or as stated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from transformers.utils.hub import cached_file

from bambino.models.loading import is_on_hub, source_of
from bambino.recipe.model_settings import BabyConfig, ParentConfig
from bambino.runs.checkpoint import step_of
from bambino.runs.directory import holds_run
from bambino.runs.ledger import LEDGER, HeardText, Ledger, read_ledger, run_ledger, stated, union
from bambino.runs.names import NEWBORN
from bambino.runs.record import RunRecord, read_run, refusing


def life_of(config: BabyConfig | ParentConfig, role: Literal["baby", "parent"]) -> Ledger | None:
    """The life of a model so far; None: nobody says it.

    Raises:
        ModelError: there is no such model. RunDirectoryError: its ledger cannot be read.
    """
    if config.words is not None:
        heard = config.words_heard if isinstance(config, BabyConfig) else None
        return stated(config.words, config.words if heard is None else heard, f"{role}.words")
    if config.model is None:
        return None
    source = source_of(config, role)
    if not is_on_hub(source):
        return ledger_beside(Path(source))
    found = cached_file(
        source,
        LEDGER,
        revision=config.revision or "main",
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if found is None else read_ledger(Path(found))


def texts_of_life(life: Ledger | None) -> list[HeardText] | None:
    """All texts that a parent was raised on, one that taught it included; None: not all are known."""
    if life is None or not life.is_whole or (life.shown and life.parent is None):
        return None
    told = HeardText("told", "written for the parent", None, life.told, life.told.words)
    return union([*life.texts, *((life.parent or []) if life.shown else []), *([told] if life.told.words else [])])


def ledger_beside(folder: Path) -> Ledger | None:
    """Of a folder with a model: its ledger, or what the run directory around it says."""
    if (folder / LEDGER).is_file():
        return read_ledger(folder / LEDGER)
    folder = folder.absolute()
    if holds_run(folder.parent) and folder.name in ("model", NEWBORN):
        return _of_run(read_run(folder.parent), None if folder.name == "model" else 0)
    if folder.name == "model" and step_of(folder.parent) >= 0 and holds_run(folder.parents[2]):
        return _of_run(read_run(folder.parents[2]), step_of(folder.parent))
    return None


def _of_run(run: RunRecord, step: int | None) -> Ledger:
    """Of a run that wrote no ledger, after so many steps; None: at its end."""
    row = next((row for row in reversed(run.steps) if step is None or row["step"] <= step), {})
    totals = {name.removeprefix("total/"): value for name, value in row.items() if name.startswith("total/")}
    with refusing(run.path):
        ledger = run_ledger(run.data, totals)
    return replace(ledger, is_whole=True) if (run.path / NEWBORN).is_dir() else ledger
