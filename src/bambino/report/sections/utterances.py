"""What babies said after the same prompts as they grew: a part of a page with a slider over ages.

A word is tinted and underlined by how little the parent expected it (`surprisal` in utterances.jsonl).
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

from bambino.printable import printable
from bambino.report.page import Part, Section, Words
from bambino.report.reported import Reported, SeedRun
from bambino.runs.record import refusing

AGES = 20
"""Evaluations that the slider goes over, at most."""
PROMPTS = 12
"""Prompts of a run, at most."""
FEWEST = 3
"""Prompts of a run where there are many runs."""
UTTERANCES = 12_000
"""Of a page, roughly: about 2 MB."""
LEVELS = (4, 8, 12, 16, 20)
"""Bits from which on a word has the next tint."""
SCRIPTS = {"ja": "[\u3040-\u30ff]", "ko": "[\u1100-\u11ff\uac00-\ud7af]", "zh": "[\u3400-\u9fff\U00020000-\U0003ffff]"}
"""Language -> letters by which it is told where a recipe does not name it: browsers draw Han characters by language."""
INTRODUCTION = (
    "Each baby after the same prompts (grey), at the age that the slider says. The random numbers are the same "
    "at every age, so what changes is the baby."
)
MEANING = (
    "Tint and underline: how little the parent expected a word (its surprisal, given everything before it). "
    "4 bits are one chance in 16, 20 bits one in a million."
)


@dataclass(frozen=True)
class SpokenWord:
    """A word, and how little the parent expected it."""

    text: str
    """With the space before it."""
    bits: float | None
    """None: not known."""

    @property
    def space(self) -> str:
        """The white space that it begins with."""
        return self.text[: len(self.text) - len(self.text.lstrip())]

    @property
    def level(self) -> int:
        """The tint, 0 (none) to 5."""
        return 0 if self.bits is None else bisect_right(LEVELS, self.bits)


@dataclass(frozen=True)
class SpokenLine:
    """A prompt and what was said after it."""

    prompt: str
    words: tuple[SpokenWord, ...]
    language: str
    """BCP 47; empty: not known."""


@dataclass(frozen=True)
class SpokenAge:
    """What a run said at one evaluation."""

    step: int
    heard: int | None
    """Words of L2 heard until then; None: not known."""
    lines: Sequence[SpokenLine]


@dataclass(frozen=True)
class UtteranceBrowser:
    """Cards of conditions, and a slider over ages; the last age is what is seen without JavaScript."""

    kind: ClassVar[str] = "utterances"
    ages: Sequence[int]
    """Steps that the slider goes over."""
    speakers: Mapping[str, Mapping[int, Sequence[SpokenAge]]]
    """Condition -> seed -> what it said, by rising steps."""

    @property
    def scale(self) -> list[str]:
        """What each tint stands for, in bits."""
        return [*(f"{low} to {high}" for low, high in pairwise((0, *LEVELS))), f"{LEVELS[-1]} or more"]

    @property
    def seeds(self) -> list[int]:
        """Of all conditions."""
        return sorted({seed for runs in self.speakers.values() for seed in runs})

    @property
    def last(self) -> dict[str, SpokenAge | None]:
        """Condition -> the last age of the first seed."""
        seed = self.seeds[0]
        return {condition: runs[seed][-1] if seed in runs else None for condition, runs in self.speakers.items()}

    @cached_property
    def has_surprisal(self) -> bool:
        """Whether the parent read anything of it."""
        ages = [age for runs in self.speakers.values() for those in runs.values() for age in those]
        return any(word.bits is not None for age in ages for line in age.lines for word in line.words)

    @property
    def data(self) -> dict[str, Any]:
        """For the script: prompts once, an utterance as its prompt's number, then words and bits in turn."""
        numbers: dict[tuple[str, str], int] = {}

        def row(line: SpokenLine) -> list[Any]:
            number = numbers.setdefault((line.prompt, line.language), len(numbers))
            return [number, *(part for word in line.words for part in (word.text, word.bits))]

        speakers = [
            {
                seed: [{"step": age.step, "heard": age.heard, "said": list(map(row, age.lines))} for age in ages]
                for seed, ages in runs.items()
            }
            for runs in self.speakers.values()
        ]
        return {"ages": list(self.ages), "levels": LEVELS, "speakers": speakers, "prompts": list(numbers)}


def utterances(reported: Reported) -> Section | None:
    """What the babies said at evaluations; None where they were not asked to speak."""
    rows = {(run.condition, run.seed): _by_step(run) for run in reported.runs}
    ages = evenly(sorted({step for steps in rows.values() for step in steps}), AGES)
    if not ages:
        return None
    prompts = max(FEWEST, min(PROMPTS, UTTERANCES // (len(ages) * len(reported.runs))))
    speakers: dict[str, dict[int, list[SpokenAge]]] = {}
    for condition in reported.conditions:
        for run in reported.of(condition):
            if said := rows[condition, run.seed]:
                speakers.setdefault(condition, {})[run.seed] = _ages(run, said, ages, prompts)
    part = UtteranceBrowser(ages, speakers)
    parts: list[Part] = [Words(INTRODUCTION), *([Words(MEANING)] if part.has_surprisal else []), part]
    return Section("What the babies said", parts)


def evenly(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many, the first and the last among them."""
    count = len(items)
    return list(items) if count <= most else [items[round(i * (count - 1) / (most - 1))] for i in range(most)]


def _by_step(run: SeedRun) -> dict[int, list[dict[str, Any]]]:
    """The rows of each evaluation; what a measure of one's own says otherwise than after a prompt is left out."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in run.record.said_at_evaluations:
        if isinstance(row.get("prompt"), str) and isinstance(row.get("utterance"), str):
            found.setdefault(row["step"], []).append(row)
    return found


def _ages(
    run: SeedRun, said: Mapping[int, Sequence[Mapping[str, Any]]], ages: Sequence[int], most: int
) -> list[SpokenAge]:
    """What is seen of a run at these ages: at each the last evaluation until then."""
    steps = sorted(said)
    seen = dict.fromkeys(steps[before - 1] for age in ages if (before := bisect_right(steps, age)))
    language = _language_of(run)
    return [_age(run, step, [_line(row, language) for row in evenly(said[step], most)]) for step in seen]


def _age(run: SeedRun, step: int, lines: Sequence[SpokenLine]) -> SpokenAge:
    heard = run.record.words_heard(step)
    return SpokenAge(step, int(heard) if math.isfinite(heard) else None, lines)


def _line(row: Mapping[str, Any], language: str) -> SpokenLine:
    prompt, said = row["prompt"], row["utterance"]
    words = tuple(_words(said, row.get("surprisal")))
    return SpokenLine(printable(prompt), words, language or _language_by_script(prompt + said))


def _words(said: str, surprisal: Any) -> list[SpokenWord]:
    """By the parent's reading; in one piece where there is no such column, or it is something of one's own."""
    if not said.strip():
        return []
    try:
        words = [(str(word), bits) for word, bits in surprisal]
    except (TypeError, ValueError):
        words = []
    if "".join(word for word, _ in words) != said:
        words = [(said, None)]
    return [SpokenWord(printable(word), _rounded(bits)) for word, bits in words]


def _rounded(bits: Any) -> float | None:
    return round(float(bits), 1) if isinstance(bits, int | float) and math.isfinite(bits) else None


def _language_of(run: SeedRun) -> str:
    """The name of the text that is heard, where it is measured as well and named by a language's code, such as `it`."""
    settings = run.record.settings
    with refusing(run.record.path):
        heard = settings.get("text", {}).get("sources") or []
        measured = settings.get("evaluation", {}).get("texts") or {}
        names = [name for name, sources in measured.items() if set(sources) & set(heard)]
        return next((name for name in names if re.fullmatch("[a-z]{2,3}", name)), "")


def _language_by_script(text: str) -> str:
    return next((language for language, letters in SCRIPTS.items() if re.search(letters, text)), "")
