"""Rewards: texts in, one number per utterance out, by TRL's signature.

    reward(prompts=..., completions=..., texts=..., has_ended=..., log_extra=..., log_metric=...) -> list[float]

`texts[i]` is prompt and utterance decoded together (`prompts[i] + completions[i]`). `log_extra(column, values)` adds
a column to utterances.jsonl, `log_metric(name, value)` a number to the step's metrics. A plain TRL reward function
`f(prompts, completions, **kwargs)` works as it is; None in place of a score says that it has none for an utterance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.config import RewardConfig
from bambino.rollout import Utterances
from bambino.text_scores import score_texts


class RewardError(ValueError):
    """A reward that gave something else than a number per utterance; the message names it."""


class Reward(Protocol):
    """TRL's reward signature; everything comes by keyword."""

    def __call__(self, *, prompts: list[str], completions: list[str], **kwargs: Any) -> Sequence[float | None]: ...


@runtime_checkable
class StatefulReward(Protocol):
    """A reward that learns; checkpoints hold what state_dict gives (JSON), so that a resumed run is the same run."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Feedback:
    """What the rewards made of a batch of utterances."""

    scores: list[float]
    """One per utterance, the rewards' sum; a reward that gave None adds nothing."""
    columns: dict[str, list[Any]]
    """For utterances.jsonl."""
    metrics: dict[str, float]
    """For the step's row."""


def ask(rewards: Sequence[Reward], said: Utterances) -> Feedback:
    """Let every reward judge what was said.

    Raises:
        RewardError: a reward or one of its columns has not one value per utterance, or a score is no number.
    """
    feedback = Feedback([0.0] * len(said.texts), {}, {})
    for reward in rewards:
        answer = reward(
            prompts=said.prompts,
            completions=said.completions,
            texts=said.texts,
            has_ended=said.has_ended,
            log_extra=feedback.columns.__setitem__,
            log_metric=lambda name, value: feedback.metrics.__setitem__(name, float(value)),
        )
        for i, score in enumerate(_scores(reward, answer, len(said.texts))):
            feedback.scores[i] += score
    for column, values in feedback.columns.items():
        if len(values) != len(said.texts):
            raise RewardError(f"log_extra({column!r}, ...) got {len(values)} values for {len(said.texts)} utterances.")
    return feedback


def reward_name(reward: Reward) -> str:
    """A function's own name, or the name of its class."""
    return str(getattr(reward, "__name__", type(reward).__name__))


def _scores(reward: Reward, answer: Sequence[float | None], count: int) -> list[float]:
    """A reward's answer as floats, whatever kind of numbers it holds."""
    name = reward_name(reward)
    try:
        scores = [0.0 if score is None else float(score) for score in answer]
    except (TypeError, ValueError) as error:
        raise RewardError(f"The reward {name} gave something else than numbers: {error}") from None
    if len(scores) != count:
        raise RewardError(f"The reward {name} gave {len(scores)} scores for {count} utterances. Give one each.")
    return scores


def reversed_sigmoid(perplexity: float, alpha: float, beta: float, tau: float) -> float:
    """alpha / (1 + exp(beta * (perplexity - tau))): alpha / 2 at tau, toward 0 above it (paper, section 3)."""
    x = beta * (perplexity - tau)
    return alpha / (1.0 + math.exp(x)) if x < 700 else 0.0


def is_dead(scores: Sequence[float], rewards: Sequence[Reward], alpha: float) -> bool:
    """Whether the scores of a batch are all alike: nothing to learn from but noise. One utterance compares with none.

    Alike is within a thousandth of alpha where the parent's perplexity is among the rewards, equal where it is not.
    """
    spread = 1e-3 * alpha if any(isinstance(reward, ParentPerplexity) for reward in rewards) else 0.0
    return len(scores) > 1 and max(scores) - min(scores) <= spread


class ParentPerplexity:
    """How natural the parent finds what the baby says: the reversed sigmoid of its perplexity.

    Silence (an utterance without text) has infinite perplexity and earns 0; scored with its prompt, as the paper's
    formula would have it, it would earn what the human prompt alone deserves.
    """

    def __init__(self, parent: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: RewardConfig) -> None:
        self.parent, self.tokenizer, self.config = parent, tokenizer, config
        self.log_perplexities: list[float] = []
        """The window that tau is calibrated on, oldest first."""
        self.heard = 0
        """Utterances heard so far."""
        self.calibrated_tau: float | None = None
        self.tokens_read = 0
        """Parent tokens read so far."""

    @property
    def tau(self) -> float:
        """The perplexity that earns alpha / 2."""
        tau = self.config.tau if self.config.tau is not None else self.calibrated_tau
        if tau is None:
            raise RuntimeError("tau is calibrated on utterances and none was heard yet")
        return tau

    @property
    def beta(self) -> float:
        times_tau = self.config.beta_times_tau
        return self.config.beta if times_tau is None else times_tau / self.tau

    def __call__(
        self,
        *,
        prompts: list[str],
        completions: list[str],
        texts: list[str] | None = None,
        has_ended: list[bool] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float]:
        texts = texts or [p + c for p, c in zip(prompts, completions, strict=True)]
        perplexities = self.perplexities(prompts, texts, has_ended or [True] * len(texts))
        if self.config.tau is None:
            self._calibrate(perplexities)
        if log_extra is not None:
            log_extra("parent_perplexity", perplexities)
        if self.config.tau is None and self.calibrated_tau is None:
            return [0.0] * len(texts)  # nothing but silence so far
        if log_metric is not None:
            log_metric("tau", self.tau)
        return [reversed_sigmoid(p, self.config.alpha, self.beta, self.tau) for p in perplexities]

    def perplexities(self, prompts: list[str], texts: list[str], has_ended: list[bool]) -> list[float]:
        """The parent's perplexity per parent token of each text, by the settings `scope` and `until`.

        Infinite where nothing was said after the prompt, or no token counts.
        """
        is_silent = [not text[len(prompt) :].strip() for prompt, text in zip(prompts, texts, strict=True)]
        if self.config.until == "last_word":
            texts = [
                text if ended else without_cut_word(prompt, text)
                for prompt, text, ended in zip(prompts, texts, has_ended, strict=True)
            ]
        count_from = [len(prompt) for prompt in prompts] if self.config.scope == "utterance" else None
        scores = score_texts(self.parent, self.tokenizer, texts, count_from=count_from)
        self.tokens_read += sum(score.tokens_read for score in scores)
        return [math.inf if silent else s.perplexity for silent, s in zip(is_silent, scores, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        names = ("log_perplexities", "heard", "calibrated_tau", "tokens_read")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.log_perplexities = list(state["log_perplexities"])
        self.heard, self.calibrated_tau = state["heard"], state["calibrated_tau"]
        self.tokens_read = state["tokens_read"]

    def _calibrate(self, perplexities: list[float]) -> None:
        freeze_after = self.config.tau_freeze_after
        if freeze_after is not None and self.heard >= freeze_after and self.calibrated_tau is not None:
            return
        self.heard += len(perplexities)
        finite = [math.log(p) for p in perplexities if math.isfinite(p)]
        self.log_perplexities = (self.log_perplexities + finite)[-self.config.tau_window :]
        if self.log_perplexities:
            self.calibrated_tau = math.exp(np.quantile(self.log_perplexities, self.config.tau_quantile))


def without_cut_word(prompt: str, text: str) -> str:
    """The text without its last, possibly cut, word; unchanged where nothing of the utterance would be left."""
    end = max((i for i, character in enumerate(text) if character.isspace()), default=0)
    return text[:end] if text[len(prompt) : end].strip() else text
