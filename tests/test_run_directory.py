"""The run directory: what a run leaves, who may write there, and which runs may go on."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import italian_lines, make_tokenizer, there, tiny_lm
from transformers import AutoModelForCausalLM

import bambino.runs.provenance
from bambino import BambinoTrainer, Recipe, RecipeError, load_recipe
from bambino.errors import RunDirectoryError
from bambino.evaluation.in_training import measures_of
from bambino.feedback.settings import ParentPerplexityConfig
from bambino.files import JsonLinesLog
from bambino.phases.clm import CLMPhase
from bambino.recipe.schedule import Place
from bambino.runs.directory import RunDirectory, holds_run
from bambino.runs.provenance import check_same_run, environment, git_commit
from bambino.runs.record import read_run

Make = Callable[..., Recipe]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# ------------------------------------------------------------------------------------------------------------ logs


def test_numbers_that_json_has_no_word_for_become_null(tmp_path: Path) -> None:
    log = JsonLinesLog(tmp_path / "log.jsonl")
    log.append({"a": math.inf, "b": [1.5, math.nan, {"c": -math.inf}], "d": "perché"})
    log.close()
    assert (tmp_path / "log.jsonl").read_text(encoding="utf-8") == (
        '{"a": null, "b": [1.5, null, {"c": null}], "d": "perché"}\n'
    )


def test_a_row_is_in_the_file_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    log = JsonLinesLog(tmp_path / "log.jsonl")
    log.append({"step": 1})
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1}\n'
    log.close()


def test_a_log_is_cut_back_to_an_offset_and_goes_on_from_there(tmp_path: Path) -> None:
    log = JsonLinesLog(tmp_path / "log.jsonl")
    log.append({"step": 1})
    offset = log.offset()
    assert offset == len('{"step": 1}\n')
    log.append({"step": 2})
    log.close()
    log = JsonLinesLog(tmp_path / "log.jsonl")
    log.truncate(offset)
    log.append({"step": 3})
    assert log.offset() == 2 * offset
    log.close()
    assert rows_of(tmp_path / "log.jsonl") == [{"step": 1}, {"step": 3}]


@pytest.mark.parametrize("damage", ["deleted", "cut in the middle of a row"])
def test_a_log_that_lost_rows_goes_on_with_the_whole_ones_and_a_warning(make_recipe: Make, damage: str) -> None:
    recipe = make_recipe("--save_steps", "3")

    def stop(row: dict[str, Any]) -> None:
        trainer.stop_requested |= row["step"] == 3 and row["kind"] == "step"

    trainer = BambinoTrainer(args=recipe, on_row=stop)
    trainer.train()
    log = Path(recipe.output_dir) / "metrics.jsonl"
    if damage == "deleted":
        log.unlink()
    else:
        log.write_bytes(log.read_bytes()[:-20])
    passed: list[dict[str, Any]] = []
    BambinoTrainer(args=recipe, on_row=passed.append).train(resume_from_checkpoint=True)
    assert [row["step"] for row in rows_of(log)] == ([4, 5, 6] if damage == "deleted" else [1, 2, 4, 5, 6])
    assert [row["text"] for row in passed if row["kind"] == "warning"] == [
        f"{log} has lost rows that it had at step 3. The run goes on without them."
    ]
    passed.clear()
    BambinoTrainer(args=recipe, on_row=passed.append).train(resume_from_checkpoint=True)
    assert passed == []  # the newest checkpoint knows the log as it is


def test_resuming_cuts_rows_written_after_the_checkpoint(make_recipe: Make) -> None:
    recipe = make_recipe("--save_steps", "3")

    class PowerCutError(BaseException):
        pass

    def die_in_step_six(row: dict[str, Any]) -> None:
        if row["kind"] == "step" and row["step"] == 5:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        BambinoTrainer(args=recipe, on_row=die_in_step_six).train()
    log = Path(recipe.output_dir) / "metrics.jsonl"
    assert [row["step"] for row in rows_of(log)] == [1, 2, 3, 4, 5]
    with log.open("a") as file:
        file.write('{"half a ro')
    BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    assert [row["step"] for row in rows_of(log)] == [1, 2, 3, 4, 5, 6]
    # steps 3 and 6 are ppo steps: four utterances each
    assert [row["step"] for row in rows_of(log.with_name("utterances.jsonl"))] == [3] * 4 + [6] * 4


# ------------------------------------------------------------------------------------------------------------ lock


def test_a_directory_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from bambino.runs.directory import *; r = RunDirectory({str(tmp_path)!r}); input(print())",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    there(holder.stdout).readline()
    with pytest.raises(RunDirectoryError) as caught:
        RunDirectory(tmp_path)
    assert str(caught.value) == f"{tmp_path} is in use by another process. Wait for it or use another output_dir."
    holder.kill()
    holder.communicate()
    RunDirectory(tmp_path).close()  # whoever dies lets go


def test_a_resumed_run_is_refused_while_it_still_runs(make_recipe: Make) -> None:
    recipe = make_recipe()
    refusals = []

    def resume_too(row: dict[str, Any]) -> None:
        if row["step"] == 2:
            with pytest.raises(RunDirectoryError, match="in use by another process") as caught:
                BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
            refusals.append(caught.value)

    BambinoTrainer(args=recipe, on_row=resume_too).train()
    assert len(refusals) == 1
    assert [row["step"] for row in rows_of(Path(recipe.output_dir) / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]


def test_the_lock_is_released_when_training_ends_or_fails(make_recipe: Make) -> None:
    recipe = make_recipe("--clm.learning_rate", "1e17")
    with pytest.raises(RuntimeError, match="clm: the loss"):
        BambinoTrainer(args=recipe).train()
    RunDirectory(recipe.output_dir).close()


# ----------------------------------------------------------------------------------------- what a run is made of


def test_what_the_run_is_made_of_is_written_before_its_first_step(
    make_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe()
    folder = Path(recipe.output_dir)
    seen = []

    def step(self: CLMPhase, at: Place) -> None:
        seen.append({path.name for path in folder.iterdir()})
        raise InterruptedError

    monkeypatch.setattr(CLMPhase, "step", step)
    with pytest.raises(InterruptedError):
        BambinoTrainer(args=recipe).train()
    files = {"recipe.yaml", "data.json", "environment.json", "metrics.jsonl", "utterances.jsonl", "constants", ".lock"}
    assert seen == [files]


def test_a_begun_run_is_on_disk_with_its_names_before_its_first_step(
    make_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(output_dir="new/run")
    folder = Path(recipe.output_dir)
    synced: list[str] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def step(self: CLMPhase, at: Place) -> None:
        raise InterruptedError

    monkeypatch.setattr(os, "fsync", watch)
    monkeypatch.setattr(CLMPhase, "step", step)
    with pytest.raises(InterruptedError):
        BambinoTrainer(args=recipe).train()
    assert {str(folder.parent.parent), str(folder.parent), str(folder)} <= set(synced)
    assert synced[-1] == str(folder), "after the last name, recipe.yaml, was given"
    # the reference was synced under the name its folder had before it was whole
    assert f"{folder}/.part-constants/ppo.safetensors" in synced


def test_the_recipe_is_written_last_because_it_says_that_a_run_was_begun(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    (tmp_path / "data.json").mkdir()  # so that writing it fails
    with pytest.raises(OSError, match=r"data\.json"):
        run.describe("seed: 1\n", {}, {})
    run.close()
    assert not holds_run(tmp_path)


def test_the_recipe_in_the_run_directory_is_the_recipe_of_the_run(make_recipe: Make) -> None:
    recipe = make_recipe("--ppo.kl_target", "1e-3")
    BambinoTrainer(args=recipe).train()
    # which says what it left unsaid: the feedback
    used = replace(recipe, feedback={"parent_perplexity": ParentPerplexityConfig()})
    assert load_recipe(Path(recipe.output_dir) / "recipe.yaml") == used


def test_the_data_manifest_counts_every_line(make_recipe: Make, tmp_path: Path) -> None:
    # 30 lines long enough, one of them twice, one too short, one empty; nothing held out
    lines = italian_lines(30)
    text = tmp_path / "it.txt"
    text.write_text("\n".join([*lines, "corto", "", lines[0]]) + "\n", encoding="utf-8")
    recipe = make_recipe("--text.sources", f"[{text}]", "--text.heldout_every", "null", "--max_steps", "1")
    trainer = BambinoTrainer(args=recipe)
    trainer.train()
    (report,) = json.loads((Path(recipe.output_dir) / "data.json").read_text())["clm"]
    assert report["sha256"] == hashlib.sha256(text.read_bytes()).hexdigest()
    assert (report["path"], report["lines"], report["kept"]) == (str(text), 33, 31)
    assert sum(report["dropped"].values()) == 2
    assert report["words"] == sum(len(line.split()) for line in [*lines, lines[0]])
    # a BOS and an EOS around each line; 40 tokens are the most
    lengths = [len(row) + 2 for row in trainer.processing_class([*lines, lines[0]])["input_ids"]]
    assert report["truncated"] == sum(length > 40 for length in lengths)
    assert report["tokens"] == sum(min(length, 40) for length in lengths)


def test_the_environment_names_versions_and_device() -> None:
    found = environment("cpu")
    assert found["device"] == "cpu"
    assert found["python"] == sys.version.split()[0]
    import torch

    assert found["packages"]["torch"] == torch.__version__
    assert all(found["packages"].values())


def committed(folder: Path) -> str:
    """The commit of all that lies in a folder, made a repository."""
    who = ("-c", "user.name=n", "-c", "user.email=e")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_is_of_the_repository_that_tracks_bambino_not_of_one_it_is_installed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "main.py").write_text("theirs")
    first = committed(tmp_path)
    file = tmp_path / "venv" / "provenance.py"
    file.parent.mkdir()
    file.write_text("ours")
    monkeypatch.setattr(bambino.runs.provenance, "__file__", str(file))
    look_up = git_commit.__wrapped__  # each time anew
    assert look_up() is None
    second = committed(tmp_path)  # now with our file
    assert first != look_up() == second
    file.write_text("ours, changed")
    assert look_up() == f"{second}-dirty"


def test_resuming_elsewhere_is_warned_of_and_noted_once(make_recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe("--max_steps", "1")
    BambinoTrainer(args=recipe).train()
    file = Path(recipe.output_dir) / "environment.json"
    first = json.loads(file.read_text())
    assert first["resumed"] == []
    rows: list[dict[str, Any]] = []

    def resume() -> list[str]:
        rows.clear()
        BambinoTrainer(args=recipe, on_row=rows.append).train(resume_from_checkpoint=True)
        return [row["text"] for row in rows if row["kind"] == "warning"]

    assert resume() == []
    monkeypatch.setattr(bambino.runs.provenance, "git_commit", lambda: "abc")
    expected = f"The run goes on elsewhere (git_commit {first['git_commit']} -> abc)"
    assert [text[: len(expected)] for text in resume()] == [expected]
    assert resume() == []  # noted already
    (entry,) = json.loads(file.read_text())["resumed"]
    del first["resumed"]
    assert entry == {"step": 1, **first, "git_commit": "abc"}


def test_the_most_memory_is_kept_over_resumptions(make_recipe: Make) -> None:
    recipe = make_recipe("--max_steps", "2")
    file = Path(recipe.output_dir) / "memory.json"
    first = BambinoTrainer(args=recipe, on_row=lambda _: setattr(first, "stop_requested", True))
    first.train()
    taken = json.loads(file.read_text())
    assert 2**20 < taken["process"] < 2**40
    assert read_run(recipe.output_dir).peak_memory == taken
    file.write_text(json.dumps({"process": 2**50}))  # as if an earlier session had taken more
    BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    assert read_run(recipe.output_dir).peak_memory["process"] == 2**50


def test_a_run_without_its_data_json_is_refused_by_its_name(make_recipe: Make) -> None:
    recipe = make_recipe("--max_steps", "1")
    BambinoTrainer(args=recipe).train()
    (Path(recipe.output_dir) / "data.json").unlink()
    with pytest.raises(RunDirectoryError, match=r"data\.json cannot be read, so this run cannot go on"):
        BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)


def test_a_run_whose_environment_is_no_mapping_is_refused_by_its_name(make_recipe: Make) -> None:
    recipe = make_recipe("--max_steps", "1")
    BambinoTrainer(args=recipe).train()
    (Path(recipe.output_dir) / "environment.json").write_text("[]")
    with pytest.raises(RunDirectoryError, match=r"environment\.json does not hold versions"):
        BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)


def test_a_run_of_an_earlier_bambino_can_be_read_and_is_not_resumed(make_recipe: Make) -> None:
    recipe = make_recipe("--max_steps", "1")
    BambinoTrainer(args=recipe).train()
    folder = Path(recipe.output_dir)
    made_of = json.loads((folder / "data.json").read_text())
    assert made_of.pop("format") == 2
    (folder / "data.json").write_text(json.dumps(made_of))  # as it was before directories had a number
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(RunDirectoryError) as caught:
        BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    assert str(caught.value) == (
        f"The run in {folder} was made by an earlier bambino. It can be evaluated and compared, not resumed: start "
        "another with its own output_dir."
    )
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert (read_run(folder).format, read_run(folder).steps_done) == (1, 1)


# --------------------------------------------------------------------------------------------- refused directories


def test_a_directory_that_holds_a_run_is_refused_with_the_way_to_go_on(make_recipe: Make) -> None:
    recipe = make_recipe("--max_steps", "1")
    BambinoTrainer(args=recipe).train()
    before = (Path(recipe.output_dir) / "metrics.jsonl").read_bytes()
    with pytest.raises(RunDirectoryError, match="already holds a run") as caught:
        BambinoTrainer(args=recipe).train()
    assert f"bambino train --resume {recipe.output_dir}" in str(caught.value)
    assert (Path(recipe.output_dir) / "metrics.jsonl").read_bytes() == before


def test_a_directory_without_a_run_cannot_be_resumed_and_is_not_made(make_recipe: Make) -> None:
    recipe = make_recipe()
    with pytest.raises(RunDirectoryError, match="holds no run to resume"):
        BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    assert not Path(recipe.output_dir).exists()


@pytest.mark.parametrize("name", ["model/net.py", "metrics.jsonl", "checkpoints/best.pt", "constants/paper.pdf"])
def test_a_directory_with_somebody_elses_files_of_a_runs_names_is_refused_and_left_alone(
    make_recipe: Make, name: str
) -> None:
    recipe = make_recipe("--max_steps", "1")
    file = Path(recipe.output_dir) / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    for _ in range(2):  # the refusal leaves nothing that would let the next try pass
        with pytest.raises(RunDirectoryError) as caught:
            BambinoTrainer(args=recipe).train()
        holds = f"output_dir = {recipe.output_dir} holds {name.split('/')[0]} already and no run of bambino's"
        assert str(caught.value).startswith(holds)
    assert [path for path in Path(recipe.output_dir).rglob("*") if path.is_file()] == [file]
    assert file.read_text() == "mine"


def test_a_directory_with_files_of_other_names_is_used(make_recipe: Make) -> None:
    recipe = make_recipe("--max_steps", "1")
    Path(recipe.output_dir).mkdir()
    (Path(recipe.output_dir) / "notes.txt").write_text("mine")
    BambinoTrainer(args=recipe).train()
    assert (Path(recipe.output_dir) / "notes.txt").read_text() == "mine"


def test_a_run_killed_while_beginning_can_begin_again(make_recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe("--max_steps", "1")

    def die(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patches:
        patches.setattr(RunDirectory, "describe", die)
        with pytest.raises(InterruptedError):
            BambinoTrainer(args=recipe).train()
    assert {path.name for path in Path(recipe.output_dir).iterdir()} >= {"constants", "metrics.jsonl"}
    assert not holds_run(recipe.output_dir)
    BambinoTrainer(args=recipe).train()
    assert (Path(recipe.output_dir) / "model").is_dir()


def test_an_output_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match=r"output_dir = .*/file cannot be made: File exists\. Use another\."):
        RunDirectory(tmp_path / "file")


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("seed", ("--seed", "1")),
        ("max_steps", ("--max_steps", "9")),
        ("ppo.kl_coef", ("--ppo.kl_coef", "0.25")),
        ("text.max_length", ("--text.max_length", "30")),
        ("parent.must_know_l2", ("--parent.must_know_l2", "true")),
        ("feedback.parent_perplexity.tau", ("--feedback.parent_perplexity.tau", "null")),
    ],
)
def test_resuming_with_another_setting_is_refused_by_its_name(
    make_recipe: Make, key: str, change: tuple[str, str]
) -> None:
    started = make_recipe()

    def stop(row: dict[str, Any]) -> None:
        trainer.stop_requested = True

    trainer = BambinoTrainer(args=started, on_row=stop)
    trainer.train()
    then = load_recipe(Path(started.output_dir) / "recipe.yaml").to_dict()
    for part in key.split("."):
        then = then[part]
    with pytest.raises(RecipeError) as caught:
        BambinoTrainer(args=make_recipe(*change)).train(resume_from_checkpoint=True)
    assert caught.value.key == key
    now = {"null": "None", "true": "True"}.get(change[1], change[1])
    assert str(caught.value).startswith(f"{key} is {now}, but the run in {started.output_dir} has {then}.")


def test_a_setting_that_came_after_the_run_began_stands_at_its_default(make_recipe: Make) -> None:
    began = make_recipe("--max_steps", "1")
    BambinoTrainer(args=began).train()
    file = Path(began.output_dir) / "recipe.yaml"
    then = yaml.safe_load(file.read_text())
    del then["ppo"]["gamma"], then["feedback"]["parent_perplexity"]["until"], then["replay"]
    file.write_text(yaml.safe_dump(then, sort_keys=False))
    check_same_run(file.parent, began, {})
    with pytest.raises(RecipeError, match=r"^ppo\.gamma is 0\.5, but the run in .* has 1\.0\."):
        check_same_run(file.parent, make_recipe("--max_steps", "1", "--ppo.gamma", "0.5"), {})


def test_resuming_without_an_evaluation_text_that_there_was_is_refused(make_recipe: Make, text_file: Path) -> None:
    texts = ("--evaluation.texts", f"{{it: [{text_file}]}}")
    BambinoTrainer(args=make_recipe(*texts, "--max_steps", "1")).train()
    with pytest.raises(RecipeError, match=r"^evaluation\.texts\.it is None, but the run in .* has \["):
        BambinoTrainer(args=make_recipe("--max_steps", "1")).train(resume_from_checkpoint=True)


def test_resuming_with_changed_text_is_refused(make_recipe: Make, tmp_path: Path) -> None:
    text = tmp_path / "it.txt"
    lines = italian_lines(40)
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = make_recipe("--text.sources", f"[{text}]", "--max_steps", "1")
    BambinoTrainer(args=recipe).train()
    lines[0] = lines[0].replace("il", "lo", 1)
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"The text is not what the run in .* began with") as caught:
        BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    assert caught.value.key == "text.sources"


def replaced(folder: Path, other: Path) -> None:
    """Other weights in the same folder."""
    shutil.copy(other / "model.safetensors", folder / "model.safetensors")


@pytest.mark.parametrize("role", ["baby", "parent"])
def test_resuming_with_another_model_under_the_same_name_is_refused(
    make_recipe: Make, tmp_path: Path, role: str
) -> None:
    family, vocabulary = ("opt", 320) if role == "baby" else ("gpt2", 400)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, seed in ((first, 1), (second, 2)):
        tiny_lm(family, vocabulary, seed).save_pretrained(folder)
    make_tokenizer(vocab_size=vocabulary).save_pretrained(first)
    recipe = make_recipe(f"--{role}.model", str(first), "--max_steps", "1")
    BambinoTrainer(args=recipe).train()
    BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    replaced(first, second)
    with pytest.raises(RecipeError) as caught:
        BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    assert str(caught.value) == f"The {role} is not what the run in {recipe.output_dir} began with (data.json)."
    assert caught.value.key == f"{role}.model"


def test_a_baby_passed_as_an_object_may_have_been_trained_before_it_goes_on(
    make_recipe: Make, baby_folder: Path
) -> None:
    recipe, baby = make_recipe("--max_steps", "1"), AutoModelForCausalLM.from_pretrained(baby_folder)
    BambinoTrainer(baby, args=recipe).train()
    BambinoTrainer(baby, args=recipe).train(resume_from_checkpoint=True)
    made_of = json.loads((Path(recipe.output_dir) / "data.json").read_text())
    assert made_of["baby"] is None
    assert len(made_of["parent"]) == len(made_of["baby_tokenizer"]) == 64


@pytest.mark.parametrize("file", ["heard.txt", "pairs.jsonl"])
def test_resuming_with_a_changed_evaluation_file_is_refused(make_recipe: Make, tmp_path: Path, file: str) -> None:
    (tmp_path / "heard.txt").write_text("\n".join(italian_lines(60)) + "\n", encoding="utf-8")
    (tmp_path / "pairs.jsonl").write_text('{"sentence_good": "il gatto vede", "sentence_bad": "gatto il vede"}\n')
    texts = ("--evaluation.texts", f"{{it: [{tmp_path / 'heard.txt'}]}}")
    recipe = make_recipe(*texts, "--evaluation.pairs", f"{{a: {tmp_path / 'pairs.jsonl'}}}", "--max_steps", "1")
    BambinoTrainer(args=recipe, measures=measures_of(recipe)).train()
    BambinoTrainer(args=recipe, measures=measures_of(recipe)).train(resume_from_checkpoint=True)
    content = (tmp_path / file).read_text(encoding="utf-8")
    (tmp_path / file).write_text(content.replace("gatto", "cane"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"that is evaluated on is not what the run in .* began with"):
        BambinoTrainer(args=recipe, measures=measures_of(recipe)).train(resume_from_checkpoint=True)


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_resuming_with_another_reward_is_refused_by_its_name(make_recipe: Make, has_checkpoint: bool) -> None:
    def length(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        return [float(len(text)) for text in completions]

    def interrupt(row: dict[str, Any]) -> None:
        raise InterruptedError

    recipe = make_recipe("--max_steps", "1")
    if has_checkpoint:
        BambinoTrainer(args=recipe, reward_funcs=length).train()
    else:
        with pytest.raises(InterruptedError):
            BambinoTrainer(args=recipe, reward_funcs=length, on_row=interrupt).train()
    with pytest.raises(RecipeError) as caught:
        BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    assert str(caught.value) == (
        f"The reward is not what the run in {recipe.output_dir} began with (data.json). It began with ['length'], this "
        "is ['parent_perplexity']: pass the same reward_funcs to BambinoTrainer."
    )
    BambinoTrainer(args=recipe, reward_funcs=[length]).train(resume_from_checkpoint=True)


def test_a_log_is_one_object_a_line_for_every_reader(tmp_path: Path) -> None:
    log = JsonLinesLog(tmp_path / "log.jsonl")
    said = "una\x85riga\u2028due\u2029tre\n"
    log.append({"utterance": said})
    log.close()
    lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"utterance": said}]
