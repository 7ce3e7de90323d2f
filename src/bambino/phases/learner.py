"""What every phase acts on: the baby, its optimizers, the device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from bambino.errors import TrainingError
from bambino.models.baby import Baby
from bambino.phases.updates import Optimizers
from bambino.recipe.settings import Recipe
from bambino.text.batches import TokenBatch


@dataclass
class Learner:
    """What both phases act on."""

    recipe: Recipe
    baby: Baby
    optimizers: Optimizers
    accelerator: Accelerator
    can_pack: bool = True
    """Whether clm lines may share rows (`scoring.reads_packed_rows`)."""
    clm_gradient: list[Tensor] | None = None
    """The gradient of the last clm step before a ppo phase; what `ppo/cosine_with_clm` compares with."""

    def parts(self, rows: int) -> Iterator[slice]:
        """The rows of an update, in gradient_accumulation_steps parts."""
        size = rows // self.recipe.gradient_accumulation_steps
        return (slice(first, first + size) for first in range(0, rows, size))


def _update(learner: Learner, phase: Any, update: int, batch: TokenBatch) -> tuple[float, float]:
    try:
        return learner.optimizers.step(phase, update)
    except FloatingPointError as error:
        raise TrainingError(f"{phase}: {error}", {"input_ids": batch.input_ids.tolist()}) from None


def _finite(value: float, name: str, batch: TokenBatch) -> float:
    if not math.isfinite(value):
        raise TrainingError(f"the {name} is {value}", {"input_ids": batch.input_ids.tolist()})
    return value
