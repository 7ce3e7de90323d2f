"""bambino: raising bilingual baby language models by exposure (clm) and a parent's feedback (ppo).

from bambino import BambinoTrainer, load_recipe
BambinoTrainer(args=load_recipe("real-small")).train()
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bambino.errors import RecipeError
from bambino.feedback.settings import KINDS
from bambino.recipe import file
from bambino.recipe.settings import FeedbackConfig, Recipe

if TYPE_CHECKING:
    from bambino.feedback.parent_perplexity import ParentPerplexity
    from bambino.training.trainer import BambinoTrainer

__all__ = ["BambinoTrainer", "FeedbackConfig", "ParentPerplexity", "Recipe", "RecipeError", "load_recipe"]

PHASES = ("clm", "ppo")
"""Phases that a schedule may name without anything of one's own."""


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
    """What needs torch is imported when it is first asked for, so that `bambino train --help` answers at once."""
    if name == "BambinoTrainer":
        from bambino.training.trainer import BambinoTrainer

        return BambinoTrainer
    if name == "ParentPerplexity":
        from bambino.feedback.parent_perplexity import ParentPerplexity

        return ParentPerplexity
    raise AttributeError(f"module 'bambino' has no attribute {name!r}")
