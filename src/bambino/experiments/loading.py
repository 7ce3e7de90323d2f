"""Reads an experiment from its file: question, hypotheses, conditions x seeds, and trials that choose settings first.

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
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from bambino.analysis.curves import direction
from bambino.errors import CurveError, ExperimentError, RecipeError, YamlError, shortened
from bambino.experiments.checks import check
from bambino.experiments.design import Experiment, Words
from bambino.experiments.source import source_of
from bambino.feedback.settings import KINDS
from bambino.randomness import permutation
from bambino.recipe.file import shipped
from bambino.recipe.names import Kinds, Names, nearest
from bambino.recipe.plain_yaml import compose, is_null, plain
from bambino.recipe.settings import Recipe

ABOUT = ("question", "hypotheses", "primary", "secondary", "baseline", "languages")
KEYS = (*ABOUT, "recipe", "settings", "conditions", "seeds", "tuning")
OURS = ("seed", "output_dir", "evaluation.split")
"""Settings that the experiment sets itself."""


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
    check(experiment)
    return experiment


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
