"""The two phases: one clm step (one update), one ppo step (epochs x minibatches updates on one rollout).

Losses are sums over real tokens divided by the update's count of real tokens, so splitting a batch changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from bambino import ppo
from bambino.config import Recipe
from bambino.models import Baby, Reference
from bambino.optimization import Optimizers, UpdateMeter, gradient_of
from bambino.rollout import Rollout, log_policy
from bambino.scoring import eval_mode, log_probs_of, logits_before
from bambino.text import TokenBatch, permutation, without_pads

SAMPLER_TOLERANCE = {"no": 1e-3, "bf16": 1.0}
"""Nats by which the sampler's log-probs may differ from a full forward's, by mixed_precision; rounding alone makes them
differ by up to 2e-5 and 0.3 on real weights (`benchmarks/rounding.py`)."""


class TrainingError(RuntimeError):
    """A run that must stop; `details` explains why and goes to failure.json."""

    def __init__(self, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.details = details


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


def clm_step(learner: Learner, batch: TokenBatch, update: int, *, keep_gradient: bool) -> dict[str, float]:
    """One next-token update on a batch of L2 text, with the model's own dropout."""
    targets = int(batch.is_target.sum())
    learner.baby.train()
    meter = UpdateMeter(learner.baby.lm)
    total = 0.0
    for rows in learner.parts(len(batch.input_ids)):
        part = without_pads(batch.rows(rows)) if learner.can_pack else batch.rows(rows)
        part = part.to(learner.accelerator.device)
        logits, _ = learner.baby(part, part.is_target)
        heard = part.input_ids[part.is_target]
        nll = -log_probs_of(logits, heard).sum() / max(1, targets)
        total += _finite(float(nll.detach()), "clm loss", part)
        smoothing = learner.recipe.clm.label_smoothing
        loss = nll if smoothing == 0 else smoothed_loss(logits, heard, smoothing) / max(1, targets)
        learner.accelerator.backward(loss)
    if keep_gradient:
        learner.clm_gradient = gradient_of(learner.baby.lm)
    grad_norm, rate = _update(learner, "clm", update, batch)
    return {
        "clm/loss": total,
        "clm/targets": targets,
        "clm/grad_norm": grad_norm,
        "clm/update_norm": meter.norm(),
        "clm/learning_rate": rate,
    }


def smoothed_loss(logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"], smoothing: float) -> Float[Tensor, ""]:
    """Summed cross-entropy with (1 - smoothing) on the target plus smoothing spread evenly over the vocabulary."""
    return cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=smoothing)


def ppo_step(
    learner: Learner,
    rollout: Rollout,
    rewards: Float[Tensor, " B"],
    reference: Reference,
    kl_coef: float,
    first_update: int,
    seed_of_order: tuple[int, int],
) -> dict[str, float]:
    """All updates on one rollout; dropout off, so that the policy that was sampled is the policy that is scored.

    Args:
        rewards: one per utterance, missing-EOS penalty included.
        first_update: number of the first update among all ppo updates.
        seed_of_order: (seed, step), which fix the order of minibatches.
    """
    config, recipe = learner.recipe.ppo, learner.recipe
    ref_log_probs = reference_log_probs(learner, rollout, reference)
    per_token = ppo.token_rewards(rewards, rollout.log_probs, ref_log_probs, rollout.is_real, kl_coef)
    raw = ppo.gae(per_token, rollout.values, rollout.is_real, config.gamma, config.lam)
    returns = raw + rollout.values
    advantages = torch.zeros_like(raw)
    advantages[rollout.is_real] = ppo.whiten(raw[rollout.is_real])

    meter = UpdateMeter(learner.baby.lm)
    updates = _Updates()
    with eval_mode(learner.baby):
        for epoch in range(config.epochs):
            for rows in _minibatches(recipe, epoch, seed_of_order):
                report = _minibatch_gradient(learner, rollout.rows(rows), advantages[rows], returns[rows])
                number = first_update + len(updates.reports)
                if report["ratio"] > config.ratio_threshold:
                    learner.optimizers.clear()
                    updates.skipped += 1
                else:
                    batch = rollout.rows(rows).sequences
                    report["grad_norm"], report["learning_rate"] = _update(learner, "ppo", number, batch)
                updates.reports.append(report)
    metrics = {
        "ppo/returns": float(returns[rollout.is_real].mean()),
        "ppo/values": float(rollout.values[rollout.is_real].mean()),
        "ppo/update_norm": meter.norm(),
        **updates.metrics(),
    }
    if reference.lm is not None:
        kl = (rollout.log_probs - ref_log_probs).where(rollout.is_real, 0.0).sum(1).mean()
        metrics |= {"ppo/kl": float(kl), "ppo/kl_coef": kl_coef}
    if learner.clm_gradient is not None:
        metrics["ppo/cosine_with_clm"] = meter.cosine(learner.clm_gradient)
    return metrics


@torch.no_grad()
def reference_log_probs(learner: Learner, rollout: Rollout, reference: Reference) -> Float[Tensor, "B U"]:
    """The reference's log-probs of the utterance tokens (on the same support); the baby's own when there is none."""
    if reference.lm is None:
        return rollout.log_probs
    result = torch.zeros_like(rollout.log_probs)
    for rows in learner.parts(len(result)):
        part = rollout.rows(rows)
        log_probs = _log_policy(learner, _logits(learner, reference.lm, part), part)
        values = torch.zeros_like(part.log_probs)
        values[part.is_real] = log_probs.gather(1, part.tokens[:, None])[:, 0]
        result[rows] = values
    return result


@torch.no_grad()
def check_sampler(learner: Learner, rollout: Rollout, reference: Reference) -> dict[str, float]:
    """The law that makes PPO right, on a live rollout: sampler's log-probs = those of an independent full forward.

    Also measures the exact KL to the reference, summed over the vocabulary, which the same forward gives.

    Raises:
        TrainingError: they differ by more than SAMPLER_TOLERANCE.
    """
    gap, kl = 0.0, 0.0
    with eval_mode(learner.baby):
        for rows in learner.parts(len(rollout.log_probs)):
            part = rollout.rows(rows)
            log_probs = _log_policy(learner, _logits(learner, learner.baby.lm, part), part)
            mine = log_probs.gather(1, part.tokens[:, None])[:, 0]
            gap = max(gap, float((mine - part.log_probs[part.is_real]).abs().max()))
            if reference.lm is not None:
                theirs = _log_policy(learner, _logits(learner, reference.lm, part), part)
                kl += float(ppo.exact_kl(log_probs, theirs).sum())
    if not gap <= SAMPLER_TOLERANCE[learner.recipe.mixed_precision]:
        raise TrainingError(
            f"The sampler's log-probs differ by {gap:.2g} nats from a full forward's: this model's cache or positions "
            "are not handled right, so PPO would be wrong. Please report the model's type.",
            {"gap": gap, "model_type": learner.baby.lm.config.model_type},
        )
    metrics = {"ppo/sampler_gap": gap}
    if reference.lm is not None:
        metrics["ppo/kl_exact"] = kl / len(rollout.log_probs)
    return metrics


@dataclass
class _Updates:
    """Reports of a ppo step's updates."""

    reports: list[dict[str, float]] = field(default_factory=list)
    skipped: int = 0

    def metrics(self) -> dict[str, float]:
        """Means over the updates that have the number."""
        names = dict.fromkeys(name for report in self.reports for name in report)
        means = {f"ppo/{name}": fmean(r[name] for r in self.reports if name in r) for name in names}
        return {**means, "ppo/skipped_updates": self.skipped}


def _minibatches(recipe: Recipe, epoch: int, seed_of_order: tuple[int, int]) -> Iterator[Tensor]:
    """Row numbers of each minibatch of an epoch."""
    size = recipe.minibatch_size
    order = torch.arange(recipe.batch_size)
    if size < recipe.batch_size:
        seed, step = seed_of_order
        order = torch.from_numpy(permutation(recipe.batch_size, seed, f"minibatches/{step}", epoch))
    return iter(order.split(size))


def _minibatch_gradient(
    learner: Learner, rollout: Rollout, advantages: Float[Tensor, "B U"], returns: Float[Tensor, "B U"]
) -> dict[str, float]:
    """Add the gradient of one minibatch's PPO loss to the parameters; returns what the loss was made of.

    When the mean ratio exceeds the threshold the gradient is not that of the loss, and the ratio is all that returns.
    """
    config = learner.recipe.ppo
    count = int(rollout.is_real.sum())
    report = dict.fromkeys(
        ("loss", "policy_loss", "value_loss", "entropy", "clip_fraction", "value_clip_fraction", "ratio", "approx_kl"),
        0.0,
    )
    for rows in learner.parts(len(rollout.is_real)):
        part = rollout.rows(rows)
        real = part.is_real
        old_log_probs, old_values = part.log_probs[real], part.values[real]
        logits, values = learner.baby(part.sequences, part.is_target)
        log_probs_all = _log_policy(learner, logits, part)
        log_probs = log_probs_all.gather(1, part.tokens[:, None])[:, 0]
        log_ratio = (log_probs - old_log_probs).detach()
        ratio = log_ratio.exp()
        report["ratio"] += float(ratio.sum()) / count
        if report["ratio"] > config.ratio_threshold:
            continue  # the update will be skipped; an infinite ratio must not reach the loss
        with torch.set_grad_enabled(config.entropy_coef > 0):
            entropy = ppo.entropy(log_probs_all).sum() / count
        policy = ppo.policy_loss(log_probs, old_log_probs, advantages[rows][real], config.cliprange).sum() / count
        value = ppo.value_loss(values, old_values, returns[rows][real], config.cliprange_value).sum() / count
        loss = policy + config.vf_coef * value - config.entropy_coef * entropy
        report["loss"] += _finite(float(loss.detach()), "ppo loss", part.sequences)
        learner.accelerator.backward(loss)
        with torch.no_grad():
            report["policy_loss"] += float(policy.detach())
            report["value_loss"] += float(value.detach())
            report["entropy"] += float(entropy.detach())
            report["clip_fraction"] += float(((ratio - 1).abs() > config.cliprange).sum()) / count
            report["value_clip_fraction"] += float(((values - old_values).abs() > config.cliprange_value).sum()) / count
            report["approx_kl"] += float((ratio - 1 - log_ratio).sum()) / count
    return {"ratio": report["ratio"]} if report["ratio"] > config.ratio_threshold else report


def _logits(learner: Learner, lm: Any, rollout: Rollout) -> Float[Tensor, "N V"]:
    """A model's logits before each real utterance token, by one full forward."""
    sequences = rollout.sequences
    with learner.accelerator.autocast():
        return logits_before(lm, sequences, rollout.is_target)


def _log_policy(learner: Learner, logits: Float[Tensor, "N V"], rollout: Rollout) -> Float[Tensor, "N V"]:
    support = None if rollout.support is None else rollout.support[rollout.is_real]
    return log_policy(logits, learner.recipe.rollout.temperature, support)


def _update(learner: Learner, phase: Any, update: int, batch: TokenBatch) -> tuple[float, float]:
    try:
        return learner.optimizers.step(phase, update)
    except FloatingPointError as error:
        raise TrainingError(f"{phase}: {error}", {"input_ids": batch.input_ids.tolist()}) from None


def _finite(value: float, name: str, batch: TokenBatch) -> float:
    if not math.isfinite(value):
        raise TrainingError(f"the {name} is {value}", {"input_ids": batch.input_ids.tolist()})
    return value
