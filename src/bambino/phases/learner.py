"""The learner: the baby and how its weights are moved, whatever the phase."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW

from bambino.errors import TrainingError
from bambino.models.baby import Baby
from bambino.models.graphed import GraphedStates
from bambino.phases.updates import Optimizers, Term, gradient_of, to_floats
from bambino.processes import Processes
from bambino.recipe.phase_settings import PhaseConfig
from bambino.recipe.schedule import Schedule, learning_rate
from bambino.recipe.settings import Recipe
from bambino.scoring.forward import eval_mode
from bambino.text.batches import TokenBatch, without_pads


@dataclass
class Learner:
    """What every phase acts on."""

    recipe: Recipe
    baby: Baby
    schedule: Schedule
    accelerator: Accelerator
    can_pack: bool = True
    """Whether lines may share rows (`scoring.forward.reads_packed_rows`)."""
    processes: Processes = field(default_factory=Processes)
    """Who computes which rows."""
    kept_gradient: list[Tensor] | None = None
    """The gradient of the last exposure before another phase: what feedback's updates are compared with."""
    last_read: list[Tensor] = field(default_factory=list)
    """Token ids of the last update's batches, which explain a failure."""
    optimizers: Optimizers = field(init=False)

    def __post_init__(self) -> None:
        if self.can_pack and self.recipe.cuda_graphs:
            self.baby.graphed = GraphedStates(self.baby.lm)
        self.optimizers = Optimizers(self.baby, self.recipe.clm if self.recipe.optimizers == "shared" else None)

    def updates(self, phase: str, config: PhaseConfig, per_step: int) -> Updates:
        """How a phase takes its updates, with an optimizer of its own unless the recipe has one for all."""
        total = self.schedule.count(phase, self.schedule.max_steps) * per_step
        return Updates(self, phase, config, self.optimizers.add(phase, config), total)

    def parts(self, rows: int, together: int = 1) -> Iterator[slice]:
        """This process's rows of a batch, in gradient_accumulation_steps parts (fewer where there are fewer rows; none
        where it has none); so many rows `together` are not parted."""
        mine = self.processes.rows(rows // together)
        first, end = mine.start * together, mine.stop * together
        size = together * max(1, -(-(mine.stop - mine.start) // self.recipe.gradient_accumulation_steps))
        return (slice(begin, min(begin + size, end)) for begin in range(first, end, size))


@dataclass
class Updates:
    """The updates of one phase."""

    learner: Learner
    phase: str
    config: PhaseConfig
    optimizer: AdamW
    total: int
    """Updates of this phase in the whole run."""

    def take(
        self,
        number: int,
        terms: Sequence[Term],
        *,
        with_dropout: bool = False,
        skip_if: Callable[[dict[str, float]], bool] = lambda report: False,
        keep_gradient: bool = False,
    ) -> dict[str, float]:
        """Take the phase's update number `number` (from 0): one backward per term and part, then one optimizer step.

        Every process computes its rows, and takes the same step on the sum.

        What is reported is read once, before the optimizer steps (on a GPU, masks wait for the device as well).

        Args:
            with_dropout: read with the model's own dropout; else without.
            skip_if: told what the terms reported; True leaves the weights as they are, and the optimizer.
            keep_gradient: the gradient is what later phases compare themselves with.

        Returns:
            What the terms reported, summed over parts and processes; grad_norm (before clipping) and learning_rate,
            unless skipped.

        Raises:
            TrainingError: a loss or the gradient is not finite; the weights are left as they were.
        """
        learner = self.learner
        learner.last_read = [term.batch.input_ids for term in terms]
        report = self._gradient(terms, with_dropout)
        learner.processes.add(report.values())
        learner.processes.add_gradients(learner.baby.parameters())
        if keep_gradient:
            learner.kept_gradient = gradient_of(learner.baby.lm)
        report["grad_norm"] = self._clip()
        numbers = to_floats(report)
        if skip_if(numbers):
            learner.optimizers.clear()
            del numbers["grad_norm"]
            return numbers
        self._check(numbers)
        rate = learning_rate(self.config, number, self.total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        learner.optimizers.clear()
        return numbers | {"learning_rate": rate}

    def _clip(self) -> Tensor:
        """The gradient's norm, before it is clipped where there is a limit."""
        parameters = list(self.learner.baby.parameters())
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self.config.max_grad_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self.config.max_grad_norm, norm)
        return norm

    def _gradient(self, terms: Sequence[Term], with_dropout: bool) -> dict[str, Tensor]:
        """Add the terms' gradients to the parameters; what they reported, still on the device.

        A process without rows reads the first, for nothing but the names of what is reported.
        """
        learner, report = self.learner, dict[str, Tensor]()
        if with_dropout:
            learner.baby.train()
        with nullcontext() if with_dropout else eval_mode(learner.baby):
            for term in terms:
                mine = list(learner.parts(len(term.batch.input_ids), term.rows_together))
                for rows in mine or [slice(0, term.rows_together)]:
                    part, is_target = self._read(term, rows)
                    with torch.set_grad_enabled(bool(mine)):
                        logits, values = learner.baby(part, is_target)
                        found = term.loss(logits, values, part, rows)
                    if mine:
                        learner.accelerator.backward(term.weight * found["loss"])
                    else:
                        found = {name: torch.zeros_like(value) for name, value in found.items()}
                    for name, value in found.items():
                        name = f"{term.name}_{name}" if term.name else name
                        report[name] = value.detach() if name not in report else report[name] + value.detach()
        return report

    def _read(self, term: Term, rows: slice) -> tuple[TokenBatch, Tensor]:
        """Some rows on the device, several lines to a row where nothing depends on the order of rows."""
        device, part = self.learner.accelerator.device, term.batch.rows(rows)
        if term.is_target is not None:
            return part.to(device), term.is_target[rows].to(device)
        part = (without_pads(part) if self.learner.can_pack else part).to(device)
        return part, part.is_target

    def _check(self, numbers: dict[str, float]) -> None:
        for name, value in numbers.items():
            if not math.isfinite(value) and (name.endswith("loss") or name == "grad_norm"):
                what = "gradient's norm" if name == "grad_norm" else name.replace("_", " ")
                raise TrainingError(f"{self.phase}: the {what} is {value}", {})
