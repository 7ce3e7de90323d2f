"""Learning from preferences, a better and a worse text after a prompt: tensors in, tensors out, a number a pair.

A text's reward is what the policy makes of it; the better one's shall exceed the worse one's.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo_reward(log_probs: Float[Tensor, " N"], ref_log_probs: Float[Tensor, " N"], beta: float) -> Float[Tensor, " N"]:
    """beta * (log pi - log pi_ref) of whole texts, in nats (Rafailov et al. 2023, arXiv 2305.18290, section 4)."""
    return beta * (log_probs - ref_log_probs)


def simpo_reward(log_probs: Float[Tensor, " N"], tokens: Float[Tensor, " N"], beta: float) -> Float[Tensor, " N"]:
    """beta * log pi / tokens of whole texts, in nats per token (Meng et al. 2024, arXiv 2405.14734, eq. 4)."""
    return beta * log_probs / tokens


def preference_loss(
    better: Float[Tensor, " P"], worse: Float[Tensor, " P"], margin: float = 0.0
) -> Float[Tensor, " P"]:
    """-log sigmoid(better - worse - margin) of rewards.

    Rafailov et al. 2023, eq. 7; with SimPO's rewards and its gamma for a margin, Meng et al. 2024, eq. 6.
    """
    return -logsigmoid(better - worse - margin)
