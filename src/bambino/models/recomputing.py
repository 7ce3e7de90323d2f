"""Gradient checkpointing: what a layer computed is computed once more for its gradient, not kept (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from bambino.errors import RecipeError


def recompute_layers(lm: PreTrainedModel) -> None:
    """Keep only each layer's input for the gradient, with dropout or without.

    Transformers' own switch acts in train mode alone, and most phases learn without dropout. Dropout draws the same
    numbers again, so nothing changes but memory and time.

    Raises:
        RecipeError: the model has no layers that may be computed again.
    """
    layers = [module for module in lm.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        problem = f"gradient_checkpointing = true, but {type(lm).__name__} has no layers for it. Leave it out."
        raise RecipeError("gradient_checkpointing", problem)
    for layer in layers:
        layer.forward = partial(_again, layer.forward)


def _again(forward: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """A layer's forward, which is done again where its gradient is taken."""
    if not torch.is_grad_enabled():
        return forward(*args, **settings)
    return checkpoint(partial(forward, **settings), *args, use_reentrant=False)
