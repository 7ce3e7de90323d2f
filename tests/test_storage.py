"""Where a run cannot be written, or would write what is not its own: one message, nothing lost, nothing of others'."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_tokenizer
from test_resume import SIX_STEPS, assert_same_run, never_stopped, train

from bambino import BambinoTrainer, Recipe, load_recipe
from bambino.cli.main import main
from bambino.errors import CheckpointError, RecipeError, RunDirectoryError, StorageError
from bambino.files import JsonLinesLog, write_atomically, write_file, write_folder
from bambino.recipe.file import dump_recipe
from bambino.runs import checkpoint
from bambino.runs.directory import LOCK, RunDirectory, lock
from bambino.training.pretrain import newborn_trainer
from bambino.training.session import Session

Make = Callable[..., Recipe]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------- two processes


def test_a_run_that_another_process_begins_and_ends_meanwhile_is_left_as_it_is(
    make_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, other = make_recipe("--max_steps", "1"), make_recipe("--max_steps", "2", "--seed", "5")
    left: dict[str, bytes] = {}

    def meanwhile(self: Session) -> None:  # the parent is being asked; the directory was free when the session looked
        if not left:
            left["begun"] = b""
            BambinoTrainer(args=other).train()
            left.update(content(Path(other.output_dir)))

    monkeypatch.setattr(Session, "_check_parent", meanwhile)
    with pytest.raises(RunDirectoryError, match="already holds a run"):
        BambinoTrainer(args=recipe).train()
    del left["begun"]
    assert content(Path(recipe.output_dir)) == left
    RunDirectory(recipe.output_dir).close()  # and it is free again


def test_the_model_that_a_run_from_scratch_begins_with_is_made_by_who_holds_the_directory(
    tmp_path: Path, text_file: Path
) -> None:
    words = ["--schedule.cycle", "{clm: 1}", "--text.sources", f"[{text_file}]", "--output_dir", str(tmp_path / "run")]
    held = lock(tmp_path / "run")
    with pytest.raises(RunDirectoryError, match="in use by another process"):
        newborn_trainer(load_recipe(None, words))
    held.release()
    assert os.listdir(tmp_path / "run") == [LOCK]


# ------------------------------------------------------------------------------------- moved or deleted meanwhile


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def replaced(folder: Path) -> None:
    moved(folder)
    shutil.copytree(folder.with_name("elsewhere"), folder)


DISAPPEARANCES: dict[str, Callable[[Path], Any]] = {"moved": moved, "deleted": shutil.rmtree, "replaced": replaced}


@pytest.mark.parametrize("disappear", DISAPPEARANCES.values(), ids=DISAPPEARANCES.keys())
def test_a_run_whose_directory_disappears_says_so_and_does_not_make_it_anew(
    make_recipe: Make, disappear: Callable[[Path], Any]
) -> None:
    recipe = make_recipe(*SIX_STEPS, "--save_steps", "2")
    folder = Path(recipe.output_dir)
    left: dict[str, bytes] = {}

    def on_row(row: dict[str, Any]) -> None:
        if row["kind"] == "step" and row["step"] == 3:
            disappear(folder)
            left.update(content(folder) if folder.exists() else {})

    with pytest.raises(StorageError) as caught:
        BambinoTrainer(args=recipe, on_row=on_row).train()
    assert str(caught.value).startswith(f"{folder} was moved, deleted or replaced while the run was going on.")
    assert "--resume" in str(caught.value)
    assert (content(folder) if folder.exists() else {}) == left
    if disappear is moved:
        elsewhere = make_recipe(*SIX_STEPS, "--save_steps", "2", output_dir="elsewhere")
        train(elsewhere, resume=True)
        assert_same_run(elsewhere, never_stopped(make_recipe, *SIX_STEPS, "--save_steps", "2"))


def test_a_run_whose_directory_is_moved_while_it_deletes_an_old_checkpoint_says_so(
    make_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("--save_steps", "1", "--save_total_limit", "1", "--max_steps", "3")
    rmdir = os.rmdir

    def move_then_delete(path: str, **where: Any) -> None:
        if Path(recipe.output_dir).exists():
            moved(Path(recipe.output_dir))
        rmdir(path, **where)

    monkeypatch.setattr(os, "rmdir", move_then_delete)
    with pytest.raises(StorageError, match=r"checkpoints cannot be written: No such file or directory\..*--resume"):
        BambinoTrainer(args=recipe).train()


def test_a_log_that_is_deleted_meanwhile_stops_the_run(make_recipe: Make) -> None:
    recipe = make_recipe("--max_steps", "2")
    log = Path(recipe.output_dir) / "metrics.jsonl"
    with pytest.raises(StorageError, match=r"metrics\.jsonl was moved, deleted or replaced"):
        BambinoTrainer(args=recipe, on_row=lambda row: log.unlink(missing_ok=True)).train()


# ---------------------------------------------------------------------------------------------- links and strangers


@pytest.mark.parametrize("name", [LOCK, "metrics.jsonl", "utterances.jsonl", "failure.json", "recipe.yaml"])
@pytest.mark.parametrize("is_there", [True, False], ids=["a file", "nothing yet"])
def test_a_link_under_a_runs_name_is_refused_and_not_written_through(tmp_path: Path, name: str, is_there: bool) -> None:
    run, outside = tmp_path / "run", tmp_path / "precious.txt"
    run.mkdir()
    (run / LOCK).touch()
    if is_there:
        outside.write_text("mine")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(outside)
    with pytest.raises(RunDirectoryError, match=f"{name} is a link or no file.*Remove it"):
        RunDirectory(run)
    assert (outside.read_text() == "mine") if is_there else not outside.exists()


@pytest.mark.parametrize("name", ["model", "checkpoints", "constants", "newborn"])
def test_a_linked_folder_under_a_runs_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).touch()
    (tmp_path / "run" / name).symlink_to(tmp_path)
    with pytest.raises(RunDirectoryError, match=f"{name} is a link or no folder"):
        RunDirectory(tmp_path / "run")


def test_a_pipe_under_a_logs_name_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(RunDirectoryError, match=r"metrics\.jsonl is a link or no file"):
        RunDirectory(tmp_path)


def test_a_link_that_appears_after_the_look_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "log.jsonl").symlink_to(tmp_path / "precious.txt")
    with pytest.raises(StorageError, match=r"log\.jsonl cannot be written"):
        JsonLinesLog(tmp_path / "log.jsonl")
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_a_run_directory_may_itself_be_a_link(make_recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "large disk")
    BambinoTrainer(args=make_recipe("--max_steps", "1")).train()
    assert (tmp_path / "large disk" / "model" / "model.safetensors").is_file()


def test_links_under_the_names_of_unfinished_files_are_removed_and_what_they_point_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("mine")
    (tmp_path / ".part-a.json").symlink_to(outside / "precious.txt")
    (tmp_path / ".part-folder").symlink_to(outside)
    write_atomically(tmp_path / "a.json", "{}")
    write_folder(tmp_path / "folder", lambda part: part.mkdir())
    assert content(outside) == {"precious.txt": b"mine"}
    assert sorted(os.listdir(tmp_path)) == ["a.json", "folder", "outside"]
    assert not (tmp_path / "a.json").is_symlink()
    assert not (tmp_path / "folder").is_symlink()


def save(folder: Path, step: int, **kept: Any) -> None:
    tensors = {"value_head": {"weight": torch.zeros(1)}}
    checkpoint.save(folder, step, lambda path: path.mkdir(), tensors, {"step": step}, **kept)


def test_files_written_side_by_side_do_not_disturb_each_other(tmp_path: Path) -> None:
    def slowly(part: Path) -> None:
        part.write_text("it")
        write_atomically(tmp_path / "en.txt", "en")

    write_file(tmp_path / "it.txt", slowly)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"it.txt": "it", "en.txt": "en"}


def test_what_a_killed_process_left_half_written_is_removed_when_its_directory_is_taken_up(tmp_path: Path) -> None:
    for name in (".part-model/x", ".part-recipe.yaml", ".part-mine", "checkpoints/.part-step-0000004/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / LOCK).touch()
    RunDirectory(tmp_path).close()
    assert set(content(tmp_path)) == {LOCK, "metrics.jsonl", "utterances.jsonl", ".part-mine"}


def test_what_others_put_beside_checkpoints_stays(tmp_path: Path) -> None:
    save(tmp_path, 1, keep=1)
    for name in ("step-0000001.bak", "step-best", "step-1"):
        shutil.copytree(tmp_path / "step-0000001", tmp_path / name)
    for name in ("notes.txt", "step-0000009", ".part-mine"):
        (tmp_path / name).write_text("mine")
    save(tmp_path, 2, keep=1)
    checkpoint.delete_after(tmp_path, 1)
    mine = {"step-0000001.bak", "step-best", "step-1", "notes.txt", "step-0000009", ".part-mine"}
    assert set(os.listdir(tmp_path)) == mine
    assert checkpoint.list_checkpoints(tmp_path) == []


def test_checkpoints_beyond_ten_million_steps_are_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for step in (9_999_999, 10_000_000, 10_000_001):
        save(tmp_path, step, keep=2)
    assert [path.name for path in checkpoint.list_checkpoints(tmp_path)] == ["step-10000000", "step-10000001"]
    found = checkpoint.load_latest(tmp_path, pytest.fail)
    assert found is not None
    assert found.state["step"] == 10_000_001
    checkpoint.delete_after(tmp_path, 10_000_000)
    assert os.listdir(tmp_path) == ["step-10000000"]


def test_every_so_manieth_checkpoint_is_kept_beside_the_newest(tmp_path: Path) -> None:
    for step in range(1, 8):
        save(tmp_path, step, keep=1, keep_every=3)
    assert [checkpoint.step_of(path) for path in checkpoint.list_checkpoints(tmp_path)] == [3, 6, 7]


def test_keep_every_is_a_step_that_has_a_checkpoint() -> None:
    with pytest.raises(RecipeError, match=r"keep_every = 700 is no multiple of save_steps = 500"):
        load_recipe(None, ["--keep_every", "700"])


# ------------------------------------------------------------------------------------------- full disks, read-only


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: what a full disk is to one that writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [200, 40_000])
def test_a_disk_that_fills_leaves_the_last_checkpoint_and_the_way_on(make_recipe: Make, size: int) -> None:
    settings = (*SIX_STEPS, "--save_steps", "2")
    whole, filled = never_stopped(make_recipe, *settings), make_recipe(*settings, output_dir="filled")
    folder = Path(filled.output_dir)
    train(filled, stop_after=3)
    with files_of_at_most(size), pytest.raises(StorageError) as caught:
        BambinoTrainer(args=filled).train(resume_from_checkpoint=True)
    assert "cannot be written: File too large." in str(caught.value)
    assert str(caught.value).endswith(f"then go on with --resume {folder}, from step 3, its last checkpoint.")
    assert not list(folder.rglob(".part-*"))
    train(filled, resume=True)
    assert_same_run(filled, whole)


def test_a_disk_that_is_full_from_the_start_leaves_no_run(
    make_recipe: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe("--max_steps", "1")
    path = Path(recipe.output_dir).with_name("recipe.yaml")
    path.write_text(dump_recipe(recipe))
    with files_of_at_most(100):
        assert main(["train", str(path)]) == 1
    said = capsys.readouterr().err
    assert "cannot be written: File too large." in said
    assert "Traceback" not in said
    assert main(["train", str(path)]) == 0  # there is room again


def test_what_a_tokenizer_says_of_a_full_disk_is_understood(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    with files_of_at_most(1_000), pytest.raises(StorageError, match=r"folder cannot be written: File too large\.$"):
        write_folder(tmp_path / "folder", lambda part: [None, tokenizer.save_pretrained(part)][0])
    assert os.listdir(tmp_path) == []


def test_an_error_of_another_kind_stays_what_it_is_and_leaves_nothing(tmp_path: Path) -> None:
    def write(part: Path) -> None:
        part.mkdir()
        raise KeyError("wte.weight")

    with pytest.raises(KeyError, match=r"wte\.weight"):
        write_folder(tmp_path / "folder", write)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("inner", ["", "checkpoints"])
def test_a_folder_that_is_read_only_is_named(make_recipe: Make, inner: str) -> None:
    recipe = make_recipe(*SIX_STEPS)
    train(recipe, stop_after=3)
    folder = Path(recipe.output_dir) / inner
    folder.chmod(0o555)
    try:
        with pytest.raises((RunDirectoryError, StorageError), match="Permission denied") as caught:
            BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    finally:
        folder.chmod(0o755)
    assert str(folder) in str(caught.value)


# --------------------------------------------------------------------------------------------- damaged or not at all


@pytest.mark.parametrize("name", ["recipe.yaml", "data.json"])
def test_what_says_which_run_it_is_may_not_change(make_recipe: Make, name: str) -> None:
    recipe = make_recipe(*SIX_STEPS)
    train(recipe, stop_after=3)
    file = Path(recipe.output_dir) / name
    file.write_text(file.read_text() + "\n")
    with pytest.raises(CheckpointError, match=f"{name} is not as it was when .*step-0000003 was saved"):
        BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)


def test_a_log_whose_rows_changed_is_said_once(make_recipe: Make) -> None:
    recipe = make_recipe(*SIX_STEPS)
    train(recipe, stop_after=3)
    log = Path(recipe.output_dir) / "metrics.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"step": 2', b'"step": 3'))
    warnings: list[str] = []

    def on_row(row: dict[str, Any]) -> None:
        warnings.extend([row["text"]] if row["kind"] == "warning" else [])

    for _ in range(2):
        BambinoTrainer(args=recipe, on_row=on_row).train(resume_from_checkpoint=True)
    assert warnings == [f"{log} does not hold the rows that it had at step 3. The run goes on without them."]


def test_a_run_that_lost_its_recipe_is_not_begun_anew(make_recipe: Make) -> None:
    recipe = make_recipe(*SIX_STEPS)
    train(recipe, stop_after=3)
    (Path(recipe.output_dir) / "recipe.yaml").unlink()
    before = content(Path(recipe.output_dir))
    with pytest.raises(RunDirectoryError, match=r"holds checkpoints of a run whose recipe\.yaml is gone\. Put it back"):
        BambinoTrainer(args=recipe).train()
    assert content(Path(recipe.output_dir)) == before


class KilledError(BaseException):
    """The process dies here."""


def test_a_kill_while_a_folder_is_replaced_leaves_no_half_of_it_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(part: Path) -> None:
        part.mkdir()
        for name in ("a", "b"):
            (part / name).touch()

    def die(path: Path) -> None:
        (path / "a").unlink()
        raise KilledError

    write_folder(tmp_path / "model", write)
    monkeypatch.setattr(shutil, "rmtree", die)
    with pytest.raises(KilledError):
        write_folder(tmp_path / "model", write)
    assert sorted(os.listdir(tmp_path)) == [".part-model", ".part-model.old"]


@pytest.mark.parametrize("manifest", ["{}", "[]", "null", '{"a": 1}', "\x00"])
def test_a_manifest_that_names_no_checkpoint_is_damaged(tmp_path: Path, manifest: str) -> None:
    save(tmp_path, 1, keep=1)
    (tmp_path / "step-0000001" / "manifest.json").write_text(manifest)
    with pytest.raises(CheckpointError, match="step-0000001"):
        checkpoint.load(tmp_path / "step-0000001")


# -------------------------------------------------------------------------------------------------- going on with it


def written(recipe: Recipe) -> str:
    path = Path(recipe.output_dir).with_name("recipe.yaml")
    path.write_text(dump_recipe(recipe))
    return str(path)


def test_resume_after_a_recipe_goes_on_in_its_output_dir_and_a_finished_run_is_called_finished(
    make_recipe: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe(*SIX_STEPS)
    path = written(recipe)
    assert main(["train", path, "--resume"]) == 2
    problem = f"bambino: {recipe.output_dir} holds no run to resume. Leave --resume out to begin one.\n"
    assert capsys.readouterr().err == problem
    train(recipe, stop_after=3)
    assert main(["train", path, "--resume"]) == 0
    assert f"\nDone: {recipe.output_dir}/model opens with" in capsys.readouterr().out
    assert_same_run(recipe, never_stopped(make_recipe, *SIX_STEPS))
    assert main(["train", "--resume", recipe.output_dir]) == 0
    assert f"Finished before: {recipe.output_dir}/model opens with" in capsys.readouterr().out
    assert main(["train", path, "--resume", "--ppo.gamma", "0.5"]) == 2


def test_a_run_with_relative_paths_goes_on_from_any_folder(
    make_recipe: Make,
    tmp_path: Path,
    baby_folder: Path,
    text_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(baby_folder, tmp_path / "baby")
    shutil.copy(text_file, tmp_path / "it.txt")
    monkeypatch.chdir(tmp_path)
    relative = ("--baby.model", "baby", "--text.sources", "[it.txt]", "--output_dir", "run")
    train(make_recipe(*SIX_STEPS, *relative), stop_after=3)
    (tmp_path / "far").mkdir()
    monkeypatch.chdir(tmp_path / "far")
    assert main(["train", "--resume", "../run"]) == 0
    assert f"paths in the run's recipe count from {tmp_path}, where it was begun" in capsys.readouterr().err
    assert Path.cwd() == tmp_path / "far"
    assert os.listdir() == []
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--resume", "run"]) == 0
    assert capsys.readouterr().err == ""
    absolute = make_recipe(*SIX_STEPS, output_dir="run")
    assert_same_weights(absolute, never_stopped(make_recipe, *SIX_STEPS))


def assert_same_weights(one: Recipe, other: Recipe) -> None:
    files = [Path(recipe.output_dir) / "model" / "model.safetensors" for recipe in (one, other)]
    assert files[0].read_bytes() == files[1].read_bytes()
