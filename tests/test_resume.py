"""A run stopped or killed anywhere and resumed ends in the same bits as one never stopped."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from processes import bambino

from bambino import BambinoTrainer, ParentPerplexity, Recipe
from bambino.errors import CheckpointError, RunDirectoryError
from bambino.evaluation.in_training import measures_of
from bambino.feedback.settings import ParentPerplexityConfig
from bambino.models.loading import load_lm, load_tokenizer
from bambino.phases.learner import Updates
from bambino.recipe.file import dump_recipe
from bambino.recipe.model_settings import ModelConfig
from bambino.runs import checkpoint

PARENT = "--feedback.parent_perplexity"
FOR_REINFORCE = (f"{PARENT}.for", "reinforce", f"{PARENT}.tau", "null", f"{PARENT}.beta_times_tau", "3")
SIX_STEPS = ("--schedule.cycle", "{clm: 2, ppo: 2}", "--max_steps", "6", "--save_steps", "100")

VARIANTS = {
    "reference: initial": (),
    "reference: phase_start": ("--ppo.reference", "phase_start"),
    "reference: ema": ("--ppo.reference", "ema", "--ppo.reference_decay", "0.7"),
    "reference: none": ("--ppo.reference", "none"),
    "reinforce": ("--schedule.cycle", "{clm: 2, reinforce: 2}", "--reinforce.group_size", "2", *FOR_REINFORCE),
    "one optimizer": ("--optimizers", "shared"),
    "calibrated tau": (f"{PARENT}.tau", "null", f"{PARENT}.beta_times_tau", "3"),
    "kinds of feedback": (f"{PARENT}.tau", "null", "--feedback.missing_eos.weight", "0.5"),
    "fast kl_coef": ("--ppo.kl_horizon", "20", "--ppo.kl_target", "0.01"),
    "packed": ("--text.mode", "packed"),
    "averaged weights": ("--averaging.decay", "0.7", "--baby.dropout", "0.2"),
    "averaged weights, not used": ("--averaging.decay", "0.7", "--averaging.use", "raw"),
    "dreams": ("--dreaming.share", "0.5", "--dreaming.texts", "5", "--dreaming.max_new_tokens", "6"),
    "evaluations": ("--evaluation.eval_steps", "2", "--evaluation.utterances", "3"),
    "the best kept": (
        *("--evaluation.eval_steps", "1", "--evaluation.utterances", "3"),
        *("--early_stopping.metric", "speech/log_perplexity_with_prompt/baby"),
    ),
}

MORE_VARIANTS = {
    "constant kl_coef": ("--ppo.adaptive_kl", "false"),
    "single stream": ("--text.single_stream", "true"),
    "minibatches": ("--ppo.minibatch_size", "2", "--ppo.epochs", "2"),
    "falling learning rates": ("--clm.lr_scheduler_type", "cosine", "--ppo.warmup_updates", "6"),
    "clm only": ("--schedule.cycle", "{clm: 1}"),
    "ppo only": ("--schedule.cycle", "{ppo: 1}"),
    "blocked": ("--schedule.blocked", "true"),
    "reinforce with a moving reference": (
        *("--schedule.cycle", "{clm: 2, reinforce: 2}", "--reinforce.baseline", "batch", "--reinforce.epochs", "2"),
        *("--reinforce.reference", "ema", "--reinforce.kl_coef", "0.1", *FOR_REINFORCE),
    ),
}

TOGETHER = ("reference: ema", "calibrated tau", "averaged weights", "dreams")
"""Those that one run can have all of."""
VARIANTS["all at once"] = tuple(word for name in TOGETHER for word in VARIANTS[name])
ALWAYS = ("reference: initial", "reinforce", "all at once", "the best kept")
"""Those that are stopped after every step in every run of the tests; the others, each alone, are slow."""


def train(recipe: Recipe, *, stop_after: int | None = None, resume: bool = False) -> None:
    """Run, and ask for a stop when the row of step `stop_after` is written."""

    def on_row(row: dict[str, Any]) -> None:
        if row["kind"] == "step" and row["step"] == stop_after:
            trainer.stop_requested = True

    trainer = BambinoTrainer(args=recipe, on_row=on_row, measures=measures_of(recipe))
    trainer.train(resume_from_checkpoint=resume)
    assert trainer.step == (recipe.max_steps if stop_after is None else stop_after)


WHOLE: dict[tuple[str, ...], Recipe] = {}
"""Settings -> a finished run that nothing stopped."""


def never_stopped(make_recipe: Callable[..., Recipe], *settings: str) -> Recipe:
    """The run that a stopped one is compared with; made once for all tests."""
    if settings not in WHOLE:
        whole = make_recipe(*settings, output_dir="whole")
        train(whole)
        WHOLE[settings] = whole
    return WHOLE[settings]


def left_by(recipe: Recipe) -> dict[str, Any]:
    """All that a finished run leaves, wall time and the directory's own name left out: file -> content."""
    folder = Path(recipe.output_dir)
    newest = checkpoint.list_checkpoints(folder / "checkpoints")[-1]
    state = json.loads((newest / "state.json").read_text())
    del state["totals"]["seconds"]
    del state["described_by"]["recipe.yaml"]  # which names the directory
    del state["log_digests"]["metrics"]
    del state["log_offsets"]["metrics"]  # rows hold seconds, whose digits vary
    return {
        "model.safetensors": (folder / "model" / "model.safetensors").read_bytes(),
        "metrics.jsonl": [without_time(row) for row in rows_of(folder / "metrics.jsonl")],
        "utterances.jsonl": (folder / "utterances.jsonl").read_bytes(),
        "checkpoint": newest.name,
        "state.json": state,
        **{path.name: path.read_bytes() for path in newest.glob("*.safetensors")},
        **{f"constants/{path.name}": path.read_bytes() for path in (folder / "constants").glob("*")},
        "card": (folder / "model" / "README.md").read_text(),
    }


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def without_time(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not key.startswith("time/") and key != "total/seconds"}


def assert_same_run(recipe: Recipe, uninterrupted: Recipe) -> None:
    left, expected = left_by(recipe), left_by(uninterrupted)
    assert left.keys() == expected.keys()
    different = [name for name in left if left[name] != expected[name]]
    assert different == [], "these differ from the run that was never stopped"


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_a_run_stopped_once_and_resumed_ends_in_the_same_bits(make_recipe: Callable[..., Recipe], step: int) -> None:
    whole = never_stopped(make_recipe, *SIX_STEPS)
    stopped = make_recipe(*SIX_STEPS, output_dir="stopped")
    train(stopped, stop_after=step)
    train(stopped, resume=True)
    assert_same_run(stopped, whole)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(settings, id=name, marks=[] if name in ALWAYS else pytest.mark.slow)
        for name, settings in (VARIANTS | MORE_VARIANTS).items()
    ],
)
def test_a_run_stopped_after_every_step_ends_in_the_same_bits(
    make_recipe: Callable[..., Recipe], settings: tuple[str, ...]
) -> None:
    whole = never_stopped(make_recipe, *SIX_STEPS, *settings)
    stopped = make_recipe(*SIX_STEPS, *settings, output_dir="stopped")
    train(stopped, stop_after=1)
    for step in range(2, 6):
        train(stopped, stop_after=step, resume=True)
    train(stopped, resume=True)
    assert_same_run(stopped, whole)


def test_the_runs_that_resume_is_tried_on_exercise_what_a_checkpoint_holds(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(*SIX_STEPS, *VARIANTS["fast kl_coef"], *VARIANTS["calibrated tau"])
    train(recipe)
    rows = [row for row in rows_of(Path(recipe.output_dir) / "metrics.jsonl") if row["phase"] == "ppo"]
    for key in ("ppo/kl_coef", "ppo/tau", "ppo/kl", "ppo/values", "ppo/cosine_with_clm"):
        assert len({row[key] for row in rows}) == 2, f"{key} should change between the two ppo steps"


def test_another_seed_ends_in_other_bits(make_recipe: Callable[..., Recipe]) -> None:
    one, other = make_recipe(output_dir="one"), make_recipe("--seed", "5", output_dir="other")
    train(one)
    train(other)
    assert left_by(one)["model.safetensors"] != left_by(other)["model.safetensors"]


def test_saving_and_logging_settings_may_change_on_resume_and_change_no_bits(
    make_recipe: Callable[..., Recipe],
) -> None:
    whole = never_stopped(make_recipe, *SIX_STEPS)
    train(make_recipe(*SIX_STEPS, output_dir="stopped"), stop_after=3)
    changed = ("--save_steps", "1", "--save_total_limit", "4", "--logging_steps", "1")
    resumed = make_recipe(*SIX_STEPS, *changed, output_dir="stopped")
    train(resumed, resume=True)
    assert_same_run(resumed, whole)
    assert len(checkpoint.list_checkpoints(Path(resumed.output_dir) / "checkpoints")) == 4


def test_a_run_that_died_before_its_first_checkpoint_starts_again_cleanly(make_recipe: Callable[..., Recipe]) -> None:
    whole, killed = never_stopped(make_recipe, *SIX_STEPS), make_recipe(*SIX_STEPS, output_dir="killed")

    class PowerCutError(BaseException):
        pass

    def on_row(row: dict[str, Any]) -> None:
        if row.get("step") == 3:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        BambinoTrainer(args=killed, on_row=on_row).train()
    assert len(rows_of(Path(killed.output_dir) / "metrics.jsonl")) == 2
    assert checkpoint.list_checkpoints(Path(killed.output_dir) / "checkpoints") == []
    train(killed, resume=True)
    assert_same_run(killed, whole)


def test_resuming_a_finished_run_changes_nothing(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(*SIX_STEPS)
    train(recipe)
    before = left_by(recipe)
    train(recipe, resume=True)
    assert left_by(recipe) == before


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning_and_the_run_ends_in_the_same_bits(
    make_recipe: Callable[..., Recipe],
) -> None:
    settings = (*SIX_STEPS, "--save_steps", "2", "--save_total_limit", "1")
    whole, damaged = never_stopped(make_recipe, *settings), make_recipe(*settings, output_dir="damaged")
    train(make_recipe(*settings, "--save_total_limit", "9", output_dir="damaged"), stop_after=6)
    checkpoints = Path(damaged.output_dir) / "checkpoints"
    for step in (4, 6):
        (checkpoints / f"step-000000{step}" / "value_head.safetensors").write_bytes(b"")
    rows: list[dict[str, Any]] = []
    BambinoTrainer(args=damaged, on_row=rows.append).train(resume_from_checkpoint=True)
    warnings = [row["text"] for row in rows if row["kind"] == "warning"]
    assert len(warnings) == 2
    assert "step-0000006/value_head.safetensors is damaged" in warnings[0]
    assert "step-0000004/value_head.safetensors is damaged" in warnings[1]
    assert next(row["step"] for row in rows if row["kind"] == "step") == 3
    assert_same_run(damaged, whole)


def test_after_going_back_the_checkpoints_written_next_are_kept_and_damaged_ones_are_not(
    make_recipe: Callable[..., Recipe],
) -> None:
    settings = (*SIX_STEPS, "--save_steps", "2", "--save_total_limit", "1")
    train(make_recipe(*settings, "--save_total_limit", "9"), stop_after=6)
    recipe = make_recipe(*settings)
    checkpoints = Path(recipe.output_dir) / "checkpoints"
    (checkpoints / "step-0000006" / "state.json").unlink()
    train(recipe, stop_after=5, resume=True)
    assert [path.name for path in checkpoint.list_checkpoints(checkpoints)] == ["step-0000005"]


def test_a_run_may_go_back_to_a_checkpoint_of_ones_choice(make_recipe: Callable[..., Recipe]) -> None:
    settings = (*SIX_STEPS, "--save_steps", "1", "--save_total_limit", "9")
    whole, back = never_stopped(make_recipe, *settings), make_recipe(*settings, output_dir="back")
    train(back)
    chosen = Path(back.output_dir) / "checkpoints" / "step-0000003"
    steps = []

    def on_row(row: dict[str, Any]) -> None:
        steps.append(row["step"])
        trainer.stop_requested = True

    trainer = BambinoTrainer(args=back, on_row=on_row)
    trainer.train(resume_from_checkpoint=chosen)
    assert steps == [4, 4] or steps == [4]  # utterances and the step's row
    assert [row["step"] for row in rows_of(Path(back.output_dir) / "metrics.jsonl")] == [1, 2, 3, 4]
    train(back, resume=True)  # from step 4, not from what lay ahead
    assert_same_run(back, whole)


# --------------------------------------------------------------------------------------- one trainer, several trains


def stopping_at(trainer: BambinoTrainer, step: int) -> None:
    def on_row(row: dict[str, Any]) -> None:
        if row["kind"] == "step" and row["step"] == step:
            trainer.stop_requested = True

    trainer.tools.log.on_row = on_row


@pytest.mark.parametrize("name", ["reference: initial", "reference: phase_start", "one optimizer", "calibrated tau"])
def test_one_trainer_stopped_and_resumed_after_every_step_ends_in_the_same_bits(
    make_recipe: Callable[..., Recipe], name: str
) -> None:
    whole = never_stopped(make_recipe, *SIX_STEPS, *VARIANTS[name])
    stopped = make_recipe(*SIX_STEPS, *VARIANTS[name], output_dir="stopped")
    trainer = BambinoTrainer(args=stopped)
    for step in range(1, 6):
        stopping_at(trainer, step)
        trainer.train(resume_from_checkpoint=step > 1)
        assert (trainer.step, trainer.stop_requested) == (step, False)
    trainer.train(resume_from_checkpoint=True)
    assert_same_run(stopped, whole)


def test_one_trainer_interrupted_in_the_middle_of_a_step_goes_on_from_its_checkpoint(
    make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = never_stopped(make_recipe, *SIX_STEPS), make_recipe(*SIX_STEPS, output_dir="broken")
    # a checkpoint before anything ppo: no ppo optimizer state, no clm gradient, no value head that learned
    broken = replace(broken, save_steps=1, save_total_limit=9)
    trainer = BambinoTrainer(args=broken)
    check = Updates._check

    def interrupted(self: Updates, numbers: dict[str, float]) -> None:
        check(self, numbers)
        updates.append(self.phase)
        if updates.count("ppo") == 7:  # the second ppo step's third update; gradients are there
            raise KeyboardInterrupt

    updates: list[str] = []
    with monkeypatch.context() as patches:
        patches.setattr(Updates, "_check", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trainer.train()
    assert trainer.step == 3
    assert trainer.state.learner.kept_gradient is not None
    trainer.train(resume_from_checkpoint=Path(broken.output_dir) / "checkpoints" / "step-0000001")
    assert_same_run(broken, whole)


def test_one_trainer_without_a_checkpoint_does_not_begin_again_with_a_baby_that_has_learned(
    make_recipe: Callable[..., Recipe],
) -> None:
    whole, broken = never_stopped(make_recipe, *SIX_STEPS), make_recipe(*SIX_STEPS, output_dir="broken")

    def interrupt(row: dict[str, Any]) -> None:
        if row["step"] == 3:
            raise KeyboardInterrupt

    trainer = BambinoTrainer(args=broken, on_row=interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    with pytest.raises(RunDirectoryError, match=r"no checkpoint to go on from.*Make a new BambinoTrainer"):
        trainer.train(resume_from_checkpoint=True)
    train(broken, resume=True)
    assert_same_run(broken, whole)


# ------------------------------------------------------------------------------------------------------- SIGKILL


FORKS = multiprocessing.get_context("forkserver")
"""What is dear to import is imported once, then every process is a fork of that one."""
FORKS.set_forkserver_preload(["bambino.cli.main", "bambino.training.trainer"])


def start(recipe_file: Path, output_dir: Path, screen: Path) -> BaseProcess:
    """bambino train, or bambino train --resume where a run was begun; `screen` gets its stderr."""
    words = ["--resume", str(output_dir)] if (output_dir / "recipe.yaml").exists() else [str(recipe_file)]
    process = FORKS.Process(target=bambino, args=(["train", *words], screen))
    process.start()
    return process


def wait_until(is_so: Callable[[], bool], process: BaseProcess) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def kill_somewhere(process: BaseProcess, output_dir: Path, moment: str, delay: float) -> tuple[int, bool]:
    """SIGKILL at a moment; returns the steps logged by then and whether a checkpoint was being written."""
    log, checkpoints = output_dir / "metrics.jsonl", output_dir / "checkpoints"
    size = log.stat().st_size if log.exists() else 0
    if moment != "start":
        wait_until(lambda: log.exists() and log.stat().st_size > size, process)
    time.sleep(delay)
    if moment == "writing":
        wait_until(lambda: any(checkpoints.glob(".part-*")), process)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, "it ended before it could be killed"
    lines = log.read_bytes().splitlines() if log.exists() else []
    return len(lines), any(checkpoints.glob(".part-*"))


def kill_and_resume(
    make_recipe: Callable[..., Recipe], tmp_path: Path, moments: list[tuple[str, float]], max_steps: int
) -> list[tuple[str, int, bool]]:
    """Kill a run at each moment, finish it, and compare it with a run that was left alone."""
    settings: tuple[str, ...] = (
        "--schedule.cycle",
        "{clm: 2, ppo: 2}",
        "--max_steps",
        str(max_steps),
        "--save_steps",
        "1",
    )
    settings += (f"{PARENT}.tau", "null", f"{PARENT}.beta_times_tau", "3", "--ppo.reference", "phase_start")
    killed, screen = make_recipe(*settings, output_dir="killed"), tmp_path / "screen.txt"
    recipe_file = tmp_path / "recipe.yaml"
    recipe_file.write_text(dump_recipe(killed), encoding="utf-8")
    output_dir = Path(killed.output_dir)
    kills = []
    for moment, delay in moments:
        steps, is_writing = kill_somewhere(start(recipe_file, output_dir, screen), output_dir, moment, delay)
        kills.append((moment, steps, is_writing))
    last = start(recipe_file, output_dir, screen)
    last.join(timeout=120)
    assert screen.read_text() == ""
    assert last.exitcode == 0
    assert_same_run(killed, never_stopped(make_recipe, *settings))
    return kills


def test_a_run_killed_twice_ends_in_the_same_bits(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    kills = kill_and_resume(make_recipe, tmp_path, [("writing", 0.05), ("row", 0.1)], max_steps=16)
    assert [steps > 0 for _, steps, _ in kills] == [True, True]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_run_killed_twelve_times_ends_in_the_same_bits(
    make_recipe: Callable[..., Recipe], tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    moments = [("start", rng.uniform(0, 6)), *[("row", rng.uniform(0, 0.5)) for _ in range(6)]]
    moments += [("writing", rng.uniform(0, 0.3)) for _ in range(5)]
    rng.shuffle(moments)
    began = time.monotonic()
    kills = kill_and_resume(make_recipe, tmp_path, moments, max_steps=200)
    print(f"\n{len(kills)} kills in {time.monotonic() - began:.0f} s (moment, rows logged, checkpoint half written):")
    print(*kills, sep="\n")
    assert sum(is_writing for *_, is_writing in kills) >= 3


def test_a_damaged_reference_is_refused(make_recipe: Callable[..., Recipe]) -> None:
    train(make_recipe(*SIX_STEPS), stop_after=4)
    recipe = make_recipe(*SIX_STEPS)
    path = Path(recipe.output_dir) / "constants" / "ppo.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match=r"constants/ppo\.safetensors is damaged or missing"):
        train(recipe, resume=True)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"constants/ppo\.safetensors is damaged or missing"):
        train(recipe, resume=True)


def test_a_reward_passed_in_that_learns_goes_on_from_where_it_was(
    make_recipe: Callable[..., Recipe], parent_folder: Path
) -> None:
    def raised(output_dir: str, stop_after: int | None = None, resume: bool = False) -> Recipe:
        recipe = make_recipe(*SIX_STEPS, output_dir=output_dir)
        config = ModelConfig(str(parent_folder))
        parent = load_lm(config, "parent")
        reward = ParentPerplexity(parent, load_tokenizer(config, "parent", parent), ParentPerplexityConfig(tau=None))

        def stop(row: dict[str, Any]) -> None:
            trainer.stop_requested |= row["kind"] == "step" and row["step"] == stop_after

        trainer = BambinoTrainer(args=recipe, reward_funcs=[reward], on_row=stop)
        trainer.train(resume_from_checkpoint=resume)
        assert trainer.state.costs.totals["parent_tokens"] > 0
        assert len(reward.log_perplexities) == 4 * sum(
            trainer.schedule.at(s).phase == "ppo" for s in range(trainer.step)
        )
        return recipe

    whole = raised("whole")
    raised("stopped", stop_after=4)
    assert_same_run(raised("stopped", resume=True), whole)
