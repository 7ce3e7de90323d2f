"""What the parent expects of the lines that the baby hears, beside the lines' own tokens.

A line's targets depend on the line alone, so they are kept: a second pass over the text costs no parent. Lines are read
in fixed blocks, those of the first pass in its order, so that a run that goes on from a checkpoint, where nothing is
kept yet, reads the same blocks and finds the same bits.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from bambino.feedback.answers import Targets
from bambino.feedback.parent_targets import LINES_WITH_ENDS, ParentTargets, RowTargets, joined
from bambino.feedback.settings import ParentTargetsConfig
from bambino.losses.distillation import divergence
from bambino.phases.phase import Tools
from bambino.phases.updates import Loss
from bambino.recipe.schedule import Place
from bambino.scoring.forward import positions_of
from bambino.speaking.utterances import decoded
from bambino.text.batches import TokenBatch
from bambino.text.streams import LineStream

KEPT_BYTES = 1 << 31
"""Memory for targets that are kept; beyond it, those that were found first are found again when they are needed."""


def heard_targets(tools: Tools, phase: str) -> HeardTargets | None:
    """The parent's targets for what a phase hears; None where the recipe names none."""
    kinds = [kind for kind in tools.feedback_for(phase) if isinstance(kind.reward, ParentTargets)]
    return HeardTargets(tools, kinds[0].reward, kinds[0].weight) if kinds else None


class HeardTargets:
    """Targets of the lines of the clm stream."""

    def __init__(self, tools: Tools, kind: ParentTargets, weight: float) -> None:
        self.tools, self.config, self.weight = tools, kind.config, weight
        self.reader = kind.reader(tools.tokenizer, sample_lines(tools))
        stream = tools.streams.clm
        self.stream = stream if isinstance(stream, LineStream) else None
        self._kept: OrderedDict[int, RowTargets] = OrderedDict()
        self._bytes = 0
        if self.stream is not None:
            heard = [*self.stream.epoch_order(0).tolist(), *range(len(self.stream.rows))]
            self._order = list(dict.fromkeys(heard))
            self._place = {line: place for place, line in enumerate(self._order)}

    def of(self, batch: TokenBatch, at: Place) -> BatchTargets:
        """The targets of a clm step's batch."""
        lines = self.tools.streams.clm_lines(at)
        rows = self._of_segments(batch) if lines is None else list(enumerate(self._of_lines(lines)))
        targets, dropped = joined(rows, self.config.max_dropped)
        return BatchTargets(targets, dropped, self.config, self.weight, self.reader.unanswered)

    def _of_lines(self, lines: list[int]) -> list[RowTargets]:
        found: dict[int, RowTargets] = {}
        for line in lines:
            if line not in self._kept and line not in found:
                found |= self._read_block(line)
            elif line in self._kept:
                found[line] = self._kept[line]
        return [found[line] for line in lines]

    def _read_block(self, line: int) -> dict[int, RowTargets]:
        """Find the targets of the lines that are read with this one, and keep them."""
        size = self.tools.streams.batch_size
        first = self._place[line] // size * size
        lines = self._order[first : first + size]
        assert self.stream is not None
        found = dict(zip(lines, self._read([self.stream.row(i) for i in lines]), strict=True))
        for i in found.keys() - self._kept.keys():
            self._bytes += found[i].num_bytes
            self._kept[i] = found[i]
        while self._bytes > KEPT_BYTES:
            self._bytes -= self._kept.popitem(last=False)[1].num_bytes
        return found

    def _of_segments(self, batch: TokenBatch) -> list[tuple[int, RowTargets]]:
        """Of a packed batch: each line's part of a row by itself."""
        assert batch.documents is not None
        places = []
        for row, documents in enumerate(batch.documents.tolist()):
            starts = [c for c in range(len(documents)) if c == 0 or documents[c] != documents[c - 1]]
            places += [(row, a, b) for a, b in zip(starts, [*starts[1:], len(documents)], strict=True)]
        found = self._read([batch.input_ids[row, a:b].tolist() for row, a, b in places])
        return [(row, answers.moved(first)) for answers, (row, first, _) in zip(found, places, strict=True)]

    def _read(self, rows: list[list[int]]) -> list[RowTargets]:
        found, tokens_read = self.reader(rows)
        self.tools.costs.read(self.reader.lm, tokens_read)
        return found


@dataclass(frozen=True, eq=False)
class BatchTargets:
    """Targets at places of a batch, and how they are learned from."""

    targets: Targets
    dropped: Float[Tensor, " M"]
    """What was dropped at each place, also at those that were left out for it."""
    config: ParentTargetsConfig
    weight: float
    unanswered: int | None
    """The baby's token that the parent says nothing about."""

    def metrics(self) -> dict[str, float]:
        """Means over all places of the batch that the parent was asked about."""
        skipped = self.dropped > self.config.max_dropped
        return {"targets_dropped": float(self.dropped.mean()), "targets_skipped": float(skipped.float().mean())}

    def loss(self, batch: TokenBatch, count: int) -> Loss:
        """Cross-entropy with the text, mixed with the divergence from the targets where there are some; over `count`.

        Also told: the mean divergence over the places with targets.
        """
        number = torch.full(batch.input_ids.shape, -1)
        number[self.targets.row, self.targets.position] = torch.arange(len(self.targets.row))
        share, asked = self.config.share, max(1, len(self.targets.row))

        def loss(logits: Tensor, _: Tensor, part: TokenBatch, rows: slice) -> dict[str, Tensor]:
            row, column = stood_at(part, rows.start, was_packed=batch.documents is not None)
            which = number.to(logits.device)[row, column]
            has_target = which >= 0
            own = cross_entropy(logits.float(), part.input_ids[part.is_target], reduction="none")
            ids, probs = (x.to(logits.device)[which[has_target]] for x in (self.targets.ids, self.targets.probs))
            asked_of = logits[has_target].float()
            if self.unanswered is not None:
                asked_of = asked_of.index_fill(1, torch.tensor([self.unanswered], device=logits.device), -torch.inf)
            apart = divergence(asked_of, ids.long(), probs, self.config.divergence)
            mixed = own.sum() - share * own[has_target].sum() + share * self.weight * apart.sum()
            return {"loss": mixed / count, "targets_loss": apart.detach().sum() / asked}

        return loss


def stood_at(part: TokenBatch, first: int, *, was_packed: bool) -> tuple[Int[Tensor, " N"], Int[Tensor, " N"]]:
    """Row and column that each target of a part of a batch had there, before `without_pads`; `first`: of its rows."""
    width = part.input_ids.shape[1]
    if part.documents is None or was_packed:
        row = torch.arange(len(part.input_ids), device=part.input_ids.device)[:, None].expand(-1, width)
        column = torch.arange(width, device=part.input_ids.device).expand(len(part.input_ids), -1)
    else:
        row, column = part.documents, positions_of(part.is_real, part.documents)
    return first + row[part.is_target], column[part.is_target]


def sample_lines(tools: Tools) -> list[str]:
    """Whole lines of the run's L2 text, as the baby's tokens say them."""
    stream = tools.streams.lines
    whole = (i for i in range(len(stream.rows)) if not stream.rows.is_truncated[i])
    rows = (stream.rows[i].tolist() for i in islice(whole, LINES_WITH_ENDS))
    return [decoded(tools.tokenizer, row, is_whole=True) for row in rows]
