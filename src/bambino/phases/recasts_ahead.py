"""Recasts made for many prompts at a time: sampling a text after each of 512 prompts costs a model little more than
after each of 32, and what a parent says after a prompt does not depend on the baby.

Prompts come in fixed blocks of their stream, so that a run that goes on from a checkpoint makes the same blocks, with
the same bits. What a block cost is counted in equal parts, as its recasts are heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedModel

from bambino.feedback.answers import Recasts
from bambino.feedback.recasts import Read, Recaster

PROMPTS_AT_ONCE = 512
"""Prompts of a block, about, at most."""
LOGITS_AT_ONCE = 1 << 22
"""Logits of a token that is sampled after all prompts of a block, about, at most."""


@dataclass
class _Block:
    """The recasts of consecutive prompts."""

    recasts: Recasts
    lm: PreTrainedModel | None = None
    """Who read and wrote."""
    tokens: int = 0
    """What it read and wrote."""

    def read(self, lm: PreTrainedModel, tokens: int) -> None:
        self.lm, self.tokens = lm, self.tokens + tokens


@dataclass
class RecastsAhead:
    """The recasts of a stream of prompts, by their place in it."""

    recaster: Recaster
    texts: Callable[[int, int], list[str]]
    """Prompts `first` .. `first + count - 1` of the stream."""
    size: int
    """Prompts of a block."""
    seed: int
    stream: str
    _blocks: dict[int, _Block] = field(default_factory=dict, repr=False)
    """Cache: the blocks of the last recasts that were asked for."""

    def of(self, first: int, count: int, read: Read) -> Recasts:
        """The recasts of `count` prompts from `first` on."""
        parts = []
        numbers = range(first // self.size, (first + count - 1) // self.size + 1)
        self._blocks = {number: self._blocks.get(number) or self._made(number) for number in numbers}
        for number, block in self._blocks.items():
            begin = max(0, first - number * self.size)
            end = min(self.size, first + count - number * self.size)
            if block.lm is not None:
                read(block.lm, block.tokens * end // self.size - block.tokens * begin // self.size)
            parts.append(_some(block.recasts, slice(begin, end)))
        return _joined(parts)

    def _made(self, number: int) -> _Block:
        begin = number * self.size
        block = _Block(Recasts([], [], []))
        block.recasts = self.recaster.recasts(
            self.texts(begin, self.size), None, seed=self.seed, stream=self.stream, first=begin, read=block.read
        )
        return block


def block_size(batch_size: int, vocabulary: int) -> int:
    """Prompts of a block: a multiple of the batch size."""
    return batch_size * max(1, min(PROMPTS_AT_ONCE, LOGITS_AT_ONCE // vocabulary) // batch_size)


def _some(recasts: Recasts, rows: slice) -> Recasts:
    return Recasts(recasts.prompts[rows], recasts.texts[rows], recasts.has_ended[rows])


def _joined(parts: Sequence[Recasts]) -> Recasts:
    return Recasts(
        [prompt for part in parts for prompt in part.prompts],
        [text for part in parts for text in part.texts],
        [ended for part in parts for ended in part.has_ended],
    )
