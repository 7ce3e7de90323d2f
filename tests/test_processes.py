"""Several processes do what one does, whatever their number, and go on from what another number left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from together import done, started
from torch import nn

from bambino import BambinoTrainer, Recipe
from bambino.errors import ProcessError
from bambino.evaluation.in_training import measures_of
from bambino.phases.ppo import PPOPhase
from bambino.processes import Processes, take_part
from bambino.recipe.file import dump_recipe
from bambino.recipe.schedule import Place
from bambino.runs import checkpoint
from bambino.speaking.rollout import Rollout
from bambino.text.batches import TokenBatch

TOLERANCE = 1e-5
"""Of losses, in fp32: the parts of a sum are added in another order."""
UNEVEN = ("--batch_size", "5", "--baby.dropout", "0")
"""Two processes have 2 and 3 rows; dropout draws for each process anew."""


def train(recipe: Recipe, resume: bool = False) -> None:
    BambinoTrainer(args=recipe, measures=measures_of(recipe)).train(resume_from_checkpoint=resume)


def rows_of(recipe: Recipe, name: str = "metrics") -> list[dict[str, Any]]:
    lines = (Path(recipe.output_dir) / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def numbers_of(recipe: Recipe) -> list[dict[str, Any]]:
    """Rows without seconds and costs."""
    return [
        {name: value for name, value in row.items() if not name.startswith(("time/", "total/"))}
        for row in rows_of(recipe)
    ]


def totals_of(recipe: Recipe) -> dict[str, Any]:
    """What the run took, but for seconds."""
    last = [row for row in rows_of(recipe) if row["kind"] == "step"][-1]
    return {name: last[name] for name in last if name.startswith("total/") and name != "total/seconds"}


def weights_of(recipe: Recipe) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = load_file(Path(recipe.output_dir) / "model" / "model.safetensors")
    return weights


def assert_same_run(recipe: Recipe, alone: Recipe) -> None:
    """The same words, and the same numbers within rounding."""
    assert said(recipe) == said(alone)
    assert totals_of(recipe) == totals_of(alone)
    found, wanted = numbers_of(recipe), numbers_of(alone)
    assert [row.keys() for row in found] == [row.keys() for row in wanted]
    for row, other in zip(found, wanted, strict=True):
        for name, value in row.items():
            rel, least = (0, TOLERANCE) if name.endswith("loss") else (1e-4, 1e-4)
            near = pytest.approx(other[name], rel, least) if isinstance(value, float) else other[name]
            assert value == near, name
    mine, its = weights_of(recipe), weights_of(alone)
    assert all(torch.allclose(mine[name], its[name], atol=1e-4) for name in its)


def said(recipe: Recipe) -> list[Any]:
    return [[row.get(name) for name in ("prompt", "utterance", "recast")] for row in rows_of(recipe, "utterances")]


@pytest.mark.parametrize(("count", "rows"), [(2, 5), (3, 32), (3, 2), (4, 1), (3, 0)])
def test_every_row_is_one_process_s(count: int, rows: int) -> None:
    shares = [list(range(rows))[Processes(count, index).rows(rows)] for index in range(count)]
    assert [row for share in shares for row in share] == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_two_processes_that_hear_and_say_the_same_are_one_that_computes_in_two_parts_to_the_bit(
    make_recipe: Callable[..., Recipe],
) -> None:
    alone = make_recipe("--gradient_accumulation_steps", "2", "--baby.dropout", "0")
    together = make_recipe("--baby.dropout", "0", output_dir="together")
    assert done(started(2, train_on, together, train_and_keep(alone))) == [0, 0]
    assert numbers_of(together) == numbers_of(alone)
    mine, its = weights_of(together), weights_of(alone)
    assert all(torch.equal(mine[name], its[name]) for name in its)


def train_and_keep(recipe: Recipe) -> list[Rollout]:
    """Train, and give all that the baby said in ppo."""
    trainer = BambinoTrainer(args=recipe)
    ppo = trainer.phases["ppo"]
    assert isinstance(ppo, PPOPhase)
    speak, said = ppo.speak, list[Rollout]()

    def kept(prompts: TokenBatch, at: Place) -> Rollout:
        said.append(speak(prompts, at))
        return said[-1]

    ppo.speak = kept  # type: ignore[method-assign]
    trainer.train()
    return said


def test_two_processes_do_what_one_does_and_another_number_goes_on(make_recipe: Callable[..., Recipe]) -> None:
    settings = (*UNEVEN, "--schedule.cycle", "{clm: 2, ppo: 2}", "--max_steps", "6")
    alone, together = make_recipe(*settings), make_recipe(*settings, output_dir="together")
    train(alone)
    first_half = make_recipe(*settings, "--save_steps", "3", output_dir="together")
    assert done(started(2, train_to, first_half, 3)) == [0, 0]
    assert checkpoint.list_checkpoints(Path(together.output_dir) / "checkpoints")[-1].name == "step-0000003"
    train(together, resume=True)
    assert_same_run(together, alone)
    noted = json.loads((Path(together.output_dir) / "environment.json").read_text(encoding="utf-8"))
    assert noted["processes"] == 2
    assert [(one["step"], one["processes"]) for one in noted["resumed"]] == [(3, 1)]


def train_to(recipe: Recipe, step: int, resume: bool = False) -> None:
    """Ask the last process alone to stop after a step: all do."""
    trainer = BambinoTrainer(args=recipe)
    is_last = trainer.processes.index == trainer.processes.count - 1
    phase = trainer.phases["clm"]

    def end_step() -> None:
        """The baby has learned of one step more than are counted."""
        trainer.stop_requested = is_last and trainer.step == step - 1

    phase.end_step = end_step  # type: ignore[method-assign]
    trainer.train(resume_from_checkpoint=resume)
    assert trainer.step == step


SPEECH = ("--evaluation.eval_steps", "2", "--evaluation.utterances", "3")
DREAMS = ("--dreaming.share", "0.5", "--dreaming.texts", "5", "--dreaming.max_new_tokens", "6")
GROUPS = ("--schedule.cycle", "{clm: 2, reinforce: 2}", "--reinforce.group_size", "2", "--reinforce.kl_coef", "0.1")
VARIANTS = {
    "minibatches": ("--ppo.minibatch_size", "2", "--ppo.epochs", "2", "--gradient_accumulation_steps", "2"),
    "a support": ("--rollout.top_k", "20", "--ppo.reference", "phase_start"),
    "one row": ("--batch_size", "1"),
    "packed": ("--text.mode", "packed"),
    "reinforce": (*GROUPS, "--feedback.parent_perplexity.for", "reinforce"),
    "recast": ("--schedule.cycle", "{clm: 1, recast: 1}", "--feedback.recast.max_new_tokens", "6"),
    "recasts beside": (
        "--schedule.cycle",
        "{clm: 1}",
        "--feedback.recast.for",
        "clm",
        "--feedback.recast.share",
        "0.5",
    ),
    "distill": ("--schedule.cycle", "{clm: 1, distill: 1}", "--feedback.said_targets.rule", "cheap"),
    "heard targets": ("--schedule.cycle", "{clm: 1}", "--feedback.parent_targets.rule", "cheap"),
    "prefer": ("--schedule.cycle", "{clm: 1, prefer: 1}", "--feedback.best_of_k.k", "2"),
    "recast over utterance": (
        "--schedule.cycle",
        "{prefer: 1}",
        "--feedback.recast_over_utterance.max_new_tokens",
        "6",
    ),
    "dreams": (*DREAMS, "--dreaming.first_baby", "0.5"),
    "the best kept": (*SPEECH, "--early_stopping.metric", "speech/log_perplexity_with_prompt/baby"),
    "a moving mean": (*SPEECH, "--averaging.decay", "0.7", "--ppo.reference", "ema"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_three_processes_do_what_one_does(make_recipe: Callable[..., Recipe], name: str) -> None:
    settings = ("--baby.dropout", "0", *VARIANTS[name])
    alone, together = make_recipe(*settings), make_recipe(*settings, output_dir="together")
    train(alone)
    assert done(started(3, train, together)) == [0, 0, 0]
    assert_same_run(together, alone)


PAPER = (
    *("--schedule.cycle", "{clm: 10, ppo: 2}", "--max_steps", "30", "--batch_size", "32", "--baby.dropout", "0"),
    *("--clm.learning_rate", "1.41e-5", "--ppo.learning_rate", "1.41e-5"),
)
"""At a hundred times the rate an utterance's ratio meets the clip range a step earlier or later, by rounding."""


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_thirty_steps_with_the_same_rollouts_have_the_same_losses(
    make_recipe: Callable[..., Recipe], count: int
) -> None:
    alone, together = make_recipe(*PAPER), make_recipe(*PAPER, output_dir="together")
    assert done(started(count, train_on, together, train_and_keep(alone))) == [0] * count
    gaps = [
        abs(row[name] - other[name])
        for row, other in zip(numbers_of(together), numbers_of(alone), strict=True)
        for name in row
        if name.endswith("loss")
    ]
    print(f"{count} processes: the losses of 30 steps differ by {max(gaps):.1e} at most")
    assert len(gaps) == 26 + 3 * 4  # clm; the loss of ppo and its two parts
    assert max(gaps) <= TOLERANCE


def train_on(recipe: Recipe, said: list[Rollout]) -> None:
    """Train on what another run said."""
    trainer = BambinoTrainer(args=recipe)
    ppo = trainer.phases["ppo"]
    assert isinstance(ppo, PPOPhase)
    ppo.speak = lambda prompts, at: said[at.nth]  # type: ignore[method-assign]
    trainer.train()


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_a_process_killed_ends_all_and_the_run_goes_on_in_the_same_bits(
    make_recipe: Callable[..., Recipe], which: int
) -> None:
    settings = (*UNEVEN, "--schedule.cycle", "{clm: 2, ppo: 2}", "--max_steps", "100", "--save_steps", "3")
    whole, killed = make_recipe(*settings), make_recipe(*settings, output_dir="killed")
    assert done(started(2, train, whole)) == [0, 0]
    checkpoints = Path(killed.output_dir) / "checkpoints"
    processes = started(2, train, killed)
    for steps in (9, 40):
        deadline = time.monotonic() + 100
        while not any(checkpoint.step_of(path) >= steps for path in checkpoint.list_checkpoints(checkpoints)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        processes[which].kill()
        statuses = done(processes, seconds=30)
        assert statuses[which] == -signal.SIGKILL
        assert statuses[1 - which] == 1, "the other ends by itself, with ProcessError"
        processes = started(2, train, killed, True)
    assert done(processes) == [0, 0]
    assert numbers_of(killed) == numbers_of(whole)
    assert all(torch.equal(weights_of(killed)[name], weight) for name, weight in weights_of(whole).items())


@pytest.mark.slow
def test_the_number_of_processes_may_change_whenever_a_run_goes_on(make_recipe: Callable[..., Recipe]) -> None:
    settings = (*UNEVEN, "--schedule.cycle", "{clm: 2, ppo: 2}", "--max_steps", "8")
    alone, together = make_recipe(*settings), make_recipe(*settings, output_dir="together")
    train(alone)
    for count, step, resume in ((3, 2, False), (1, 3, True), (2, 5, True)):
        assert done(started(count, train_to, together, step, resume)) == [0] * count
    assert done(started(3, train, together, True)) == [0, 0, 0]
    assert_same_run(together, alone)


LAUNCHERS = {
    "torchrun": ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29617"],
    "accelerate": ["accelerate.commands.launch", "--num_processes", "2", "--cpu", "--main_process_port", "29618"],
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_what_starts_them_starts_them_all_or_is_refused(
    make_recipe: Callable[..., Recipe], tmp_path: Path, launcher: str
) -> None:
    recipe, file = make_recipe(), tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(recipe), encoding="utf-8")
    words = [sys.executable, "-m", *LAUNCHERS[launcher], "-m", "bambino", "train", str(file)]
    found = subprocess.run(
        words, capture_output=True, text=True, timeout=250, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    if launcher == "torchrun":
        assert found.returncode == 0, found.stderr
        assert found.stdout.count("2 processes share the rows of every step.") == found.stdout.count("Done: ") == 1
    else:
        assert found.returncode == 1
        assert "accelerate launch was asked for several processes and started one" in found.stderr


def test_what_processes_tell_each_other() -> None:
    assert done(started(3, tell)) == [0, 0, 0]


def tell() -> None:
    """What three processes find, each for itself."""
    processes = take_part()
    index = processes.index
    assert processes == Processes(3, index)
    own = torch.tensor([1.0, 10.0]) * (index + 1)
    processes.add([own, other := torch.tensor([[index]])])
    assert (own.tolist(), other.tolist()) == ([6.0, 60.0], [[3]])  # 1 + 2 + 3; 0 + 1 + 2
    assert (processes.sum(index), processes.max(index)) == (3, 2)
    assert processes.from_first(lambda: index + 5) == 5
    assert processes.joined(torch.tensor([index == 1]), 2).tolist() == [True, False]  # the first has no row of two
    moved, unmoved = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    moved.grad = torch.ones(1) if index == 2 else None
    processes.add_gradients([moved, unmoved])
    assert (moved.grad, unmoved.grad) == (torch.ones(1), None)
    processes.check_alike({"text": "a"}, "They differ")
    with pytest.raises(ProcessError, match=r"They differ: process 2 has not the same text as the first\."):
        processes.check_alike({"text": "b" if index == 2 else "a", "baby": "c"}, "They differ")
    with pytest.raises(ZeroDivisionError if index == 0 else ProcessError):
        processes.from_first(lambda: 1 // 0)
    processes.leave()


def test_a_number_of_processes_that_are_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")  # which accelerate launch sets where it is asked for several
    with pytest.raises(ProcessError, match=r"asked for several processes and started one\. Start them with torchrun"):
        take_part()
