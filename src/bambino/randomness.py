"""All randomness comes from words: (seed, stream, epoch or step) -> a permutation, or uniform numbers."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def uniforms(batch: int, width: int, *, seed: int, stream: str, step: int) -> Float[Tensor, "B U"]:
    """Uniform numbers in [0, 1) for a whole batch: a pure function of the arguments."""
    digest = hashlib.sha256(f"{seed}/{stream}/{step}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.rand(batch, width, generator=generator, dtype=torch.float64)


def permutation(n: int, seed: int, stream: str, epoch: int) -> np.ndarray:
    """A permutation of n that depends on nothing else. Raw PCG64 output is stable across NumPy versions."""
    stream_id = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "little")
    generator = np.random.PCG64(np.random.SeedSequence([seed, stream_id, epoch]))
    return np.argsort(generator.random_raw(n), kind="stable")
