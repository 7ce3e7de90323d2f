"""A run on the hub: its model as main, and the revisions of the baby's whole life as branches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import HfApi

from bambino.errors import RunDirectoryError
from bambino.models.revisions import MAIN, revisions_in
from bambino.runs.directory import holds_run


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
    if not holds_run(run):
        raise RunDirectoryError(f"{run} holds no run: there is no recipe.yaml. Give the output_dir of a run.")
    found = revisions_in(run)
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
