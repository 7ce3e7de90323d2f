"""An experiment as a file: a question, hypotheses, conditions x seeds, and trials that choose settings before the test.

    question: Does feedback teach what hearing does not?
    hypotheses: [The paper's feedback costs less than 0.02 bits per byte of Italian.]
    primary: bits_per_byte/it             as in an evaluation's row, without eval/
    secondary: [bits_per_byte/en, total/flops]
    recipe: real-small                    by name, or a path beginning at this file's folder
    settings: {text.sources: ["${it}"]}   for all runs; ${it} is given on the command line: --set it=PATH (`source.py`)
    conditions:                           name -> settings in which it differs
      clm: {schedule.cycle: {clm: 1}}
      paper: {}
    baseline: clm                         the condition that the others are compared with; left out: the first
    languages: {l1: bits_per_byte/en, l2: bits_per_byte/it}     what is lost and gained; left out: told by the texts
    seeds: {development: [1, 2], test: [11, 12, 13]}
    tuning:                               left out: nothing is chosen
      metric: bits_per_byte/it            null: the primary one
      trials: 4                           of each condition; null: as many as each has, which must be equal
      conditions:
        clm: {clm.learning_rate: [1e-3, 2e-3], passes: [2, 4]}      a grid; more than `trials`: so many of it by lot
        paper: clm                        the settings chosen for another condition; null: none are chosen

Trials run on development seeds and the dev half of the held-out lines, the rest on test seeds and the test half.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

import bambino
from bambino.analysis.curves import direction
from bambino.errors import CurveError, ExperimentError, RecipeError, TaskError, YamlError, shortened
from bambino.evaluation.zero_shot.task_definitions import load_task
from bambino.experiments.source import source_of
from bambino.experiments.summary import fingerprint
from bambino.feedback.settings import KINDS, ParentPerplexityConfig
from bambino.randomness import permutation
from bambino.recipe.file import shipped
from bambino.recipe.names import Kinds, Names, nearest
from bambino.recipe.plain_yaml import compose, is_null, plain
from bambino.recipe.settings import Recipe
from bambino.text.sources import find_files

Words = tuple[str, ...]
"""Settings as words of a command line, each `--key=value`; of two of one key the later wins."""
Stage = Literal["tuning", "test"]

ABOUT = ("question", "hypotheses", "primary", "secondary", "baseline", "languages")
KEYS = (*ABOUT, "recipe", "settings", "conditions", "seeds", "tuning")
SPLITS = {"tuning": "dev", "test": "test"}
"""Stage -> the half of the held-out lines that it is measured on."""
OURS = ("seed", "output_dir", "evaluation.split")
"""Settings that the experiment sets itself."""


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


def load_experiment(
    path: str | Path,
    variables: Mapping[str, str] | None = None,
    *,
    recipe: str | Path | None = None,
    settings: Words = (),
    kinds: Kinds | None = None,
    phases: Collection[str] = (),
) -> Experiment:
    """An experiment, with every recipe of its runs checked.

    Args:
        path: a YAML file, or the name of an experiment that is shipped, such as "ratios".
        variables: what stands for each ${name} in the file.
        recipe: what all runs begin from, by name or path; None: the file's own.
        settings: of all runs; they win over the file's `settings`, and a condition's over them.
        kinds: kinds of feedback of the user's own.
        phases: names of the user's own phases.

    Raises:
        ExperimentError: naming the key, what is wrong with it and the way out.
        TextError: a text that is not there.
    """
    for word in settings:
        if (key := word[2:].partition("=")[0]) in OURS:
            raise ExperimentError(f"--{key} is set by the experiment: its seeds, its stage, --out.")
    experiment = _Reader(Path(path).expanduser(), dict(kinds or {}), phases).read(variables or {})
    base, words = recipe or experiment.recipe, (*experiment.settings, *settings)
    experiment = replace(experiment, recipe=base, settings=words)
    _check(experiment)
    return experiment


def _check(experiment: Experiment) -> None:
    """Every recipe can be run, as far as can be seen before, and measures what the experiment is about."""
    untuned = experiment.test_runs(dict.fromkeys(experiment.conditions, ()))
    sources: set[str] = set()
    known: dict[str, ExperimentRun] = {}
    for run in [*experiment.trial_runs(), *untuned]:
        like = known.setdefault(run.fingerprint, run)
        if _paths_of(run.recipe) != _paths_of(like.recipe):
            problem = (
                f"{run.name} and {like.name} differ in the folders of their models or texts alone, and would count"
            )
            raise experiment.wrong(f"conditions.{run.condition}", f"{problem} as one. Give these other names.")
        where, recipe = f"conditions.{run.condition}", run.recipe
        if problem := _missing(recipe):
            raise experiment.wrong(where, problem)
        if recipe.evaluation.eval_steps is None:
            raise experiment.wrong(
                where, "evaluation.eval_steps is null, so nothing is measured. Give a number of steps."
            )
        for task in recipe.evaluation.tasks:
            try:
                load_task(task)
            except TaskError as error:
                raise experiment.wrong(where, f"evaluation.tasks: {error}") from None
        compared = [experiment.primary, experiment.tuning_metric, *experiment.secondary, *(experiment.languages or ())]
        for metric in compared:
            if problem := _unmeasured(metric, recipe):
                raise experiment.wrong(where, problem)
        replayed = recipe.replay.sources if recipe.replay.share or recipe.replay.last_share else []
        sources.update(recipe.text.sources, recipe.text.prompt_sources or [], replayed)
        sources.update(source for those in recipe.evaluation.texts.values() for source in those)
    for source in sorted(sources):
        find_files(source)


def _paths_of(recipe: Recipe) -> list[Any]:
    """What a recipe opens; of a path the fingerprint knows the last part only."""
    models = [recipe.baby.model, recipe.parent.model]
    texts = [recipe.text.sources, recipe.text.prompt_sources, recipe.replay.sources]
    return [*models, *texts, recipe.evaluation.texts, recipe.evaluation.pairs, recipe.evaluation.data]


def _missing(recipe: Recipe) -> str:
    """What a run of the recipe could not begin without; empty where nothing is missing."""
    kinds = recipe.feedback or {"parent_perplexity": ParentPerplexityConfig()}
    needs_parent = any(kind.needs_parent and kind.for_ in recipe.schedule.phases for kind in kinds.values())
    replays = bool(recipe.replay.share or recipe.replay.last_share)
    needed = {
        "--baby.model PATH": recipe.baby.model,
        "--parent.model PATH": recipe.parent.model or not needs_parent,
        "--text.sources '[TEXT]'": recipe.text.sources,
        "--replay.sources '[TEXT]'": recipe.replay.sources or not replays,
    }
    option = next((option for option, value in needed.items() if not value), None)
    return f"{option.split()[0][2:]} is not given. Write it in the recipe, or give {option}." if option else ""


def _unmeasured(metric: str, recipe: Recipe) -> str:
    """Why a recipe gives no number of that name; empty where it does, or nobody can tell."""
    group, _, name = metric.partition("/")
    measured: dict[str, Collection[str]] = {
        "bits_per_byte": recipe.evaluation.texts,
        "pairs": recipe.evaluation.pairs,
        "tasks": recipe.evaluation.tasks,
    }
    if group not in measured or name.split("/")[0] in measured[group]:
        return ""
    setting = "texts" if group == "bits_per_byte" else group
    there = ", ".join(measured[group]) or "none"
    return f"{metric} is not measured: evaluation.{setting} names {there}."


class _Reader:
    """Reads the file, key by key."""

    def __init__(self, path: Path, kinds: Kinds, phases: Collection[str]) -> None:
        self.path, self.kinds, self.phases = path, kinds, phases
        self.names = Names.of(Recipe, {**KINDS, **kinds})

    def read(self, variables: Mapping[str, str]) -> Experiment:
        try:
            given = self.mapping(compose(source_of(self.path, variables), self.path.name), "")
        except YamlError as error:
            raise ExperimentError(str(error)) from None
        self.refuse_unknown(given, KEYS, "")
        conditions = {
            self.condition_name(name): self.words(node, f"conditions.{name}")
            for name, node in self.mapping(given.get("conditions"), "conditions").items()
        }
        if not conditions:
            raise self.wrong("conditions", "There are none. Give each a name and its settings.")
        primary = self.metric(given.get("primary"), "primary")
        secondary = self.plain(given.get("secondary"), "secondary", [], _is_texts, "a list of metrics")
        metric, trials, like = self.tuning(given.get("tuning"), list(conditions), primary)
        development, test = self.seeds(given.get("seeds"), needs_development=bool(trials))
        return Experiment(
            self.path,
            self.plain(given.get("question"), "question", "", _is_text, "a text"),
            self.plain(given.get("hypotheses"), "hypotheses", [], _is_texts, "a list of texts"),
            primary,
            secondary,
            self.recipe(given.get("recipe")),
            self.words(given.get("settings"), "settings"),
            conditions,
            development,
            test,
            metric,
            trials,
            like,
            self.baseline(given.get("baseline"), list(conditions)),
            self.languages(given.get("languages")),
            self.kinds,
            self.phases,
        )

    def recipe(self, node: yaml.Node | None) -> str | Path | None:
        """A recipe's name, or its path, which begins at the experiment's folder."""
        name: str = self.plain(node, "recipe", "", _is_text, "the name or path of a recipe")
        return (name or None) if not name or name in shipped() else self.path.parent / name

    def seeds(self, node: yaml.Node | None, *, needs_development: bool) -> tuple[list[int], list[int]]:
        given = self.mapping(node, "seeds")
        self.refuse_unknown(given, ("development", "test"), "seeds.")
        development, test = (
            self.plain(given.get(name), f"seeds.{name}", [], _is_seeds, "a list of whole numbers, each once")
            for name in ("development", "test")
        )
        if needs_development and not development:
            raise self.wrong("seeds.development", "Trials need seeds. Give some, such as [1, 2].")
        if both := sorted(set(development) & set(test)):
            raise self.wrong("seeds", f"{both[0]} is for development and for the test. Choose others for the test.")
        return development, test

    def baseline(self, node: yaml.Node | None, conditions: list[str]) -> str:
        name: str = self.plain(node, "baseline", conditions[0], _is_text, "a condition's name")
        if name not in conditions:
            raise self.wrong("baseline", f"There is no condition {name!r}. Name one of {', '.join(conditions)}.")
        return name

    def languages(self, node: yaml.Node | None) -> tuple[str, str] | None:
        given = self.mapping(node, "languages")
        self.refuse_unknown(given, ("l1", "l2"), "languages.")
        l1, l2 = (self.metric(given.get(name), f"languages.{name}") for name in ("l1", "l2"))
        if given and (not l1 or not l2 or l1 == l2):
            raise self.wrong("languages", "Give two measures: {l1: bits_per_byte/en, l2: bits_per_byte/it}.")
        return (l1, l2) if given else None

    # ------------------------------------------------------------------------------------------------------- trials

    def tuning(
        self, node: yaml.Node | None, conditions: list[str], primary: str
    ) -> tuple[str, dict[str, list[Words]], dict[str, str]]:
        """The metric, the trials of each condition, and who takes over whose choice."""
        given = self.mapping(node, "tuning")
        self.refuse_unknown(given, ("metric", "trials", "conditions"), "tuning.")
        metric = self.metric(given.get("metric"), "tuning.metric") or primary
        count = self.plain(given.get("trials"), "tuning.trials", None, _is_count, "a whole number above 0")
        per_condition = self.mapping(given.get("conditions"), "tuning.conditions")
        self.refuse_unknown(per_condition, conditions, "tuning.conditions.")
        if not per_condition:
            return metric, {}, {}
        trials, like = {}, {}
        for name in conditions:
            key = f"tuning.conditions.{name}"
            if name not in per_condition:
                raise self.wrong(key, "It is not there. Give its trials; null: it has none; or another's name.")
            node = per_condition[name]
            if isinstance(node, yaml.ScalarNode) and not is_null(node):
                like[name] = node.value
            elif not is_null(node):
                trials[name] = self.trials(node, key, name, count)
        for name, other in like.items():
            if other not in trials:
                problem = f"{other} has no trials, so nothing is chosen for it. Name one of {', '.join(trials)}."
                raise self.wrong(f"tuning.conditions.{name}", problem)
        counts = {name: len(those) for name, those in trials.items()}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{name} {many}" for name, many in counts.items())
            raise self.wrong("tuning", f"Conditions have unequal numbers of trials ({told}). Give each as many.")
        return metric, trials, like

    def trials(self, node: yaml.Node, key: str, condition: str, count: int | None) -> list[Words]:
        if isinstance(node, yaml.SequenceNode):
            found = [self.words(one, f"{key}[{nth}]") for nth, one in enumerate(node.value)]
        else:
            values = [
                [f"--{setting}={_as_word(item)}" for item in self.values(those, f"{key}.{setting}")]
                for setting, those in self.settings_below(node, key)
            ]
            found = list(itertools.product(*values))
            if count is not None and len(found) > count:
                lot = permutation(len(found), 0, f"trials/{condition}", 0)[:count]
                found = [found[i] for i in sorted(lot.tolist())]
        if count is not None and len(found) != count:
            raise self.wrong(key, f"{len(found)} trials, but tuning.trials = {count}. Give each condition as many.")
        return found

    def values(self, node: yaml.Node, key: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.wrong(key, "In a grid each setting has a list of values, such as [1e-3, 2e-3].")
        return list(node.value)

    # ----------------------------------------------------------------------------------------------------- settings

    def words(self, node: yaml.Node | None, key: str) -> Words:
        """Settings, nested or dotted, as words."""
        return tuple(f"--{name}={_as_word(value)}" for name, value in self.settings_below(node, key))

    def settings_below(self, node: yaml.Node | None, key: str, prefix: str = "") -> Iterator[tuple[str, yaml.Node]]:
        for name, value in self.mapping(node, key).items():
            setting = f"{prefix}{name}"
            if setting in OURS:
                raise self.wrong(key, f"{setting} is set by the experiment: its seeds, its stage, --out.")
            is_section = setting in self.names.sections and not setting.startswith("feedback")
            if is_section and isinstance(value, yaml.MappingNode):
                yield from self.settings_below(value, f"{key}.{name}", f"{setting}.")
            else:
                try:
                    self.names.check(setting)
                except RecipeError as error:
                    raise self.wrong(key, str(error)) from None
                yield setting, value

    # -------------------------------------------------------------------------------------------------------- nodes

    def mapping(self, node: yaml.Node | None, key: str) -> dict[str, yaml.Node]:
        if node is None or is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(key or "the file", "It is a mapping of names. Write them below it, indented.")
        return {str(name.value): value for name, value in node.value}

    def plain(self, node: yaml.Node | None, key: str, default: Any, fits: Callable[[Any], bool], what: str) -> Any:
        """A value as plain Python; the default where there is none."""
        if node is None or is_null(node):
            return default
        value = plain(node)
        if not fits(value):
            raise self.wrong(key, f"{shortened(repr(value))} does not fit. Give {what}.")
        return value

    def metric(self, node: yaml.Node | None, key: str) -> str:
        """A metric of which more or less is better; empty where there is none."""
        name: str = self.plain(node, key, "", _is_text, "a metric, such as bits_per_byte/it")
        try:
            if name:
                direction(name)
        except CurveError as error:
            raise self.wrong(key, str(error)) from None
        return name

    def condition_name(self, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", name):
            raise self.wrong("conditions", f"{name!r} names files. Use letters, digits and _ . + - only.")
        return name

    def refuse_unknown(self, given: Mapping[str, Any], known: Collection[str], prefix: str) -> None:
        for name in given:
            if name not in known:
                near = nearest(name, list(known))
                hint = f"Did you mean {prefix}{near}?" if near else f"There are: {', '.join(known)}."
                raise self.wrong(f"{prefix}{name}", f"There is no such key. {hint}")

    def wrong(self, key: str, problem: str) -> ExperimentError:
        return ExperimentError(f"{self.path.name}, {key}: {problem}")


def _as_word(node: yaml.Node) -> str:
    """A value as a word of the command line."""
    if is_null(node):
        return "null"
    return str(node.value) if isinstance(node, yaml.ScalarNode) else yaml.serialize(_flow(node), width=1 << 30).strip()


def _flow(node: yaml.Node) -> yaml.Node:
    """The node on one line: `[a, b]`, `{a: 1}`."""
    if isinstance(node, yaml.SequenceNode):
        return yaml.SequenceNode(node.tag, [_flow(item) for item in node.value], flow_style=True)
    if isinstance(node, yaml.MappingNode):
        return yaml.MappingNode(node.tag, [(key, _flow(value)) for key, value in node.value], flow_style=True)
    return node


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_seeds(value: object) -> bool:
    return (
        isinstance(value, list)
        and all(type(item) is int and item >= 0 for item in value)
        and len(set(value)) == len(value)
    )
