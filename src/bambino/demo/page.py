"""The demo's page: what happened, what it shows and what it does not."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from bambino.demo.plots import charts
from bambino.demo.tables import (
    LEARNING,
    base_lesson,
    base_rows,
    growing_up,
    lesson,
    phenomena_rows,
    result_rows,
    shown_prompts,
)
from bambino.experiments.nursery.designs import CONDITIONS, Design
from bambino.experiments.nursery.results import Result
from bambino.report.page import Items, Page, Part, Sayings, Section, Table, Words
from bambino.report.reported import Reported
from bambino.report.run_report import OF_RUNS, sections_of
from bambino.report.sections.pairs import pairs

STORY = """Two small models, a baby ({l1}) and a parent ({l2}), were trained from scratch on the nursery: a small world
whose sentences have known probabilities. Then the baby learned {l2} from {lines:,} sentences in three ways, the same
batches in the same order:"""

WAYS = (
    "clm: it hears them, and nothing else.",
    "bambino, the paper's way: after every ten steps of hearing come two in which it speaks, and its parent's opinion "
    "of what it said is its reward.",
    "best: beside each line of {l2} it hears two of the {l1} that it was raised on and learns what it expected there "
    "at first; at every word of {l2} its parent says what it expects; and after every ten steps of hearing come "
    "{recasts} in which its parent goes on from beginnings of those sentences, for the baby to hear.",
)
"""What each condition that learns does."""

SIZE = """This is size {size} of small, medium and large. Numbers of different sizes do not compare; those of one size
do, whatever the machine."""

ENTROPY = """The true entropy is {truth_l1:.3f} bits per byte for the {l1} sentences that all models are evaluated on
and {truth_l2:.3f} for the {l2} ones; excess is what a model needs above that."""

CYCLES = """In a cycle all hear the same ten batches of {l2}, so at one place of the plots all have heard the same; what
else a cycle holds differs, and what it costs is in the table. Shaded: ppo of bambino."""

NOTES = """All numbers are in demo.json, the runs in runs/ (metrics.jsonl, utterances.jsonl, model). Repetition is the
number of words in the longest phrase said twice. Perplexities are per token of the parent's, prompt included."""


def page(
    results: list[Result], bases: dict[str, Any], truth: dict[str, float], design: Design, reported: Reported
) -> Page:
    """The whole page: the demo's own words and tables, then a report of its runs."""
    named = {"l1": design.named("{l1}"), "l2": design.named("{l2}")}
    headline, *lessons = lesson(results, design)
    seeds = sorted({result.seed for result in results})
    bands = "Bands reach from the lowest to the highest seed." if len(seeds) > 1 else "One seed."
    of_seed = f" (seed {seeds[0]})" if len(seeds) > 1 else ""
    truths = {f"truth_{role}": bits for role, bits in truth.items()}
    along = f"{CYCLES.format(**named)} {bands}"
    ages = f"The baby goes on after the grey words, with the same random numbers at every age{of_seed}."
    sections = [
        Section(
            "",
            [
                Words(STORY.format(lines=design.l2_lines, **named)),
                Items([way.format(recasts=CONDITIONS["best"].recast_steps, **named) for way in WAYS]),
                Words(headline, "strong"),
                Table(result_rows(results, design)),
                Words(SIZE.format(size=design.size), "small"),
            ],
        ),
        Section("Learning and forgetting", [charts(results, design), Words(along, "small")]),
        Section(
            "Growing up: the same beginnings at several ages",
            [Words(ages, "small"), *(sayings(results, one, seeds[0]) for one in shown_prompts(results, seeds[0]))],
        ),
        Section("What it shows, and what it does not", paragraphs(lessons)),
        Section(
            "Before: what the two models knew",
            [
                Words(f"{base_lesson(bases, design)} {ENTROPY.format(**named, **truths)}"),
                Table(base_rows(bases, design)),
            ],
        ),
        Section("Minimal pairs by phenomenon", [Table(phenomena_rows(results, design)), Words(NOTES, "small")]),
        *sections_of(reported, [make for make in OF_RUNS if make is not pairs]),
    ]
    return Page("bambino: the demo", "A baby that grows up with a second language", sections)


def paragraphs(sentences: list[str]) -> list[Part]:
    """A paragraph a sentence; those that are indented, as a list."""
    parts: list[Part] = []
    for is_list, group in groupby(sentences, lambda sentence: sentence.startswith(" ")):
        together = [sentence.strip() for sentence in group]
        parts += [Items(together)] if is_list else map(Words, together)
    return parts


def sayings(results: list[Result], number: int, seed: int) -> Sayings:
    """One prompt: a row per age, a column per condition that learns."""
    ages = growing_up(results, seed, number)
    return Sayings(["age", *LEARNING], [(f"{place} of {len(ages) - 1}", age) for place, age in enumerate(ages)])
