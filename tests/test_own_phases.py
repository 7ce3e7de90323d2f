"""What a phase or a reward of one's own can get wrong, and what the run says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bambino import BambinoTrainer, Recipe, measures_of
from bambino.errors import CheckpointError, RecipeError
from bambino.phases.beside import Beside
from bambino.phases.clm import CLMPhase, heard
from bambino.phases.phase import Tools
from bambino.recipe.phase_settings import PhaseConfig
from bambino.recipe.schedule import Place
from bambino.recipe.settings import ScheduleConfig
from bambino.runs.log import Row

Make = Callable[..., Recipe]


class Review(CLMPhase):
    """Hears lines once more."""

    name = "review"


def trainer_of(recipe: Recipe, phase: Any = Review, **more: Any) -> BambinoTrainer:
    return BambinoTrainer(args=recipe, phases={"review": phase}, **more)


def with_review(make_recipe: Make, *overrides: str) -> Recipe:
    return replace(make_recipe("--save_steps", "2", *overrides), schedule=ScheduleConfig({"clm": 2, "review": 1}))


def test_a_phase_goes_by_the_name_that_the_schedule_has(make_recipe: Make) -> None:
    class Other(Review):
        name = "other"

    with pytest.raises(RecipeError, match=r"The phase review of the schedule calls itself other\. Give it one name"):
        trainer_of(with_review(make_recipe), Other)


def test_a_phase_has_one_optimizer(make_recipe: Make) -> None:
    class Twice(Review):
        def __init__(self, tools: Tools) -> None:
            super().__init__(tools)
            tools.learner.updates(self.name, PhaseConfig(), 1)

    with pytest.raises(ValueError, match="The phase review has its optimizer already"):
        trainer_of(with_review(make_recipe), Twice)


def test_a_checkpoint_with_other_optimizers_is_refused(make_recipe: Make) -> None:
    class Late(Review):
        def __init__(self, tools: Tools) -> None:
            self.tools, self.learner, self.beside = tools, tools.learner, Beside({}, None)

        def step(self, at: Place) -> Row:
            updates = self.learner.updates(self.name, PhaseConfig(), 1)
            return updates.take(at.nth, [heard(self.tools.streams.clm_batch(at))])

    trainer_of(with_review(make_recipe, "--max_steps", "3"), Late).train()
    with pytest.raises(CheckpointError, match=r"optimizer-review.*calls updates\(\) in its __init__, once"):
        trainer_of(with_review(make_recipe, "--max_steps", "3"), Late).train(resume_from_checkpoint=True)


def test_a_resumed_run_keeps_the_order_of_its_phases(make_recipe: Make) -> None:
    trainer_of(with_review(make_recipe, "--max_steps", "2")).train()
    recipe = with_review(make_recipe, "--max_steps", "2")
    other = replace(recipe, schedule=ScheduleConfig({"review": 1, "clm": 2}))
    with pytest.raises(RecipeError, match=r"schedule\.cycle is review: 1, clm: 2, but .* clm: 2, review: 1"):
        trainer_of(other).train(resume_from_checkpoint=True)


def test_ppo_without_feedback_is_refused(make_recipe: Make) -> None:
    with pytest.raises(RecipeError, match="No kind of feedback is for ppo"):
        BambinoTrainer(args=make_recipe("--feedback", "{missing_eos: {for: clm}}"))


def test_what_is_no_reward_is_not_for_ppo(make_recipe: Make) -> None:
    with pytest.raises(RecipeError, match=r"feedback\.best_of_k\.for = ppo, which learns from rewards"):
        BambinoTrainer(args=make_recipe("--feedback.best_of_k.for", "ppo"))


@pytest.mark.parametrize("words", [["--feedback.parent_perplexity", "null"], ["--feedback", "{}"]])
def test_no_feedback_is_not_the_default_feedback(make_recipe: Make, words: list[str]) -> None:
    with pytest.raises(RecipeError, match="feedback: no kind is left, so ppo has nothing to learn from"):
        make_recipe(*words)
    assert make_recipe(*words, "--schedule.cycle", "{clm: 1}").feedback == {}


def test_rewards_passed_in_stand_in_no_recipe_and_no_other_feedback_does(make_recipe: Make) -> None:
    recipe = make_recipe("--feedback", "{missing_eos: {}}", "--max_steps", "1")
    BambinoTrainer(args=recipe, reward_funcs=lambda prompts, **_: [0.0] * len(prompts)).train()
    run = Path(recipe.output_dir)
    assert yaml.safe_load((run / "recipe.yaml").read_text("utf-8"))["feedback"] == {}
    assert json.loads((run / "data.json").read_text("utf-8"))["rewards"] == ["<lambda>"]


def test_a_run_that_has_nothing_to_measure_by_says_so_and_resumes_with_its_own_measures(make_recipe: Make) -> None:
    words = ("--evaluation.eval_steps", "2", "--evaluation.utterances", "4", "--max_steps", "2", "--save_steps", "1")
    warnings: list[str] = []

    def note(row: dict[str, Any]) -> None:
        warnings.extend([row["text"]] if row["kind"] == "warning" else [])

    BambinoTrainer(args=make_recipe(*words, output_dir="bare"), on_row=note).train()
    assert any("there is nothing to measure the baby by. Pass measures=measures_of(args)" in text for text in warnings)

    recipe = make_recipe(*words)
    BambinoTrainer(args=recipe, measures=measures_of(recipe)).train()
    with pytest.raises(RecipeError, match=r"It began with .*, this has no measure: pass the same measures"):
        BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
