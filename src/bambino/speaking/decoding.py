"""Token after token through a cache of fixed size, so that every token is the same work on the same memory.

On a GPU that work is captured once as a CUDA graph and replayed: launching its kernels one by one from Python takes
several times as long as they run. What is captured is kept per model and shape. Training changes weights in place, so
a graph stays right; weights that were moved elsewhere are noticed.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel, StaticCache
from transformers.cache_utils import StaticLayer

from bambino.scoring.forward import eval_mode, states_in_cache, takes_positions
from bambino.text.batches import TokenBatch

LOG = logging.getLogger(__name__)
KEPT_BYTES = 1 << 32
"""Memory of a model's decodings that are kept; beyond it, those used longest ago are captured again when needed."""

PROMPT_COLUMNS = 8
"""Prompts are padded to a multiple of this: few widths, so few graphs."""

Draw = Callable[[Float[Tensor, "B D"], Float[Tensor, " B"]], tuple[Tensor, Tensor, Tensor | None]]
"""(last hidden states, uniforms) -> token (B,), its log-prob (B,), and which could be drawn (B, V) or None."""


def fits_fixed_cache(lm: PreTrainedModel) -> bool:
    """Whether a model may be read through a cache of fixed size; it still has to be tried out.

    No for those with a window or a state, whose caches decide by Python numbers what a captured step cannot know.
    """
    layers = StaticCache(config=lm.config, max_cache_len=1).layers
    return takes_positions(lm) and lm._can_compile_fullgraph and all(type(layer) is StaticLayer for layer in layers)


@dataclass
class Decoding:
    """The memory that a batch of one shape is sampled in, and the graphs of what is done there."""

    prompts: Int[Tensor, "B P"]
    is_seen: Bool[Tensor, "B S"]
    """Columns of the cache that hold real tokens: those of prompts, then those said."""
    uniform: Float[Tensor, "B U"]
    cache: StaticCache
    eos: int | None
    said: dict[str, Tensor] = field(default_factory=dict)
    """Columns by name, (B, U, ...): tokens, is_real, log_probs, hidden, support."""
    graphs: list[torch.cuda.CUDAGraph] = field(default_factory=list)
    """The prompts with the first token, then any other token; empty where there is no GPU."""

    def __post_init__(self) -> None:
        self.token = torch.zeros_like(self.prompts[:, :1])
        self.is_speaking = torch.ones_like(self.is_seen[:, 0])
        self.column = torch.zeros_like(self.prompts[0, :1])
        """Tokens said."""

    @staticmethod
    def of(lm: PreTrainedModel, rows: int, prompt: int, uniform: Float[Tensor, "B U"], eos: int | None) -> Decoding:
        """For so many rows, prompt tokens, and tokens to be said."""
        ids = torch.zeros(rows, prompt, dtype=torch.long, device=lm.device)
        columns = prompt + uniform.shape[1]
        is_seen = torch.zeros(rows, columns, dtype=torch.bool, device=lm.device)
        return Decoding(ids, is_seen, torch.zeros_like(uniform), StaticCache(lm.config, max_cache_len=columns), eos)

    def run(
        self, lm: PreTrainedModel, prompts: TokenBatch, uniform: Float[Tensor, "B U"], draw: Draw, between: int
    ) -> dict[str, Tensor]:
        """What is said after prompts that are left-padded: columns by name, in memory that the next run writes over.

        Args:
            between: tokens before it is asked whether all have ended.
        """
        prompt = self.prompts.shape[1]
        width = prompts.input_ids.shape[1]
        self.prompts[:, prompt - width :] = prompts.input_ids
        self.is_seen.zero_()
        self.is_seen[:, prompt - width : prompt] = prompts.is_real
        self.uniform.copy_(uniform)
        for u in range(uniform.shape[1]):
            if self.graphs:
                self.graphs[min(u, 1)].replay()
            else:
                (self._next if u else self._first)(lm, draw)
            if self.eos is not None and (u + 1) % between == 0 and not self.is_speaking.any():
                break
        return {name: columns[:, : u + 1] for name, columns in self.said.items()}

    def capture(self, lm: PreTrainedModel, draw: Draw) -> None:
        """Make the graphs; where that cannot be done there are none, and kernels are launched one by one."""
        steps, stream = (self._first, self._next)[: self.uniform.shape[1]], torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for step in steps:
                step(lm, draw)
        torch.cuda.current_stream().wait_stream(stream)
        graphs: list[torch.cuda.CUDAGraph] = []
        try:
            for step in steps:
                graphs.append(torch.cuda.CUDAGraph())
                pool = graphs[0].pool() if len(graphs) > 1 else None
                with torch.cuda.graph(graphs[-1], pool=pool, capture_error_mode="thread_local"):
                    step(lm, draw)
        except RuntimeError as error:
            LOG.info("A token's step is not captured: %s", error)
            return
        self.graphs = graphs

    @property
    def num_bytes(self) -> int:
        """Memory of cache and columns."""
        of_cache: list[Tensor] = [part for layer in self.cache.layers for part in (layer.keys, layer.values)]
        return sum(tensor.nbytes for tensor in [*of_cache, *self.said.values()])

    def _first(self, lm: PreTrainedModel, draw: Draw) -> None:
        """Read the prompts, and say a token."""
        self.cache.reset()
        self.column.zero_()
        self.is_speaking.fill_(True)
        columns = torch.arange(self.is_seen.shape[1], device=self.is_seen.device)
        rows = columns[: self.prompts.shape[1], None]
        # a pad sees itself: the softmax over nothing is no number
        may_see = (self.is_seen[:, None] & (columns < rows)) | (columns == rows)
        positions = (self.is_seen[:, : len(rows)].long().cumsum(1) - 1).clamp(min=0)
        self._say(states_in_cache(lm, self.prompts, may_see, positions, self.cache)[:, -1], draw)

    def _next(self, lm: PreTrainedModel, draw: Draw) -> None:
        """Read the last token said, and say another."""
        positions = self.is_seen.sum(1, keepdim=True) - 1
        self._say(states_in_cache(lm, self.token, self.is_seen[:, None], positions, self.cache)[:, -1], draw)

    def _say(self, hidden: Float[Tensor, "B D"], draw: Draw) -> None:
        token, log_probs, support = draw(hidden, self.uniform.index_select(1, self.column)[:, 0])
        token = torch.where(self.is_speaking, token, 0)
        found = {"tokens": token, "is_real": self.is_speaking, "log_probs": log_probs, "hidden": hidden}
        for name, column in (found if support is None else found | {"support": support}).items():
            if name not in self.said:
                self.said[name] = column.new_zeros(self.uniform.shape + column.shape[1:])
            self.said[name].index_copy_(1, self.column, column[:, None])
        self.is_seen.index_copy_(1, self.column + self.prompts.shape[1], self.is_speaking[:, None])
        self.token.copy_(token[:, None])
        if self.eos is not None:
            self.is_speaking.logical_and_(token != self.eos)
        self.column.add_(1)


_KEPT: WeakKeyDictionary[PreTrainedModel, OrderedDict[Hashable, Decoding]] = WeakKeyDictionary()
"""A model's decodings by what they were captured for, the last used last."""


def decoded_tokens(
    lm: PreTrainedModel,
    prompts: TokenBatch,
    uniform: Float[Tensor, "B U"],
    draw: Draw,
    eos: int | None,
    between: int,
    settings: Hashable,
) -> dict[str, Tensor]:
    """Columns of `Decoding.said` after left-padded prompts, on a GPU by graphs that are made when first needed.

    Args:
        draw: must depend on `settings` and the model's weights alone.
        between: tokens before it is asked whether all have ended.
    """
    rows, width = prompts.input_ids.shape
    prompt = -(-width // PROMPT_COLUMNS) * PROMPT_COLUMNS
    device = lm.device.type
    precision, is_lowered = torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
    weights = tuple(parameter.data_ptr() for parameter in lm.parameters())
    key = (rows, prompt, uniform.shape[1], eos, settings, precision, is_lowered, weights)
    kept = _KEPT.setdefault(lm, OrderedDict())
    decoding = kept.pop(key, None)
    # a graph must cast the weights as they are when it is replayed, so no cast is taken from a cache
    with eval_mode(lm), torch.autocast(device, precision, enabled=is_lowered, cache_enabled=False):
        if decoding is None:
            decoding = Decoding.of(lm, rows, prompt, uniform, eos)
            if device == "cuda":
                decoding.capture(lm, draw)
        said = decoding.run(lm, prompts, uniform, draw, between)
    kept[key] = decoding
    while sum(each.num_bytes for each in kept.values()) > KEPT_BYTES:
        kept.popitem(last=False)
    return said
