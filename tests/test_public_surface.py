"""What users import: the names, that each says what it is, and the words of the signatures people write against."""

from __future__ import annotations

import inspect

import pytest

import bambino

CLASSES_AND_FUNCTIONS = [
    "BambinoError",
    "BambinoTrainer",
    "FeedbackConfig",
    "Measure",
    "ModelError",
    "ParentPerplexity",
    "Phase",
    "PhaseConfig",
    "Place",
    "Preferences",
    "Recasts",
    "Recipe",
    "RecipeError",
    "Reward",
    "RewardError",
    "RolloutConfig",
    "Score",
    "Scores",
    "Span",
    "Spans",
    "Speaker",
    "State",
    "Targets",
    "TaskResult",
    "TextError",
    "Tools",
    "TrainingError",
    "evaluate",
    "load_recipe",
    "measures_of",
]

PARAMETERS = {
    "load_recipe": ["path", "overrides", "kinds", "phases"],
    "evaluate": ["model", "plan", "on_result"],
    "measures_of": ["args", "parent", "dataset"],
}


def test_the_public_names_are_these() -> None:
    assert sorted(bambino.__all__) == sorted(CLASSES_AND_FUNCTIONS)


@pytest.mark.parametrize("name", CLASSES_AND_FUNCTIONS)
def test_each_public_name_is_there_and_says_what_it_is(name: str) -> None:
    said = inspect.getdoc(getattr(bambino, name))
    assert said
    assert not said.startswith(f"{name}(")  # what a dataclass says of itself when nobody does
    assert len(said.split()) >= 3


@pytest.mark.parametrize("name", PARAMETERS)
def test_public_functions_take_what_they_took(name: str) -> None:
    assert list(inspect.signature(getattr(bambino, name)).parameters) == PARAMETERS[name]


def test_a_trainer_takes_what_it_took() -> None:
    first = list(inspect.signature(bambino.BambinoTrainer).parameters)[:4]
    assert first == ["model", "parent", "args", "train_dataset"]
    assert {"measures", "reward_funcs", "phases"} <= set(inspect.signature(bambino.BambinoTrainer).parameters)
