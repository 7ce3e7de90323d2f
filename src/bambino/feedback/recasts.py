"""Recasts: what the parent says in the baby's place, after the same prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from transformers import PreTrainedModel

from bambino.feedback.answers import Recasts
from bambino.randomness import uniforms
from bambino.recipe.phase_settings import RolloutConfig
from bambino.scoring.forward import context_length
from bambino.scoring.perplexity import without_cut_word
from bambino.speaking.rollout import check_speaks, sample
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import Utterances, to_text
from bambino.text.batches import pad
from bambino.text.tokens import encode

Read = Callable[[PreTrainedModel, int], None]
"""Counts the tokens that a model read."""


@runtime_checkable
class Recaster(Protocol):
    """Feedback that answers with what should have been said."""

    share: float
    """Prompts that it answers beside each line of a step, where it stands beside lines."""
    written_by: Literal["parent", "people"]
    """Whose words recasts are."""
    needs_utterance: bool
    """Whether it answers what the baby said, or a prompt is enough."""

    def recasts(
        self, prompts: list[str], said: Utterances | None, *, seed: int, stream: str, first: int, read: Read
    ) -> Recasts:
        """As many recasts as there are prompts.

        Args:
            said: what the baby said after the prompts; None where it was not needed.
            seed, stream: words that all randomness is made of.
            first: prompts of the stream before these.
            read: told what the parent read and said.
        """


class Continuations:
    """The parent goes on from the prompt's text."""

    needs_utterance = False
    written_by: Literal["parent", "people"] = "parent"

    def __init__(self, parent: Speaker, config: RolloutConfig, share: float) -> None:
        """Raises ModelError where the parent cannot speak."""
        check_speaks(parent.lm)
        self.parent, self.config, self.share = parent, config, share

    def recasts(
        self, prompts: list[str], said: Utterances | None, *, seed: int, stream: str, first: int, read: Read
    ) -> Recasts:
        """What the parent samples after each prompt, without a last word that the token limit cut."""
        found = continued(self.parent, prompts, self.config, seed=seed, stream=stream, step=first, read=read)
        texts = [
            None if one is None else one.text if one.has_ended else without_cut_word("", one.text) for one in found
        ]
        return Recasts(prompts, texts, [one is not None and one.has_ended for one in found])


class Continued(NamedTuple):
    """What a speaker says after a text."""

    text: str
    has_ended: bool


def continued(
    speaker: Speaker, texts: list[str], config: RolloutConfig, *, seed: int, stream: str, step: int, read: Read
) -> list[Continued | None]:
    """What a speaker samples after each text; None after one that is no token to it or fills its context."""
    lm, tokenizer = speaker.lm, speaker.tokenizer
    context, rows = context_length(lm) or 1 << 30, encode(tokenizer, texts)
    able = [i for i, row in enumerate(rows) if 0 < len(row) < context]
    result: list[Continued | None] = [None] * len(texts)
    if able:
        batch = pad([rows[i] for i in able], 0, "left").to(lm.device)
        longest = min(config.max_new_tokens, context - batch.input_ids.shape[1])
        random = uniforms(len(able), longest, seed=seed, stream=stream, step=step)
        rollout = sample(lm, batch, random, config, tokenizer.eos_token_id)
        read(lm, int(batch.is_real.sum()) + int(rollout.is_real.sum()))
        found = to_text(rollout, tokenizer)
        for i, completion, ended in zip(able, found.completions, found.has_ended, strict=True):
            result[i] = Continued(completion, ended)
    return result
