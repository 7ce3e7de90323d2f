"""Checkpoints are whole or absent, damage is found and named, and nothing on disk is a pickle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import there
from safetensors.torch import save_file
from torch import Tensor

import bambino.files
from bambino import BambinoTrainer, Recipe
from bambino.errors import CheckpointError
from bambino.runs import checkpoint

FILES = ["manifest.json", "state.json", "value_head.safetensors", "optimizer-clm.safetensors", "model/config.json"]


def tensors_of(step: int) -> dict[str, dict[str, Tensor]]:
    return {
        "value_head": {
            "weight": torch.arange(6.0).reshape(2, 3) + step,
            "bias": torch.tensor([step], dtype=torch.int64),
        },
        "optimizer-clm": {},
    }


def save(folder: Path, step: int, keep: int = 2) -> Path:
    def save_model(path: Path) -> None:
        path.mkdir()
        (path / "config.json").write_bytes(b'{"step": %d}' % step)

    return checkpoint.save(folder, step, save_model, tensors_of(step), {"step": step, "kl_coef": 0.1 + step}, keep=keep)


def assert_is_checkpoint_of(step: int, found: checkpoint.Checkpoint | None) -> None:
    assert found is not None
    assert found.state == {"step": step, "kl_coef": 0.1 + step}
    assert (found.model_path / "config.json").read_text() == f'{{"step": {step}}}'
    assert found.tensors.keys() == {"value_head", "optimizer-clm"}
    assert found.tensors["optimizer-clm"] == {}
    for name, tensor in tensors_of(step)["value_head"].items():
        assert found.tensors["value_head"][name].dtype == tensor.dtype
        assert found.tensors["value_head"][name].equal(tensor)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def no_warning(text: str) -> None:
    raise AssertionError(text)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = save(tmp_path, 12)
    assert path == tmp_path / "step-0000012"
    assert_is_checkpoint_of(12, checkpoint.load(path))


def test_the_newest_checkpoint_is_read_and_steps_are_ordered_as_numbers(tmp_path: Path) -> None:
    for step in (9, 10, 100, 1_000_000):
        save(tmp_path, step, keep=9)
    assert [path.name for path in checkpoint.list_checkpoints(tmp_path)] == [
        "step-0000009",
        "step-0000010",
        "step-0000100",
        "step-1000000",
    ]
    assert_is_checkpoint_of(1_000_000, checkpoint.load_latest(tmp_path, no_warning))


def test_without_checkpoints_there_is_no_latest(tmp_path: Path) -> None:
    assert checkpoint.load_latest(tmp_path, no_warning) is None
    assert checkpoint.load_latest(tmp_path / "missing", no_warning) is None


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_only_the_newest_are_kept(tmp_path: Path, keep: int) -> None:
    for step in range(1, 6):
        save(tmp_path, step, keep=keep)
    assert names(tmp_path) == [f"step-000000{step}" for step in range(6 - keep, 6)]


def test_later_checkpoints_are_deleted_when_a_run_goes_back(tmp_path: Path) -> None:
    for step in (8, 9, 10, 11):
        save(tmp_path, step, keep=9)
    checkpoint.delete_after(tmp_path, 9)
    assert names(tmp_path) == ["step-0000008", "step-0000009"]


def test_what_a_killed_process_left_half_written_is_ignored_and_then_cleaned_away(tmp_path: Path) -> None:
    save(tmp_path, 1)
    for step in (2, 7):
        shutil.copytree(tmp_path / "step-0000001", tmp_path / f".part-step-000000{step}")
    assert_is_checkpoint_of(1, checkpoint.load_latest(tmp_path, no_warning))
    save(tmp_path, 2)
    assert names(tmp_path) == ["step-0000001", "step-0000002"]


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] if path.name != "manifest.json" else path.read_bytes()[:-3])


DAMAGES = {"a flipped bit": flip_a_bit, "a cut end": cut, "missing": Path.unlink}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_to_any_file_is_found_and_the_checkpoint_before_is_used_with_a_warning(
    tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    damage(path / file)
    with pytest.raises(CheckpointError, match="step-0000002"):
        checkpoint.load(path)
    warnings: list[str] = []
    assert_is_checkpoint_of(1, checkpoint.load_latest(tmp_path, warnings.append))
    assert len(warnings) == 1
    assert "step-0000002" in warnings[0]
    assert "Going back to the checkpoint of step 1." in warnings[0]


@pytest.mark.parametrize("file", FILES[1:])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_the_damaged_file_is_named(tmp_path: Path, file: str, damage: Callable[[Path], None]) -> None:
    path = save(tmp_path, 3)
    damage(path / file)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    assert str(path / file) in str(caught.value)


def test_when_all_are_damaged_the_run_does_not_silently_begin_again(tmp_path: Path) -> None:
    for step in (1, 2):
        flip_a_bit(save(tmp_path, step) / "state.json")
    warnings: list[str] = []
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load_latest(tmp_path, warnings.append)
    assert warnings == []  # there is none to go back to
    problems = [
        f"{tmp_path}/step-000000{step}/state.json is damaged: its content is not what was written." for step in (2, 1)
    ]
    way_out = f"Put one back, or remove {tmp_path} and begin the run again from its first step with --resume."
    assert str(caught.value) == f"{problems[0]} {problems[1]} No whole checkpoint is left. {way_out}"


class PowerCutError(BaseException):
    """The process dies here."""


class PowerCut:
    """Dies at the n-th file operation: before it, or half-way through it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, is_half_done: bool) -> None:
        self.at, self.is_half_done, self.count = at, is_half_done, 0
        monkeypatch.setattr(os, "fsync", self.wrap(os.fsync))
        monkeypatch.setattr(os, "replace", self.wrap(os.replace))
        monkeypatch.setattr(shutil, "rmtree", self.wrap(shutil.rmtree, half=self.remove_half))
        monkeypatch.setattr(checkpoint, "save_file", self.wrap(save_file, half=self.write_half))
        monkeypatch.setattr(Path, "write_text", self.wrap(Path.write_text, half=lambda p, _, **__: p.write_bytes(b"{")))

    def wrap(self, operation: Callable[..., Any], half: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def operate(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                if self.is_half_done and half is not None:
                    half(*args, **kwargs)
                raise PowerCutError
            return operation(*args, **kwargs)

        return operate

    @staticmethod
    def remove_half(path: Path) -> None:
        (path / "state.json").unlink(missing_ok=True)

    @staticmethod
    def write_half(_: dict[str, Tensor], path: Path) -> None:
        path.write_bytes(b"half")


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("is_half_done", [False, True])
def test_a_process_that_dies_at_any_file_operation_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int, is_half_done: bool
) -> None:
    at, found_steps = 0, []
    while True:
        at += 1
        folder = tmp_path / str(at)
        save(folder, 1, keep)
        save(folder, 2, keep)
        with monkeypatch.context() as patches:
            cut = PowerCut(patches, at, is_half_done=is_half_done)
            try:
                save(folder, 3, keep)
            except PowerCutError:
                pass
            else:
                break
        found = there(checkpoint.load_latest(folder, no_warning))
        found_steps.append(found.state["step"])
        assert_is_checkpoint_of(found_steps[-1], found)
        save(folder, 3, keep)  # the next process can write it
        assert_is_checkpoint_of(3, checkpoint.load_latest(folder, no_warning))
        assert not any(folder.glob(".part-*"))
    assert cut.count == at - 1 > 10, "every operation was tried"
    assert set(found_steps) == {2, 3}
    assert found_steps == sorted(found_steps)


def test_all_files_are_on_disk_before_the_checkpoint_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    fsync, replace = os.fsync, os.replace

    def watch_fsync(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def watch_replace(part: Path, path: Path) -> None:
        assert synced == {str(inner) for inner in part.rglob("*")} | {str(part)}
        replace(part, path)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "replace", watch_replace)
    save(tmp_path, 1)
    assert str(tmp_path) in synced, "the new name too"


def test_a_step_is_not_written_twice_because_the_checkpoint_in_place_would_be_lost_meanwhile(
    make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("--save_steps", "1", "--max_steps", "3", "--save_total_limit", "1")
    written = []
    replace_folder = bambino.files.replace_folder

    def watch(part: Path, path: Path) -> None:
        written.append(path.name)
        replace_folder(part, path)

    monkeypatch.setattr(bambino.files, "replace_folder", watch)

    def stop_after_two(row: dict[str, Any]) -> None:
        trainer.stop_requested = row["step"] == 2

    trainer = BambinoTrainer(args=recipe, on_row=stop_after_two)
    trainer.train()
    assert written == ["constants", "step-0000001", "step-0000002"]
    BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    assert written[3:] == ["step-0000003", "model"]
    BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    assert written[5:] == ["model"]


def test_every_file_of_a_run_is_safetensors_or_text(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe("--ppo.reference", "phase_start")
    BambinoTrainer(args=recipe).train()
    files = [path for path in Path(recipe.output_dir).rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json", ".jsonl", ".yaml", ".md", ""}
    assert [path.name for path in files if path.suffix == ""] == [".lock"]
    for path in files:
        if path.suffix != ".safetensors":
            path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"), parse_constant=no_warning)
