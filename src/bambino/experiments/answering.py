"""From an experiment's result files to its answer, for people, papers and programs.

RESULTS/answer.json   the whole answer: every value, difference, interval, p, budget and verdict
RESULTS/answer.md     the verdicts and their tables
RESULTS/answer.tex    the same for LaTeX (booktabs)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bambino.analysis.answers import Answer, Outcome, Outcomes
from bambino.analysis.curves import PREFIX, curves_of
from bambino.errors import BambinoError, ExperimentError, shortened
from bambino.evaluation.plan import CURVES
from bambino.experiments.design import Experiment, ExperimentRun
from bambino.experiments.outcomes import Result, Results, row_of
from bambino.files import finite, write_atomically, write_json
from bambino.report.answer import latex, markdown


def outcomes_of(experiment: Experiment, runs: Sequence[ExperimentRun], results: Results) -> Outcomes:
    """What the runs on test seeds have found by now.

    Raises:
        ExperimentError: a result that is none.
    """
    found: dict[str, dict[int, Outcome]] = {name: {} for name in experiment.conditions}
    for run in runs:
        if run.fingerprint in results:
            try:
                found[run.condition][run.seed] = outcome_of(results[run.fingerprint])
            except (BambinoError, KeyError, TypeError, ValueError, AttributeError) as error:
                problem = f"The result file of {run.name} is damaged: {type(error).__name__}: {shortened(error)}."
                raise ExperimentError(f"{problem} Delete it to run again.") from None
    return Outcomes(
        experiment.name,
        experiment.question.strip(),
        tuple(experiment.hypotheses),
        experiment.primary,
        tuple(metric for metric in experiment.secondary if metric != experiment.primary),
        languages_of(experiment),
        experiment.baseline,
        tuple(experiment.test),
        found,
    )


def outcome_of(result: Result) -> Outcome:
    """What one run found. Result files of earlier versions do not tell the L2 words heard along it: they are NaN."""
    words = result.get("words_heard") or [None] * len(result["evaluations"])
    rows = [
        {**row, "words": math.nan if heard is None else heard}
        for row, heard in zip(result["evaluations"], words, strict=True)
    ]
    costs = {name: float(cost) for name, cost in result["costs"].items() if cost is not None}
    measured = {
        name.removeprefix(PREFIX): float(value)
        for name, value in row_of(result).items()
        if name.startswith(PREFIX) and isinstance(value, int | float) and math.isfinite(value)
    }
    totals = {name.removeprefix("total/"): cost for name, cost in costs.items()}
    return Outcome(costs | measured, curves_of(rows), totals)


def languages_of(experiment: Experiment) -> tuple[str, str] | None:
    """The measures of L1 and L2: as given; else L2 is the primary metric and L1 another of the texts' bits per byte, of
    several the one that the experiment names. None: nobody can tell."""
    if experiment.languages is not None:
        return experiment.languages
    recipe = experiment.run(next(iter(experiment.conditions)), "test", experiment.test[0]).recipe
    measures = [f"bits_per_byte/{name}" for name in recipe.evaluation.texts]
    l2 = experiment.primary if experiment.primary in measures else CURVES[1]
    if l2 not in measures:
        return None
    others = [name for name in measures if name != l2]
    if len(others) > 1:
        others = [name for name in others if name in experiment.secondary]
    return (others[0], l2) if len(others) == 1 else None


def write_answer(answer: Answer, folder: Path) -> None:
    """Write answer.json, answer.md and answer.tex, each whole or not at all.

    Raises:
        StorageError: they cannot be written.
    """
    write_json(folder / "answer.json", finite({**asdict(answer), "verdicts": list(answer.verdicts)}))
    write_atomically(folder / "answer.md", markdown(answer))
    write_atomically(folder / "answer.tex", latex(answer))
