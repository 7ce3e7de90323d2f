"""Language identity: how much of what was said looks like L2 and not like L1, word by word.

The reward is the mean over words of P(L2 | word), by the two character n-gram models that evaluation counts L1 and L2
words with (`text/language_id.py`). They learn how words are spelled from lines that the recipe names. No library for
language identification is used: those know some hundred languages as they are written on the web, not the two of an
experiment, which may be invented, and most guess badly from three words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

from bambino.errors import RecipeError
from bambino.recipe.settings import BabyLMRule, FeedbackConfig
from bambino.recipe.text_settings import TextConfig

if TYPE_CHECKING:
    from bambino.text.language_id import LanguageIdentifier


@dataclass(frozen=True)
class LanguageIdentityConfig(FeedbackConfig):
    """Mean over the utterance's words of P(L2 | word), by character n-grams of lines of both languages; silence 0."""

    section: ClassVar[str] = "feedback.language_identity"
    babylm: ClassVar[BabyLMRule] = "allowed"

    l1: list[str] = field(default_factory=list)
    """Files or folders of L1 text, as in text.sources. Held-out lines (one in 200) are left out."""
    l2: list[str] = field(default_factory=list)
    """Files or folders of L2 text."""

    def make(self, parent: object) -> Any:
        """The feedback itself; it needs no parent.

        Raises:
            RecipeError: a language without text, or without a word.
            TextError: text that cannot be used.
        """
        from bambino.text.language_id import LanguageIdentifier
        from bambino.text.lines import load_corpus

        for name in ("l1", "l2"):
            if not getattr(self, name):
                problem = f"feedback.language_identity needs text of both languages: --{self.key(name)} '[text.txt]'"
                raise RecipeError(self.key(name), problem)
        l1, l2 = (load_corpus(sources, heldout_every=TextConfig.heldout_every) for sources in (self.l1, self.l2))
        try:
            return LanguageIdentity(LanguageIdentifier.train(l1.lines, l2.lines))
        except ValueError as error:
            raise RecipeError(self.section, f"{self.section}: {error}") from None


class LanguageIdentity:
    """From 0 (all words look like L1) to 1 (all look like L2)."""

    def __init__(self, languages: LanguageIdentifier) -> None:
        self.languages = languages

    def __call__(
        self,
        *,
        prompts: list[str],
        completions: list[str],
        texts: list[str] | None = None,
        has_ended: list[bool] | None = None,
        **_: Any,
    ) -> list[float]:
        """The reward of each utterance, by TRL's signature (`feedback/rewards.py`)."""
        texts = texts or [p + c for p, c in zip(prompts, completions, strict=True)]
        ends = has_ended or [True] * len(texts)
        return [self.reward(*one) for one in zip(prompts, texts, ends, strict=True)]

    def reward(self, prompt: str, text: str, has_ended: bool) -> float:
        """Of one utterance; 0 where it has no word."""
        from bambino.text.spelling import words_after

        words = words_after(prompt, text, has_ended)
        return fmean(1 - self.languages.l1_probability(word) for word in words) if words else 0.0
