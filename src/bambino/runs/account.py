"""The word account of a run: what the baby heard and said and what was written for it, beside the words there were.

BabyLM's rules count words twice: those of the texts, and those seen with all repetitions. The account has both, and
says of each kind of feedback whether the rules allow it. What the parent only reads is counted in its tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bambino.recipe.settings import BabyLMRule
from bambino.runs.costs import HEARD, WRITTEN
from bambino.runs.ledger import BASE, run_ledger

Lines = list[tuple[str, str]]
"""What is counted, and how much it is."""
LANGUAGES = {"clm": "L2", "replay": "L1"}
"""Part of data.json that tells of a text -> the text's language."""
BESIDE = {"words_dreamed": "words of dreams heard", "words_recast": "words of recasts heard"}
"""Total -> what it is; of what a phase of one's own hears, the total's own name says it."""
OF_SPEECH = {
    "words_of_prompts": "words of prompts",
    "words_said": "words said",
    "words_self_written": "words that the first baby wrote",
    "words_written_by_parent": "words that the parent wrote",
    "words_written_by_people": "words of recasts that people wrote",
    "rewards": "scalar rewards",
    "parent_tokens": "tokens that the parent read",
}
"""Total -> what it is."""
RULES: dict[BabyLMRule, str] = {
    "allowed": "allowed",
    "parent_words_count": "allowed where the words that the parent was raised on are counted",
    "text_counts": "allowed, the words written for the baby counted",
    "not stated": "not stated",
}


@dataclass(frozen=True)
class Text:
    """A text that is heard, all its sources together."""

    lines: int
    unique: int
    """Different lines."""
    words: int
    words_cut: int
    """Words beyond text.max_length, which are never heard."""

    @classmethod
    def of(cls, sources: Sequence[Mapping[str, Any]]) -> Text:
        """From the part of data.json that tells of it."""
        return cls(*(sum(source[name] for source in sources) for name in ("kept", "unique", "words", "words_cut")))

    def passes(self, heard: float) -> float:
        """How often each word was heard, on average, when so many were in all."""
        return heard / max(1, self.words - self.words_cut)


def account_of(data: Mapping[str, Any], totals: Mapping[str, float]) -> Lines:
    """The account, line by line; empty where no words were counted.

    Args:
        data: data.json, or of it what was heard and who answered.
        totals: costs of the run so far (`total/NAME` without `total/`).
    """
    lines = [
        *_heard(data, totals),
        *((what, f"{totals[name]:,.0f}") for name, what in OF_SPEECH.items() if name in totals),
    ]
    if not any(name.startswith("words_") for name in totals):
        return []
    lines += _of_life(data, totals)
    rules = data["babylm"]
    return lines + [(f"{kind} by BabyLM's rules", RULES[rules.get(kind, "not stated")]) for kind in data["rewards"]]


def _heard(data: Mapping[str, Any], totals: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """What was heard, text by text, and in all."""
    for part, language in LANGUAGES.items():
        if HEARD[part] in totals:
            text, heard = Text.of(data[part]), totals[HEARD[part]]
            yield f"{language} text", f"{text.words:,} words in {text.lines:,} lines, {text.unique:,} of them different"
            yield f"{language} {HEARD[part].replace('_', ' ')}", f"{heard:,.0f} ({text.passes(heard):.2f} passes)"
    languages = [HEARD[part] for part in LANGUAGES]
    for name in _heard_words(totals):
        if name not in languages:
            yield BESIDE.get(name, f"{name.replace('_', ' ')} heard"), f"{totals[name]:,.0f}"
    yield "words heard in all", f"{heard_in_all(totals):,.0f}"


def _of_life(data: Mapping[str, Any], totals: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """What the ledger adds: passes over each text where there are several, the life before, the parent's own words."""
    if BASE not in data:
        return
    ledger = run_ledger(data, totals)
    own = [text for part in LANGUAGES for text in data[BASE]["texts"].get(part, [])]
    if len(own) > 1:
        yield from ((f"passes over {text.path}", f"{text.passes:.2f}") for text in ledger.texts if text.heard)
    before = data[BASE]["before"]
    if before is not None and ledger.is_whole and before["sums"]["heard"]["words"]:
        yield "words heard before the run", f"{before['sums']['heard']['words']:,.0f}"
        yield "words heard in the whole life", f"{ledger.heard.words:,.0f}"
    if ledger.is_whole and ledger.heard.equivalents:
        yield "English equivalents heard in the whole life", f"{ledger.heard.equivalents:,.0f}"
    if ledger.parent is not None:
        yield "words that the parent was raised on", f"{sum(text.size.words for text in ledger.parent):,.0f}"


def heard_in_all(totals: Mapping[str, float]) -> float:
    """Words of all that was heard, repetitions included.

    Args:
        totals: costs of a run (`total/NAME` without `total/`).
    """
    return sum(totals[name] for name in _heard_words(totals))


def _heard_words(totals: Mapping[str, float]) -> list[str]:
    return [name for name in totals if name.startswith("words_") and name not in WRITTEN.values()]
