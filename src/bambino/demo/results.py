"""What the demo's runs left behind, as numbers: per condition, over seeds, with intervals where there are several."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

T_95 = (math.nan, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""Two-sided 95 % quantile of Student's t by degrees of freedom; beyond the table its last entry is used."""


@dataclass(frozen=True)
class Measure:
    """A row of the table."""

    name: str
    title: str
    style: str
    """How a number is written, as in `format`."""
    better: int
    """-1: lower is better; 1: higher; 0: neither."""


MEASURES = (
    Measure("it/excess", "Italian: bits per byte above the true entropy", ".3f", -1),
    Measure("en/excess", "English: bits per byte above the true entropy", ".3f", -1),
    Measure("it/pairs", "Italian minimal pairs right, %", ".1f", 1),
    Measure("en/pairs", "English minimal pairs right, %", ".1f", 1),
    Measure("perplexity", "parent's perplexity of what the baby says", ".2f", -1),
    Measure("repetition", "repetition: words in the longest phrase said twice", ".2f", 0),
    Measure("italian_words", "Italian words among those said, %", ".1f", 1),
    Measure("grammatical", "sentences said that are grammatical, %", ".1f", 1),
    Measure("tflops", "cost, TFLOP", ".2f", 0),
    Measure("seconds", "cost, seconds (evaluation left out)", ".0f", 0),
)


@dataclass(frozen=True)
class Age:
    """The baby at one evaluation."""

    step: int
    numbers: dict[str, float]
    """it/excess, en/excess, it/pairs, en/pairs (%), perplexity, italian_words (%), grammatical (%)."""
    sayings: list[tuple[str, str]]
    """(prompt, utterance), the same prompts at every age."""


@dataclass(frozen=True)
class Result:
    """One condition with one seed."""

    condition: str
    seed: int
    ages: list[Age]
    numbers: dict[str, float]
    """By the names in MEASURES; at the end."""
    phenomena: dict[str, float]
    """Phenomenon (it_..., en_...) -> minimal pairs right, %."""
    human_perplexity: float
    """The parent's perplexity of the sentences that the prompts were cut from."""


def read_result(condition: str, seed: int, folder: Path, truth: dict[str, float]) -> Result:
    """Read a run directory of the demo."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    speeches = {row["step"]: row for row in json.loads((folder / "speech.json").read_text(encoding="utf-8"))}
    exam = json.loads((folder / "exam.json").read_text(encoding="utf-8"))
    evaluations = [row for row in rows if row["kind"] == "evaluation"]
    ages = [_age(row, speeches[row["step"]], truth) for row in evaluations]
    steps = [row for row in rows if row["kind"] == "step"]
    parts = ("clm", "rollout", "reward", "ppo")
    numbers = {
        **ages[-1].numbers,
        **{f"{language}/excess": known["excess"] for language, known in exam.items()},
        **{f"{language}/pairs": 100 * known["pairs"] for language, known in exam.items()},
        "tflops": steps[-1]["total/flops"] / 1e12 if steps else 0.0,
        "seconds": sum(row.get(f"time/{part}", 0.0) for row in steps for part in parts),
    }
    phenomena = {uid: 100 * right for known in exam.values() for uid, right in known["phenomena"].items()}
    human = next(iter(speeches.values()))["human_perplexity"]
    return Result(condition, seed, ages, numbers, phenomena, human)


def _age(row: dict[str, Any], speech: dict[str, Any], truth: dict[str, float]) -> Age:
    numbers = {f"{language}/excess": row[f"eval/bits_per_byte/{language}"] - truth[language] for language in truth}
    numbers |= {f"{language}/pairs": 100 * row[f"eval/pairs/{language}"] for language in truth}
    numbers |= {"perplexity": speech["parent_perplexity"], "repetition": speech["repetition"]}
    numbers |= {name: 100 * speech[name] for name in ("italian_words", "grammatical")}
    return Age(row["step"], numbers, [(prompt, said) for prompt, said in speech["sayings"]])


@dataclass(frozen=True)
class Spread:
    """A mean over seeds."""

    mean: float
    half_width: float | None
    """Half the 95 % t interval over seeds; None with one seed."""

    def show(self, style: str) -> str:
        plus = "" if self.half_width is None else f" ± {self.half_width:{style}}"
        return f"{self.mean:{style}}{plus}"


def spread(values: list[float]) -> Spread:
    """Mean and 95 % t interval."""
    if len(values) < 2:
        return Spread(values[0], None)
    quantile = T_95[min(len(values) - 1, len(T_95) - 1)]
    return Spread(fmean(values), quantile * stdev(values) / math.sqrt(len(values)))


def differences(results: list[Result], name: str, one: str, other: str) -> list[float]:
    """By seed, a number of condition `one` less that of condition `other`."""
    by_run = {(result.condition, result.seed): result.numbers[name] for result in results}
    return [by_run[one, seed] - by_run[other, seed] for condition, seed in by_run if condition == one]


def verdicts(results: list[Result], one: str = "bambino", other: str = "clm") -> list[str]:
    """In words: is `one` better than `other`, measure by measure? Never more than the seeds can carry."""
    sentences = []
    for measure in MEASURES:
        if measure.better == 0:
            continue
        by_seed = differences(results, measure.name, one, other)
        difference = spread(by_seed)
        sides = f"{one} {_sign(difference.mean, measure.style)} against {other}"
        is_better = difference.mean * measure.better > 0
        if difference.half_width is None:
            word = "better" if is_better else "not better"
            sentences.append(f"{measure.title}: {sides}. {word}, but this is one seed: it may be chance.")
            continue
        bound = f"± {difference.half_width:{measure.style}} over {len(by_seed)} seeds"
        is_clear = abs(difference.mean) > difference.half_width
        word = ("better" if is_better else "worse") if is_clear else "no difference shown: the interval holds 0"
        sentences.append(f"{measure.title}: {sides} ({bound}). {word}.")
    return sentences


def _sign(value: float, style: str) -> str:
    return f"{value:+{style}}"
