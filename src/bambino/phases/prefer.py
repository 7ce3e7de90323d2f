"""The prefer phase: of two texts after a prompt the baby learns to find the better one likelier (DPO, SimPO), and still
learns to say it (next-token prediction), in one update a step.

Dropout is off, as the reference's is: a margin is a difference of log-probs, and dropout would be noise in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.errors import RecipeError
from bambino.feedback.answers import Preference
from bambino.feedback.preferences import Preferring
from bambino.losses.preference import dpo_reward, preference_loss, simpo_reward
from bambino.models.reference import Reference
from bambino.phases.dialogue import as_text, of_speech, restore_dialogue, said_rows, speak, state_of
from bambino.phases.learner import Learner
from bambino.phases.phase import State, Tools
from bambino.phases.recasting import after_prompts, encoded_after
from bambino.phases.updates import Term, UpdateMeter
from bambino.recipe.phase_settings import PreferConfig
from bambino.recipe.schedule import Place
from bambino.recipe.text_settings import TextConfig
from bambino.runs.log import Row
from bambino.scoring.forward import eval_mode, log_probs_of, logits_before
from bambino.speaking.utterances import Utterances
from bambino.text.batches import TokenBatch


class PreferPhase:
    """Feedback by preferences."""

    name = "prefer"
    updates_per_step = 1

    def __init__(self, tools: Tools) -> None:
        recipe, learner = tools.recipe, tools.learner
        self.tools, self.learner, self.config = tools, learner, recipe.prefer
        self.updates = learner.updates(self.name, recipe.prefer, self.updates_per_step)
        self.kinds = tools.feedback_for(self.name)
        reward: object = self.kinds[0].reward if len(self.kinds) == 1 else None
        if not isinstance(reward, Preferring):
            problem = "The phase prefer learns from one kind of preferences, and from nothing else."
            raise RecipeError("feedback", f"{problem} Name one: feedback: {{best_of_k: {{}}}}.")
        if recipe.batch_size % reward.utterances_per_prompt:
            key = f"feedback.{self.kinds[0].name}.k"
            problem = f"{key} = {reward.utterances_per_prompt} does not divide batch_size = {recipe.batch_size}."
            raise RecipeError(key, f"{problem} Use a k that does.")
        self.preferring = reward
        kind: Literal["initial", "phase_start", "ema", "none"] = "none"
        if recipe.prefer.loss == "dpo":
            kind = recipe.prefer.reference
        self.reference = Reference(kind, recipe.prefer.reference_decay, learner.baby.lm)

    def begin_block(self) -> None:
        """The baby as it is now may become the reference."""
        self.reference.begin_phase(self.learner.baby.lm)

    def end_step(self) -> None:
        """The reference may follow the baby."""
        self.reference.end_step(self.learner.baby.lm)

    def step(self, at: Place) -> Row:
        """Speak, hear what is better than what, learn from it; an update is left out where nothing is."""
        tools, copies = self.tools, self.preferring.utterances_per_prompt
        rollout = speak(tools, tools.streams.prompt_batch(self.name, at, copies=copies), at)
        said = as_text(tools, rollout)
        pairs = pairs_of(self.preferences(said, at), tools.tokenizer, tools.recipe.text)
        row: Row = {"pairs": 0 if pairs is None else pairs.count, **of_speech(rollout)}
        if pairs is not None:
            row |= self.learn_from(pairs, at)
        return {f"{self.name}/{name}": value for name, value in row.items()}

    def preferences(self, said: Utterances, at: Place) -> Sequence[Preference]:
        """What is better than what; the first process asks."""
        return self.tools.learner.processes.from_first(lambda: self._preferences(said, at))

    def _preferences(self, said: Utterances, at: Place) -> Sequence[Preference]:
        tools, columns = self.tools, dict[str, list[Any]]()
        first, stream = at.nth * len(said.texts), f"{self.name}/{self.kinds[0].name}"
        with tools.costs.time("reward"):
            found = self.preferring.preferences(
                said,
                seed=tools.recipe.seed,
                stream=stream,
                first=first,
                read=tools.costs.read,
                log_extra=columns.__setitem__,
            )
        if "recast" in columns:
            tools.costs.written("parent", filter(None, columns["recast"]))
        else:
            tools.costs.rewarded(len(said.texts))
        rows = [row | {name: column[i] for name, column in columns.items()} for i, row in enumerate(said_rows(said))]
        tools.log.utterances(self.name, at.step + 1, rows)
        return found.pairs

    def learn_from(self, pairs: Pairs, at: Place) -> Row:
        """One update on the pairs."""
        lm = self.learner.baby.lm
        with self.tools.costs.time(self.name):
            meter = UpdateMeter(lm)
            ref_log_probs = None if self.reference.lm is None else pairs.log_probs(self.learner, self.reference.lm)
            term = preferred(pairs, ref_log_probs, self.config, self.kinds[0].weight)
            report = self.updates.take(at.nth, [term])
        tokens, targets = int(pairs.batch.is_real.sum()), int(pairs.is_after.sum())
        self.tools.costs.computed(lm, tokens, targets, forwards=3 + (ref_log_probs is not None))
        return report | {"update_norm": meter.norm()}

    def state(self) -> State:
        """The reference."""
        return state_of(self.kinds, self.reference)

    def restore(self, state: State) -> None:
        """Put it back."""
        restore_dialogue(state, self.kinds, self.reference)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Better and worse texts as rows of the baby's tokens: the better one of each pair, then the worse one."""

    batch: TokenBatch
    is_after: Bool[Tensor, "B T"]
    """True on tokens that end after the prompt, an EOS included."""

    @property
    def count(self) -> int:
        return len(self.is_after) // 2

    @torch.no_grad()
    def log_probs(self, learner: Learner, lm: PreTrainedModel) -> Float[Tensor, " B"]:
        """What a model makes of each text after its prompt, in nats."""
        device = learner.accelerator.device
        found = torch.zeros(len(self.is_after), device=device)
        with eval_mode(lm), learner.accelerator.autocast():
            for rows in learner.parts(len(self.is_after), 2):
                part, is_after = self.batch.rows(rows).to(device), self.is_after[rows].to(device)
                logits = logits_before(lm, part, is_after)
                found[rows] = self.summed(log_probs_of(logits, part.input_ids[is_after]), rows)
        learner.processes.add([found])
        return found

    def summed(self, per_token: Float[Tensor, " N"], rows: slice) -> Float[Tensor, " B"]:
        """The sum over each row's tokens after the prompt, of some rows."""
        row_of: Int[Tensor, " N"] = self.is_after[rows].nonzero()[:, 0].to(per_token.device)
        return per_token.new_zeros(len(self.is_after[rows])).index_add(0, row_of, per_token)


def pairs_of(preferences: Sequence[Preference], tokenizer: PreTrainedTokenizerBase, text: TextConfig) -> Pairs | None:
    """Preferences as rows; None where none fits text.max_length."""
    better = encoded_after([(one.prompt, one.better, one.better_has_ended) for one in preferences], tokenizer, text)
    worse = encoded_after([(one.prompt, one.worse, one.worse_has_ended) for one in preferences], tokenizer, text)
    both = [(b, w) for b, w in zip(better, worse, strict=True) if b is not None and w is not None]
    if not both:
        return None
    return Pairs(*after_prompts([row for pair in both for row in pair]))


def preferred(
    pairs: Pairs, ref_log_probs: Float[Tensor, " B"] | None, config: PreferConfig, weight: float = 1.0
) -> Term:
    """The loss of pairs, mean over them, and lm_weight times the mean negative log-likelihood of the better texts.

    Args:
        ref_log_probs: of each text, for dpo; None: simpo.
    """
    count, lengths = pairs.count, pairs.is_after.sum(1)
    better_tokens = int(lengths[::2].sum())

    def loss(logits: Tensor, _: Tensor, part: TokenBatch, rows: slice) -> dict[str, Tensor]:
        tokens = part.input_ids[pairs.is_after[rows].to(part.input_ids.device)]
        log_probs = pairs.summed(log_probs_of(logits, tokens), rows)
        here = lengths[rows].to(log_probs)
        if ref_log_probs is None:
            rewards, margin = simpo_reward(log_probs, here, config.steepness), config.gamma
        else:
            rewards, margin = dpo_reward(log_probs, ref_log_probs[rows], config.steepness), 0.0
        better, worse = rewards[::2], rewards[1::2]
        preference = preference_loss(better, worse, margin).sum() / count
        likelihood = -log_probs[::2].sum() / better_tokens
        per_token = (log_probs / here).detach()
        return {
            "loss": preference + config.lm_weight * likelihood,
            "preference_loss": preference.detach(),
            "lm_loss": likelihood.detach(),
            "accuracy": (better > worse).float().sum() / count,
            "margin": (better - worse).detach().sum() / count,
            "better": per_token[::2].sum() / count,
            "worse": per_token[1::2].sum() / count,
        }

    return Term(pairs.batch, loss, pairs.is_after, weight, rows_together=2)
