"""Several processes do what one does, whatever their number, and go on from what another number left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import done, started
from safetensors.torch import load_file
from torch import nn

from bambino import BambinoTrainer, Recipe
from bambino.errors import ProcessError
from bambino.evaluation.in_training import measures_of
from bambino.phases.ppo import PPOPhase
from bambino.processes import Processes, take_part
from bambino.runs import checkpoint
from bambino.speaking.rollout import Rollout

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
    """Rows without seconds."""
    timed = re.compile(r"time/|total/seconds")
    return [{name: value for name, value in row.items() if not timed.match(name)} for row in rows_of(recipe)]


def weights_of(recipe: Recipe) -> dict[str, torch.Tensor]:
    return load_file(Path(recipe.output_dir) / "model" / "model.safetensors")


def assert_same_run(recipe: Recipe, alone: Recipe) -> None:
    """The same words, and the same numbers within rounding."""
    assert said(recipe) == said(alone)
    found, wanted = numbers_of(recipe), numbers_of(alone)
    assert [row.keys() for row in found] == [row.keys() for row in wanted]
    for row, other in zip(found, wanted, strict=True):
        for name, value in row.items():
            is_loss = name.endswith("loss")
            near = {"abs": TOLERANCE, "rel": 0} if is_loss else {"abs": 1e-4, "rel": 1e-4}
            assert value == (pytest.approx(other[name], **near) if isinstance(value, float) else other[name]), name
    mine, its = weights_of(recipe), weights_of(alone)
    assert all(torch.allclose(mine[name], its[name], atol=1e-4) for name in its)


def said(recipe: Recipe) -> list[Any]:
    return [[row.get(name) for name in ("prompt", "utterance", "recast")] for row in rows_of(recipe, "utterances")]


@pytest.mark.parametrize(("count", "rows"), [(2, 5), (3, 32), (3, 2), (4, 1), (3, 0)])
def test_every_row_is_one_process_s(count: int, rows: int) -> None:
    shares = [list(range(rows))[Processes(count, index).rows(rows)] for index in range(count)]
    assert [row for share in shares for row in share] == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


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


def train_to(recipe: Recipe, step: int) -> None:
    """Ask the last process alone to stop after a step: all do."""
    trainer = BambinoTrainer(args=recipe)
    end_step = trainer.session.finish_step

    def finish_step(*args: Any) -> None:
        end_step(*args)
        trainer.stop_requested = trainer.step == step and trainer.processes.index == trainer.processes.count - 1

    trainer.session.finish_step = finish_step  # type: ignore[method-assign]
    trainer.train()
    assert trainer.step == step


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
