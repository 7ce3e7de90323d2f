"""What an experiment is: its question, conditions x seeds, trials, and the recipe of each of its runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import bambino
from bambino.errors import ExperimentError, RecipeError
from bambino.experiments.summary import fingerprint
from bambino.recipe.names import Kinds
from bambino.recipe.settings import Recipe

Words = tuple[str, ...]
"""Settings as words of a command line, each `--key=value`; of two of one key the later wins."""
Stage = Literal["tuning", "test"]

SPLITS = {"tuning": "dev", "test": "test"}
"""Stage -> the half of the held-out lines that it is measured on."""


@dataclass(frozen=True)
class ExperimentRun:
    """One condition with one seed."""

    condition: str
    stage: Stage
    seed: int
    chosen: Words
    """What is tried, or was chosen, for this condition."""
    recipe: Recipe

    @cached_property
    def fingerprint(self) -> str:
        """Of all settings that may change a result."""
        return fingerprint(self.recipe.to_dict())

    @property
    def name(self) -> str:
        """Of its directory and its result file."""
        return f"{self.condition}-{self.seed}-{self.fingerprint[:8]}"


@dataclass(frozen=True)
class Experiment:
    """An experiment, read."""

    path: Path
    question: str
    hypotheses: list[str]
    primary: str
    """What the conditions are compared by, as in an evaluation's row without eval/."""
    secondary: list[str]
    recipe: str | Path | None
    settings: Words
    conditions: dict[str, Words]
    development: list[int]
    test: list[int]
    tuning_metric: str
    trials: dict[str, list[Words]]
    """Condition -> the settings of each of its trials; conditions without any are left out."""
    like: dict[str, str]
    """Condition -> the one whose choice it takes over."""
    baseline: str
    """The condition that the others are compared with."""
    languages: tuple[str, str] | None
    """The measures of L1 and L2; None: not given."""
    kinds: Kinds = field(default_factory=dict)
    """Kinds of feedback of the user's own."""
    phases: Collection[str] = ()
    """Names of the user's own phases."""
    _runs: dict[tuple[str, Stage, int, Words], ExperimentRun] = field(default_factory=dict, repr=False)
    """Cache: runs asked for."""

    @property
    def name(self) -> str:
        return self.path.stem

    def run(self, condition: str, stage: Stage, seed: int, chosen: Words = ()) -> ExperimentRun:
        """A run, its recipe checked.

        Raises:
            ExperimentError: the recipe cannot be run.
        """
        key = (condition, stage, seed, chosen)
        if key not in self._runs:
            self._runs[key] = ExperimentRun(condition, stage, seed, chosen, self._recipe(*key))
        return self._runs[key]

    def _recipe(self, condition: str, stage: Stage, seed: int, chosen: Words) -> Recipe:
        ours = (f"--seed={seed}", f"--evaluation.split={SPLITS[stage]}")
        words = [*self.settings, *self.conditions[condition], *chosen, *ours]
        try:
            return bambino.load_recipe(self.recipe, words, kinds=self.kinds, phases=self.phases)
        except RecipeError as error:
            raise self.wrong(f"conditions.{condition}", str(error)) from None

    def trial_runs(self) -> list[ExperimentRun]:
        """The runs of all trials, in turn over conditions, so that what is there early is of all of them."""
        most = max((len(trials) for trials in self.trials.values()), default=0)
        return [
            self.run(condition, "tuning", seed, trials[nth])
            for seed in self.development
            for nth in range(most)
            for condition, trials in self.trials.items()
        ]

    def test_runs(self, choices: Mapping[str, Words]) -> list[ExperimentRun]:
        """The runs on test seeds of the conditions whose settings are chosen, in turn over conditions."""
        return [self.run(one, "test", seed, choices[one]) for seed in self.test for one in choices]

    def wrong(self, key: str, problem: str) -> ExperimentError:
        """What is raised of a key of the file."""
        return ExperimentError(f"{self.path.name}, {key}: {problem}")
