"""The law that makes PPO and REINFORCE right: the sampler's log-probs are those of an independent full forward."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from bambino.errors import TrainingError
from bambino.losses import ppo
from bambino.models.reference import Reference
from bambino.phases.learner import Learner
from bambino.scoring.forward import eval_mode, logits_before
from bambino.speaking.rollout import Rollout

SAMPLER_TOLERANCE = {"no": 1e-3, "bf16": 1.0}
"""Nats by which the sampler's log-probs may differ from a full forward's, by mixed_precision; rounding alone makes them
differ by up to 2e-5 and 0.3 on real weights (`benchmarks/rounding.py`)."""


@torch.no_grad()
def check_sampler(learner: Learner, rollout: Rollout, reference: Reference, phase: str) -> dict[str, float]:
    """Compare a live rollout's log-probs with those of an independent full forward.

    Also measures the exact KL to the reference, summed over the vocabulary, which the same forward gives. Both are
    metrics of the phase.

    Raises:
        TrainingError: they differ by more than SAMPLER_TOLERANCE.
    """
    gap, kl = 0.0, 0.0
    with eval_mode(learner.baby):
        for rows in learner.parts(len(rollout.log_probs)):
            part = rollout.rows(rows)
            log_probs = policy_of(learner, learner.baby.lm, part)
            mine = log_probs.gather(1, part.tokens[:, None])[:, 0]
            gap = max(gap, float((mine - part.of_tokens(part.log_probs)).abs().max()))
            if reference.lm is not None:
                theirs = policy_of(learner, reference.lm, part)
                kl += float(ppo.exact_kl(log_probs, theirs).sum())
    gap, kl = learner.processes.max(gap), learner.processes.sum(kl)
    if not gap <= SAMPLER_TOLERANCE[learner.recipe.mixed_precision]:
        raise TrainingError(
            f"The sampler's log-probs differ by {gap:.2g} nats from a full forward's: this model's cache or positions "
            f"are not handled right, so {phase} would be wrong. Please report the model's type.",
            {"gap": gap, "model_type": learner.baby.lm.config.model_type},
        )
    metrics = {f"{phase}/sampler_gap": gap}
    if reference.lm is not None:
        metrics[f"{phase}/kl_exact"] = kl / len(rollout.log_probs)
    return metrics


def policy_of(learner: Learner, lm: PreTrainedModel, rollout: Rollout) -> Float[Tensor, "N V"]:
    """A model's policy before each real utterance token, by one full forward, on the support that was sampled from."""
    with learner.accelerator.autocast():
        logits = logits_before(lm, rollout.sequences, rollout.is_target)
    return rollout.policy(logits, learner.recipe.rollout.temperature)
