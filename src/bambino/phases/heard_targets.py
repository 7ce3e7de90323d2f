"""What the parent expects of the lines that the baby hears, beside the lines' own tokens.

A line's targets depend on the line alone, so they are kept: a second pass over the text costs no parent. Lines are read
in fixed blocks, those of the first pass in its order, so that a run that goes on from a checkpoint, where nothing is
kept yet, reads the same blocks and finds the same bits.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from bambino.feedback.parent_targets import ParentTargets, RowTargets
from bambino.phases.phase import Tools
from bambino.phases.targets import BatchTargets, sample_lines, targets_for
from bambino.recipe.schedule import Place
from bambino.text.batches import TokenBatch
from bambino.text.streams import LineStream

KEPT_BYTES = 1 << 31
"""Memory for targets that are kept; beyond it, those that were found first are found again when they are needed."""


def heard_targets(tools: Tools, phase: str) -> HeardTargets | None:
    """The parent's targets for what a phase hears; None where the recipe names none."""
    kind = targets_for(tools, phase)
    return None if kind is None else HeardTargets(tools, kind)


class HeardTargets:
    """Targets of the lines of the clm stream."""

    def __init__(self, tools: Tools, kind: ParentTargets) -> None:
        self.tools, self.config = tools, kind.config
        self.reader = kind.reader(tools.tokenizer, sample_lines(tools))
        stream = tools.streams.clm
        self.stream = stream if isinstance(stream, LineStream) else None
        self._kept: OrderedDict[int, RowTargets] = OrderedDict()
        self._bytes = 0
        if self.stream is not None:
            heard = np.concatenate([self.stream.epoch_order(0), np.arange(len(self.stream.rows))])
            first_heard = np.unique(heard, return_index=True)[1]
            self._order = heard[np.sort(first_heard)]
            self._place = np.argsort(self._order)

    def of(self, batch: TokenBatch, at: Place) -> BatchTargets:
        """The targets of a clm step's batch."""
        lines = self.tools.streams.clm_lines(at)
        rows = self._of_segments(batch) if lines is None else list(enumerate(self._of_lines(lines)))
        return BatchTargets.of(rows, self.config, self.reader.unanswered)

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
        first = int(self._place[line]) // size * size
        lines = self._order[first : first + size].tolist()
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
