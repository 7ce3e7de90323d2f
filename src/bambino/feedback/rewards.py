"""Rewards: texts in, one number per utterance out, by TRL's signature.

    reward(prompts=..., completions=..., texts=..., has_ended=..., log_extra=..., log_metric=...) -> list[float]

`texts[i]` is prompt and utterance decoded together (`prompts[i] + completions[i]`). `log_extra(column, values)` adds
a column to utterances.jsonl, `log_metric(name, value)` a number to the step's metrics. A plain TRL reward function
`f(prompts, completions, **kwargs)` works as it is; None in place of a score says that it has none for an utterance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from bambino.errors import RewardError
from bambino.feedback.parent_perplexity import ParentPerplexity
from bambino.speaking.utterances import Utterances


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


def is_dead(scores: Sequence[float], rewards: Sequence[Reward], alpha: float) -> bool:
    """Whether the scores of a batch are all alike: nothing to learn from but noise. One utterance compares with none.

    Alike is within a thousandth of alpha where the parent's perplexity is among the rewards, equal where it is not.
    """
    spread = 1e-3 * alpha if any(isinstance(reward, ParentPerplexity) for reward in rewards) else 0.0
    return len(scores) > 1 and max(scores) - min(scores) <= spread
