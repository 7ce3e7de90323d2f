"""What a run costs: the one place that knows FLOPs."""

from __future__ import annotations

from transformers import (
    PreTrainedModel,
)


def forward_flops(lm: PreTrainedModel, tokens: int, targets: int) -> int:
    """Multiply-adds x 2 of a forward over so many tokens, the LM head on `targets` of them; attention scores left out.

    Training costs three times a forward (Kaplan et al. 2020, section 2.1).
    """
    embeddings = {id(p) for p in [*lm.get_input_embeddings().parameters(), *lm.get_output_embeddings().parameters()]}
    body = sum(p.numel() for p in lm.parameters() if id(p) not in embeddings)
    return 2 * body * tokens + 2 * lm.get_output_embeddings().weight.numel() * targets
