"""A run on the hub: its model as main, and the revisions of the baby's whole life as branches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import HfApi

from bambino.errors import RunDirectoryError
from bambino.models.revisions import MAIN, revisions_in, words_of
from bambino.runs.directory import holds_run
from bambino.runs.ledger import BASE
from bambino.runs.record import RunRecord, read_run, refusing


def revisions_of_life(run: Path) -> dict[str, Path]:
    """Name -> folder of the revisions of a run and of the runs that its baby comes from, by their words; then main."""
    record, own = read_run(run), revisions_in(run)
    first = record.settings["baby"]["model"]
    raised_in = None if first is None else _run_of(Path(first).expanduser())
    earlier = {} if raised_in is None else revisions_of_life(raised_in)
    heard = _heard_before(record)
    return {name: path for name, path in earlier.items() if (words_of(name) or heard + 1) <= heard} | own


def push(
    run: Path,
    repo_id: str,
    *,
    private: bool = True,
    token: str | None = None,
    tell: Callable[[str], None] = lambda name: None,
) -> str:
    """Upload a run's model and all revisions; gives the address. What is there of these names is replaced.

    Args:
        tell: told each revision before it is uploaded.

    Raises:
        RunDirectoryError: it is no run, or has no trained model yet.
    """
    found = revisions_of_life(run)
    if MAIN not in found:
        raise RunDirectoryError(f"{run} has no trained model yet. Go on with bambino train --resume {run}.")
    api = HfApi(token=token)
    address = str(api.create_repo(repo_id, private=private, exist_ok=True))
    for name, folder in found.items():
        tell(name)
        if name != MAIN:
            api.create_branch(repo_id, branch=name, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=folder, revision=name, commit_message=f"{name}, by bambino")
    return address


def _run_of(model: Path) -> Path | None:
    """The run directory of a model that is one, or lies in one."""
    places = [model, *model.absolute().parents[:3]]
    return next((place for place in places if holds_run(place)), None)


def _heard_before(record: RunRecord) -> float:
    """Words that the baby had heard before the run, as revisions count them; 0 where nobody says it."""
    with refusing(record.path):
        before = (record.data.get(BASE) or {}).get("before")
        return 0.0 if before is None else float(before["sums"]["heard"]["words"])
