"""The policy gradient without a critic: tensors in, tensors out.

With the policy that spoke, the gradient is REINFORCE's, -A * grad log pi (Williams 1992); with one that has moved
since, it is the clipped surrogate's (Schulman et al. 2017, arXiv 1707.06347).
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from bambino.losses.ppo import entropy, policy_loss


def reinforce_loss(
    log_policy: Float[Tensor, "N V"],
    log_probs: Float[Tensor, " N"],
    old_log_probs: Float[Tensor, " N"],
    advantages: Float[Tensor, " N"],
    shares: Float[Tensor, " N"],
    cliprange: float | None,
) -> dict[str, Tensor]:
    """The loss of N tokens, which may be a part of a batch, and what says how far the policy has moved.

    Args:
        log_policy: the policy before each token; log_probs: of the tokens said; old_log_probs: when they were said.
        shares: of each token in the batch's loss (`token_shares`).
        cliprange: ratios are clipped to 1 +- this; None: the policy has not moved, so they count as 1.

    Returns:
        "loss" with its gradient; without, summed by share: entropy, ratio (of new to old probability), clip_fraction
        (0 without clipping), approx_kl (ratio - 1 - log ratio).
    """
    log_ratio = (log_probs - old_log_probs).detach()
    ratio = log_ratio.exp()
    old = log_probs.detach() if cliprange is None else old_log_probs
    limit = float("inf") if cliprange is None else cliprange
    numbers = {
        "loss": policy_loss(log_probs, old, advantages, limit),
        "entropy": entropy(log_policy.detach()),
        "ratio": ratio,
        "clip_fraction": ((ratio - 1).abs() > limit).float(),
        "approx_kl": ratio - 1 - log_ratio,
    }
    return {name: (number * shares).sum() for name, number in numbers.items()}


def token_shares(is_real: Bool[Tensor, "B U"], *, per_utterance: bool) -> Float[Tensor, "B U"]:
    """What each token counts in a batch's loss: the same for all, or first a mean over each utterance's own tokens.

    The first is, up to one factor a batch, the sum of each utterance's log-probs (RLOO; Dr. GRPO, Liu et al. 2025,
    arXiv 2503.20783). The second is GRPO as published: a long utterance's tokens count less, which favours long wrong
    ones.
    """
    lengths = is_real.sum(1, keepdim=True) * len(is_real) if per_utterance else is_real.sum()
    return is_real / lengths
