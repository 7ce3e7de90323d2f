"""Checkpoints: everything a run needs to go on, written atomically, verified on read. Safetensors and JSON only.

    checkpoints/step-0000120/
        model/               the baby (or the mean of its weights), as AutoModelForCausalLM and AutoTokenizer open it
        <group>.safetensors  value head, optimizers, moving reference, last clm gradient; with averaging, the weights
                             that model/ does not hold: averaged_weights or raw_weights
        state.json           counters, kl_coef, calibration, log offsets
        manifest.json        sha256 of every other file

A checkpoint is written beside its place and renamed into it when it is whole and on disk, so a process killed at any
moment leaves either a whole checkpoint or none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from bambino.errors import CheckpointError
from bambino.files import replace_folder, sha256


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and verified."""

    path: Path
    tensors: dict[str, dict[str, Tensor]]
    """Group -> name -> tensor."""
    state: dict[str, Any]

    @property
    def model_path(self) -> Path:
        return self.path / "model"


def save(
    folder: Path,
    step: int,
    save_model: Callable[[Path], None],
    tensors: dict[str, dict[str, Tensor]],
    state: dict[str, Any],
    *,
    keep: int,
) -> Path:
    """Write the checkpoint of a step below `folder`, then delete all but the newest `keep`."""
    path = folder / f"step-{step:07d}"
    part = folder / f".part-step-{step:07d}"
    for left_over in folder.glob(".part-*"):
        shutil.rmtree(left_over)
    part.mkdir(parents=True)
    save_model(part / "model")
    for group, named in tensors.items():
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}, part / f"{group}.safetensors"
        )
    _write_json(part / "state.json", state)
    files = sorted(p for p in part.rglob("*") if p.is_file())
    _write_json(part / "manifest.json", {str(p.relative_to(part)): sha256(p) for p in files})
    replace_folder(part, path)
    for old in list_checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return path


def load(path: Path) -> Checkpoint:
    """Read and verify a checkpoint.

    Raises:
        CheckpointError: a file is missing or its content is not what was written.
    """
    try:
        manifest = json.loads((path / "manifest.json").read_text())
        for name, digest in manifest.items():
            if sha256(path / name) != digest:
                raise CheckpointError(f"{path / name} is damaged: its content is not what was written.")
        state = json.loads((path / "state.json").read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"The checkpoint {path} cannot be read: {error}") from None
    groups = [
        name.removesuffix(".safetensors") for name in manifest if name.endswith(".safetensors") and "/" not in name
    ]
    return Checkpoint(path, {group: load_file(path / f"{group}.safetensors") for group in groups}, state)


def list_checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def delete_after(folder: Path, step: int) -> None:
    """Delete the checkpoints of later steps, which a run that goes on from `step` will write again."""
    for path in list_checkpoints(folder):
        if path.name > f"step-{step:07d}":
            shutil.rmtree(path)


def load_latest(folder: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies; damaged ones are passed over with a warning. None when there is none.

    Raises:
        CheckpointError: there are checkpoints and all are damaged.
    """
    checkpoints = list_checkpoints(folder)
    problem: CheckpointError | None = None
    for path in reversed(checkpoints):
        try:
            return load(path)
        except CheckpointError as error:
            problem = error
            warn(f"{error} Going back to the checkpoint before it.")
    if problem is not None:
        raise problem
    return None


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
