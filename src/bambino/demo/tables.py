"""The demo's tables, and in words what they show and what they do not."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from bambino.experiments.nursery.designs import BASES, CONDITIONS, Design
from bambino.experiments.nursery.results import MEASURES, Result, is_better, shown, verdicts
from bambino.printable import printable
from bambino.report.tables import Rows
from bambino.speaking.utterances import without_cut_character

KNOWS, GUESSES = 97, (45, 55)
"""Minimal pairs right, %: of the language a base model was raised on, above this; of the other, between these."""


SCREEN_WIDTH = 60
"""Characters of an utterance that the screen shows; the page shows all."""


SHOWN = ("l2/excess", "l2/pairs", "l1/pairs", "tflops")
"""What the lesson is drawn from."""


ONE_SEED = " This is one seed; run --seeds 5 before believing a small difference."


LEARNING = tuple(name for name, condition in CONDITIONS.items() if condition.cycle_steps)
"""Conditions that learn."""


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
            Text.assemble((printable(prompt), "dim"), printable(said[:SCREEN_WIDTH]) + "…" * (len(said) > SCREEN_WIDTH))
            for prompt, said in age
        ]
        found.add_row(f"{place} of {len(ages) - 1}", *cells)
    return found


def lesson(results: list[Result], design: Design) -> list[str]:
    """Which baby knows both languages; then what the runs show measure by measure; last, what they do not."""
    seeds = len({result.seed for result in results})
    means = {
        one: {name: fmean(r.numbers[name] for r in results if r.condition == one) for name in SHOWN}
        for one in CONDITIONS
    }
    chance = " (one seed: each may be chance)" if seeds == 1 else ""
    beside = "best against clm, which heard the same batches of {l2} and nothing else"
    return [
        design.named(_headline(results, means)) + (ONE_SEED if seeds == 1 else ""),
        design.named(_of_the_paper(results, means)),
        design.named(f"{beside}{chance}:"),
        *(f"  {sentence}" for sentence in verdicts(results, design, "best", "clm")),
        f"bambino, the paper's way, against clm{chance}:",
        *(f"  {sentence}" for sentence in verdicts(results, design)),
        design.named(_not_shown(means)),
    ]


def _headline(results: list[Result], means: dict[str, dict[str, float]]) -> str:
    """The baby that only heard L2 beside the best one; numbers as the table shows them."""
    pairs = {one: {role: round(means[one][f"{role}/pairs"], 1) for role in ("l1", "l2")} for one in means}
    before, clm, best = (pairs[one] for one in ("untrained", "clm", "best"))
    is_ahead = best["l2"] > clm["l2"] and is_better(results, "l2/excess", "best", "clm")
    learned = "learned more {l2}" if is_ahead else "was not shown to learn more {l2}"
    lost = {"clm": before["l1"] - clm["l1"], "best": before["l1"] - best["l1"]}
    if best["l1"] > KNOWS or lost["best"] <= 0:
        kept = "kept its {l1}"
    elif lost["best"] < lost["clm"] / 4:
        kept = "kept most of its {l1}"
    else:
        kept = "lost less of its {l1}" if lost["best"] < lost["clm"] else "lost as much of its {l1}"
    return (
        f"The baby that only heard {{l2}} (clm) ends with {clm['l2']} % of the {{l2}} minimal pairs right and "
        f"{clm['l1']} % of the {{l1}} ones, of which it knew {before['l1']} % (guessing gets 50). The one that its "
        f"parent answered and that went on hearing {{l1}} (best) ends with {best['l2']} % and {best['l1']} %: "
        f"it {learned} and {kept}."
    )


def _of_the_paper(results: list[Result], means: dict[str, dict[str, float]]) -> str:
    """Whether the parent's opinion added to hearing."""
    clm, paper = means["clm"], means["bambino"]
    seeds = len({result.seed for result in results})
    chance = ", which may be chance with one seed" if seeds == 1 else ""
    beats = "beats" if is_better(results, "l2/excess", "bambino", "clm") else "does not beat"
    return (
        "The paper's way (bambino: hearing, and its parent's opinion of what it says) ends with "
        f"{paper['l2/pairs']:.1f} % and {paper['l1/pairs']:.1f} %, and {paper['l2/excess']:.3f} bits per byte of "
        f"{{l2}} above the true entropy where clm has {clm['l2/excess']:.3f}: bambino {beats} clm here{chance}."
    )


def _not_shown(means: dict[str, dict[str, float]]) -> str:
    costs = {one: means[one]["tflops"] / means["clm"]["tflops"] for one in ("bambino", "best")}
    return (
        "What this does not show: anything about real languages or large models; about other base models (they are "
        "trained once, seeds vary the {l2} text, its order and the sampling); which condition is best at equal compute "
        f"(bambino costs {costs['bambino']:.1f} times clm's FLOPs, best {costs['best']:.1f} times); which of best's "
        "ingredients does what."
    )
