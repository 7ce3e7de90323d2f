"""Updates of the weights: one AdamW per phase (or one for both), and meters of what an update does."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from bambino.models.baby import Baby
from bambino.recipe.schedule import Phase, Schedule, learning_rate
from bambino.recipe.settings import PhaseConfig, Recipe


class Optimizers:
    """Each phase's optimizer over the same weights; the learning rate is a function of the update's number."""

    def __init__(self, recipe: Recipe, baby: Baby, schedule: Schedule) -> None:
        self.recipe, self.baby = recipe, baby
        self.updates_per_step = {"clm": 1, "ppo": recipe.ppo.epochs * (recipe.batch_size // recipe.minibatch_size)}
        self.total_updates = {
            phase: schedule.count(phase, schedule.max_steps) * self.updates_per_step[phase] for phase in ("clm", "ppo")
        }
        if recipe.optimizers == "shared":
            shared = _adamw(recipe.clm, baby.parameters())
            self.of: dict[str, AdamW] = {"clm": shared, "ppo": shared}
        else:
            self.of = {"clm": _adamw(recipe.clm, baby.lm.parameters()), "ppo": _adamw(recipe.ppo, baby.parameters())}

    def step(self, phase: Phase, update: int) -> tuple[float, float]:
        """Take the phase's update number `update` (from 0) with the gradients that are there, then clear them.

        Returns:
            L2 norm of the gradient before clipping, learning rate.

        Raises:
            FloatingPointError: the gradient is not finite; the weights are left as they were.
        """
        config: PhaseConfig = self.recipe.clm if phase == "clm" else self.recipe.ppo
        limit = config.max_grad_norm if config.max_grad_norm is not None else math.inf
        norm = float(nn.utils.clip_grad_norm_(self.baby.parameters(), limit))
        if not math.isfinite(norm):
            raise FloatingPointError(f"the gradient's norm is {norm}")
        rate = learning_rate(config, update, self.total_updates[phase])
        for group in self.of[phase].param_groups:
            group["lr"] = rate
        self.of[phase].step()
        self.clear()
        return norm, rate

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
        """Take over what `state` gave, and nothing else."""
        parameters = dict(self.baby.named_parameters())
        for group, optimizer in self._distinct().items():
            optimizer.state.clear()
            for name, tensor in groups[f"optimizer-{group}"].items():
                parameter_name, key = name.rsplit("/", 1)
                parameter = parameters[parameter_name]
                optimizer.state[parameter][key] = tensor.to(parameter.device)

    def _distinct(self) -> dict[str, AdamW]:
        return {"shared": self.of["clm"]} if self.recipe.optimizers == "shared" else self.of


class UpdateMeter:
    """How far the weights move from where they are now, and whether along a descent direction."""

    def __init__(self, lm: nn.Module) -> None:
        self.lm = lm
        self.before = [parameter.detach().clone() for parameter in lm.parameters()]

    def norm(self) -> float:
        """L2 norm of the change so far."""
        return math.sqrt(sum(float(delta.square().sum()) for delta in self._deltas()))

    def cosine(self, gradient: list[Tensor]) -> float:
        """Cosine of the change with minus the gradient: 1, it follows the gradient's descent; 0, unrelated."""
        dot = sum(float((delta * -g).sum()) for delta, g in zip(self._deltas(), gradient, strict=True))
        length = self.norm() * math.sqrt(sum(float(g.square().sum()) for g in gradient))
        return dot / length if length > 0 else 0.0

    def _deltas(self) -> Iterable[Tensor]:
        return (p.detach() - before for p, before in zip(self.lm.parameters(), self.before, strict=True))


def gradient_of(lm: nn.Module) -> list[Tensor]:
    """A copy of the gradients, zeros where a parameter has none."""
    return [torch.zeros_like(p) if p.grad is None else p.grad.detach().clone() for p in lm.parameters()]


def _adamw(config: PhaseConfig, parameters: Iterable[nn.Parameter]) -> AdamW:
    return AdamW(
        parameters,
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        weight_decay=config.weight_decay,
        fused=True,
    )
