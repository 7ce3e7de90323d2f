"""Proximal policy optimization on utterances: tensors in, tensors out.

(B, U) tensors have a column per utterance token, real ones first; (N,) tensors hold the real tokens only, row by row,
so nothing below a mask can leak into a mean. Constants and forms are TRL 0.9-0.11's, which the paper used; formulas
from Schulman et al. 2016 (GAE, arXiv 1506.02438) and 2017 (PPO, arXiv 1707.06347).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from bambino.recipe.phase_settings import PPOConfig


def ppo_loss(
    log_policy: Float[Tensor, "N V"],
    log_probs: Float[Tensor, " N"],
    values: Float[Tensor, " N"],
    old: Old,
    config: PPOConfig,
    count: int,
) -> dict[str, Tensor]:
    """policy + vf_coef * value - entropy_coef * entropy, and what it is made of; sums over the N tokens over `count`.

    Args:
        log_policy: the policy before each token; log_probs: of the tokens said; values: of the states before them.
        count: tokens of the whole minibatch, of which these may be a part.

    Returns:
        "loss" with its gradient; without: policy_loss, value_loss, entropy, ratio (mean of new over old probability),
        clip_fraction, value_clip_fraction, approx_kl (mean of ratio - 1 - log ratio).
    """
    log_ratio = (log_probs - old.log_probs).detach()
    ratio = log_ratio.exp()
    with torch.set_grad_enabled(config.entropy_coef > 0):
        bonus = entropy(log_policy).sum() / count
    policy = policy_loss(log_probs, old.log_probs, old.advantages, config.cliprange).sum() / count
    value = value_loss(values, old.values, old.returns, config.cliprange_value).sum() / count
    moved = (values.detach() - old.values).abs() > config.cliprange_value
    return {
        "loss": policy + config.vf_coef * value - config.entropy_coef * bonus,
        "policy_loss": policy.detach(),
        "value_loss": value.detach(),
        "entropy": bonus.detach(),
        "ratio": ratio.sum() / count,
        "clip_fraction": ((ratio - 1).abs() > config.cliprange).sum() / count,
        "value_clip_fraction": moved.sum() / count,
        "approx_kl": (ratio - 1 - log_ratio).sum() / count,
    }


@dataclass(frozen=True)
class Old:
    """What the tokens were when they were said."""

    log_probs: Float[Tensor, " N"]
    values: Float[Tensor, " N"]
    advantages: Float[Tensor, " N"]
    returns: Float[Tensor, " N"]


def policy_loss(
    log_probs: Float[Tensor, " N"],
    old_log_probs: Float[Tensor, " N"],
    advantages: Float[Tensor, " N"],
    cliprange: float,
) -> Float[Tensor, " N"]:
    """max(-A * ratio, -A * clip(ratio, 1 - cliprange, 1 + cliprange)) per token (Schulman 2017, eq. 7, negated)."""
    ratio = torch.exp(log_probs - old_log_probs)
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - cliprange, 1 + cliprange))


def value_loss(
    values: Float[Tensor, " N"],
    old_values: Float[Tensor, " N"],
    returns: Float[Tensor, " N"],
    cliprange_value: float,
) -> Float[Tensor, " N"]:
    """1/2 * max((V - ret)^2, (V_clipped - ret)^2) per token, V_clipped within cliprange_value of the old value."""
    clipped = old_values + (values - old_values).clamp(-cliprange_value, cliprange_value)
    return 0.5 * torch.maximum((values - returns).square(), (clipped - returns).square())


def entropy(log_policy: Float[Tensor, "N V"]) -> Float[Tensor, " N"]:
    """Entropy of each row, in nats; tokens outside the support (log-prob -inf) add nothing, gradients included."""
    in_support = log_policy > float("-inf")
    safe = torch.where(in_support, log_policy, 0.0)
    return -torch.where(in_support, safe.exp() * safe, 0.0).sum(-1)


def exact_kl(log_policy: Float[Tensor, "N V"], ref_log_policy: Float[Tensor, "N V"]) -> Float[Tensor, " N"]:
    """KL(pi || pi_ref) over the whole vocabulary at each token, in nats."""
    in_support = log_policy > float("-inf")
    gap = torch.where(in_support, log_policy - ref_log_policy, 0.0)
    return torch.where(in_support, log_policy.exp() * gap, 0.0).sum(-1)


def adapted_kl_coef(kl_coef: float, kl: float, target: float, horizon: float, batch_size: int) -> float:
    """The next kl_coef (Ziegler et al. 2019, section 2.2): at most 20 % of batch_size / horizon up or down.

    Args:
        kl: batch mean of the per-utterance sum of log pi - log pi_ref, in nats.
    """
    error = min(max(kl / target - 1.0, -0.2), 0.2)
    return kl_coef * (1.0 + error * batch_size / horizon)
