"""The ppo phase: the baby says something after each prompt, is answered, and learns from it (epochs x minibatches
updates on one rollout). Dropout is off throughout, so that the policy that was sampled is the policy that is scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from bambino.losses.advantages import gae, token_rewards, whiten
from bambino.losses.ppo import Old, adapted_kl_coef, ppo_loss
from bambino.models.reference import Reference
from bambino.phases.dialogue import be_answered, restore_dialogue, speak, state_of
from bambino.phases.learner import Learner
from bambino.phases.phase import State, Tools
from bambino.phases.sampler_law import check_sampler, policy_of
from bambino.phases.updates import Reports, Term, UpdateMeter, to_floats
from bambino.randomness import permutation
from bambino.recipe.schedule import Place
from bambino.recipe.settings import Recipe
from bambino.runs.log import Row
from bambino.speaking.rollout import Rollout
from bambino.text.batches import TokenBatch


class PPOPhase:
    """Feedback by proximal policy optimization."""

    name = "ppo"

    def __init__(self, tools: Tools) -> None:
        recipe, learner = tools.recipe, tools.learner
        self.tools, self.learner, self.config = tools, learner, recipe.ppo
        self.updates_per_step = recipe.ppo.epochs * (recipe.batch_size // recipe.minibatch_size)
        self.updates = learner.updates(self.name, recipe.ppo, self.updates_per_step)
        self.kinds = tools.feedback_for(self.name)
        self.reference = Reference(recipe.ppo.reference, recipe.ppo.reference_decay, learner.baby.lm)
        self.kl_coef = recipe.ppo.kl_coef

    def begin_block(self) -> None:
        """The baby as it is now may become the reference."""
        self.reference.begin_phase(self.learner.baby.lm)

    def end_step(self) -> None:
        """The reference may follow the baby."""
        self.reference.end_step(self.learner.baby.lm)

    def step(self, at: Place) -> Row:
        """Speak, be answered, learn from it."""
        rollout = self.speak(self.tools.streams.prompt_batch(self.name, at), at)
        earned, row = self.be_answered(rollout, at)
        return row | self.learn_from(rollout, earned, at)

    def speak(self, prompts: TokenBatch, at: Place) -> Rollout:
        """The baby says something after each prompt."""
        return speak(self.tools, prompts, at)

    def be_answered(self, rollout: Rollout, at: Place) -> tuple[Float[Tensor, "B U"], Row]:
        """What each token earned, and what that says of the baby."""
        return be_answered(self.tools, self.name, self.kinds, rollout, at)

    def learn_from(self, rollout: Rollout, earned: Float[Tensor, "B U"], at: Place) -> Row:
        """All updates on one rollout."""
        row: Row = {}
        with self.tools.costs.time(self.name):
            if (at.nth + 1) % self.tools.recipe.schedule.cycle.get(self.name, 1) == 0:
                row |= check_sampler(self.learner, rollout, self.reference, self.name)
            row |= self.update(rollout, earned, at)
        if self.config.adaptive_kl and "ppo/kl" in row:
            target, horizon = self.config.kl_target, self.config.kl_horizon
            batch_size = self.tools.recipe.batch_size
            self.kl_coef = adapted_kl_coef(self.kl_coef, row["ppo/kl"], target, horizon, batch_size)
        self._count(rollout, row)
        return row

    def state(self) -> State:
        """kl_coef, what feedback has learned, and the reference."""
        state = state_of(self.kinds, self.reference)
        return replace(state, numbers={"kl_coef": self.kl_coef, **state.numbers})

    def restore(self, state: State) -> None:
        """Put them back."""
        self.kl_coef = state.numbers["kl_coef"]
        restore_dialogue(state, self.kinds, self.reference)

    def update(self, rollout: Rollout, earned: Float[Tensor, "B U"], at: Place) -> Row:
        """Advantages once, then epochs x minibatches updates."""
        config, lm, real = self.config, self.learner.baby.lm, rollout.is_real
        ref_log_probs = reference_log_probs(self.learner, rollout, self.reference)
        per_token = token_rewards(earned, rollout.log_probs, ref_log_probs, real, self.kl_coef)
        raw = gae(per_token, rollout.values, real, config.gamma, config.lam)
        returns = raw + rollout.values
        advantages = rollout.in_places(whiten(rollout.of_tokens(raw)))
        meter, reports = UpdateMeter(lm), Reports()
        for epoch in range(config.epochs):
            for rows in minibatches(self.tools.recipe, epoch, at.step):
                rows = rows.to(real.device)
                term = said_well(rollout.rows(rows), advantages[rows], returns[rows], self.tools.recipe)
                number = at.nth * self.updates_per_step + len(reports.all)
                reports.add(self.updates.take(number, [term], skip_if=self._is_too_far))
        means = {
            "ppo/returns": rollout.of_tokens(returns).mean(),
            "ppo/values": rollout.of_tokens(rollout.values).mean(),
        }
        if self.reference.lm is not None:
            means["ppo/kl"] = (rollout.log_probs - ref_log_probs).where(real, 0.0).sum(1).mean()
        row: Row = {**to_floats(means), "ppo/update_norm": meter.norm(), **reports.metrics(self.name)}
        if self.reference.lm is not None:
            row["ppo/kl_coef"] = self.kl_coef
        if self.learner.kept_gradient is not None:
            row["ppo/cosine_with_clm"] = meter.cosine(self.learner.kept_gradient)
        return row

    def _is_too_far(self, report: Mapping[str, float]) -> bool:
        """The policy has moved too far from the one that spoke for the rollout to say anything about it."""
        return report["ratio"] > self.config.ratio_threshold

    def _count(self, rollout: Rollout, row: Row) -> None:
        """Forwards and backwards of the updates; of a skipped one, the forward alone."""
        recipe, has_reference = self.tools.recipe, self.reference.lm is not None
        forwards = 3 * self.config.epochs + has_reference + ("ppo/sampler_gap" in row) * (1 + has_reference)
        forwards -= 2 * row["ppo/skipped_updates"] * recipe.minibatch_size / recipe.batch_size
        tokens, targets = int(rollout.sequences.is_real.sum()), int(rollout.is_real.sum())
        self.tools.costs.computed(self.learner.baby.lm, tokens, targets, forwards)


def said_well(
    rollout: Rollout, advantages: Float[Tensor, "B U"], returns: Float[Tensor, "B U"], recipe: Recipe
) -> Term:
    """The PPO loss of a minibatch of utterances, mean over their tokens."""
    count, config = int(rollout.is_real.sum()), recipe.ppo

    def loss(logits: Tensor, values: Tensor, _: TokenBatch, rows: slice) -> dict[str, Tensor]:
        part = rollout.rows(rows)
        policy = part.policy(logits, recipe.rollout.temperature)
        log_probs = policy.gather(1, part.tokens[:, None])[:, 0]
        before = (part.log_probs, part.values, advantages[rows], returns[rows])
        old = Old(*(part.of_tokens(values) for values in before))
        return ppo_loss(policy, log_probs, values, old, config, count)

    return Term(rollout.sequences, loss, rollout.is_target)


@torch.no_grad()
def reference_log_probs(learner: Learner, rollout: Rollout, reference: Reference) -> Float[Tensor, "B U"]:
    """The reference's log-probs of the utterance tokens (on the same support); the baby's own when there is none."""
    if reference.lm is None:
        return rollout.log_probs
    result = torch.zeros_like(rollout.log_probs)
    for rows in learner.parts(len(result)):
        part = rollout.rows(rows)
        policy = policy_of(learner, reference.lm, part)
        result[rows] = part.in_places(policy.gather(1, part.tokens[:, None])[:, 0])
    learner.processes.add([result])
    return result


def minibatches(recipe: Recipe, epoch: int, step: int) -> Iterator[Tensor]:
    """Row numbers of each minibatch of an epoch."""
    size = recipe.minibatch_size
    order = torch.arange(recipe.batch_size)
    if size < recipe.batch_size:
        order = torch.from_numpy(permutation(recipe.batch_size, recipe.seed, f"minibatches/{step}", epoch))
    return (order[first : first + size] for first in range(0, recipe.batch_size, size))
