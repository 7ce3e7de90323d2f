"""What training moves: a checkpoint holds all of it, and resuming puts all of it back.

Whatever happened since, also in the middle of a step, a trainer goes on from a checkpoint like a new one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from bambino.errors import CheckpointError, TrainingError
from bambino.files import finite, sha256, write_folder
from bambino.models.averaging import AveragedWeights
from bambino.models.loading import load_lm
from bambino.models.reference import copy_weights
from bambino.phases.learner import Learner
from bambino.phases.phase import Phase, State
from bambino.runs.checkpoint import Checkpoint
from bambino.runs.costs import Costs
from bambino.training.best import BestSoFar


@dataclass
class RunState:
    """A run between two steps. `learner` has the weights, the value head, the optimizers, the kept gradient."""

    learner: Learner
    phases: Mapping[str, Phase]
    costs: Costs
    average: AveragedWeights | None = None
    """The running mean of the weights, where the recipe has one."""
    step: int = 0
    """Steps done."""
    went_on_at: int = 0
    """Steps done when the last `train` began; `step` still, where it found nothing left to do."""
    last_evaluation: dict[str, float] = field(default_factory=dict)
    """Metrics of the last evaluation; empty before it. At a run's end, of the best where its weights were kept."""
    evaluated_at: int = 0
    """Steps done at that evaluation."""
    has_begun: bool = False
    """Whether the baby may have moved since the trainer was made, so that it could not begin again."""
    best: BestSoFar | None = None
    """The best evaluation so far, where the recipe goes by it."""
    _digests: dict[str, str] = field(default_factory=dict)
    """Phase -> sha256 of the file of its constants."""

    @property
    def published(self) -> PreTrainedModel:
        """The model that is measured and saved: the baby, or the running mean of its weights."""
        if self.average is not None and self.learner.recipe.averaging.use == "averaged":
            return self.average.lm
        lm: PreTrainedModel = self.learner.baby.lm
        return lm

    def end_step(self) -> dict[str, float]:
        """A step of any phase has moved the weights; gives what there is to say of their mean."""
        if self.average is None:
            return {}
        with self.costs.time("averaging"):
            self.average.follow(self.learner.baby.lm)
            return {"averaging/distance": self.average.distance(self.learner.baby.lm)}

    def begin(self, folder: Path) -> None:
        """What never changes in a run goes to disk, once: the first baby, where it is a reference."""
        constants = {name: phase.state().constants for name, phase in self.phases.items()}
        kept = {name: tensors for name, tensors in constants.items() if tensors}

        def write(part: Path) -> None:
            part.mkdir()
            for name, tensors in kept.items():
                save_file(_on_cpu(tensors), part / f"{name}.safetensors")

        if kept:
            write_folder(folder, write)
        self._digests = {name: sha256(folder / f"{name}.safetensors") for name in kept}
        self.has_begun = True

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """What a checkpoint must hold beside the model: group -> name -> tensor."""
        learner = self.learner
        tensors = {"value_head": learner.baby.value_head.state_dict(), **learner.optimizers.state()}
        tensors |= {f"phase-{name}": state.tensors for name, state in self._states().items() if state.tensors}
        tensors |= {name: dict(lm.named_parameters()) for name, lm in self._beside().items()}
        if learner.kept_gradient is not None:
            names = [name for name, _ in learner.baby.lm.named_parameters()]
            tensors["kept_gradient"] = dict(zip(names, learner.kept_gradient, strict=True))
        if self.best is not None and self.best.weights:
            tensors["best"] = self.best.weights
        return tensors

    def check_is_finite(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Refuse to go on from weights, or anything else that a checkpoint holds, that are NaN or infinite.

        Raises:
            TrainingError: naming them.
        """
        groups = {"model": dict(self.published.named_parameters()), **tensors}
        broken = [
            f"{group}/{name}"
            for group, named in groups.items()
            for name, tensor in named.items()
            if not tensor.isfinite().all()
        ]
        if broken:
            raise TrainingError(f"{broken[0]} is not finite, so no checkpoint is written", {"tensors": broken})

    def numbers(self) -> dict[str, Any]:
        """The rest, for state.json."""
        numbers = {
            "step": self.step,
            "phases": {name: state.numbers for name, state in self._states().items()},
            "constants": self._digests,
            "totals": dict(self.costs.totals),
            "last_evaluation": finite(self.last_evaluation),
            "evaluated_at": self.evaluated_at,
        }
        return numbers if self.best is None else {**numbers, "best": self.best.numbers()}

    def take_best(self) -> None:
        """At a run's end: the weights of the best evaluation, and what it found, where they were kept."""
        best = self.best
        if best is not None and best.step is not None and best.put_back(self.published):
            self.last_evaluation, self.evaluated_at = best.evaluation, best.step

    def restore(self, found: Checkpoint, folder: Path) -> None:
        """Put everything back as the checkpoint has it.

        Args:
            folder: of the run's constants.

        Raises:
            CheckpointError: a constant on disk is not the one this run began with.
        """
        self.has_begun = True
        numbers, learner = found.state, self.learner
        self.step = numbers["step"]
        self.costs.restore(numbers["totals"])
        self.last_evaluation = {k: math.nan if v is None else v for k, v in numbers["last_evaluation"].items()}
        self.evaluated_at = numbers["evaluated_at"]
        if self.best is not None:
            self.best.restore(numbers["best"], found.tensors.get("best", {}))
        learner.optimizers.clear()
        learner.optimizers.load_state(found.tensors)
        saved = replace(learner.recipe.baby, model=str(found.model_path.resolve()), revision=None)
        weights = load_lm(saved, "baby").named_parameters()
        copy_weights(self.published, dict(weights))
        for name, lm in self._beside().items():
            copy_weights(lm, found.tensors[name])
        learner.baby.value_head.load_state_dict(found.tensors["value_head"])
        kept, device = found.tensors.get("kept_gradient"), learner.accelerator.device
        names = [name for name, _ in learner.baby.lm.named_parameters()]
        learner.kept_gradient = None if kept is None else [kept[name].to(device) for name in names]
        self._digests = numbers["constants"]
        for name, phase in self.phases.items():
            moving = found.tensors.get(f"phase-{name}", {})
            phase.restore(State(numbers["phases"][name], moving, self._constants(name, folder)))

    def _constants(self, phase: str, folder: Path) -> dict[str, Tensor]:
        if phase not in self._digests:
            return {}
        path = folder / f"{phase}.safetensors"
        if not path.is_file() or sha256(path) != self._digests[phase]:
            problem = f"{path} is damaged or missing: it is not what this run began with."
            raise CheckpointError(f"{problem} Put it back, or start another run with its own output_dir.")
        weights: dict[str, Tensor] = load_file(path)
        return weights

    def _beside(self) -> dict[str, PreTrainedModel]:
        """The weights that are not published but must go on: the mean, or the baby's own; by the name of their file."""
        if self.average is None:
            return {}
        lm = self.learner.baby.lm
        return {"averaged_weights": self.average.lm} if self.published is lm else {"raw_weights": lm}

    def _states(self) -> dict[str, State]:
        return {name: phase.state() for name, phase in self.phases.items()}


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
