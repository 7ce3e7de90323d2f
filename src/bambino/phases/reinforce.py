"""The reinforce phase: the baby says several things after each prompt, is answered, and learns from how they compare.

REINFORCE without a critic: no values, no whitening; dropout is off throughout. With `baseline: rloo` or `grpo` an
utterance's whole reward, less the KL penalty, is compared with those of the others after the same prompt (Ahmadian et
al. 2024, arXiv 2402.14740; Shao et al. 2024, arXiv 2402.03300, whose KL is a term of the loss and here is in the
reward). With `batch` each token answers for the span it lies in.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from bambino.feedback.credit import centred_returns, credit
from bambino.losses.advantages import group_relative, leave_one_out, less_mean, token_rewards
from bambino.losses.reinforce import reinforce_loss, token_shares
from bambino.models.reference import Reference
from bambino.phases.dialogue import be_answered, restore_dialogue, speak, state_of
from bambino.phases.phase import State, Tools
from bambino.phases.ppo import reference_log_probs
from bambino.phases.sampler_law import check_sampler
from bambino.phases.updates import Reports, Term, UpdateMeter, to_floats
from bambino.recipe.phase_settings import ReinforceConfig
from bambino.recipe.schedule import Place
from bambino.recipe.settings import Recipe
from bambino.runs.log import Row
from bambino.speaking.rollout import Rollout
from bambino.text.batches import TokenBatch


class ReinforcePhase:
    """Feedback by REINFORCE on groups of utterances."""

    name = "reinforce"

    def __init__(self, tools: Tools) -> None:
        learner, config = tools.learner, tools.recipe.reinforce
        self.tools, self.learner, self.config = tools, learner, config
        self.updates_per_step = config.epochs
        self.updates = learner.updates(self.name, config, self.updates_per_step)
        self.kinds = tools.feedback_for(self.name)
        self.reference = Reference(config.reference, config.reference_decay, learner.baby.lm)

    def begin_block(self) -> None:
        """The baby as it is now may become the reference."""
        self.reference.begin_phase(self.learner.baby.lm)

    def end_step(self) -> None:
        """The reference may follow the baby."""
        self.reference.end_step(self.learner.baby.lm)

    def step(self, at: Place) -> Row:
        """Speak, be answered, learn from it."""
        prompts = self.tools.streams.prompt_batch(self.name, at, copies=self.config.group_size)
        rollout = speak(self.tools, prompts, at)
        carry = centred_returns if self.config.baseline == "batch" else credit
        earned, row = be_answered(self.tools, self.name, self.kinds, rollout, at, carry=carry)
        return row | self.learn_from(rollout, earned, at)

    def learn_from(self, rollout: Rollout, earned: Float[Tensor, "B U"], at: Place) -> Row:
        """All updates on one rollout."""
        row: Row = {}
        with self.tools.costs.time(self.name):
            if (at.nth + 1) % self.tools.recipe.schedule.cycle.get(self.name, 1) == 0:
                row |= check_sampler(self.learner, rollout, self.reference, self.name)
            row |= self.update(rollout, earned, at)
        self._count(rollout, row)
        return row

    def update(self, rollout: Rollout, earned: Float[Tensor, "B U"], at: Place) -> Row:
        """Advantages once, then an update an epoch."""
        config, real = self.config, rollout.is_real
        ref_log_probs = reference_log_probs(self.learner, rollout, self.reference)
        advantages = advantages_of(rollout, earned, ref_log_probs, config)
        term = said_better(rollout, advantages, self.tools.recipe)
        meter, reports = UpdateMeter(self.learner.baby.lm), Reports()
        for epoch in range(config.epochs):
            number = at.nth * self.updates_per_step + epoch
            reports.add(self.updates.take(number, [term], skip_if=self._is_too_far))
        means: dict[str, Tensor] = {}
        if config.baseline != "batch":
            groups = earned.sum(1).view(-1, config.group_size)
            means["reinforce/dead_groups"] = (groups.amax(1) == groups.amin(1)).float().mean()
        if self.reference.lm is not None:
            means["reinforce/kl"] = (rollout.log_probs - ref_log_probs).where(real, 0.0).sum(1).mean()
        row: Row = {"reinforce/update_norm": meter.norm(), **reports.metrics(self.name), **to_floats(means)}
        if self.learner.kept_gradient is not None:
            row["reinforce/cosine_with_clm"] = meter.cosine(self.learner.kept_gradient)
        return row

    def state(self) -> State:
        """What feedback has learned, and the reference."""
        return state_of(self.kinds, self.reference)

    def restore(self, state: State) -> None:
        """Put them back."""
        restore_dialogue(state, self.kinds, self.reference)

    def _is_too_far(self, report: Mapping[str, float]) -> bool:
        """The policy has moved too far from the one that spoke for the rollout to say anything about it."""
        return report["ratio"] > self.config.ratio_threshold

    def _count(self, rollout: Rollout, row: Row) -> None:
        """Forwards and backwards of the updates; of a skipped one, the forward alone."""
        has_reference = self.reference.lm is not None
        forwards = 3 * self.config.epochs + has_reference + ("reinforce/sampler_gap" in row) * (1 + has_reference)
        forwards -= 2 * row["reinforce/skipped_updates"]
        tokens, targets = int(rollout.sequences.is_real.sum()), int(rollout.is_real.sum())
        self.tools.costs.computed(self.learner.baby.lm, tokens, targets, forwards)


def advantages_of(
    rollout: Rollout,
    earned: Float[Tensor, "B U"],
    ref_log_probs: Float[Tensor, "B U"],
    config: ReinforceConfig,
) -> Float[Tensor, "B U"]:
    """What each token is strengthened by; zero on pads.

    Args:
        earned: by `credit`, what utterances earned in all is compared; with baseline batch by `centred_returns`, which
            has the means taken off already.
    """
    real = rollout.is_real
    if config.baseline == "batch":
        penalty = token_rewards(torch.zeros_like(earned), rollout.log_probs, ref_log_probs, real, config.kl_coef)
        return earned + less_mean(penalty, real)
    totals = token_rewards(earned, rollout.log_probs, ref_log_probs, real, config.kl_coef).sum(1)
    compared = leave_one_out if config.baseline == "rloo" else group_relative
    return torch.where(real, compared(totals, config.group_size)[:, None], 0.0)


def said_better(rollout: Rollout, advantages: Float[Tensor, "B U"], recipe: Recipe) -> Term:
    """The policy gradient's loss on a batch of utterances."""
    config = recipe.reinforce
    shares = token_shares(rollout.is_real, per_utterance=config.loss_mean == "utterances")
    cliprange = config.cliprange if config.epochs > 1 else None

    def loss(logits: Tensor, _: Tensor, __: TokenBatch, rows: slice) -> dict[str, Tensor]:
        part = rollout.rows(rows)
        policy = part.policy(logits, recipe.rollout.temperature)
        log_probs = policy.gather(1, part.tokens[:, None])[:, 0]
        old, here, share = (part.of_tokens(values) for values in (part.log_probs, advantages[rows], shares[rows]))
        return reinforce_loss(policy, log_probs, old, here, share, cliprange)

    return Term(rollout.sequences, loss, rollout.is_target)
