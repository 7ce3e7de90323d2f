"""What a model's layers can do otherwise while they learn: be computed twice, for less memory, or compiled, for less
time. Where no gradient is wanted, as while the baby speaks, they stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from bambino.errors import RecipeError


def recompute_layers(lm: PreTrainedModel) -> None:
    """Keep only each layer's input for the gradient (gradient checkpointing, Chen et al. 2016), dropout or not.

    Transformers' own switch acts in train mode alone, and most phases learn without dropout. Dropout draws the same
    numbers again, so nothing changes but memory and time.

    Raises:
        RecipeError: the model has no layers of Transformers' kind.
    """
    for layer in _layers(lm, "gradient_checkpointing"):
        layer.forward = partial(_again, layer.forward)


def compile_layers(lm: PreTrainedModel) -> None:
    """Let torch.compile make kernels of the layers, for batches of any shape; rounding changes, and what dropout draws.

    Raises:
        RecipeError: the model has no layers of Transformers' kind.
    """
    for layer in _layers(lm, "torch_compile"):
        layer.forward = partial(_by_kernels, layer)


def _layers(lm: PreTrainedModel, setting: str) -> list[nn.Module]:
    found = [module for module in lm.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not found:
        raise RecipeError(setting, f"{setting} = true, but {type(lm).__name__} has no layers for it. Leave it out.")
    return found


def _again(forward: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """A layer's forward, which is done again where its gradient is taken."""
    if not torch.is_grad_enabled():
        return forward(*args, **settings)
    return checkpoint(partial(forward, **settings), *args, use_reentrant=False)


def _by_kernels(layer: nn.Module, *args: Any, **settings: Any) -> Any:
    """A layer's forward, compiled where a gradient is wanted.

    Raises:
        RecipeError: there is no compiler here, or it fails.
    """
    if not torch.is_grad_enabled():
        return type(layer).forward(layer, *args, **settings)
    try:
        return _compiled(type(layer).forward)(layer, *args, **settings)
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):  # slow to import
            raise
        why = str(error).splitlines()[0]
        problem = f"torch_compile = true, but {type(layer).__name__} cannot be compiled here ({why}). Leave it out."
        raise RecipeError("torch_compile", problem) from error


@cache
def _compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(forward, dynamic=True)
