"""What is heard beside L2: lines of the first language, dreams of the first baby.

Of both the baby learns their own tokens, or what the first baby expects in their place (learning without forgetting, Li
& Hoiem 2016, arXiv 1606.09282).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from bambino.losses.clm import clm_loss
from bambino.losses.distillation import kl_from
from bambino.models.reference import copy_weights
from bambino.phases.phase import State
from bambino.phases.updates import Loss, Term
from bambino.runs.costs import Costs
from bambino.scoring.forward import logits_before
from bambino.text.batches import TokenBatch
from bambino.text.replay import ReplayStream


@dataclass(frozen=True)
class Beside:
    """The streams that a phase hears beside its own text, by the name that their metrics have."""

    streams: Mapping[str, ReplayStream]
    first_baby: PreTrainedModel | None
    """Frozen; None where nothing is learned from it."""
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext
    """In which it reads, as the baby does."""

    def terms(self, nth: int) -> list[Term]:
        """What is heard beside a phase's nth batch (from 0)."""
        batches = {name: stream.batch(nth) for name, stream in self.streams.items()}
        return [
            Term(batch, self._loss(batch, self.streams[name].first_baby), name=name)
            for name, batch in batches.items()
            if batch is not None
        ]

    def count(self, terms: Sequence[Term], nth: int, lm: PreTrainedModel, costs: Costs) -> None:
        """Tokens and words of these terms, which a baby heard beside a phase's nth batch, and what it took."""
        for term in terms:
            stream, tokens, targets = self.streams[term.name], term.tokens, term.num_targets
            costs.heard(lm, tokens, targets, term.name, words=stream.words(nth))
            if stream.first_baby > 0 and self.first_baby is not None:
                costs.computed(self.first_baby, tokens, targets)

    def state(self) -> State:
        """The first baby, where it is asked."""
        return State() if self.first_baby is None else State(constants=dict(self.first_baby.named_parameters()))

    def restore(self, state: State) -> None:
        """Put back what `state` gave."""
        if self.first_baby is not None:
            copy_weights(self.first_baby, state.constants)

    def _loss(self, batch: TokenBatch, share: float) -> Loss:
        if share == 0 or self.first_baby is None:
            return next_tokens(batch)
        return as_expected(batch, self.first_baby, share, self.autocast)


def next_tokens(batch: TokenBatch) -> Loss:
    """Next-token prediction: mean over all the batch's targets, in nats."""
    targets = max(1, int(batch.is_target.sum()))
    return lambda logits, _, part, rows: {"loss": clm_loss(logits, part.input_ids[part.is_target]) / targets}


def as_expected(
    batch: TokenBatch,
    lm: PreTrainedModel,
    share: float,
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Loss:
    """The same, but `share` of it is the KL from what a model expects: mean over all the batch's targets, in nats.

    Also told: that KL.
    """
    targets = max(1, int(batch.is_target.sum()))

    def loss(logits: Tensor, _: Tensor, part: TokenBatch, rows: slice) -> dict[str, Tensor]:
        with torch.no_grad(), autocast():
            expected = logits_before(lm, part, part.is_target)
        apart = kl_from(expected, logits).sum() / targets
        own = clm_loss(logits, part.input_ids[part.is_target]) / targets
        return {"loss": (1 - share) * own + share * apart, "first_baby_kl": apart.detach()}

    return loss
