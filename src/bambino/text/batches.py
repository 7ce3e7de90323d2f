"""Token rows as padded batches; several lines to a row where they fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class TokenBatch:
    """Right-padded token rows."""

    input_ids: Int[Tensor, "B T"]
    is_real: Bool[Tensor, "B T"]
    """False on pads."""
    documents: Int[Tensor, "B T"] | None = None
    """Packed rows: which line of the row a token belongs to."""

    @property
    def is_target(self) -> Bool[Tensor, "B T"]:
        """Column t: whether token t is predicted, i.e. it and the token before it are real and of one line."""
        wanted = self.is_real.clone()
        wanted[:, 0] = False
        wanted[:, 1:] &= self.is_real[:, :-1]
        if self.documents is not None:
            wanted[:, 1:] &= self.documents[:, 1:] == self.documents[:, :-1]
        return wanted

    def to(self, device: torch.device | str) -> TokenBatch:
        """The same on a device; a GPU is not waited for on the way there."""
        there = partial(Tensor.to, device=device, non_blocking=torch.device(device).type == "cuda")
        documents = None if self.documents is None else there(self.documents)
        return TokenBatch(there(self.input_ids), there(self.is_real), documents)

    def rows(self, rows: slice) -> TokenBatch:
        """A part of the batch."""
        documents = None if self.documents is None else self.documents[rows]
        return TokenBatch(self.input_ids[rows], self.is_real[rows], documents)

    def columns(self, columns: slice) -> TokenBatch:
        """Some columns of all rows."""
        documents = None if self.documents is None else self.documents[:, columns]
        return TokenBatch(self.input_ids[:, columns], self.is_real[:, columns], documents)


def pad(rows: list[list[int]], pad_id: int, side: Literal["left", "right"] = "right") -> TokenBatch:
    """Rows of unequal length as one batch."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    is_real = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        ids[i, where] = torch.as_tensor(row, dtype=torch.long)
        is_real[i, where] = True
    return TokenBatch(ids, is_real)


def without_pads(batch: TokenBatch) -> TokenBatch:
    """The same rows, several to a row where they fit (first fit, longest first): fewer pads to compute.

    `documents` keeps them apart, so every token's log-prob is what it was; the order of rows is not kept.
    """
    lengths = batch.is_real.sum(1).tolist()
    width = max(lengths)
    bins: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fitting = next((b for b, free in enumerate(room) if free >= lengths[i]), None)
        if fitting is None:
            bins.append([])
            room.append(width)
            fitting = -1
        bins[fitting].append(i)
        room[fitting] -= lengths[i]
    if len(bins) == len(lengths) or batch.documents is not None:
        return batch
    ids = [torch.cat([batch.input_ids[i][batch.is_real[i]] for i in rows]).tolist() for rows in bins]
    joined = pad(ids, pad_id=0)
    documents = torch.full_like(joined.input_ids, -1)
    for b, rows in enumerate(bins):
        owners = torch.tensor(rows).repeat_interleave(torch.tensor([lengths[i] for i in rows]))
        documents[b, : len(owners)] = owners
    return TokenBatch(joined.input_ids, joined.is_real, documents)
