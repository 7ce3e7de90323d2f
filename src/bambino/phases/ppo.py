"""The ppo phase: epochs x minibatches updates on one rollout.

Losses are sums over real tokens divided by the update's count of real tokens, so splitting a batch changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from bambino.losses import ppo
from bambino.losses.advantages import gae, token_rewards, whiten
from bambino.models.reference import Reference
from bambino.phases.learner import Learner, _finite, _update
from bambino.phases.sampler_law import _log_policy, _logits
from bambino.phases.updates import UpdateMeter
from bambino.randomness import permutation
from bambino.recipe.settings import Recipe
from bambino.scoring.forward import eval_mode
from bambino.speaking.rollout import Rollout


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
    per_token = token_rewards(rewards, rollout.log_probs, ref_log_probs, rollout.is_real, kl_coef)
    raw = gae(per_token, rollout.values, rollout.is_real, config.gamma, config.lam)
    returns = raw + rollout.values
    advantages = torch.zeros_like(raw)
    advantages[rollout.is_real] = whiten(raw[rollout.is_real])

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
