"""Updates of the weights: terms summed into one gradient, one AdamW per phase (or one for all), meters of what it did.

Losses are sums over targets divided by the count of the whole batch's targets, so how a batch is split into parts
changes rounding only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.optim import AdamW

from bambino.errors import CheckpointError, TrainingError
from bambino.models.baby import Baby
from bambino.recipe.phase_settings import PhaseConfig
from bambino.text.batches import TokenBatch

Loss: TypeAlias = Callable[[Float[Tensor, "N V"], Float[Tensor, " N"], TokenBatch, slice], Mapping[str, Tensor]]
"""(logits and values before the N targets of some rows, these rows as they were read, which rows of the batch) -> named
numbers that add up over the parts of a batch; "loss" is what is made small, the others are reported."""


@dataclass(frozen=True, eq=False)
class Term:
    """A summand of an update's loss: what the baby reads, and what is wanted of it there."""

    batch: TokenBatch
    loss: Loss
    is_target: Bool[Tensor, "B T"] | None = None
    """Tokens that logits are needed for; None: all that the batch predicts."""
    weight: float = 1.0
    name: str = ""
    """Put before the names of its numbers, as in `replay_loss`."""
    rows_together: int = 1
    """So many rows, one below the other, are not parted when a batch is computed in parts."""

    @property
    def targets(self) -> Bool[Tensor, "B T"]:
        return self.batch.is_target if self.is_target is None else self.is_target

    @property
    def num_targets(self) -> int:
        return int(self.targets.sum())

    @property
    def tokens(self) -> int:
        """Real tokens that are read."""
        return int(self.batch.is_real.sum())


class Optimizers:
    """Each phase's optimizer over the same weights (or one for all), by the phase's name."""

    def __init__(self, baby: Baby, shared: PhaseConfig | None) -> None:
        """`shared`: settings of the one optimizer; None: each phase has its own."""
        self.baby = baby
        self.by_phase: dict[str, AdamW] = {}
        self._shared = None if shared is None else _adamw(shared, baby.parameters())

    def add(self, phase: str, config: PhaseConfig) -> AdamW:
        """The optimizer of a phase; each phase has one, made once."""
        if phase in self.by_phase:
            raise ValueError(f"The phase {phase} has its optimizer already: updates() is called once, in __init__.")
        self.by_phase[phase] = self._shared or _adamw(config, self.baby.parameters())
        return self.by_phase[phase]

    def clear(self) -> None:
        """Forget the gradients."""
        self.baby.zero_grad(set_to_none=True)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Tensors by group (optimizer-clm, optimizer-ppo or optimizer-shared) and "<parameter>/<state>"."""
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.baby.named_parameters()}
        return {
            f"optimizer-{group}": {
                f"{names[parameter]}/{key}": tensor
                for parameter, state in optimizer.state.items()
                for key, tensor in state.items()
            }
            for group, optimizer in self._distinct().items()
        }

    def load_state(self, groups: dict[str, dict[str, Tensor]]) -> None:
        """Take over what `state` gave, and nothing else.

        Raises:
            CheckpointError: the groups are not those of these phases.
        """
        parameters = dict(self.baby.named_parameters())
        expected, found = ({*self.state()}, {group for group in groups if group.startswith("optimizer-")})
        if expected != found:
            problem = f"The checkpoint's optimizers are {sorted(found)}, those of this run's phases {sorted(expected)}."
            raise CheckpointError(f"{problem} A phase calls updates() in its __init__, once.")
        for group, optimizer in self._distinct().items():
            optimizer.state.clear()
            for name, tensor in groups[f"optimizer-{group}"].items():
                parameter_name, key = name.rsplit("/", 1)
                parameter = parameters[parameter_name]
                optimizer.state[parameter][key] = tensor.to(parameter.device)

    def _distinct(self) -> dict[str, AdamW]:
        return self.by_phase if self._shared is None else {"shared": self._shared}


@dataclass
class Reports:
    """Reports of a step's updates; a skipped one has a ratio and nothing else."""

    all: list[dict[str, float]] = field(default_factory=list)

    def add(self, report: dict[str, float]) -> None:
        self.all.append(report if "grad_norm" in report else {"ratio": report["ratio"]})

    def metrics(self, phase: str) -> dict[str, float]:
        """Means over the updates that have the number, as the phase's metrics."""
        names = dict.fromkeys(name for report in self.all for name in report)
        means = {f"{phase}/{name}": fmean(r[name] for r in self.all if name in r) for name in names}
        return {**means, f"{phase}/skipped_updates": sum("grad_norm" not in report for report in self.all)}


class UpdateMeter:
    """How far the weights move from where they are now to where they are when first asked, and whether along a descent
    direction."""

    def __init__(self, lm: nn.Module) -> None:
        self.lm = lm
        self._before = _copies([parameter.detach() for parameter in lm.parameters()])

    @cached_property
    def change(self) -> list[Tensor]:
        """What was taken off each parameter; it stands where the copy of the parameter stood."""
        torch._foreach_sub_(self._before, [parameter.detach() for parameter in self.lm.parameters()])
        return self._before

    def norm(self) -> float:
        """L2 norm of the change.

        Raises:
            TrainingError: a tensor has become NaN or infinite, or its change is so large that its square is.
        """
        norms = _norms(self.change)
        if not all(map(math.isfinite, norms)):
            names = [name for name, _ in self.lm.named_parameters()]
            broken = [name for name, norm in zip(names, norms, strict=True) if not math.isfinite(norm)]
            raise TrainingError(f"the update threw {broken[0]} out of all measure", {"tensors": broken})
        return math.hypot(*norms)

    def cosine(self, gradient: list[Tensor]) -> float:
        """Cosine of the change with minus the gradient: 1, it follows the gradient's descent; 0, unrelated."""
        dot = math.fsum(_each((taken * g).sum() for taken, g in zip(self.change, gradient, strict=True)))
        length = self.norm() * math.hypot(*_norms(gradient))
        return dot / length if length > 0 else 0.0


def gradient_of(lm: nn.Module) -> list[Tensor]:
    """A copy of the gradients, zeros where a parameter has none."""
    return _copies([torch.zeros_like(p) if p.grad is None else p.grad.detach() for p in lm.parameters()])


def to_floats(numbers: Mapping[str, Tensor]) -> dict[str, float]:
    """Many numbers on a device as Python's, in one transfer."""
    if not numbers:
        return {}
    return dict(zip(numbers, torch.stack([number.float() for number in numbers.values()]).tolist(), strict=True))


def _copies(tensors: list[Tensor]) -> list[Tensor]:
    """A copy of each, on a GPU by a few kernels instead of one each."""
    copies = [torch.empty_like(tensor) for tensor in tensors]
    torch._foreach_copy_(copies, tensors)
    return copies


def _norms(tensors: list[Tensor]) -> list[float]:
    """L2 norm of each, in one transfer."""
    return _each(torch._foreach_norm(tensors))


def _each(numbers: Iterable[Tensor]) -> list[float]:
    """Numbers on a device as Python's, in one transfer."""
    found: list[float] = torch.stack(list(numbers)).tolist()
    return found


def _adamw(config: PhaseConfig, parameters: Iterable[nn.Parameter]) -> AdamW:
    return AdamW(
        parameters,
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        weight_decay=config.weight_decay,
        fused=True,
    )
