"""A model against the tests that are there: one call from a model and a plan to results.

A test that cannot be run is left out by name and with the reason, never silently; what is wrong with the data of a test
that is there stops the evaluation with file and line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bambino.config import ModelConfig
from bambino.evaluation.discovery import Discovered, Found
from bambino.evaluation.export import tests_in
from bambino.evaluation.fluency import fluency
from bambino.evaluation.harness import HarnessConfig, run_harness
from bambino.evaluation.learning.acquisition import acquisition_order, load_order
from bambino.evaluation.learning.curves import CurveError
from bambino.evaluation.learning.forgetting import ForgettingSettings, forgetting_of
from bambino.evaluation.minimal_pairs import evaluate_pairs
from bambino.evaluation.pair_files import load_pair_set
from bambino.evaluation.plan import Plan, PlanError
from bambino.evaluation.results import Results, TaskResult, load_results
from bambino.evaluation.speech.continuations import Speaker, SpeechSettings
from bambino.evaluation.speech.language_id import LanguageIdentifier
from bambino.evaluation.speech.listening import Speech, speech
from bambino.evaluation.speech.pro_drop import overt_subjects
from bambino.evaluation.zero_shot.classification import evaluate_task
from bambino.evaluation.zero_shot.task_definitions import task_names
from bambino.evaluation.zero_shot.verdicts import judged, with_baseline
from bambino.models import load_lm, load_tokenizer
from bambino.provenance import environment
from bambino.recipe_file import load_recipe
from bambino.run_directory import holds_run
from bambino.text import load_corpus, load_heldout, spread


@dataclass(frozen=True)
class Subject:
    """Who is examined."""

    name: str
    model: Path
    """A folder or hub name that opens with AutoModelForCausalLM."""
    run: Path | None
    """The run directory it comes from, if it does."""
    parent: str | None
    """Who judges what it says."""
    heldout_every: int | None
    """The held-out rule: its run's, else the plan's."""


@dataclass(frozen=True)
class Evaluated:
    """Results, and what the baby said for a reader."""

    results: Results
    speech: Speech | None


def subject_of(model: str, plan: Plan) -> Subject:
    """The model behind a path: a run directory's trained model, or the model itself.

    Raises:
        PlanError: a run that has no trained model yet.
    """
    path = Path(model).expanduser()
    if not holds_run(path):
        return Subject(model, path, None, plan.parent, plan.heldout_every)
    if not (path / "model").is_dir():
        raise PlanError(
            f"{model} is a run without a trained model: it has not reached its last step. Go on with bambino train "
            f"--resume {model}, or evaluate one of its checkpoints: {model}/checkpoints/step-.../model"
        )
    recipe = load_recipe(path / "recipe.yaml")
    parent = plan.parent or recipe.parent.model
    return Subject(model, path / "model", path, parent, recipe.text.heldout_every)


def evaluate(model: str, plan: Plan, on_result: Callable[[TaskResult], None] = lambda result: None) -> Evaluated:
    """Measure a model as planned.

    Args:
        model: a folder, a hub name, or a run directory, whose curves are then measured too.
        on_result: called with each test's result when it is there.

    Raises:
        PlanError, TextError, TaskError, ModelError, ResultsError: something asked for cannot be had or read.
    """
    subject = subject_of(model, plan)
    found = Discovered({}, []) if plan.data is None else tests_in(plan.data)
    untrained = None if plan.untrained is None else load_results(plan.untrained)
    references = [load_results(path) for path in plan.references]
    config = ModelConfig(str(subject.model))
    lm = load_lm(config, "baby")
    baby = Speaker(lm, load_tokenizer(config, "baby", lm))

    left_out: dict[str, str] = {}
    heard: list[Speech] = []
    tasks: dict[str, TaskResult] = {}
    for result in _results(subject, baby, plan, found, left_out, heard):
        if untrained is not None and result.task in untrained.tasks:
            result = with_baseline(result, untrained.tasks[result.task])
        (result,) = judged([result], [r.tasks[result.task] for r in references if result.task in r.tasks])
        tasks[result.task] = result
        on_result(result)
    results = Results(model, tasks, left_out, dataclasses.asdict(plan), environment(str(lm.device)))
    return Evaluated(results, heard[0] if heard else None)


def _results(
    subject: Subject, baby: Speaker, plan: Plan, found: Discovered, left_out: dict[str, str], heard: list[Speech]
) -> Iterator[TaskResult]:
    """Each test's result; fills in what was left out and what was said."""
    wanted = _wanted(plan, found, left_out)
    if twice := [name for name in plan.pairs if name in wanted]:
        raise PlanError(f"pairs: {twice[0]} is also the name of a test in {plan.data}. Choose another.")
    for name, test in wanted.items():
        yield _tested(baby, plan, name, test, found.terms)
    for name, source in plan.pairs.items():
        yield _compared(baby, plan, name, source, found.terms)
    for name, text in (("l1", plan.l1_text), ("l2", plan.l2_text)):
        if text:
            yield fluency(baby.lm, baby.tokenizer, _heldout(subject, plan, text), name)
    if plan.l2_text and plan.prompts:
        spoken = _spoken(subject, baby, plan)
        heard.append(spoken)
        yield spoken.result
        if plan.pro_drop:
            yield overt_subjects({who: spoken.said[who] for who in ("baby", "human")})
    if subject.run is not None:
        yield from _of_run(subject.run, plan, left_out)
    if plan.harness:
        include = None if plan.harness_include is None else Path(plan.harness_include)
        config = HarnessConfig(tuple(plan.harness), include, include_defaults=include is None, limit=plan.limit)
        yield from run_harness(baby.lm, baby.tokenizer, config).values()


# ------------------------------------------------------------------------------------------------------------- tests


def _wanted(plan: Plan, found: Discovered, left_out: dict[str, str]) -> dict[str, Found | None]:
    """Tests to run, in the data's order or as asked for; None: from the hub. What cannot be had is left out."""
    if plan.wanted is None:
        return dict(found.tests)
    wanted: dict[str, Found | None] = {}
    for name in plan.wanted:
        if name in found.tests:
            wanted[name] = found.tests[name]
        elif plan.data is None and name in task_names():
            wanted[name] = None
        elif plan.tasks:
            known = ", ".join([*found.tests] or task_names())
            raise PlanError(f"tasks: there is no test {name}. There are: {known}.")
        else:
            left_out[name] = f"no file for it in {plan.data}" if plan.data else "give its file with --data"
    return wanted


def _tested(baby: Speaker, plan: Plan, name: str, test: Found | None, terms: list[Path]) -> TaskResult:
    if test is None or test.kind == "classification":
        path = None if test is None else test.path
        return evaluate_task(baby.lm, baby.tokenizer, name, path, max_items=plan.limit)
    if test.kind == "pairs":
        return _compared(baby, plan, name, test.path, terms)
    lines = load_heldout([str(test.path)], heldout_every=None, max_lines=plan.lines)
    return fluency(baby.lm, baby.tokenizer, lines, name)


def _compared(baby: Speaker, plan: Plan, name: str, source: str | Path, terms: list[Path]) -> TaskResult:
    """The result on minimal pairs."""
    data = load_pair_set(source, terms)
    if plan.limit is not None:
        data = replace(data, pairs=spread(data.pairs, plan.limit))
    return evaluate_pairs(baby.lm, baby.tokenizer, name, data, plan.normalization)


def _heldout(subject: Subject, plan: Plan, text: list[str]) -> list[str]:
    return load_heldout(text, heldout_every=subject.heldout_every, split=plan.split, max_lines=plan.lines)


# ---------------------------------------------------------------------------------------------------- what it says


def _spoken(subject: Subject, baby: Speaker, plan: Plan) -> Speech:
    parent = None
    if subject.parent is not None:
        config = ModelConfig(subject.parent)
        lm = load_lm(config, "parent")
        parent = Speaker(lm, load_tokenizer(config, "parent", lm))
    languages = None
    if plan.l1_text:
        l1, l2 = (load_corpus(text, heldout_every=subject.heldout_every) for text in (plan.l1_text, plan.l2_text))
        languages = LanguageIdentifier.train(l1.lines, l2.lines)
    settings = SpeechSettings(prompts=plan.prompts)
    return speech(baby, _heldout(subject, plan, plan.l2_text), parent=parent, languages=languages, settings=settings)


# ------------------------------------------------------------------------------------------------------- of a run


def _of_run(run: Path, plan: Plan, left_out: dict[str, str]) -> Iterator[TaskResult]:
    """What the evaluations inside training tell: forgetting, and the order of acquisition where one is asked for."""
    try:
        l1, l2 = plan.curves
        yield forgetting_of(run, ForgettingSettings(l1, l2))
    except CurveError as error:
        left_out["forgetting"] = str(error)
    if plan.child_order is not None:
        yield acquisition_order(run, load_order(plan.child_order))
