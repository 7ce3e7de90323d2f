"""The parent, where a kind of feedback needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bambino.errors import RecipeError
from bambino.recipe.settings import FeedbackConfig

if TYPE_CHECKING:
    from bambino.speaking.speaker import Speaker


def the_parent(parent: Speaker | None, config: FeedbackConfig) -> Speaker:
    """The parent that a kind needs.

    Raises:
        RecipeError: there is none.
    """
    if parent is None:
        raise RecipeError("parent.model", f"{config.section} needs a parent: --parent.model PATH")
    return parent
