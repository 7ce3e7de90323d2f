"""From rewards to advantages: per-token rewards; generalized advantage estimates, whitening (Schulman et al. 2016,
arXiv 1506.02438); baselines without a critic (Ahmadian et al. 2024, arXiv 2402.14740; Shao et al. 2024, arXiv
2402.03300).

(B, U) tensors have a column per utterance token, real ones first.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def token_rewards(
    credit: Float[Tensor, "B U"],
    log_probs: Float[Tensor, "B U"],
    ref_log_probs: Float[Tensor, "B U"],
    is_real: Bool[Tensor, "B U"],
    kl_coef: float,
) -> Float[Tensor, "B U"]:
    """What each real token earned, less kl_coef * (log pi - log pi_ref); zero elsewhere."""
    penalty = -kl_coef * (log_probs - ref_log_probs)
    return torch.where(is_real, penalty + credit, 0.0)


def at_last_token(values: Float[Tensor, " B"], is_real: Bool[Tensor, "B U"]) -> Float[Tensor, "B U"]:
    """One number per utterance, at its last real token; zero elsewhere."""
    is_last = is_real.clone()
    is_last[:, :-1] &= ~is_real[:, 1:]
    return torch.where(is_last, values[:, None], 0.0)


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


def leave_one_out(rewards: Float[Tensor, " B"], group_size: int) -> Float[Tensor, " B"]:
    """Each reward less the mean of the others of its group (RLOO: Kool et al. 2019; Ahmadian et al. 2024).

    Rows of a group stand together. The baseline knows nothing of the utterance itself, so it takes variance away and
    adds no bias.
    """
    groups = rewards.view(-1, group_size)
    others = (groups.sum(1, keepdim=True) - groups) / (group_size - 1)
    return (groups - others).flatten()


def group_relative(rewards: Float[Tensor, " B"], group_size: int) -> Float[Tensor, " B"]:
    """Each reward less its group's mean, over the group's standard deviation (unbiased) + 1e-4.

    GRPO (Shao et al. 2024, section 4.1.2; epsilon and deviation as TRL has them). Rows of a group stand together.
    """
    groups = rewards.view(-1, group_size)
    centred = groups - groups.mean(1, keepdim=True)
    return (centred / (groups.std(1, keepdim=True) + 1e-4)).flatten()


def less_mean(values: Float[Tensor, "B U"], counts: Bool[Tensor, "B U"]) -> Float[Tensor, "B U"]:
    """Values less their mean over the tokens that count; zero elsewhere."""
    mean = torch.where(counts, values, 0.0).sum() / counts.sum().clamp(min=1)
    return torch.where(counts, values - mean, 0.0)
