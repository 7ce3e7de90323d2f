"""The next-token loss: tensors in, tensors out."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy


def clm_loss(logits: Float[Tensor, "N V"], tokens: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    """Summed negative log-likelihood of the tokens, in nats, computed in fp32."""
    return cross_entropy(logits.float(), tokens, reduction="none").sum()
