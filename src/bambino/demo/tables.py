"""The demo's tables, and in words what they show and what they do not."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from bambino.experiments.nursery.designs import BASES, CONDITIONS, Design
from bambino.experiments.nursery.results import MEASURES, Result, shown, verdicts
from bambino.report.tables import Rows
from bambino.speaking.utterances import without_cut_character

KNOWS, GUESSES = 97, (45, 55)
"""Minimal pairs right, %: of the language a base model was raised on, above this; of the other, between these."""


SCREEN_WIDTH = 60
"""Characters of an utterance that the screen shows; the page shows all."""


SHOWN = ("l2/excess", "l1/excess", "l2/pairs", "l1/pairs")
"""What the lesson is drawn from."""
ONE_SEED = " This is one seed; run --seeds 5 before believing a small difference."


LEARNING = tuple(name for name, condition in CONDITIONS.items() if condition.cycle_steps)


def roles(design: Design) -> dict[str, str]:
    """What the base models are called."""
    return {"baby": design.named("{l1} baby"), "parent": design.named("{l2} parent")}


def base_rows(bases: dict[str, Any], design: Design) -> Rows:
    """Does each base model know its language, and only that?"""
    rows = [[f"before (size {design.size})", *roles(design).values()]]
    for role in design.languages:
        name = design.named(f"{{{role}}}")
        right = [f"{100 * bases[model][role]['pairs']:.1f}" for model in BASES]
        excess = [f"{bases[model][role]['excess']:.3f}" for model in BASES]
        rows.append([f"{name} minimal pairs right, % (chance: 50)", *right])
        rows.append([f"{name}: bits per byte above the true entropy", *excess])
    return rows


def base_lesson(bases: dict[str, Any], design: Design) -> str:
    """In words: the same answer, held against KNOWS and GUESSES."""
    misses = []
    for model, base in BASES.items():
        for role in design.languages:
            right = 100 * bases[model][role]["pairs"]
            is_fine = right > KNOWS if role == base.role else GUESSES[0] <= right <= GUESSES[1]
            if not is_fine:
                wanted = f"above {KNOWS}" if role == base.role else f"{GUESSES[0]} to {GUESSES[1]}"
                of = design.named(f"{{{role}}}")
                misses.append(
                    f"the {roles(design)[model]} gets {right:.1f} % of the {of} pairs right ({wanted} wanted)"
                )
    if misses:
        return f"Not quite what was wanted of the base models: {'; '.join(misses)}."
    return "Each base model knows its own language and guesses at the other's."


def result_rows(results: list[Result], design: Design) -> Rows:
    """Measures by conditions; mean over seeds with a 95 % interval where there are several."""
    count = len({result.seed for result in results})
    seeds = f"{count} seeds, ± 95 % interval" if count > 1 else "one seed"
    rows = [[f"after (size {design.size}, {seeds})", *CONDITIONS]]
    for measure in MEASURES:
        title = design.named(measure.title)
        if measure.name == "perplexity":
            title += f" (human sentences: {fmean(result.human_perplexity for result in results):.2f})"
        values = ([r.numbers[measure.name] for r in results if r.condition == one] for one in CONDITIONS)
        rows.append([title, *(shown(one, measure.style) for one in values)])
    return rows


def phenomena_rows(results: list[Result], design: Design) -> Rows:
    """Minimal pairs right by phenomenon and condition."""
    rows = [["minimal pairs right, %", *CONDITIONS]]
    for phenomenon in results[0].phenomena:
        values = ([r.phenomena[phenomenon] for r in results if r.condition == one] for one in CONDITIONS)
        role, _, name = phenomenon.partition("/")
        title = f"{design.named(f'{{{role}}}')}: {name.replace('_', ' ')}"
        rows.append([title, *(shown(one, ".0f") for one in values)])
    return rows


def shown_prompts(results: list[Result], seed: int, count: int = 3) -> list[int]:
    """Numbers of the first prompts, all different."""
    sayings = next(result for result in results if result.seed == seed).ages[0].sayings
    first: dict[str, int] = {}
    for number, (prompt, _) in enumerate(sayings):
        first.setdefault(without_cut_character(prompt), number)
    return list(first.values())[:count]


def growing_up(results: list[Result], seed: int, number: int) -> list[list[tuple[str, str]]]:
    """One prompt at every age: for each condition in LEARNING, (prompt, utterance).

    A character that the prompt's end cut, and that the baby did not complete, is left out.
    """
    runs = {result.condition: result for result in results if result.seed == seed}
    ages = zip(*(runs[condition].ages for condition in LEARNING), strict=True)
    said = ([one.sayings[number] for one in age] for age in ages)
    return [[(without_cut_character(prompt), utterance) for prompt, utterance in age] for age in said]


def growing_up_table(results: list[Result], seed: int) -> Table:
    """The first prompt at every age, for the screen."""
    ages = growing_up(results, seed, shown_prompts(results, seed)[0])
    found = Table(box=box.SIMPLE_HEAD, title="the same beginning (grey) at several ages", title_justify="left")
    for name in ("age", *LEARNING):
        found.add_column(name, overflow="fold")
    for place, age in enumerate(ages):
        cells = [
            Text.assemble((prompt, "dim"), said[:SCREEN_WIDTH] + "…" * (len(said) > SCREEN_WIDTH))
            for prompt, said in age
        ]
        found.add_row(f"{place} of {len(ages) - 1}", *cells)
    return found


def lesson(results: list[Result], design: Design) -> list[str]:
    """What the runs show, then what they do not."""
    seeds = len({result.seed for result in results})
    means = {
        one: {name: fmean(r.numbers[name] for r in results if r.condition == one) for name in SHOWN}
        for one in CONDITIONS
    }
    clm, paper, best, before = (means[one] for one in ("clm", "bambino", "best", "untrained"))
    return [
        design.named(_headline(clm, best, before)) + (ONE_SEED if seeds == 1 else ""),
        design.named("Hearing {l2} takes the excess ")
        + f"from {before['l2/excess']:.2f} to {clm['l2/excess']:.2f} bits per byte and costs "
        + design.named("{l1} ")
        + f"{clm['l1/excess'] - before['l1/excess']:+.2f}; the paper's feedback between makes it "
        + f"{paper['l2/excess']:.2f}; best comes to {best['l2/excess']:.2f} for "
        + f"{best['l1/excess'] - before['l1/excess']:+.2f}.",
        "best against clm, which heard the same {l2} batches (best also had its parent's answers and heard {l1}):".format(
            l1=design.named("{l1}"), l2=design.named("{l2}")
        ),
        *(f"  {sentence}" for sentence in verdicts(results, design, "best", "clm")),
        "bambino, the paper's way, against clm:",
        *(f"  {sentence}" for sentence in verdicts(results, design)),
        design.named(
            "What this does not show: anything about real languages or large models; about other base models (they are "
            "trained once, seeds vary the {l2} text, its order and the sampling); which condition is best at equal "
            "compute (see the costs)."
        ),
    ]


def _headline(clm: dict[str, float], best: dict[str, float], before: dict[str, float]) -> str:
    """Which baby knows both languages; numbers as the table shows them."""
    gained = round(best["l2/pairs"] - clm["l2/pairs"], 1)
    lost, kept = (round(before["l1/pairs"] - one["l1/pairs"], 1) for one in (clm, best))
    learned = (
        f"knows more {{l2}} ({gained:+.1f} % of the pairs)" if gained > 0 else f"knows no more {{l2}} ({gained:+.1f} %)"
    )
    stayed = f"has lost {kept:.1f} % of its {{l1}} pairs where the other lost {lost:.1f} %"
    return f"Beside the baby that only heard {{l2}}, the one that was answered and heard {{l1}} too {learned} and {stayed}."
