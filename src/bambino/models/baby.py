"""The baby: a causal LM with a value head."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from bambino.models.graphed import GraphedStates
from bambino.scoring.forward import lm_logits, states_before
from bambino.text.batches import TokenBatch


class Baby(nn.Module):
    """A causal LM with a value head: linear on the last hidden state, zero at first."""

    def __init__(self, lm: PreTrainedModel) -> None:
        super().__init__()
        self.lm = lm
        width = lm.get_output_embeddings().in_features
        self.value_head = nn.Linear(width, 1, device=lm.device, dtype=lm.dtype)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self.graphed: GraphedStates | None = None
        """Runs the layers by CUDA graphs while gradients are wanted."""

    def values(self, hidden: Float[Tensor, "... D"]) -> Float[Tensor, " ..."]:
        """The value of the state after reading up to a hidden state."""
        values: Tensor = self.value_head(hidden)
        return values.squeeze(-1)

    def forward(
        self, batch: TokenBatch, is_target: Bool[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "N V"], Float[Tensor, " N"]]:
        """Logits and values of the states before the N target tokens, row by row."""
        if self.graphed is not None and torch.is_grad_enabled() and self.graphed.fits(batch):
            states = self.graphed(batch.columns(slice(-1)))[is_target[:, 1:]]
        else:
            states = states_before(self.lm, batch, is_target)
        return lm_logits(self.lm, states), self.values(states).float()
