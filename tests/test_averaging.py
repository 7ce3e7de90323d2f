"""The running mean of the weights, by hand; that it is measured and saved; and that training does not see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import tiny_lm
from transformers import PreTrainedModel

from bambino import BambinoTrainer, Recipe
from bambino.models.averaging import AveragedWeights
from bambino.models.loading import load_lm
from bambino.recipe.model_settings import ModelConfig

Make = Callable[..., Recipe]
ONLY_CLM = ("--schedule.cycle", "{clm: 1}", "--max_steps", "3")


def with_weights(value: float) -> PreTrainedModel:
    """A model with one number in all its weights."""
    lm = tiny_lm("gpt2")
    for parameter in lm.parameters():
        parameter.data.fill_(value)
    return lm


def test_the_mean_by_hand() -> None:
    average = AveragedWeights(0.75, with_weights(0.0))
    average.follow(with_weights(4.0))
    # 0.75 * 0 + 0.25 * 4 = 1
    assert all((parameter == 1.0).all() for parameter in average.lm.parameters())
    average.follow(with_weights(9.0))
    # 0.75 * 1 + 0.25 * 9 = 3
    assert all((parameter == 3.0).all() for parameter in average.lm.parameters())
    count = sum(parameter.numel() for parameter in average.lm.parameters())
    assert average.distance(with_weights(5.0)) == pytest.approx(2.0 * count**0.5)


def trained(recipe: Recipe) -> BambinoTrainer:
    trainer = BambinoTrainer(args=recipe)
    trainer.train()
    return trainer


def same(one: PreTrainedModel, other: PreTrainedModel) -> bool:
    return all(torch.equal(a.cpu(), b.cpu()) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def saved(recipe: Recipe) -> PreTrainedModel:
    return load_lm(ModelConfig(f"{recipe.output_dir}/model"), "baby")


def test_training_does_not_see_the_mean(make_recipe: Make) -> None:
    plain = trained(make_recipe(output_dir="plain"))
    averaged = trained(make_recipe("--averaging.decay", "0.5", output_dir="averaged"))
    assert same(plain.baby.lm, averaged.baby.lm)


def test_the_model_that_is_saved_and_measured_is_the_mean_of_the_steps_weights(make_recipe: Make) -> None:
    weights: list[torch.Tensor] = []

    def note(row: dict[str, object]) -> None:
        if row["kind"] == "step":
            weights.append(torch.cat([p.detach().flatten() for p in trainer.baby.lm.parameters()]))

    trainer = BambinoTrainer(args=make_recipe(*ONLY_CLM, "--averaging.decay", "0.5"), on_row=note)
    first = torch.cat([p.detach().flatten().clone() for p in trainer.baby.lm.parameters()])
    trainer.train()
    # after three steps: 1/8 of the first baby, 1/8, 1/4 and 1/2 of what the steps left
    expected = first / 8 + weights[0] / 8 + weights[1] / 4 + weights[2] / 2
    found = torch.cat([p.flatten() for p in saved(trainer.args).parameters()])
    torch.testing.assert_close(found, expected)


def test_raw_weights_may_be_saved_beside_a_mean(make_recipe: Make) -> None:
    trainer = trained(make_recipe(*ONLY_CLM, "--averaging.decay", "0.5", "--averaging.use", "raw"))
    assert same(saved(trainer.args), trainer.baby.lm)
    rows = [json.loads(line) for line in (Path(trainer.args.output_dir) / "metrics.jsonl").read_text().splitlines()]
    assert all(row["averaging/distance"] > 0 for row in rows)


def test_a_checkpoint_holds_both(make_recipe: Make) -> None:
    for use, beside in (("averaged", "raw_weights"), ("raw", "averaged_weights")):
        recipe = make_recipe(*ONLY_CLM, "--averaging.decay", "0.5", "--averaging.use", use, output_dir=use)
        trained(recipe)
        assert (Path(recipe.output_dir) / "checkpoints" / "step-0000003" / f"{beside}.safetensors").is_file()
