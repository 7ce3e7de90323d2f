"""How likely the parent finds what was said: minus its log-perplexity, as it is or against what it says itself.

    x(u)  = min(log PPL(u), ln V)         PPL the parent's perplexity, V its vocabulary; silence: ln V
    R     = -x(u)                         or, relative:  R = x(own) - x(u)
    R     = (R - mean) / deviation        standardised: over the last 512 that were not silent, these included

ln V is what guessing tokens blindly costs; below it no utterance is worse than silence. `own` is what the parent itself
says after the same prompt, no longer in bytes than the utterance: a prompt that is hard to go on from then costs
nothing. Where the parent says nothing, the mean of its other continuations in the batch stands for it.

Ours: both the floor and the baseline by the parent's own words. Subtracting what the prompt alone explains is the
baseline of REINFORCE (Williams 1992).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from bambino.feedback.answers import Scores
from bambino.recipe.phase_settings import RolloutConfig
from bambino.scoring.forward import context_length
from bambino.scoring.perplexity import perplexities
from bambino.speaking.rollout import check_speaks
from bambino.speaking.speak import speak
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import Utterances
from bambino.text.tokens import encode

if TYPE_CHECKING:
    from bambino.feedback.settings import ParentLogPerplexityConfig

WINDOW = 512
"""Utterances that rewards are standardised by."""
STREAM = "feedback/parent_log_perplexity"
"""Of the random numbers by which the parent speaks."""

Read = Callable[[PreTrainedModel, int], None]


class ParentLogPerplexity:
    """Minus the parent's log-perplexity, in nats per parent token; in deviations where it is standardised."""

    resolution = 1e-3
    """A difference of rewards that says nothing."""

    def __init__(self, parent: Speaker, config: ParentLogPerplexityConfig) -> None:
        """Raises ModelError where the parent shall speak (`relative`) and cannot."""
        if config.relative:
            check_speaks(parent.lm)
        self.parent, self.config = parent, config
        self.window: list[float] = []
        """The last rewards before they were standardised, oldest first; those of silence left out."""

    @property
    def floor(self) -> float:
        """ln V: the log-perplexity of text that is guessed blindly, in nats."""
        return math.log(self.parent.lm.get_output_embeddings().weight.shape[0])

    def __call__(
        self,
        *,
        prompts: list[str],
        completions: list[str],
        texts: list[str] | None = None,
        has_ended: list[bool] | None = None,
        log_extra: Callable[[str, list[Any]], None] = lambda column, values: None,
        read: Read = lambda lm, tokens: None,
        seed: int = 0,
        step: int = 0,
        **_: Any,
    ) -> Scores:
        """The reward of each utterance, by TRL's signature (`feedback/rewards.py`)."""
        texts = texts or [p + c for p, c in zip(prompts, completions, strict=True)]
        found = self._log_perplexities(prompts, texts, has_ended or [True] * len(texts), read)
        costs = [min(cost, self.floor) for cost in found]
        log_extra("parent_log_perplexity", costs)
        rewards = [-cost for cost in costs]
        if self.config.relative:
            baseline = self._baseline(prompts, completions, read, seed, step)
            log_extra("parent_own_log_perplexity", baseline)
            rewards = [own - cost for own, cost in zip(baseline, costs, strict=True)]
        if self.config.standardised:
            said = [reward for reward, cost in zip(rewards, found, strict=True) if math.isfinite(cost)]
            self.window = (self.window + said)[-WINDOW:]
            rewards = standardised(rewards, self.window)
        return Scores(rewards)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"window": self.window}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put it back."""
        self.window = list(state["window"])

    def _baseline(self, prompts: list[str], completions: list[str], read: Read, seed: int, step: int) -> list[float]:
        """The log-perplexity of what the parent itself says after each prompt, at most the floor."""
        own = continued(self.parent, prompts, completions, read, seed=seed, step=step)
        found = self._log_perplexities(own.prompts, own.texts, own.has_ended, read)
        costs = [min(cost, self.floor) for cost in found if math.isfinite(cost)]
        usual = fmean(costs) if costs else self.floor
        return [min(cost, self.floor) if math.isfinite(cost) else usual for cost in found]

    def _log_perplexities(self, prompts: list[str], texts: list[str], has_ended: list[bool], read: Read) -> list[float]:
        """In nats per parent token; infinite for silence."""
        lm, tokenizer = self.parent.lm, self.parent.tokenizer
        scope, until = self.config.scope, self.config.until
        found = perplexities(lm, tokenizer, prompts, texts, has_ended, scope=scope, until=until)
        read(lm, found.tokens_read)
        return [math.log(value) for value in found.values]


def standardised(values: list[float], window: list[float]) -> list[float]:
    """Values less the window's mean, over its standard deviation; all 0 where the window does not vary."""
    spread = pstdev(window) if window else 0.0
    return [(value - fmean(window)) / spread if spread > 0 else 0.0 for value in values]


def continued(
    parent: Speaker, prompts: list[str], completions: list[str], read: Read, *, seed: int, step: int
) -> Utterances:
    """What the parent says after each prompt: no more bytes than the completion has, no more of its own tokens than
    the longest completion. A prompt that leaves no room in its context, or is no token to it, is met with silence.
    """
    lm, tokenizer = parent.lm, parent.tokenizer
    room = context_length(lm) or 1 << 30
    rows = encode(tokenizer, prompts)
    able = [i for i, row in enumerate(rows) if 0 < len(row) < room]
    longest = max((len(row) for row in encode(tokenizer, completions, with_start=False)), default=0)
    limit = min([longest, *(room - len(rows[i]) for i in able)])
    spoken = [""] * len(prompts)
    ended = [True] * len(prompts)
    if able and limit:
        rollout = RolloutConfig(max_new_tokens=limit)
        own = speak(parent, [rows[i] for i in able], rollout, seed=seed, stream=STREAM, step=step)
        read(lm, sum(len(rows[i]) for i in able) + limit * len(able))
        for i, said, has_ended in zip(able, own.completions, own.has_ended, strict=True):
            spoken[i] = first_bytes(said, len(completions[i].encode("utf-8")))
            ended[i] = has_ended and spoken[i] == said
    return Utterances(prompts, spoken, [p + c for p, c in zip(prompts, spoken, strict=True)], ended)


def first_bytes(text: str, count: int) -> str:
    """As much of a text as fits into so many bytes of UTF-8, whole characters only."""
    return text.encode("utf-8")[:count].decode("utf-8", errors="ignore")
