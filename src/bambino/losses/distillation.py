"""Learning from a distribution in place of a token: tensors in, tensors out.

A target p gives K tokens of the vocabulary their probabilities and leaves a rest to all others. It is compared with q,
the model's, over K + 1 outcomes: the K tokens, and "any other". Where p is whole, this is the divergence over the
vocabulary; else it is at most that (data processing).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

Divergence: TypeAlias = Literal["forward", "reverse", "mixed"]

FLOOR = 1e-6
"""Least probability that a target is taken to give an outcome where it is divided by."""


def divergence(
    logits: Float[Tensor, "N V"], ids: Int[Tensor, "N K"], probs: Float[Tensor, "N K"], kind: Divergence
) -> Float[Tensor, " N"]:
    """How far the model's distribution is from its target at each place, in nats, computed in fp32.

    forward: KL(p || q), which wants q to cover p. reverse: KL(q || p), which wants q to stay inside p (p not below
    FLOOR). mixed: the Jensen-Shannon divergence, [KL(p || m) + KL(q || m)] / 2 with m = (p + q) / 2 (Agarwal et al.
    2023, arXiv 2306.13649, eq. 1, beta 1/2).

    Args:
        probs: of the K tokens; a row sums to at most 1, and what is left is the rest.
    """
    log_q = _outcomes(logits.float().log_softmax(-1).gather(1, ids))
    p = torch.cat([probs.float(), (1 - probs.float().sum(1, keepdim=True)).clamp(min=0)], 1)
    if kind == "forward":
        return (torch.xlogy(p, p) - p * log_q).sum(1)
    q = log_q.exp()
    if kind == "reverse":
        return (q * (log_q - p.clamp(min=FLOOR).log())).sum(1)
    log_m = ((p + q) / 2).clamp(min=FLOOR**2).log()
    return (torch.xlogy(p, p) - p * log_m + q * (log_q - log_m)).sum(1) / 2


def kl_from(expected: Float[Tensor, "N V"], logits: Float[Tensor, "N V"]) -> Float[Tensor, " N"]:
    """KL(p || q) at each place, in nats, computed in fp32: p by the expected logits, q by the model's."""
    log_p, log_q = (x.float().log_softmax(-1) for x in (expected, logits))
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _outcomes(log_q: Float[Tensor, "N K"]) -> Float[Tensor, "N L"]:
    """log-probs of K tokens and, last, of any other."""
    kept = log_q.exp().sum(1, keepdim=True)
    return torch.cat([log_q, (1 - kept).clamp(min=FLOOR).log()], 1).clamp(min=-1e4)
