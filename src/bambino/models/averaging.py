"""Models between models: a running mean of the weights while training, and points on the line from one to another."""

from __future__ import annotations

import copy
import math

import torch
from transformers import PreTrainedModel

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
