"""Next-token losses: tensors in, tensors out."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy


def smoothed_loss(logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"], smoothing: float) -> Float[Tensor, ""]:
    """Summed cross-entropy with (1 - smoothing) on the target plus smoothing spread evenly over the vocabulary."""
    return cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=smoothing)
