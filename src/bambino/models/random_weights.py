"""A model that has learned nothing: a baby's weights made random, its shape and its tokenizer kept."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from bambino.models.reference import copy_weights
from bambino.randomness import seed_of


def randomize_weights(lm: PreTrainedModel, seed: int) -> None:
    """Give a model, in place, the weights that one of its class and configuration begins with: a function of the seed,
    on whatever device the model is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "random_weights"))
        newborn = type(lm)(lm.config)
    copy_weights(lm, dict(newborn.named_parameters()))
