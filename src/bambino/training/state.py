"""What training moves: a checkpoint holds all of it, and resuming puts all of it back.

Whatever happened since, also in the middle of a step, a trainer goes on from a checkpoint like a new one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from bambino.errors import CheckpointError
from bambino.feedback.rewards import Reward, StatefulReward
from bambino.files import finite, sha256, write_folder
from bambino.models.loading import load_lm
from bambino.models.reference import Reference, copy_weights
from bambino.phases.learner import Learner
from bambino.recipe.settings import ModelConfig
from bambino.runs.checkpoint import Checkpoint


@dataclass
class RunState:
    """A run between two steps. `learner` has the weights, the value head, the optimizers, the last clm gradient."""

    learner: Learner
    rewards: list[Reward]
    kl_coef: float
    reference: Reference
    step: int = 0
    """Steps done."""
    totals: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Cumulated costs: tokens, flops, seconds."""
    last_evaluation: dict[str, float] = field(default_factory=dict)
    """Metrics of the last evaluation; empty before it."""
    evaluated_at: int = 0
    """Steps done at the last evaluation."""
    has_begun: bool = False
    """Whether the baby may have moved since the trainer was made, so that it could not begin again."""
    _reference_digest: str | None = None

    def begin(self, reference_folder: Path) -> None:
        """The first baby becomes the reference, and goes to disk if it stays the reference for the whole run."""
        self.reference = self._new_reference()
        if self.reference.kind == "initial":
            write_folder(reference_folder, self.learner.baby.lm.save_pretrained)
            self._reference_digest = sha256(reference_folder / "model.safetensors")
        self.has_begun = True

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """What a checkpoint must hold beside the model: group -> name -> tensor."""
        learner = self.learner
        tensors = {"value_head": learner.baby.value_head.state_dict(), **learner.optimizers.state()}
        if moving := self.reference.moving_weights():
            tensors["reference"] = moving
        if learner.clm_gradient is not None:
            names = [name for name, _ in learner.baby.lm.named_parameters()]
            tensors["clm_gradient"] = dict(zip(names, learner.clm_gradient, strict=True))
        return tensors

    def numbers(self) -> dict[str, Any]:
        """The rest, for state.json."""
        return {
            "step": self.step,
            "kl_coef": self.kl_coef,
            "totals": dict(self.totals),
            "last_evaluation": finite(self.last_evaluation),
            "evaluated_at": self.evaluated_at,
            "rewards": [r.state_dict() if isinstance(r, StatefulReward) else None for r in self.rewards],
            "reference_digest": self._reference_digest,
        }

    def restore(self, found: Checkpoint, reference_folder: Path) -> None:
        """Put everything back as the checkpoint has it.

        Raises:
            CheckpointError: the reference on disk is not the one this run began with.
        """
        self.has_begun = True
        numbers, learner = found.state, self.learner
        self.step, self.kl_coef = numbers["step"], numbers["kl_coef"]
        self.totals = defaultdict(float, numbers["totals"])
        self.last_evaluation = {k: math.nan if v is None else v for k, v in numbers["last_evaluation"].items()}
        self.evaluated_at = numbers["evaluated_at"]
        for reward, state in zip(self.rewards, numbers["rewards"], strict=True):
            if isinstance(reward, StatefulReward):
                reward.load_state_dict(state)
        learner.optimizers.clear()
        learner.optimizers.load_state(found.tensors)
        copy_weights(learner.baby.lm, _weights(found.model_path))
        learner.baby.value_head.load_state_dict(found.tensors["value_head"])
        kept, device = found.tensors.get("clm_gradient"), learner.accelerator.device
        names = [name for name, _ in learner.baby.lm.named_parameters()]
        learner.clm_gradient = None if kept is None else [kept[name].to(device) for name in names]
        self._restore_reference(found, reference_folder)

    def _restore_reference(self, found: Checkpoint, folder: Path) -> None:
        self.reference = self._new_reference()
        if self.reference.kind == "initial":
            self._reference_digest = found.state["reference_digest"]
            if sha256(folder / "model.safetensors") != self._reference_digest:
                raise CheckpointError(f"{folder} is damaged: it is not the reference of this run.")
            self.reference.load_weights(_weights(folder))
        elif "reference" in found.tensors:
            self.reference.load_weights(found.tensors["reference"])

    def _new_reference(self) -> Reference:
        recipe = self.learner.recipe
        kind = recipe.ppo.reference if recipe.uses_ppo else "none"
        return Reference(kind, recipe.ppo.reference_decay, self.learner.baby.lm)


def _weights(path: Path) -> dict[str, Tensor]:
    return dict(load_lm(ModelConfig(str(path.resolve())), "baby").named_parameters())
