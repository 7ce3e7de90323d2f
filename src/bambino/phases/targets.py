"""The parent's targets at places of a batch, and how the baby learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from bambino.errors import RecipeError
from bambino.feedback.answers import Targets
from bambino.feedback.parent_targets import LINES_WITH_ENDS, ParentTargets, RowTargets, joined
from bambino.feedback.settings import ParentTargetsConfig
from bambino.losses.distillation import divergence
from bambino.phases.phase import Tools
from bambino.phases.updates import Loss, Term
from bambino.scoring.forward import positions_of
from bambino.speaking.rollout import Rollout
from bambino.speaking.utterances import decoded
from bambino.text.batches import TokenBatch


def targets_for(tools: Tools, phase: str) -> ParentTargets | None:
    """The kind of targets that a phase learns from; None where the recipe names none.

    Raises:
        RecipeError: there are two.
    """
    kinds = [kind.reward for kind in tools.feedback_for(phase) if isinstance(kind.reward, ParentTargets)]
    if len(kinds) > 1:
        raise RecipeError("feedback", f"Two kinds of feedback give {phase} targets. Name one of them for it.")
    return kinds[0] if kinds else None


@dataclass(frozen=True, eq=False)
class BatchTargets:
    """Targets at places of a batch, and how they are learned from."""

    targets: Targets
    dropped: Float[Tensor, " M"]
    """What was dropped at each place, also at those that were left out for it."""
    config: ParentTargetsConfig
    unanswered: int | None
    """The baby's token that the parent says nothing about."""

    @classmethod
    def of(
        cls, rows: Sequence[tuple[int, RowTargets]], config: ParentTargetsConfig, unanswered: int | None
    ) -> BatchTargets:
        """Those of some rows of a batch, without the places of which too much was dropped."""
        targets, dropped = joined(rows, config.max_dropped)
        return cls(targets, dropped, config, unanswered)

    def metrics(self) -> dict[str, float]:
        """Means over all places of the batch that the parent was asked about."""
        skipped = self.dropped > self.config.max_dropped
        return {"targets_dropped": float(self.dropped.mean()), "targets_skipped": float(skipped.float().mean())}

    def loss(self, batch: TokenBatch, count: int) -> Loss:
        """Cross-entropy with the text, mixed with the divergence from the targets where there are some; over `count`.

        Also told: the mean divergence over the places with targets.
        """
        number, share = self._numbers(batch), self.config.share

        def loss(logits: Tensor, _: Tensor, part: TokenBatch, rows: slice) -> dict[str, Tensor]:
            which = number.to(logits.device)[stood_at(part, rows.start, was_packed=batch.documents is not None)]
            own = cross_entropy(logits.float(), part.input_ids[part.is_target], reduction="none")
            apart = self._divergence(logits, which)
            mixed = own.sum() - share * own[which >= 0].sum() + share * self.config.weight * apart
            return {"loss": mixed / count, "targets_loss": apart.detach() / self.count}

        return loss

    def said(self, rollout: Rollout) -> Term:
        """The mean divergence of the baby from the targets of what it said."""
        sequences = rollout.sequences
        number = self._numbers(sequences)
        is_target = (number >= 0).to(sequences.is_real.device)

        def loss(logits: Tensor, _: Tensor, part: TokenBatch, rows: slice) -> dict[str, Tensor]:
            here = number[rows]
            apart = self._divergence(logits, here[here >= 0].to(logits.device)) / self.count
            return {"loss": self.config.weight * apart, "targets_loss": apart.detach()}

        return Term(sequences, loss, is_target)

    @property
    def count(self) -> int:
        """Places with targets; at least 1."""
        return max(1, len(self.targets.row))

    def _numbers(self, batch: TokenBatch) -> Int[Tensor, "B T"]:
        """Number of each token's target; -1 where it has none."""
        number = torch.full(batch.input_ids.shape, -1)
        number[self.targets.row, self.targets.position] = torch.arange(len(self.targets.row))
        return number

    def _divergence(self, logits: Float[Tensor, "N V"], which: Int[Tensor, " N"]) -> Float[Tensor, ""]:
        """Summed divergence from the targets of these numbers; where a number is -1 there is none."""
        has_target = which >= 0
        ids, probs = (x.to(logits.device)[which[has_target]] for x in (self.targets.ids, self.targets.probs))
        answered = logits[has_target].float()
        if self.unanswered is not None:
            answered = answered.index_fill(1, torch.tensor([self.unanswered], device=logits.device), -torch.inf)
        return divergence(answered, ids.long(), probs, self.config.divergence).sum()


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
