"""The best evaluation of a run so far: when to stop, and which weights to keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from bambino.errors import RecipeError
from bambino.files import finite
from bambino.models.reference import copy_weights
from bambino.recipe.metrics import direction_of
from bambino.recipe.settings import EarlyStoppingConfig


@dataclass
class BestSoFar:
    """The best evaluation so far by one metric. An equal later one is no better, nor is one without a number."""

    config: EarlyStoppingConfig
    metric: str
    """What evaluations are compared by, as in their rows without eval/."""
    step: int | None = None
    """Steps done at the best; None before the first with a number."""
    value: float = math.nan
    """The metric then."""
    waited: int = 0
    """Evaluations since."""
    evaluation: dict[str, float] = field(default_factory=dict)
    """All metrics then."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """The parameters of what was measured then (the baby, or its running mean), on the CPU; none: not kept."""

    @property
    def is_waited_for_enough(self) -> bool:
        """Whether the run is over, as nothing better came for so long."""
        return self.config.patience is not None and self.waited >= self.config.patience

    def take(self, step: int, evaluation: Mapping[str, float], lm: PreTrainedModel) -> None:
        """Take an evaluation into account.

        Raises:
            RecipeError: the metric is not in it.
        """
        key = f"eval/{self.metric}"
        if key not in evaluation:
            there = ", ".join(name.removeprefix("eval/") for name in evaluation) or "nothing"
            problem = f"early_stopping.metric: {self.metric} is not measured, but {there}."
            raise RecipeError("early_stopping.metric", f"{problem} Hand measures_of(args) to BambinoTrainer.")
        value, sign = evaluation[key], direction_of(self.metric) or 1
        if math.isnan(value) or (self.step is not None and sign * value <= sign * self.value):
            self.waited += 1
            return
        self.step, self.value, self.waited, self.evaluation = step, value, 0, dict(evaluation)
        if self.config.keep_best:
            self.weights = {name: _copied(parameter) for name, parameter in lm.named_parameters()}

    def put_back(self, lm: PreTrainedModel) -> bool:
        """Give a model the best weights. Whether there are any."""
        if self.weights:
            copy_weights(lm, self.weights)
        return bool(self.weights)

    def numbers(self) -> dict[str, Any]:
        """For state.json; the weights go to a file of their own."""
        evaluation: dict[str, Any] = finite(self.evaluation)
        return {"step": self.step, "value": finite(self.value), "waited": self.waited, "evaluation": evaluation}

    def restore(self, numbers: Mapping[str, Any], weights: dict[str, Tensor]) -> None:
        """Put back what `numbers` gave."""
        self.step, self.waited, self.weights = numbers["step"], numbers["waited"], weights
        self.value = math.nan if numbers["value"] is None else numbers["value"]
        self.evaluation = {k: math.nan if v is None else v for k, v in numbers["evaluation"].items()}


@torch.no_grad()
def _copied(parameter: Tensor) -> Tensor:
    return parameter.detach().to("cpu", copy=True)
