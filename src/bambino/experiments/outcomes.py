"""What the runs of an experiment found, from small result files: values, choices, whether all heard the same.

A result is the content of a file that `summary.py` writes. Reads files only.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from bambino.analysis.curves import direction
from bambino.errors import ExperimentError
from bambino.experiments.design import Experiment, ExperimentRun, Words
from bambino.files import json_of

Result = dict[str, Any]
Results = Mapping[str, Result]
"""Fingerprint -> result."""


def read_results(folder: Path) -> dict[str, Result]:
    """The result files of a folder, by the fingerprint of their settings; files without one are passed over.

    Raises:
        ExperimentError: a file that is no JSON.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            content = json_of(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ExperimentError(f"The result file {path} cannot be read: {error}. Delete it to run again.") from None
        if isinstance(content, dict) and isinstance(content.get("fingerprint"), str):
            if missing := [key for key in ("evaluations", "model_step", "costs", "batches") if key not in content]:
                problem = f"The result file {path} has no {missing[0]}."
                raise ExperimentError(f"{problem} Delete it to run again.")
            found[content["fingerprint"]] = content
    return found


def row_of(result: Result) -> dict[str, Any]:
    """The evaluation of the model that a run left; empty where there is none."""
    return next((row for row in result["evaluations"] if row["step"] == result["model_step"]), {})


def value_of(result: Result, metric: str) -> float:
    """A metric of the model that a run left, or one of its costs (`total/flops`; 0 of a run without a step); NaN where
    there is no number."""
    without_step = 0.0 if metric.startswith("total/") and not result["costs"] else None
    value = row_of(result).get(f"eval/{metric}", result["costs"].get(metric, without_step))
    return math.nan if value is None else float(value)


@dataclass(frozen=True)
class Trial:
    """Settings that were tried for a condition."""

    condition: str
    chosen: Words
    values: dict[int, float]
    """Development seed -> the tuning metric at the end; NaN: the run failed, or has no number."""

    @property
    def mean(self) -> float:
        """Over the development seeds; NaN where one has no number."""
        return fmean(self.values.values())


def trials_of(experiment: Experiment, results: Results, failed: set[str]) -> dict[str, list[Trial]]:
    """Condition -> its trials, where all of them are finished or have failed."""
    found = {}
    for condition, trials in experiment.trials.items():
        runs = [[experiment.run(condition, "tuning", seed, one) for seed in experiment.development] for one in trials]
        ended = [run.fingerprint in results or run.fingerprint in failed for those in runs for run in those]
        if all(ended):
            found[condition] = [_trial(those, results, experiment.tuning_metric) for those in runs]
    return found


def _trial(runs: Sequence[ExperimentRun], results: Results, metric: str) -> Trial:
    values = {
        run.seed: value_of(results[run.fingerprint], metric) if run.fingerprint in results else math.nan for run in runs
    }
    return Trial(runs[0].condition, runs[0].chosen, values)


def choices_of(experiment: Experiment, tried: Mapping[str, list[Trial]]) -> dict[str, Words]:
    """Condition -> the settings of its best trial, by the mean over development seeds; of equals the first.

    Conditions whose trials have not ended, or have all failed, are left out; those without trials choose nothing.
    """
    best: dict[str, Words] = {}
    sign = direction(experiment.tuning_metric) if experiment.trials else 1
    for condition, trials in tried.items():
        whole = [trial for trial in trials if not math.isnan(trial.mean)]
        if whole:
            best[condition] = max(whole, key=lambda trial: sign * trial.mean).chosen
    choices: dict[str, Words] = {}
    for condition in experiment.conditions:
        source = experiment.like.get(condition, condition)
        if source in best:
            choices[condition] = best[source]
        elif source not in experiment.trials:
            choices[condition] = ()
    return choices


def tuning_record(experiment: Experiment, tried: Mapping[str, list[Trial]]) -> dict[str, Any]:
    """All trials with their values, and what was chosen, for tuning.json."""
    choices = choices_of(experiment, tried)
    return {
        "experiment": experiment.name,
        "metric": experiment.tuning_metric,
        "seeds": experiment.development,
        "trials": {
            condition: [
                {"settings": _settings(trial.chosen), "values": _plain(trial.values), "mean": _number(trial.mean)}
                for trial in trials
            ]
            for condition, trials in tried.items()
        },
        "chosen": {name: _settings(chosen) for name, chosen in choices.items() if chosen},
    }


def _settings(words: Words) -> dict[str, str]:
    return dict(word[2:].split("=", 1) for word in words)


def _plain(values: Mapping[int, float]) -> dict[str, float | None]:
    return {str(seed): _number(value) for seed, value in values.items()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def different_batches(runs: Sequence[ExperimentRun], results: Results) -> list[str]:
    """What is wrong where runs of one seed, text, batch size and baby did not hear the same clm batches, as far as both
    went; in words."""
    groups: dict[str, list[ExperimentRun]] = {}
    for run in runs:
        if run.fingerprint in results:
            recipe = run.recipe
            key = json.dumps([recipe.seed, recipe.batch_size, recipe.baby.to_dict(), recipe.text.to_dict()])
            groups.setdefault(key, []).append(run)
    said = []
    for group in groups.values():
        longest = max(group, key=lambda run: len(results[run.fingerprint]["batches"]))
        for run in group:
            step = _first_difference(*(results[one.fingerprint]["batches"] for one in (longest, run)))
            if step is not None:
                said.append(
                    f"{run.name} and {longest.name} did not hear the same batches: the first that differs is clm step "
                    f"{step}, though seed, text and batch size are the same."
                )
    return said


def _first_difference(one: str, other: str) -> int | None:
    """The first clm step (from 1) whose batch differs; None where there is none. Two letters stand for a batch."""
    for place, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return place // 2 + 1
    return None


def different_models(runs: Sequence[ExperimentRun], results: Results) -> list[str]:
    """What is wrong where runs name the same models, but opened others; in words."""
    said: dict[str, None] = {}
    found = [(run, results[run.fingerprint]["made_of"]) for run in runs if run.fingerprint in results]
    for role in ("baby", "parent"):
        for (one, mine), (other, yours) in itertools.pairwise(found):
            is_same = getattr(one.recipe, role) == getattr(other.recipe, role)
            if is_same and mine[role] and yours[role] and mine[role] != yours[role]:
                said[f"The {role} of {other.name} is not that of {one.name}: its weights differ (made_of)."] = None
    return list(said)
