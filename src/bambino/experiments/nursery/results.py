"""What the demo's runs left behind, as numbers: per condition, over seeds, with intervals where there are several."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from bambino.analysis.statistics import paired_t, t_interval
from bambino.experiments.nursery.designs import Design
from bambino.runs.record import read_run


@dataclass(frozen=True)
class Quantity:
    """A row of the table."""

    name: str
    title: str
    """With {l1} and {l2} where the languages' names belong."""
    style: str
    """How a number is written, as in `format`."""
    better: int
    """-1: lower is better; 1: higher; 0: neither."""


MEASURES = (
    Quantity("l2/excess", "{l2}: bits per byte above the true entropy", ".3f", -1),
    Quantity("l1/excess", "{l1}: bits per byte above the true entropy", ".3f", -1),
    Quantity("l2/pairs", "{l2} minimal pairs right, %", ".1f", 1),
    Quantity("l1/pairs", "{l1} minimal pairs right, %", ".1f", 1),
    Quantity("perplexity", "parent's perplexity of what the baby says", ".2f", -1),
    Quantity("repetition", "repetition: words in the longest phrase said twice", ".2f", 0),
    Quantity("l2_words", "{l2} words among those said, %", ".1f", 1),
    Quantity("grammatical", "sentences said that are grammatical, %", ".1f", 1),
    Quantity("tflops", "cost, TFLOP", ".2f", 0),
    Quantity("seconds", "cost, seconds (evaluation left out)", ".0f", 0),
)


@dataclass(frozen=True)
class Age:
    """The baby at one evaluation."""

    step: int
    numbers: dict[str, float]
    """By the names in MEASURES, costs left out; pairs, l2_words and grammatical in %."""
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
    """Phenomenon (l1/..., l2/...) -> minimal pairs right, %."""
    human_perplexity: float
    """The parent's perplexity of the sentences that the prompts were cut from."""


def read_result(condition: str, seed: int, folder: Path, truth: dict[str, float]) -> Result:
    """Read a run directory of the demo."""
    run = read_run(folder)
    knowledge = json.loads((folder / "knowledge.json").read_text(encoding="utf-8"))
    sayings: dict[int, list[tuple[str, str]]] = {}
    for row in run.utterances:
        if row["kind"] == "evaluation":
            sayings.setdefault(row["step"], []).append((row["prompt"], row["utterance"]))
    ages = [_age(row, sayings[row["step"]], truth) for row in run.evaluations]
    parts = ("clm", "rollout", "reward", "ppo", "recast")
    numbers = {
        **ages[-1].numbers,
        **{f"{role}/excess": known["excess"] for role, known in knowledge.items()},
        **{f"{role}/pairs": 100 * known["pairs"] for role, known in knowledge.items()},
        "tflops": run.steps[-1]["total/flops"] / 1e12 if run.steps else 0.0,
        "seconds": sum(row.get(f"time/{part}", 0.0) for row in run.steps for part in parts),
    }
    phenomena = {
        f"{role}/{name}": 100 * right for role, known in knowledge.items() for name, right in known["phenomena"].items()
    }
    human = run.evaluations[0]["eval/nursery_speech/human_perplexity"]
    return Result(condition, seed, ages, numbers, phenomena, human)


def _age(row: dict[str, Any], sayings: list[tuple[str, str]], truth: dict[str, float]) -> Age:
    numbers = {f"{role}/excess": row[f"eval/bits_per_byte/{role}"] - truth[role] for role in truth}
    numbers |= {f"{role}/pairs": 100 * row[f"eval/pairs/{role}"] for role in truth}
    numbers |= {name: row[f"eval/nursery_speech/{name}"] for name in ("perplexity", "repetition")}
    numbers |= {name: 100 * row[f"eval/nursery_speech/{name}"] for name in ("l2_words", "grammatical")}
    return Age(row["step"], numbers, sayings)


def shown(values: list[float], style: str) -> str:
    """Mean over seeds, with half its 95 % t interval where there are several seeds."""
    interval = t_interval(values)
    plus = "" if interval is None else f" ± {(interval.high - interval.low) / 2:{style}}"
    return f"{fmean(values):{style}}{plus}"


def paired(results: list[Result], name: str, one: str, other: str) -> tuple[list[float], list[float]]:
    """A number of two conditions, seed by seed."""
    by_run = {(result.condition, result.seed): result.numbers[name] for result in results}
    seeds = [seed for condition, seed in by_run if condition == one]
    return [by_run[one, seed] for seed in seeds], [by_run[other, seed] for seed in seeds]


def is_better(results: list[Result], name: str, one: str, other: str) -> bool:
    """Whether `one` is better than `other` in a measure: by as much as is shown, and, where there are several seeds,
    with an interval that does not hold 0."""
    (measure,) = (measure for measure in MEASURES if measure.name == name)
    ones, others = paired(results, name, one, other)
    mean, found = fmean(ones) - fmean(others), paired_t(ones, others)
    is_shown = float(f"{mean:{measure.style}}") != 0 if found is None else not found.interval.holds(0)
    return is_shown and mean * measure.better > 0


def verdicts(results: list[Result], design: Design, one: str = "bambino", other: str = "clm") -> list[str]:
    """In words: is `one` better than `other`, measure by measure? Never more than the seeds can carry."""
    sentences = []
    for measure in MEASURES:
        if measure.better == 0:
            continue
        ones, others = paired(results, measure.name, one, other)
        found = paired_t(ones, others)
        mean = fmean(ones) - fmean(others)
        start = f"{design.named(measure.title)}: {one} {mean:+{measure.style}} against {other}"
        if found is None:
            word = "Better" if is_better(results, measure.name, one, other) else "Not better"
            sentences.append(f"{start}. {word} here.")
            continue
        half = (found.interval.high - found.interval.low) / 2
        if found.interval.holds(0):
            word = "No difference shown: the interval holds 0"
        else:
            word = "Better" if mean * measure.better > 0 else "Worse"
        sentences.append(f"{start} (± {half:{measure.style}} over {len(ones)} seeds). {word}.")
    return sentences
