"""Numbers that are none: a run stops before they are saved, says which, and goes on from the checkpoint before."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_tokenizer, tiny_lm

from bambino import BambinoTrainer, Recipe, measures_of
from bambino.errors import ModelError, TrainingError
from bambino.phases.clm import CLMPhase
from bambino.recipe.schedule import Place
from bambino.recipe.settings import ScheduleConfig
from bambino.runs.log import Row
from bambino.scoring.texts import score_texts

Make = Callable[..., Recipe]


class Spoiling(CLMPhase):
    """Hears lines; where a weight is named, an element of it is infinite after the run's fourth step."""

    name = "spoiling"
    weight: str | None = None

    def step(self, at: Place) -> Row:
        row = super().step(at)
        if at.step == 3 and self.weight is not None:
            dict(self.learner.baby.named_parameters())[self.weight].data.view(-1)[0] = math.inf
        return row


@pytest.fixture
def _as_before() -> Iterator[None]:
    yield
    Spoiling.weight = None


def recipe_of(make_recipe: Make, name: str, *more: str) -> Recipe:
    """Six steps with checkpoints after two and four."""
    recipe = make_recipe("--save_steps", "2", "--parent.model", "null", *more, output_dir=name)
    return replace(recipe, schedule=ScheduleConfig({"clm": 1, "spoiling": 1}))


def train(recipe: Recipe, weight: str | None = None, *, resume: bool = False) -> None:
    Spoiling.weight = weight
    trainer = BambinoTrainer(args=recipe, phases={"spoiling": Spoiling})
    trainer.measures += measures_of(recipe)
    trainer.train(resume_from_checkpoint=resume)


def checkpoints(recipe: Recipe) -> list[str]:
    return sorted(path.name for path in (Path(recipe.output_dir) / "checkpoints").glob("*"))


def failure(recipe: Recipe) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(recipe.output_dir) / "failure.json").read_text(encoding="utf-8"))
    return content


def weights(recipe: Recipe) -> bytes:
    return (Path(recipe.output_dir) / "model" / "model.safetensors").read_bytes()


NORM = "model.decoder.final_layer_norm.bias"


@pytest.mark.parametrize(("weight", "named"), [(f"lm.{NORM}", f"model/{NORM}"), ("value_head.bias", "value_head/bias")])
@pytest.mark.usefixtures("_as_before")
def test_what_is_not_finite_is_not_saved_and_the_run_goes_on_from_the_checkpoint_before(
    make_recipe: Make, weight: str, named: str
) -> None:
    spoilt, whole = recipe_of(make_recipe, "spoilt"), recipe_of(make_recipe, "whole")
    with pytest.raises(TrainingError, match=f"^Stopped at step 4: {named} is not finite, so no checkpoint") as caught:
        train(spoilt, weight)
    assert str(caught.value).endswith("The last checkpoint is step 2.")
    assert (failure(spoilt)["tensors"], checkpoints(spoilt)) == ([named], ["step-0000002"])
    assert len(failure(spoilt)["input_ids"][0]) == 4
    train(spoilt, resume=True)
    train(whole)
    assert weights(spoilt) == weights(whole)
    assert not (Path(spoilt.output_dir) / "failure.json").exists()


@pytest.mark.usefixtures("_as_before")
def test_an_evaluation_without_numbers_stops_a_run(make_recipe: Make, text_file: Path) -> None:
    texts = ("--evaluation.eval_steps", "2", "--evaluation.texts", f"{{it: [{text_file}]}}")
    recipe = recipe_of(make_recipe, "run", *texts)
    with pytest.raises(TrainingError, match=r"^Stopped at step 4: The model's log-probabilities are not numbers"):
        train(recipe, f"lm.{NORM}")
    assert checkpoints(recipe) == ["step-0000002"]


def test_an_update_that_throws_weights_out_of_all_measure_is_not_saved(make_recipe: Make) -> None:
    recipe = recipe_of(make_recipe, "run", "--clm.learning_rate", "1e30", "--save_steps", "1")
    with pytest.raises(TrainingError, match=r"^Stopped at step 0: the update threw model\.\S+ out of all measure\."):
        train(recipe)
    assert len(failure(recipe)["input_ids"][0]) == 4
    assert checkpoints(recipe) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_texts_have_no_scores_where_a_model_gives_none(bad: float) -> None:
    tokenizer = make_tokenizer()
    lm = tiny_lm("opt", len(tokenizer), seed=1)
    with torch.no_grad():
        lm.get_input_embeddings().weight[:] = bad
    with pytest.raises(ModelError, match="are not numbers"):
        score_texts(lm, tokenizer, ["il gatto"])
