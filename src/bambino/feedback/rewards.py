"""Rewards: texts in, feedback out, by TRL's signature.

    reward(prompts=..., completions=..., texts=..., has_ended=..., log_extra=..., log_metric=..., read=...,
           seed=..., step=..., progress=..., tokens=...) -> list[float], or `Scores`, or `Spans`

`texts[i]` is prompt and utterance decoded together (`prompts[i] + completions[i]`). `log_extra(column, values)` adds
a column to utterances.jsonl, `log_metric(name, value)` a number to the step's metrics, `read(lm, tokens)` counts what a
model read. `seed` is the run's and `step` the step's number, for a reward that draws (`randomness.py`). `tokens()`
gives each utterance's tokens, where they lie in it, and their log-probs (`credit.SaidTokens`); it is None for text that
was not sampled from the baby just now. A plain TRL reward function `f(prompts, completions, **kwargs)` works as it is;
None in place of a score says that it has none for an utterance.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple, Protocol, runtime_checkable

from transformers import PreTrainedModel

from bambino.errors import RewardError
from bambino.feedback.answers import Scores, Spans
from bambino.feedback.credit import SaidTokens
from bambino.recipe import curricula
from bambino.speaking.utterances import Utterances


@runtime_checkable
class Reward(Protocol):
    """TRL's reward signature; everything comes by keyword."""

    def __call__(
        self, *, prompts: list[str], completions: list[str], **kwargs: Any
    ) -> Scores | Spans | Sequence[float | None]: ...


@runtime_checkable
class StatefulReward(Protocol):
    """A reward that learns; checkpoints hold what state_dict gives (JSON), so that a resumed run is the same run."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Kind(NamedTuple):
    """A kind of feedback at work."""

    name: str
    reward: Reward
    phase: str = "ppo"
    """The phase that learns from it."""
    weight: float = 1.0
    over_training: Mapping[float, float] | None = None
    """Shares of the run -> weights, where the weight changes (`recipe/curricula.py`)."""

    def at(self, progress: float) -> Kind:
        """With the weight that it has when a share `progress` of the run is done."""
        return self if self.over_training is None else self._replace(weight=curricula.at(self.over_training, progress))


@dataclass(frozen=True)
class Moment:
    """When something was said."""

    seed: int = 0
    """The run's."""
    step: int = 0
    """From 0; with the seed it keys what a reward draws."""
    progress: float = 0.0
    """Share of the run's steps done before it."""


@dataclass(frozen=True)
class Reply:
    """What all kinds made of a batch of utterances."""

    by_kind: list[tuple[Kind, Scores | Spans]]
    rewards: list[float]
    """One per utterance: everything it earned, weights included; a reward that gave None adds nothing."""
    columns: dict[str, list[Any]]
    """For utterances.jsonl."""
    metrics: dict[str, float]
    """For the step's row."""


def answer_of(
    kinds: Sequence[Kind],
    said: Utterances,
    read: Callable[[PreTrainedModel, int], None],
    at: Moment,
    tokens: Callable[[], list[SaidTokens]] | None = None,
) -> Reply:
    """Let every kind answer what was said.

    Args:
        tokens: gives the utterances' tokens, for a kind that asks.

    Raises:
        RewardError: a reward or one of its columns has not one value per utterance, or a score is no number, or all of
            them are None.
    """
    count = len(said.texts)
    answer, says_nothing = Reply([], [0.0] * count, {}, {}), True
    for kind in kinds:
        given = kind.reward(
            prompts=said.prompts,
            completions=said.completions,
            texts=said.texts,
            has_ended=said.has_ended,
            log_extra=answer.columns.__setitem__,
            log_metric=lambda name, value: answer.metrics.__setitem__(name, float(value)),
            read=read,
            seed=at.seed,
            step=at.step,
            progress=at.progress,
            tokens=tokens,
        )
        feedback: Scores | Spans
        if isinstance(given, Spans):
            feedback, says_nothing = _spans(kind.name, given, count), False
        else:
            scores = _scores(kind.name, given, count)
            feedback = Scores([0.0 if score is None else score for score in scores])
            says_nothing = says_nothing and all(score is None for score in scores)
        totals = _totals(feedback)
        for i, total in enumerate(totals):
            answer.rewards[i] += kind.weight * total
        if len(kinds) > 1:
            answer.metrics[f"feedback/{kind.name}"] = fmean(totals)
        answer.by_kind.append((kind, feedback))
    if says_nothing and kinds and count:
        names = ", ".join(kind.name for kind in kinds)
        problem = f"No utterance of step {at.step} got a number: all is None ({names})."
        raise RewardError(f"{problem} Give 0.0 to an utterance that earns nothing.")
    for column, values in answer.columns.items():
        if len(values) != count:
            raise RewardError(f"log_extra({column!r}, ...) got {len(values)} values for {count} utterances.")
    return answer


GIVEN = (
    *("prompts", "completions", "texts", "has_ended", "log_extra", "log_metric", "read", "seed", "step", "progress"),
    "tokens",
)
"""What a reward is given, by keyword."""


def rewards_of(given: Any) -> list[Reward]:
    """The functions that a program passes in as rewards: one, or several in a list.

    Raises:
        RewardError: it is none, or asks for something else than GIVEN.
    """
    if isinstance(given, str | Mapping) or not (callable(given) or isinstance(given, Iterable)):
        way_out = "Pass a function, or a list of functions, as reward_funcs; kinds by name go to args.feedback."
        raise RewardError(f"reward_funcs = {given!r:.80} is a {type(given).__name__}, no reward. {way_out}")
    rewards = [given] if callable(given) else list(given)
    if not rewards:
        raise RewardError("reward_funcs is empty, so there is no reward. Leave it out to learn from args.feedback.")
    for number, reward in enumerate(rewards):
        if not callable(reward):
            raise RewardError(f"reward_funcs[{number}] = {reward!r:.80} is no function. Leave it out.")
        _check_signature(reward)
    return rewards


def _check_signature(reward: Reward) -> None:
    """Refuse what cannot be called as `answer_of` calls."""
    try:
        signature = inspect.signature(reward)
    except ValueError:  # written in C
        return
    try:
        signature.bind(**dict.fromkeys(GIVEN))
    except TypeError as error:
        way_out = f"A reward is given {', '.join(GIVEN)} by keyword: name those you need and end with **kwargs."
        way_out += " tokens() tells of completion_ids; what stands beside a prompt in a dataset, look up by the prompt."
        raise RewardError(f"The reward {reward_name(reward)} cannot be called: {error}. {way_out}") from None


def reward_name(reward: Reward) -> str:
    """A function's own name, or the name of its class."""
    return str(getattr(reward, "__name__", type(reward).__name__))


def is_dead(rewards: Sequence[float], kinds: Sequence[Kind]) -> bool:
    """Whether the rewards of a batch are all alike: nothing to learn from but noise. One utterance compares with none.

    Alike is equal, or within what a kind calls its `resolution` (a difference that says nothing), weighted.
    """
    spread = sum(abs(kind.weight) * getattr(kind.reward, "resolution", 0.0) for kind in kinds)
    return len(rewards) > 1 and max(rewards) - min(rewards) <= spread


def _scores(name: str, given: Any, count: int) -> list[float | None]:
    """A reward's answer as floats or None, whatever kind of numbers it holds."""
    try:
        values = given.values if isinstance(given, Scores) else given
        scores = [None if score is None else float(score) for score in values]
    except (TypeError, ValueError) as error:
        raise RewardError(f"The reward {name} gave something else than numbers: {error}") from None
    if len(scores) != count:
        raise RewardError(f"The reward {name} gave {len(scores)} scores for {count} utterances. Give one each.")
    return scores


def _spans(name: str, given: Spans, count: int) -> Spans:
    if len(given.per_utterance) != count:
        raise RewardError(f"The reward {name} gave spans of {len(given.per_utterance)} utterances for {count}.")
    return given


def _totals(feedback: Scores | Spans) -> list[float]:
    """What each utterance earned in all."""
    if isinstance(feedback, Scores):
        return list(feedback.values)
    return [sum(float(value) for _, _, value in spans) for spans in feedback.per_utterance]
