"""What can come back for what was said. A kind of feedback gives one of these, for a whole batch of utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """One number per utterance."""

    values: Sequence[float]


class Span(NamedTuple):
    """A judgement of a piece of an utterance: bytes first .. end - 1 of its UTF-8 text (`completions[i]`).

    first = end = the number of bytes stands for the utterance's end itself.
    """

    first: int
    end: int
    value: float


@dataclass(frozen=True)
class Spans:
    """Dense credit that does not ask whose tokens are whose: for each utterance, judgements of pieces of its text."""

    per_utterance: Sequence[Sequence[Span | tuple[int, int, float]]]


@dataclass(frozen=True)
class Targets:
    """The parent's distribution over the baby's next token, at N places in a batch of what was heard or said."""

    row: Int[Tensor, " N"]
    """Row of each place in the batch."""
    position: Int[Tensor, " N"]
    """Column of the token that each is the distribution of."""
    ids: Int[Tensor, "N K"]
    """Baby tokens that the parent gives probability to."""
    probs: Float[Tensor, "N K"]
    """Their probabilities; a row sums to at most 1."""


@dataclass(frozen=True)
class Recasts:
    """What should have been said after some prompts: text that the baby hears."""

    prompts: Sequence[str]
    texts: Sequence[str | None]
    """After each prompt; None where there is no recast."""
    has_ended: Sequence[bool]
    """Whether the text ends there, so that EOS follows."""


class Preference(NamedTuple):
    """Two texts after a prompt."""

    prompt: str
    better: str
    worse: str
    better_has_ended: bool
    """Whether the better text ends there, so that EOS follows."""
    worse_has_ended: bool
    """Whether the worse text ends there."""


@dataclass(frozen=True)
class Preferences:
    """What is better than what, after some prompts."""

    pairs: Sequence[Preference]


Feedback: TypeAlias = Scores | Spans | Targets | Recasts | Preferences
