"""The oracle: feedback by the grammar itself, an upper bound on what a parent that models the same language can say.

For a prompt p, an utterance u of n bytes, and B(x) = -log2 P(a sentence of the language begins with x):

    reward    = alpha * possible * likely
    possible  = k / n             k bytes: the longest beginning of u with which p + u can still become a sentence
    likely    = 1 - min(1, (B(p + u[:k]) - B(p)) / (8 k))

`possible` gives credit to what is no sentence yet: how far it could have become one. `likely` is the utterance's
surprisal per possible byte, against the 8 bits that guessing a byte costs. An utterance that ended counts one byte
more, its end, which is possible (at 0 bits) exactly if the text is a sentence; one that the token limit cut does not.
So a sentence earns alpha * (1 - bits per byte / 8), its end counted among the bytes, and text that no sentence begins
with earns 0.

Exact: P(a sentence begins so) and P(this sentence) come from the grammar, over all derivations, not from samples or a
model. Ours: the form of the reward, its weights and the credit for beginnings. Known: like any mean over bytes it is
kinder to short and certain utterances than to all that the language may say.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

BLIND_BITS = 8.0
"""What a byte costs that is guessed blindly."""


class ExactLanguage(Protocol):
    """What the oracle asks a grammar; natural logarithms, -inf for what cannot be."""

    def log_probability(self, text: str) -> float: ...

    def prefix_log_probability(self, text: str) -> float: ...


class GrammarReward:
    """A reward by TRL's signature (see `feedback/rewards.py`): from 0 to alpha, a function of the texts alone."""

    def __init__(self, grammar: ExactLanguage, alpha: float = 5.0) -> None:
        self.grammar, self.alpha = grammar, alpha

    def __call__(
        self, *, prompts: list[str], completions: list[str], has_ended: list[bool] | None = None, **_: Any
    ) -> list[float]:
        ends = has_ended or [True] * len(prompts)
        return [self.reward(*one) for one in zip(prompts, completions, ends, strict=True)]

    def reward(self, prompt: str, utterance: str, has_ended: bool) -> float:
        """Of one utterance. Silence earns 0, and so does whatever follows a prompt that begins no sentence."""
        before = self.grammar.prefix_log_probability(prompt)
        if not utterance.strip() or before == -math.inf:
            return 0.0
        kept = self._possible(prompt, utterance)
        good = size = len(utterance[:kept].encode("utf-8"))
        size += len(utterance[kept:].encode("utf-8"))
        bits = (before - self.grammar.prefix_log_probability(prompt + utterance[:kept])) / math.log(2)
        if has_ended:
            size += 1
            good += kept == len(utterance) and self.grammar.log_probability(prompt + utterance) > -math.inf
        if good == 0:
            return 0.0
        return self.alpha * good / size * (1 - min(1.0, bits / (BLIND_BITS * good)))

    def _possible(self, prompt: str, utterance: str) -> int:
        """Characters of the longest beginning after which the text can still become a sentence; by bisection."""
        low, high = 0, len(utterance)
        while low < high:
            middle = (low + high + 1) // 2
            if self.grammar.prefix_log_probability(prompt + utterance[:middle]) > -math.inf:
                low = middle
            else:
                high = middle - 1
        return low
