"""Proximal policy optimization on utterances: tensors in, tensors out.

(B, U) tensors have a column per utterance token, real ones first; (N,) tensors hold the real tokens only, row by row,
so nothing below a mask can leak into a mean. Constants and forms are TRL 0.9-0.11's, which the paper used; formulas
from Schulman et al. 2016 (GAE, arXiv 1506.02438) and 2017 (PPO, arXiv 1707.06347).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def token_rewards(
    rewards: Float[Tensor, " B"],
    log_probs: Float[Tensor, "B U"],
    ref_log_probs: Float[Tensor, "B U"],
    is_real: Bool[Tensor, "B U"],
    kl_coef: float,
) -> Float[Tensor, "B U"]:
    """-kl_coef * (log pi - log pi_ref) at every real token, plus the utterance's reward at its last; zero elsewhere."""
    penalty = -kl_coef * (log_probs - ref_log_probs)
    is_last = is_real.clone()
    is_last[:, :-1] &= ~is_real[:, 1:]
    return torch.where(is_real, penalty, 0.0) + torch.where(is_last, rewards[:, None], 0.0)


def gae(
    rewards: Float[Tensor, "B U"],
    values: Float[Tensor, "B U"],
    is_real: Bool[Tensor, "B U"],
    gamma: float,
    lam: float,
) -> Float[Tensor, "B U"]:
    """Generalized advantage estimates (Schulman 2016, eq. 16); an utterance's end has value 0. Zero elsewhere.

    delta_u = r_u + gamma * V_{u+1} - V_u          A_u = delta_u + gamma * lam * A_{u+1}
    """
    values = torch.where(is_real, values, 0.0)
    rewards = torch.where(is_real, rewards, 0.0)
    advantages = torch.zeros_like(rewards)
    next_value = next_advantage = torch.zeros_like(rewards[:, 0])
    for u in reversed(range(rewards.shape[1])):
        delta = rewards[:, u] + gamma * next_value - values[:, u]
        advantages[:, u] = torch.where(is_real[:, u], delta + gamma * lam * next_advantage, 0.0)
        next_value, next_advantage = values[:, u], advantages[:, u]
    return advantages


def whiten(x: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Mean 0, variance 1 (unbiased, epsilon 1e-8); of a single number, 0."""
    centred = x - x.mean()
    variance = centred.square().sum() / max(1, x.numel() - 1)
    return centred * torch.rsqrt(variance + 1e-8)


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
