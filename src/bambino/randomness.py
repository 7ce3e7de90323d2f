"""All randomness comes from words: (seed, stream, epoch or step) -> a permutation, uniform numbers, or a seed."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def seed_of(*words: object) -> int:
    """A seed for a generator, from words such as a run's seed, the name of a stream and a step."""
    return _number("/".join(map(str, words))) >> 1


def uniforms(batch: int, width: int, *, seed: int, stream: str, step: int) -> Float[Tensor, "B U"]:
    """Uniform numbers in [0, 1) for a whole batch: a pure function of the arguments."""
    generator = torch.Generator().manual_seed(seed_of(seed, stream, step))
    return torch.rand(batch, width, generator=generator, dtype=torch.float64)


def permutation(n: int, seed: int, stream: str, epoch: int) -> np.ndarray:
    """A permutation of n that depends on nothing else. Raw PCG64 output is stable across NumPy versions."""
    generator = np.random.PCG64(np.random.SeedSequence([seed, _number(stream), epoch]))
    return np.argsort(generator.random_raw(n), kind="stable")


def _number(words: str) -> int:
    """Eight bytes of the words' sha256."""
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "little")
