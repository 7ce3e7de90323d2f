"""bambino: raising bilingual baby language models by exposure (clm) and a parent's feedback (ppo).

from bambino import BambinoTrainer, load_recipe
BambinoTrainer(args=load_recipe("recipes/real-small.yaml")).train()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bambino.errors import RecipeError
from bambino.recipe.file import load_recipe
from bambino.recipe.settings import Recipe

if TYPE_CHECKING:
    from bambino.feedback.parent_perplexity import ParentPerplexity
    from bambino.training.trainer import BambinoTrainer

__all__ = ["BambinoTrainer", "ParentPerplexity", "Recipe", "RecipeError", "load_recipe"]


def __getattr__(name: str) -> Any:
    """What needs torch is imported when it is first asked for, so that `bambino train --help` answers at once."""
    if name == "BambinoTrainer":
        from bambino.training.trainer import BambinoTrainer

        return BambinoTrainer
    if name == "ParentPerplexity":
        from bambino.feedback.parent_perplexity import ParentPerplexity

        return ParentPerplexity
    raise AttributeError(f"module 'bambino' has no attribute {name!r}")
