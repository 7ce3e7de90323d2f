"""baby.dropout: it acts in every family where the baby learns by cross-entropy, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import FAMILIES, tiny_lm
from torch import Tensor
from transformers import AutoModelForCausalLM, FalconConfig, MambaConfig, PreTrainedModel

from bambino import BambinoTrainer, Recipe, RecipeError
from bambino.models.dropout import set_dropout
from bambino.recipe.model_settings import BabyConfig

Make = Callable[..., Recipe]


def read(lm: PreTrainedModel, *, training: bool) -> Tensor:
    """Logits of eight tokens, with the same random numbers every time."""
    torch.manual_seed(0)
    lm.train(training)
    logits: Tensor = lm(input_ids=torch.arange(8)[None]).logits
    return logits.detach()


def falcon() -> PreTrainedModel:
    """A Falcon, whose layers read their dropout from the config at every forward."""
    config = FalconConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    return AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize("family", [*FAMILIES, "falcon"])
def test_dropout_acts_in_train_mode_only(family: str) -> None:
    lm = falcon() if family == "falcon" else tiny_lm(family)
    before = read(lm, training=False)
    set_dropout(lm, 0.5)
    assert torch.equal(read(lm, training=False), before)
    half = read(lm, training=True)
    assert not torch.allclose(half, before, atol=1e-3)
    set_dropout(lm, 0.1)
    assert not torch.equal(read(lm, training=True), half)
    set_dropout(lm, 0.0)
    torch.testing.assert_close(read(lm, training=True), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_saved_with_the_dropout_that_it_came_with(family: str, tmp_path: Path) -> None:
    lm = tiny_lm(family)
    lm.save_pretrained(tmp_path / "before")
    set_dropout(lm, 0.5)
    lm.save_pretrained(tmp_path / "after")
    before, after = (json.loads((tmp_path / when / "config.json").read_text()) for when in ("before", "after"))
    assert after == before


def test_a_model_without_dropout_is_refused() -> None:
    lm = AutoModelForCausalLM.from_config(MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=1))
    with pytest.raises(RecipeError, match=r"baby\.dropout = 0\.1, but MambaForCausalLM has no dropout to set"):
        set_dropout(lm, 0.1)
    set_dropout(lm, 0.0)


def test_a_probability_of_one_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"baby\.dropout = 1\.0 is too large\. Use less than 1"):
        BabyConfig(dropout=1.0)


def test_feedback_and_evaluation_are_without_dropout(make_recipe: Make) -> None:
    """A run of feedback alone ends in the same bits, whatever the dropout."""
    weights = []
    for dropout in ("null", "0.0", "0.9"):
        settings = ("--schedule.cycle", "{ppo: 1}", "--max_steps", "2", "--baby.dropout", dropout)
        trainer = BambinoTrainer(args=make_recipe(*settings, output_dir=dropout))
        trainer.train()
        weights.append([parameter.detach().clone() for parameter in trainer.baby.parameters()])
    assert all(torch.equal(one, other) for others in weights[1:] for one, other in zip(weights[0], others, strict=True))
