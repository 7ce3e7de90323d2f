"""The baby's dropout: one probability for every place where a model drops anything, whatever its family."""

from __future__ import annotations

import copy

from torch import nn
from transformers import PreTrainedModel

from bambino.errors import RecipeError


def set_dropout(lm: PreTrainedModel, probability: float) -> None:
    """Let every dropout of a model have this probability: of embeddings, attention and residuals, what there is.

    It acts in train mode only. The config that is saved with the model keeps what it says; modules share another.

    Raises:
        RecipeError: the model has nothing that drops, and the probability is above 0.
    """
    lm.config = copy.deepcopy(lm.config)
    for module in lm.modules():
        if module is not lm and hasattr(module, "config"):
            _set_numbers(module.config, probability)
    places = sum(_set_numbers(module, probability) for module in lm.modules())
    if places == 0 and probability > 0:
        problem = f"baby.dropout = {probability}, but {type(lm).__name__} has no dropout to set."
        raise RecipeError("baby.dropout", f"{problem} Leave it out (null), or use a baby of another family.")


def _set_numbers(owner: object, probability: float) -> int:
    """Set what an object calls its dropout (dropout, attention_dropout, resid_pdrop); gives how many there were."""
    names = [name for name, value in vars(owner).items() if _is_dropout(name) and type(value) in (int, float)]
    if isinstance(owner, nn.Dropout):
        names.append("p")
    for name in names:
        setattr(owner, name, probability)
    return len(names)


def _is_dropout(name: str) -> bool:
    return "dropout" in name or "pdrop" in name
