"""The reference: the frozen policy that the KL is measured against."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel


class Reference:
    """The frozen policy that the KL is measured against.

    initial: the first baby. phase_start: the baby as it was when the current ppo phase began. ema: a running mean of
    the baby, `decay` of itself kept at every step. none: `lm` is None and nothing is measured.
    """

    def __init__(
        self, kind: Literal["initial", "phase_start", "ema", "none"], decay: float, lm: PreTrainedModel
    ) -> None:
        self.kind, self.decay = kind, decay
        self.lm: PreTrainedModel | None = None if kind == "none" else frozen(copy.deepcopy(lm))

    def weights(self) -> dict[str, Tensor]:
        """By parameter name; nothing where there is no reference."""
        return {} if self.lm is None else dict(self.lm.named_parameters())

    @torch.no_grad()
    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take over weights, by parameter name."""
        assert self.lm is not None, "a reference of kind none has no weights"
        copy_weights(self.lm, weights)

    @torch.no_grad()
    def begin_phase(self, lm: PreTrainedModel) -> None:
        """A ppo phase begins."""
        if self.kind == "phase_start":
            self._follow(lm, keep=0.0)

    @torch.no_grad()
    def end_step(self, lm: PreTrainedModel) -> None:
        if self.kind == "ema":
            self._follow(lm, keep=self.decay)

    def _follow(self, lm: PreTrainedModel, keep: float) -> None:
        assert self.lm is not None
        move_towards(self.lm, lm, 1.0 - keep)


@torch.no_grad()
def move_towards(lm: PreTrainedModel, other: PreTrainedModel, share: float) -> None:
    """Move a model's weights so much of the way to another's: 0 leaves them, 1 copies the other's, to the bit."""
    for mine, its in zip(lm.parameters(), other.parameters(), strict=True):
        mine.lerp_(its, share)


@torch.no_grad()
def copy_weights(lm: PreTrainedModel, weights: dict[str, Tensor]) -> None:
    """Copy weights into a model's parameters, by name; every parameter must be there."""
    for name, parameter in lm.named_parameters():
        parameter.copy_(weights[name])


def frozen(lm: PreTrainedModel) -> PreTrainedModel:
    """The model in eval mode, its weights out of every gradient."""
    return lm.eval().requires_grad_(False)
