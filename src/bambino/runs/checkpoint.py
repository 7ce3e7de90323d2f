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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bambino.errors import CheckpointError
from bambino.files import discard, json_of, remove, sha256, write_folder


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
    keep_every: int | None = None,
) -> Path:
    """Write the checkpoint of a step below `folder`, then delete old ones.

    Args:
        keep: how many of the newest stay.
        keep_every: those whose step is a multiple of this stay as well; None: none.

    Raises:
        StorageError: it cannot be written; those that were there stay.
    """

    def write(part: Path) -> None:
        part.mkdir()
        save_model(part / "model")
        for group, named in tensors.items():
            on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}
            save_file(on_cpu, part / f"{group}.safetensors")
        _write_json(part / "state.json", state)
        files = sorted(p for p in part.rglob("*") if p.is_file())
        _write_json(part / "manifest.json", {str(p.relative_to(part)): sha256(p) for p in files})

    path = folder / name_of(step)
    for left_over in folder.glob(".part-step-*"):
        remove(left_over)
    write_folder(path, write)
    for old in list_checkpoints(folder)[:-keep]:
        if keep_every is None or step_of(old) % keep_every:
            discard(old)
    return path


def load(path: Path) -> Checkpoint:
    """Read and verify a checkpoint.

    Raises:
        CheckpointError: a file is missing or its content is not what was written.
    """
    try:
        manifest = json_of((path / "manifest.json").read_text())
        if not isinstance(manifest, dict) or "state.json" not in manifest:
            raise CheckpointError(f"{path / 'manifest.json'} is damaged: it names no files of a checkpoint.")
        for name, digest in manifest.items():
            if sha256(path / name) != digest:
                raise CheckpointError(f"{path / name} is damaged: its content is not what was written.")
        state = json_of((path / "state.json").read_text())
        groups = [
            name.removesuffix(".safetensors") for name in manifest if name.endswith(".safetensors") and "/" not in name
        ]
        tensors = {group: load_file(path / f"{group}.safetensors") for group in groups}
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"The checkpoint {path} cannot be read: {error}") from None
    return Checkpoint(path, tensors, state)


def name_of(step: int) -> str:
    """The name of a step's checkpoint."""
    return f"step-{step:07d}"


def step_of(path: Path) -> int:
    """The step of a checkpoint; -1 of a path that has no checkpoint's name."""
    digits = path.name.removeprefix("step-")
    return int(digits) if digits.isdecimal() and name_of(int(digits)) == path.name else -1


def list_checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first; whatever else lies there is passed over."""
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in there if step_of(path) >= 0 and path.is_dir()), key=step_of)


def delete_after(folder: Path, step: int) -> None:
    """Delete the checkpoints of later steps, which a run that goes on from `step` will write again."""
    for path in list_checkpoints(folder):
        if step_of(path) > step:
            discard(path)


def load_latest(folder: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies; damaged ones are passed over with a warning. None when there is none.

    Raises:
        CheckpointError: there are checkpoints and all are damaged.
    """
    damaged: list[str] = []
    for path in reversed(list_checkpoints(folder)):
        try:
            found = load(path)
        except CheckpointError as error:
            damaged.append(str(error))
            continue
        for problem in damaged:
            warn(f"{problem} Going back to the checkpoint of step {step_of(path)}.")
        return found
    if damaged:
        way_out = f"Put one back, or remove {folder} and begin the run again from its first step with --resume."
        raise CheckpointError(f"{' '.join(damaged)} No whole checkpoint is left. {way_out}")
    return None


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
