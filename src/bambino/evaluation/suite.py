"""A model against the tests that are there: one call from a model and a plan to results.

A test that cannot be run is left out by name and with the reason, never silently; what is wrong with the data of a test
that is there stops the evaluation with file and line.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from bambino.analysis.acquisition import acquisition_order, load_order
from bambino.analysis.bilingual import TEXTS, bilingual
from bambino.analysis.forgetting import ForgettingSettings, forgetting_of
from bambino.analysis.results import Results, load_results
from bambino.analysis.verdicts import averaged, with_baseline, with_verdicts
from bambino.errors import CurveError, ModelError, PlanError, ResultsError, RunDirectoryError, TextError, shortened
from bambino.evaluation.babylm.questions import load_questions
from bambino.evaluation.babylm.ranking import Ranking
from bambino.evaluation.babylm.reading import ReadingTimes
from bambino.evaluation.discovery import Discovered, Found
from bambino.evaluation.export import discover_tests
from bambino.evaluation.fluency import BitsPerByte
from bambino.evaluation.harness import Harness, HarnessConfig
from bambino.evaluation.minimal_pairs import Linking, MinimalPairs
from bambino.evaluation.pair_files import PairSet, load_pair_set
from bambino.evaluation.plan import Plan
from bambino.evaluation.speech.continuations import SpeechSettings
from bambino.evaluation.speech.pro_drop import overt_subjects
from bambino.evaluation.speech.speech import Speech, Spoken
from bambino.evaluation.subject import Subject, opened, subject_of
from bambino.evaluation.zero_shot.acceptability import LabelledSentences
from bambino.evaluation.zero_shot.classification import Classification
from bambino.evaluation.zero_shot.school import School
from bambino.evaluation.zero_shot.task_definitions import task_names
from bambino.files import finite
from bambino.measures import Measure, TaskResult, check_names
from bambino.models.digests import weights_sha256
from bambino.recipe.model_settings import ModelConfig
from bambino.recipe.names import nearest
from bambino.runs.provenance import environment
from bambino.speaking.rollout import check_speaks
from bambino.speaking.speaker import Speaker
from bambino.text.heldout import spread
from bambino.text.json_lines import texts_of
from bambino.text.language_id import LanguageIdentifier
from bambino.text.lines import SourceReport, load_corpus, load_heldout
from bambino.text.tokens import tokenizer_sha256


@dataclass(frozen=True)
class Evaluated:
    """Results, and what the baby said for a reader."""

    results: Results
    spoken: Spoken | None


OnResult = Callable[[TaskResult, Results], None]
"""Called with each test's result when it is there, and with all results until then."""


def evaluate(model: str, plan: Plan, on_result: OnResult = lambda result, so_far: None) -> Evaluated:
    """Measure a model as planned.

    Args:
        model: a folder, a hub name, or a run directory, whose curves are then measured too.

    Raises:
        PlanError, TextError, TaskError, ModelError, ResultsError: something asked for cannot be had or read.
    """
    return Evaluation(model, plan).run(on_result=on_result)


class Evaluation:
    """A plan for a subject. What it takes besides the model under test is read once, however many ages are measured."""

    def __init__(self, model: str, plan: Plan) -> None:
        """Raises: as `evaluate`, for all that can be seen before the model under test is loaded."""
        self.plan = plan
        self.subject: Subject = subject_of(model, plan)
        self.found = Discovered({}, []) if plan.data is None else discover_tests(plan.data, plan.own_tasks)
        self.untrained = {} if plan.untrained is None else load_results(plan.untrained).tasks
        self.references = [load_results(path) for path in plan.references]
        wanted, self.left_out = _wanted(plan, self.found)
        if twice := [name for name in plan.pairs if name in wanted]:
            raise PlanError(f"pairs: {twice[0]} is also the name of a test in {plan.data}. Choose another.")
        pairs = {name: load_pair_set(source, self.found.terms) for name, source in plan.pairs.items()}
        self.texts = self._texts()
        self.measures: list[Measure] = [_test(plan, *one, self.found.terms) for one in wanted.items()]
        self.measures += [_pairs(plan, name, data) for name, data in pairs.items()]
        check_names([*self.measures, *self.texts.values()])
        self.child_order = None if plan.child_order is None else load_order(plan.child_order)
        self.harness = None
        if plan.harness:
            include = None if plan.harness_include is None else Path(plan.harness_include)
            own = include is None
            self.harness = Harness(HarnessConfig(tuple(plan.harness), include, include_defaults=own, limit=plan.limit))

        needs_parent = self.subject.parent is not None and bool(plan.l2_text)
        self._parent = _opened(str(self.subject.parent), "parent", plan) if needs_parent else None
        self.speech = self._speech() if plan.l2_text and plan.prompts else None

    def run(
        self,
        age: int | None = None,
        on_result: OnResult = lambda result, so_far: None,
        unfinished: Results | None = None,
        finished: Results | None = None,
    ) -> Evaluated:
        """Measure the subject's model, or what it was at an age (`subject.earlier`), then without its run's curves.

        Args:
            unfinished: what an evaluation that was interrupted had found; its tests are not measured again.
            finished: what one that was not had found; the same, where it is of the same model, plan and data.

        Raises:
            PlanError: `unfinished` is of another model, plan or data.
        """
        folder = self.subject.model if age is None else self.subject.earlier[age]
        name = self.subject.name if age is None else f"{self.subject.name}, step {age}"
        baby = _opened(str(folder), "baby", self.plan, self.plan.revision if age is None else None)
        if self.speech is not None:
            check_speaks(baby.lm)
        spoken: list[Spoken] = []
        tasks: dict[str, TaskResult] = {}
        settings, fingerprint = dataclasses.asdict(self.plan), self._fingerprint(baby)
        known = _of(fingerprint, unfinished, finished)
        before = {} if known is None else known.tasks
        left_out = self.left_out | ({} if known is None else known.left_out)
        results = Results(name, tasks, left_out, settings, environment(str(baby.lm.device)), fingerprint)
        for result in self._results(baby, tasks, left_out, spoken, before, of_run=age is None):
            if result is not before.get(result.task):
                result = self._compared(result, left_out)
            tasks[result.task] = result
            on_result(result, results)
        if (mean := averaged(list(tasks.values()))) is not None:
            tasks[mean.task] = mean
        return Evaluated(results, spoken[0] if spoken else None)

    def _compared(self, result: TaskResult, left_out: dict[str, str]) -> TaskResult:
        """With the gain over the untrained baby, and the verdict that the references allow."""
        if result.task in self.untrained:
            try:
                result = with_baseline(result, self.untrained[result.task])
            except ResultsError as error:
                left_out[f"{result.task}, gain"] = str(error)
        references = [r.tasks[result.task] for r in self.references if result.task in r.tasks]
        (result,) = with_verdicts([result], references)
        return result

    def _results(
        self,
        baby: Speaker,
        so_far: dict[str, TaskResult],
        left_out: dict[str, str],
        spoken: list[Spoken],
        before: dict[str, TaskResult],
        of_run: bool,
    ) -> Iterator[TaskResult]:
        """Each measure's result, measured unless it was before; fills in what was left out and what was said."""
        plan = self.plan
        for measure in [*self.measures, *self.texts.values()]:
            yield before[measure.name] if measure.name in before else measure(baby)
        if plan.l1_text and plan.l2_text and self._parents is not None:
            first = self.untrained if set(TEXTS) <= set(self.untrained) else self._first_babys
            try:
                result = bilingual(so_far, first, self._parents)
                yield replace(result, settings=result.settings | {"parent": self._parent_hash})
            except CurveError as error:
                left_out["bilingual"] = str(error)
        if self.speech is not None:
            spoken.append(self.speech.spoken(baby))
            yield replace(spoken[0].result, settings=spoken[0].result.settings | {"parent": self._parent_hash})
            if plan.pro_drop:
                yield overt_subjects({who: spoken[0].said[who] for who in ("baby", "human")})
        if self.subject.run is not None and of_run:
            yield from self._of_run(self.subject.run, left_out)
        if self.harness is not None:
            yield from self.harness.run(baby).values()

    def _of_run(self, run: Path, left_out: dict[str, str]) -> Iterator[TaskResult]:
        """What evaluations inside training tell: forgetting, and the order of acquisition where one is asked for."""
        (l1, l2), plan = self.plan.curves, self.plan
        try:
            yield forgetting_of(run, ForgettingSettings(l1, l2, tuple(plan.levels), tuple(plan.gains)))
        except (CurveError, RunDirectoryError) as error:
            left_out["forgetting"] = str(error)
        if self.child_order is not None:
            yield acquisition_order(run, self.child_order)

    # ----------------------------------------------------------------------------------------------- read once

    def _texts(self) -> dict[str, BitsPerByte]:
        """Bits per byte of both texts' held-out lines; fills in how many lines cannot be used."""
        found = {}
        for name, text in (("l1", self.plan.l1_text), ("l2", self.plan.l2_text)):
            if not text:
                continue
            report = SourceReport(path="")
            lines = load_heldout(
                text,
                heldout_every=self.subject.heldout_every,
                split=self.plan.split,
                max_lines=self.plan.lines,
                normalization=self.subject.normalization,
                line_breaks=self.subject.line_breaks,
                report=report,
            )
            found[name] = BitsPerByte(name, lines, {"dropped": report.dropped})
            if bad := ", ".join(f"{count:,} {reason}" for reason, count in report.dropped.items() if reason != "empty"):
                self.left_out[f"lines of {name}_text"] = bad
            if others := "; ".join(f"{path} ({why})" for path, why in report.reading.left_out.items()):
                self.left_out[f"files of {name}_text"] = others
        return found

    def _speech(self) -> Speech:
        settings = SpeechSettings(prompts=self.plan.prompts)
        lines = self.texts["l2"].lines
        if self._parent is not None:
            check_speaks(self._parent.lm)
        return Speech(lines, parent=self._parent, languages=self._languages, settings=settings)

    def _fingerprint(self, baby: Speaker) -> str:
        """The sha256 of all that results depend on."""
        content = {
            "bambino": version("bambino-lm"),
            "model": [weights_sha256(baby.lm), tokenizer_sha256(baby.tokenizer)],
            "parent": self._parent_hash,
            "plan": dataclasses.asdict(self.plan),
            "data": {measure.name: measure.depends_on for measure in [*self.measures, *self.texts.values()]},
            "untrained": {name: dataclasses.asdict(result) for name, result in self.untrained.items()},
            "references": [dataclasses.asdict(results) for results in self.references],
        }
        return hashlib.sha256(json.dumps(finite(content), sort_keys=True, default=str).encode()).hexdigest()

    def _fluency(self, model: Speaker) -> dict[str, TaskResult]:
        return {measure.name: measure(model) for measure in self.texts.values()}

    @cached_property
    def _parent_hash(self) -> str | None:
        return None if self._parent is None else weights_sha256(self._parent.lm)

    @cached_property
    def _parents(self) -> dict[str, TaskResult] | None:
        """The parent's bits per byte on both texts."""
        return None if self._parent is None else self._fluency(self._parent)

    @cached_property
    def _first_babys(self) -> dict[str, TaskResult]:
        """The bits per byte of the baby before its run; none where there is no such baby any more."""
        if self.subject.first is None:
            return {}
        try:
            return self._fluency(_opened(self.subject.first, "baby", self.plan))
        except ModelError:
            return {}

    @cached_property
    def _languages(self) -> LanguageIdentifier | None:
        if not (self.plan.l1_text and self.plan.l2_text):
            return None
        rules: dict[str, Any] = {
            "heldout_every": self.subject.heldout_every,
            "normalization": self.subject.normalization,
            "line_breaks": self.subject.line_breaks,
        }
        l1, l2 = (load_corpus(text, **rules) for text in (self.plan.l1_text, self.plan.l2_text))
        try:
            return LanguageIdentifier.train(l1.lines, l2.lines)
        except ValueError as error:
            raise TextError(f"l1_text, l2_text: {error}") from None


def _opened(model: str, role: Literal["baby", "parent"], plan: Plan, revision: str | None = None) -> Speaker:
    trust = plan.trust_remote_code if role == "baby" else plan.parent_trust_remote_code
    return opened(ModelConfig(model, revision, trust), role)


def _of(fingerprint: str, unfinished: Results | None, finished: Results | None) -> Results | None:
    """What may be gone on from.

    Raises:
        PlanError: what is unfinished has another fingerprint.
    """
    if unfinished is not None and unfinished.fingerprint != fingerprint:
        way_out = "Leave --resume out to measure all anew, or give another output_dir."
        raise PlanError(f"--resume: what was measured is of another model, other options or other data. {way_out}")
    if unfinished is None and finished is not None and finished.fingerprint == fingerprint:
        return finished
    return unfinished


# ------------------------------------------------------------------------------------------------------------- tests


def _wanted(plan: Plan, found: Discovered) -> tuple[dict[str, Found | None], dict[str, str]]:
    """Tests to run, in the data's order or as asked for (None: from the hub), and what is left out, with the reason."""
    if plan.wanted is None:
        return dict(found.tests), dict(found.others)
    wanted: dict[str, Found | None] = {}
    left_out: dict[str, str] = {}
    for name in plan.wanted:
        if name in found.tests:
            wanted[name] = found.tests[name]
        elif plan.data is None and name in task_names():
            wanted[name] = None
        elif plan.tasks:
            known = [*found.tests] or task_names()
            near = nearest(name, known)
            hint = f"Did you mean {near}? " if near else ""
            raise PlanError(f"tasks: there is no test {shortened(name)}. {hint}There are: {', '.join(known)}.")
        else:
            left_out[name] = f"no file for it in {plan.data}" if plan.data else "give its file with --data"
    return wanted, left_out


def _test(plan: Plan, name: str, test: Found | None, terms: list[Path]) -> Measure:
    """The measure of a test; None: it comes from the hub."""
    if test is None or test.kind == "classification":
        return Classification(name, None if test is None else test.path, max_items=plan.limit)
    if test.kind == "pairs":
        return _pairs(plan, name, load_pair_set(test.path, terms))
    if test.kind == "questions":
        questions = load_questions(test.path)
        return Ranking(name, spread(questions, plan.limit or len(questions)), str(test.path))
    if test.kind == "reading":
        return ReadingTimes(test.path)
    if test.kind == "school":
        return School(name, test.path, _linking(plan), plan.limit)
    if test.kind == "acceptability":
        return LabelledSentences(name, test.path, plan.limit)
    return BitsPerByte(name, spread(texts_of(test.path), plan.lines))


def _pairs(plan: Plan, name: str, data: PairSet) -> MinimalPairs:
    return MinimalPairs(name, data if plan.limit is None else data.spread(plan.limit), _linking(plan))


def _linking(plan: Plan) -> Linking:
    return Linking(plan.normalization) if plan.alpha is None else Linking(plan.normalization, plan.alpha)
