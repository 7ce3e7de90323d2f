"""Linear layers that multiply faster while their weights stand still.

oneDNN, which PyTorch brings along, multiplies by weights that it has put into an order of its own faster than PyTorch's
ordinary fp32 product does on a CPU: about 2.3 times on an AMD EPYC (`benchmarks/packed_products.py`). The copy
costs as much as some hundreds of tokens and doubles the memory of the weights, so this is for reading many texts, never
for training. GPT-2's activation, which transformers computes in eight steps, is computed in one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from transformers.activations import NewGELUActivation
from transformers.pytorch_utils import Conv1D

ROWS = 4096
"""Rows of the products that the order of the weights is chosen for; other numbers of rows work as well."""


@contextmanager
def prepacked(lm: nn.Module) -> Iterator[None]:
    """Inside, the model's linear layers use such copies; outputs are the same to rounding, gradients are not to be had.

    Only plain fp32 layers on a CPU are replaced, and none under autocast or where PyTorch was built without
    oneDNN. Weights must not be changed inside.
    """
    replaced: list[nn.Module] = []
    try:
        for layer in lm.modules():
            if "forward" in layer.__dict__:
                continue  # somebody else has replaced it
            if _can_be_packed(layer):
                layer.forward = packed_forward(layer)
            elif type(layer) is NewGELUActivation:
                layer.forward = partial(nn.functional.gelu, approximate="tanh")
            else:
                continue
            replaced.append(layer)
        yield
    finally:
        for layer in replaced:
            del layer.forward  # the class's own again


def _can_be_packed(layer: nn.Module) -> bool:
    """Exactly these classes: adapters and quantized layers, which derive from them, compute something else."""
    return (
        type(layer) in (nn.Linear, Conv1D)
        and layer.weight.dtype == torch.float32
        and layer.weight.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
    )


def packed_forward(layer: nn.Linear | Conv1D) -> Callable[[Tensor], Tensor]:
    """The forward of a linear layer (or Conv1D) as its weights stand now."""
    weight = layer.weight.detach()
    by_outputs = weight if isinstance(layer, nn.Linear) else weight.T.contiguous()
    packed, bias = torch.ops.mkldnn._reorder_linear_weight(by_outputs, ROWS), layer.bias

    def forward(x: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
        return product

    return forward
