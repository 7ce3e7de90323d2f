"""Forward and backward of a model's layers as CUDA graphs: on a GPU small models wait for Python to launch kernels.

A graph is captured for each shape of batch, rounded up to a few shapes, checked against the same layers run eagerly,
and replayed from then on. Training changes weights in place, so it stays right. Dropout is drawn from the global
generator as ever. A forward has its backward before the next forward: activations of all shapes share their memory.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad
from transformers import PreTrainedModel

from bambino.scoring.forward import hidden_states, reads_packed_rows
from bambino.text.batches import TokenBatch

LOG = logging.getLogger(__name__)
KEPT = 32
"""Shapes whose graphs are kept; beyond it, the one used longest ago is captured again when needed."""
ROWS, COLUMNS = 4, 8
"""Rows and columns of a batch are padded to multiples of these: few shapes."""
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""Share of the largest number by which states and gradients may differ from those of layers run eagerly, by the
precision they are computed in; atomic sums alone make them differ."""


@dataclass
class GraphedStates:
    """The last hidden states of a model, by graphs where they can be captured."""

    lm: PreTrainedModel
    kept: OrderedDict[tuple[Any, ...], _Graphed | None] = field(default_factory=OrderedDict)
    """By shape, dropout and precision; None where capturing failed or gave something else."""
    gradients: dict[int, Tensor] = field(default_factory=dict)
    """Memory for the gradient of each parameter, by its number."""

    def __post_init__(self) -> None:
        self.pool = torch.cuda.graph_pool_handle() if self.lm.device.type == "cuda" else None

    def fits(self, batch: TokenBatch) -> bool:
        """Whether the model reads rows as long under a mask of ours, and does in every step the same."""
        is_fixed = self.lm._can_compile_fullgraph and not getattr(self.lm.config, "layerdrop", 0.0)
        with torch.autocast(self.lm.device.type, enabled=False):
            return is_fixed and reads_packed_rows(self.lm, batch.input_ids.shape[1])

    def __call__(self, batch: TokenBatch) -> Float[Tensor, "B T D"]:
        """States of right- or left-padded rows, packed or not; those of pads mean nothing."""
        inputs = _padded(batch)
        device = self.lm.device.type
        is_lowered, precision = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
        weights = tuple(parameter.data_ptr() for parameter in self.lm.parameters())
        key = (inputs[0].shape, self.lm.training, is_lowered, precision, weights)
        if key not in self.kept:
            # a graph must cast the weights as they are when it is replayed, so no cast is taken from a cache
            with torch.autocast(device, precision, enabled=is_lowered, cache_enabled=False):
                self.kept[key] = self._captured(inputs, precision if is_lowered else self.lm.dtype)
        self.kept.move_to_end(key)
        if len(self.kept) > KEPT:
            self.kept.popitem(last=False)
        graphed = self.kept[key]
        states = _states(self.lm, inputs) if graphed is None else graphed(inputs)
        rows, columns = batch.input_ids.shape
        return states[:rows, :columns]

    def _captured(self, inputs: Sequence[Tensor], precision: torch.dtype) -> _Graphed | None:
        """The graphs for inputs of this shape; the generator is left as it was."""
        if self.pool is None:
            return None
        generator = torch.cuda.get_rng_state()
        try:
            graphed = _Graphed.of(self.lm, inputs, self.gradients, self.pool)
            torch.cuda.set_rng_state(generator)
            is_right = graphed.is_right(self.lm, inputs, TOLERANCE.get(precision, 5e-2), generator)
        except RuntimeError as error:
            LOG.info("Layers are run eagerly on %s rows: %s", tuple(inputs[0].shape), error)
            return None
        finally:
            torch.cuda.set_rng_state(generator)
        return graphed if is_right else None


@dataclass
class _Graphed:
    """Both graphs for one shape, and the memory that they read and write."""

    inputs: list[Tensor]
    parameters: list[Tensor]
    """Those that the states depend on."""
    states: Tensor
    of_states: Tensor
    """Gradient of the states."""
    gradients: list[Tensor]
    forward: torch.cuda.CUDAGraph
    backward: torch.cuda.CUDAGraph

    @staticmethod
    def of(lm: PreTrainedModel, given: Sequence[Tensor], memory: dict[int, Tensor], pool: Any) -> _Graphed:
        """Capture them, after two runs on a stream of their own."""
        inputs, parameters = [tensor.clone() for tensor in given], list(lm.parameters())
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                states = _states(lm, inputs)
                found = torch.autograd.grad(states, parameters, torch.ones_like(states), allow_unused=True)
        torch.cuda.current_stream().wait_stream(stream)
        numbers = [i for i, gradient in enumerate(found) if gradient is not None]
        used = [parameters[i] for i in numbers]
        gradients = [memory.setdefault(i, torch.zeros_like(parameters[i])) for i in numbers]
        of_states = torch.zeros_like(states)
        del states, found
        forward, backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(forward, pool=pool, capture_error_mode="thread_local"):
            states = _states(lm, inputs)
        with torch.cuda.graph(backward, pool=pool, capture_error_mode="thread_local"):
            torch._foreach_copy_(gradients, list(torch.autograd.grad(states, used, of_states)))
        return _Graphed(inputs, used, states.detach(), of_states, gradients, forward, backward)

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        states: Tensor = _Replay.apply(self, inputs, *self.parameters)  # type: ignore[no-untyped-call]
        return states

    def is_right(self, lm: PreTrainedModel, inputs: Sequence[Tensor], tolerance: float, generator: Tensor) -> bool:
        """Whether states and gradients are those of the layers run eagerly, with the same dropout."""
        states = _states(lm, inputs)
        of_states = torch.linspace(-1.0, 1.0, states.numel(), device=states.device).view_as(states).to(states.dtype)
        plain = [states.detach(), *torch.autograd.grad(states, self.parameters, of_states)]
        torch.cuda.set_rng_state(generator)
        states = self(inputs)
        replayed = [states.detach(), *torch.autograd.grad(states, self.parameters, of_states)]
        gaps = torch.stack([(one - other).abs().max() for one, other in zip(replayed, plain, strict=True)])
        sizes = torch.stack([tensor.abs().max() for tensor in plain])
        # the gradient of keys' biases is zero but for rounding, so small tensors are held to the largest
        gap = float((gaps.float() / sizes.float().clamp(min=1e-2 * float(sizes[1:].max()))).max())
        LOG.info("Layers captured for %s rows: replayed they differ by %.1e", tuple(inputs[0].shape), gap)
        return gap <= tolerance


class _Replay(torch.autograd.Function):
    """States by the forward graph; gradients of the parameters by the backward graph."""

    @staticmethod
    def forward(ctx: Any, graphed: _Graphed, inputs: Sequence[Tensor], *_: Tensor) -> Tensor:
        ctx.graphed = graphed
        torch._foreach_copy_(graphed.inputs, list(inputs))
        graphed.forward.replay()
        return graphed.states.clone()

    @staticmethod
    def backward(ctx: Any, *of_states: Tensor) -> tuple[Tensor | None, ...]:
        graphed: _Graphed = ctx.graphed
        graphed.of_states.copy_(of_states[0])
        graphed.backward.replay()
        copies = [torch.empty_like(gradient) for gradient in graphed.gradients]
        torch._foreach_copy_(copies, graphed.gradients)
        return None, None, *copies


def _padded(batch: TokenBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, which are real, and the line that each belongs to (-1: none), in a shape that is captured."""
    rows, columns = batch.input_ids.shape
    more = (0, -columns % COLUMNS, 0, -rows % ROWS)
    documents = torch.zeros_like(batch.input_ids) if batch.documents is None else batch.documents
    documents = torch.where(batch.is_real, documents, -1)
    return pad(batch.input_ids, more), pad(batch.is_real, more), pad(documents, more, value=-1)


def _states(lm: PreTrainedModel, inputs: Sequence[Tensor]) -> Float[Tensor, "B T D"]:
    ids, is_real, documents = inputs
    return hidden_states(lm, ids, is_real, documents=documents)
