"""Models between models: a running mean of the weights while training, and points on the line from one to another."""

from __future__ import annotations

import copy
import math

import torch
from transformers import PreTrainedModel

from bambino.errors import ModelError
from bambino.models.reference import frozen, move_towards


class AveragedWeights:
    """A running mean of a model's weights (Polyak and Juditsky 1992, with exponential weights).

    It begins as the model is now and keeps `decay` of itself at every step, so decay ** n of what it began as is left
    after n steps.
    """

    def __init__(self, decay: float, lm: PreTrainedModel) -> None:
        self.decay = decay
        self.lm: PreTrainedModel = frozen(copy.deepcopy(lm))

    def follow(self, lm: PreTrainedModel) -> None:
        """A step is done: take 1 - decay of the model's weights."""
        move_towards(self.lm, lm, 1.0 - self.decay)

    @torch.no_grad()
    def distance(self, lm: PreTrainedModel) -> float:
        """L2 norm of the difference between the model's weights and the mean."""
        pairs = zip(self.lm.parameters(), lm.parameters(), strict=True)
        squares = torch.stack([(its - mine).square().sum() for mine, its in pairs])
        return math.sqrt(float(squares.sum()))


def interpolated(first: PreTrainedModel, last: PreTrainedModel, share: float) -> PreTrainedModel:
    """The model so much of the way from the first to the last: 0 is the first, 1 the last, to the bit.

    Between a model and what it became by more training, such a model often keeps more of what the first knew than it
    loses of what the last learned (Wortsman et al. 2022).

    Raises:
        ModelError: they are not of one shape.
    """
    shapes = [{name: p.shape for name, p in lm.named_parameters()} for lm in (first, last)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"A {type(first).__name__} and a {type(last).__name__} of other weights or shapes have nothing between "
            "them. Give a model and what it became by training."
        )
    between = copy.deepcopy(first)
    move_towards(between, last, share)
    return between
