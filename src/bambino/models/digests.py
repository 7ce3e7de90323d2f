"""sha256 of weights: what a run was made of."""

from __future__ import annotations

import hashlib

import torch
from transformers import PreTrainedModel


def weights_sha256(lm: PreTrainedModel) -> str:
    """Of the names and numbers of all weights, wherever they were opened from; about a second per GB."""
    digest = hashlib.sha256()
    for name, parameter in lm.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
