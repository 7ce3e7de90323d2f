"""What was said, as text: its words, how varied it is, how much of it another speaker would also have said.

Nothing here reads a model. `distinct_n` and `longest_repeat` count whitespace-separated words, punctuation and all;
everything that asks which words were said uses `words_of`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bambino.analysis.statistics import bootstrap, jackknife
from bambino.measures import Interval, Score
from bambino.text.spelling import WORD, normal, words_after


@dataclass(frozen=True)
class Said:
    """One continuation of a prompt, whoever said it."""

    prompt: str
    text: str
    """Prompt and continuation together."""
    has_ended: bool
    """Whether the speaker ended it, not the token limit."""

    @property
    def completion(self) -> str:
        """What follows the prompt."""
        return self.text[len(self.prompt) :]

    @property
    def words(self) -> list[str]:
        """The words that end after the prompt; a last word that the token limit may have cut is left out.

        A word that begins in the prompt and ends after it counts: whoever goes on finishes it.
        """
        return words_after(self.prompt, self.text, self.has_ended)

    @property
    def words_before(self) -> list[str]:
        """The words that the prompt ends: with `words`, all words of the text but one that was cut."""
        return [normal(match.group()) for match in WORD.finditer(self.text) if match.end() <= len(self.prompt)]


def distinct_n(utterances: Sequence[str], n: int) -> float:
    """Different n-grams over all n-grams of all utterances (Li et al. 2016); 0 when there is none."""
    grams = [tuple(words[i : i + n]) for words in map(str.split, utterances) for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def longest_repeat(utterance: str) -> int:
    """Words in the longest phrase that occurs at least twice in the utterance; occurrences may overlap."""
    words = utterance.split()
    for length in range(len(words) - 1, 0, -1):
        phrases = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
        if len(set(phrases)) < len(phrases):
            return length
    return 0


def overlap(one: Sequence[str], other: Sequence[str], n: int) -> float:
    """F1 of the two word lists' n-grams, each n-gram as often as it occurs in both; 0 when either has none.

    2 * shared / (n-grams of one + n-grams of the other): 1 for the same words, whatever their order when n is 1.
    """
    grams, others = (Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1)) for words in (one, other))
    if not grams or not others:
        return 0.0
    return 2 * (grams & others).total() / (grams.total() + others.total())


def variety(said: Sequence[Said], speaker: str, task: str = "speech") -> list[Score]:
    """distinct-1, distinct-2, longest repeat, length, share silent and share ended of a speaker's continuations.

    distinct-n falls as more is said: compare it between speakers of equally many prompts only, and mind the words.
    """
    texts = [one.completion for one in said]
    words, repeats = [float(len(text.split())) for text in texts], [float(longest_repeat(text)) for text in texts]
    silent, ended = [float(not text.strip()) for text in texts], [float(one.has_ended) for one in said]
    scores = []
    for n in (1, 2):
        interval = jackknife(lambda kept, n=n: distinct_n([texts[i] for i in kept], n), len(texts))  # type: ignore[misc]
        if interval is not None:
            interval = Interval(max(0.0, interval.low), min(1.0, interval.high))
        scores.append(Score(f"{task}/distinct_{n}/{speaker}", distinct_n(texts, n), "share", len(texts), interval))
    for name, values, unit in (
        ("longest_repeat", repeats, "words"),
        ("words", words, "words"),
        ("silent", silent, "share"),
        ("ended", ended, "share"),
    ):
        scores.append(Score(f"{task}/{name}/{speaker}", fmean(values), unit, len(texts), bootstrap(values)))
    return scores
