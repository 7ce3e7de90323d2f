"""Preferences: which of two texts after a prompt is better. Ties and silence compare with nothing and are left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from bambino.feedback.answers import Preference, Preferences
from bambino.feedback.recasts import Continuations, Read
from bambino.recipe.phase_settings import RolloutConfig
from bambino.scoring.perplexity import perplexities
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import Utterances

LogExtra = Callable[[str, list[Any]], None]
"""Takes a column of utterances.jsonl: its name, a value an utterance."""


@runtime_checkable
class Preferring(Protocol):
    """Feedback that says what is better than what."""

    utterances_per_prompt: int
    """What the baby says after each prompt is compared."""

    def preferences(
        self, said: Utterances, *, seed: int, stream: str, first: int, read: Read, log_extra: LogExtra
    ) -> Preferences:
        """What is better than what after the prompts.

        Args:
            said: what the baby said, utterances after the same prompt one below the other.
            seed, stream: words that all randomness is made of.
            first: utterances of the stream before these.
            read: told what the parent read and said.
        """


class RecastOverUtterance:
    """What the parent says after a prompt is better than what the baby said."""

    utterances_per_prompt = 1

    def __init__(self, parent: Speaker, config: RolloutConfig) -> None:
        self.continuations = Continuations(parent, config, share=0.0)

    def preferences(
        self, said: Utterances, *, seed: int, stream: str, first: int, read: Read, log_extra: LogExtra
    ) -> Preferences:
        """A pair for each prompt after which both say something, and not the same."""
        recasts = self.continuations.recasts(said.prompts, said, seed=seed, stream=stream, first=first, read=read)
        log_extra("recast", list(recasts.texts))
        heard = zip(recasts.texts, recasts.has_ended, said.prompts, said.completions, said.has_ended, strict=True)
        return Preferences(
            [
                Preference(prompt, recast, utterance, recast_has_ended, has_ended)
                for recast, recast_has_ended, prompt, utterance, has_ended in heard
                if recast is not None and is_pair(recast, utterance)
            ]
        )


class BestOfK:
    """Of k utterances after one prompt the likeliest to the parent, per parent token, is better than the least likely.

    A last word that the token limit cut is not scored.
    """

    def __init__(self, parent: Speaker, k: int) -> None:
        self.parent, self.utterances_per_prompt = parent, k

    def preferences(
        self, said: Utterances, *, seed: int, stream: str, first: int, read: Read, log_extra: LogExtra
    ) -> Preferences:
        """A pair for each prompt of whose utterances some are likelier than others."""
        lm, tokenizer = self.parent.lm, self.parent.tokenizer
        options: dict[str, Any] = {"scope": "utterance", "until": "last_word"}
        found = perplexities(lm, tokenizer, said.prompts, said.texts, said.has_ended, **options)
        read(lm, found.tokens_read)
        scores = [-math.log(value) for value in found.values]  # silence: minus infinity
        log_extra("parent_log_prob_per_token", scores)
        pairs = []
        for begin in range(0, len(scores), self.utterances_per_prompt):
            audible = [i for i in range(begin, begin + self.utterances_per_prompt) if math.isfinite(scores[i])]
            if not audible:
                continue
            best, worst = max(audible, key=scores.__getitem__), min(audible, key=scores.__getitem__)
            better, worse = said.completions[best], said.completions[worst]
            if scores[best] > scores[worst] and is_pair(better, worse):
                ended = said.has_ended[best], said.has_ended[worst]
                pairs.append(Preference(said.prompts[begin], better, worse, *ended))
        return Preferences(pairs)


def is_pair(better: str, worse: str) -> bool:
    """Whether both say something, and not the same."""
    return bool(better.strip()) and bool(worse.strip()) and better.strip() != worse.strip()
