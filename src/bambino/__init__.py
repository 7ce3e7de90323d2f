"""bambino: raising bilingual baby language models by exposure (clm) and a parent's feedback (ppo).

from bambino import BambinoTrainer, load_recipe, measures_of
args = load_recipe("real-small")
BambinoTrainer(args=args, measures=measures_of(args)).train()
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bambino.errors import BambinoError, ModelError, RecipeError, RewardError, TextError, TrainingError
from bambino.feedback.settings import KINDS
from bambino.phases.kinds import PHASES
from bambino.recipe import file
from bambino.recipe.phase_settings import PhaseConfig, RolloutConfig
from bambino.recipe.schedule import Place
from bambino.recipe.settings import FeedbackConfig, Recipe

if TYPE_CHECKING:
    from bambino.evaluation.in_training import measures_of
    from bambino.evaluation.suite import evaluate
    from bambino.feedback.answers import Preferences, Recasts, Scores, Span, Spans, Targets
    from bambino.feedback.parent_perplexity import ParentPerplexity
    from bambino.feedback.rewards import Reward
    from bambino.measures import Measure, Score, TaskResult
    from bambino.phases.phase import Phase, State, Tools
    from bambino.speaking.speaker import Speaker
    from bambino.training.trainer import BambinoTrainer

__all__ = [
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

_LATE = {
    "evaluation.in_training": ("measures_of",),
    "evaluation.suite": ("evaluate",),
    "feedback.answers": ("Preferences", "Recasts", "Scores", "Span", "Spans", "Targets"),
    "feedback.parent_perplexity": ("ParentPerplexity",),
    "feedback.rewards": ("Reward",),
    "measures": ("Measure", "Score", "TaskResult"),
    "phases.phase": ("Phase", "State", "Tools"),
    "speaking.speaker": ("Speaker",),
    "training.trainer": ("BambinoTrainer",),
}
"""Module -> what users import from it: these need torch, and `--help` must not wait for it."""


def load_recipe(
    path: str | Path | None = None,
    overrides: list[str] | None = None,
    *,
    kinds: Mapping[str, type[FeedbackConfig]] | None = None,
    phases: Collection[str] = (),
) -> Recipe:
    """A recipe, checked.

    Args:
        path: a YAML file, or the name of a recipe that is shipped, such as "paper"; None: the defaults.
        overrides: words of a command line, such as ["--ppo.kl_coef", "0.1"].
        kinds: kinds of feedback of your own that it may name, beside those that bambino has.
        phases: names of phases of your own that its schedule may name.

    Raises:
        RecipeError: naming key, value, way out and, where it comes from the file, the line.
    """
    return file.load_recipe(path, overrides, kinds=KINDS | dict(kinds or {}), phases=(*PHASES, *phases))


def __getattr__(name: str) -> Any:
    """What needs torch is imported when it is first asked for."""
    for module, names in _LATE.items():
        if name in names:
            return getattr(import_module(f"bambino.{module}"), name)
    raise AttributeError(f"module 'bambino' has no attribute {name!r}")
