"""The suite `babylm`: every set of BabyLM's evaluation that is there, at every revision, as files for its collator.

    DATA/full_eval/SET/*.jsonl, reading/reading_data.csv, aoa/cdi_childes.json, aoa/cdi_human.csv     the last model's
    DATA/fast_eval/SET/*.jsonl, reading/reading_data.csv                                              each revision's

    OUT/MODEL/REVISION/zero_shot/causal/TASK/SET/predictions.json   {UID: {"predictions": [{"id", "pred"}, ...]}}
    OUT/MODEL/REVISION/zero_shot/causal/reading/predictions.json    {"reading": {"predictions": [{"id", ...}, ...]}}
    OUT/MODEL/main/zero_shot/causal/AoA_word/surprisal.json         {"metadata": {...}, "results": [{"step", ...}, ...]}
    OUT/MODEL/REVISION/results.json, items.json                     the same as scores

Fine-tuning (GLUE) is not done here; the collator asks for its predictions too, in OUT/MODEL/main/finetune.
Source: babylm-org/babylm-eval, strict/evaluation_pipeline/collate_preds.py, read on 2026-11-27.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bambino.analysis.results import Results, load_results
from bambino.errors import PlanError
from bambino.evaluation.babylm.questions import load_questions
from bambino.evaluation.babylm.ranking import Ranking
from bambino.evaluation.babylm.reading import ReadingTimes
from bambino.evaluation.babylm.revisions import MAIN, Revisions, revisions_of
from bambino.evaluation.babylm.words import WordSurprisal, age_of_acquisition, surprisal_file
from bambino.evaluation.plan import Plan
from bambino.evaluation.subject import opened
from bambino.files import write_atomically
from bambino.measures import TaskResult
from bambino.models.digests import weights_sha256
from bambino.runs.provenance import environment
from bambino.speaking.speaker import Speaker
from bambino.text.sources import find_files
from bambino.text.tokens import tokenizer_sha256

WUG = {"wug_adj_nominalization": "wug_adj", "wug_past_tense": "wug_past"}
FULL = {
    "blimp_filtered": "blimp",
    "supplement_filtered": "blimp",
    "ewok_filtered": "ewok",
    "entity_tracking": "entity_tracking",
    **WUG,
    "comps": "comps",
}
FAST = {
    "blimp_fast": "blimp",
    "supplement_fast": "blimp",
    "ewok_fast": "ewok",
    "entity_tracking_fast": "entity_tracking",
    **WUG,
}
"""Folder of questions -> what the collator calls its task."""
READING = Path("reading", "reading_data.csv")
Sets = dict[Path, Ranking | ReadingTimes]
"""Where the predictions of a set go, below the backend's folder -> its measure."""
OnResult = Callable[[str, TaskResult], None]
"""Called with a revision and each of its results."""


class Submission:
    """A model's evaluation for BabyLM."""

    def __init__(self, model: str, plan: Plan) -> None:
        """
        Raises:
            PlanError: no such data, or no revision where all are wanted. TextError: data that cannot be used.
        """
        self.plan, self.name = plan, Path(os.path.abspath(model)).stem  # as the collator calls it
        self.revisions: Revisions = revisions_of(model, plan)
        self.full = _sets(Path(str(plan.data)) / "full_eval", FULL)
        self.fast = _sets(Path(str(plan.data)) / "fast_eval", FAST) if self.revisions.earlier else {}
        words = self._acquisition / "cdi_childes.json"
        self.words = WordSurprisal(words) if words.is_file() else None
        if not self.full and not self.fast:
            raise PlanError(f"data = {plan.data} holds neither full_eval nor fast_eval with {', '.join(FULL)}.")

    def write(self, output_dir: Path, resume: bool, on_result: OnResult = lambda revision, result: None) -> Results:
        """Measure all revisions, then the model itself, and write the collator's files; returns the model's results.

        Args:
            resume: a revision that has results of the same weights and data is not measured again.
        """
        folder = output_dir / self.name
        found: dict[str, Results] = {}
        for revision, config in self.revisions.earlier.items():
            baby = opened(config, "baby")
            found[revision] = self._measure(baby, revision, self.fast, folder / revision, resume, on_result)
        ages = self._ages(found, folder)
        return self._measure(
            opened(self.revisions.main, "baby"), MAIN, self.full, folder / MAIN, resume, on_result, ages
        )

    def _measure(
        self,
        baby: Speaker,
        revision: str,
        sets: Sets,
        folder: Path,
        resume: bool,
        on_result: OnResult,
        more: Sequence[TaskResult] = (),
    ) -> Results:
        fingerprint = self._fingerprint(baby, sets, more)
        if resume and (folder / "results.json").is_file() and (old := load_results(folder)).fingerprint == fingerprint:
            return old
        tasks: dict[str, TaskResult] = {}
        for place, measure in sets.items():
            result = tasks[measure.name] = measure(baby)
            _write(folder / "zero_shot" / "causal" / place / "predictions.json", measure.predictions(result))
            on_result(revision, result)
        words = [self.words(baby)] if self.words is not None and revision != MAIN else []
        for result in [*words, *more]:
            tasks[result.task] = result
            on_result(revision, result)
        name = f"{self.name}, {revision}"
        left_out = self._left_out(revision, sets)
        results = Results(name, tasks, left_out, asdict(self.plan), environment(str(baby.lm.device)), fingerprint)
        results.save(folder)
        return results

    def _ages(self, found: dict[str, Results], folder: Path) -> list[TaskResult]:
        """Age of acquisition, where there are words and revisions; writes the words' surprisal."""
        if self.words is None or not found:
            return []
        words, name = self.words.words, self.words.name
        by_revision = {revision: results.tasks[name].item_scores[name] for revision, results in found.items()}
        place = folder / MAIN / "zero_shot" / "causal" / "AoA_word" / "surprisal.json"
        _write(place, surprisal_file(self.name, words, by_revision))
        children = self._acquisition / "cdi_human.csv"
        return [age_of_acquisition(words, by_revision, children)] if children.is_file() else []

    @property
    def _acquisition(self) -> Path:
        return Path(str(self.plan.data)) / "full_eval" / "aoa"

    def _left_out(self, revision: str, sets: Sets) -> dict[str, str]:
        """What the collator asks for and does not get, with the reason."""
        asked = FULL if revision == MAIN else FAST
        found = {place.name for place in sets}
        left_out = {name: "no files of it in the data" for name in [*asked, "reading"] if name not in found}
        if revision == MAIN:
            left_out["GLUE"] = "fine-tuning is not done here; the collator asks for its predictions too"
            if self.words is None or not self.revisions.earlier:
                left_out["age of acquisition"] = "it takes aoa/cdi_childes.json, and --revisions all"
            if missing := ", ".join(self.revisions.missing) if self.revisions.earlier else "":
                left_out["revisions"] = f"the collator asks for {missing} too"
        return left_out

    def _fingerprint(self, baby: Speaker, sets: Sets, more: Sequence[TaskResult]) -> str:
        content = {
            "bambino": version("bambino-lm"),
            "model": [weights_sha256(baby.lm), tokenizer_sha256(baby.tokenizer)],
            "data": {str(place): measure.depends_on for place, measure in sets.items()},
            "words": None if self.words is None else self.words.depends_on,
            "more": [asdict(result) for result in more],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sets(folder: Path, tasks: dict[str, str]) -> Sets:
    """Where the predictions of each set go, and its measure; only of those that are there."""
    sets: Sets = {}
    for name, task in tasks.items():
        if (folder / name).is_dir():
            files = find_files(folder / name, (".jsonl",))
            questions = [question for path in files for question in load_questions(path, task)]
            sets[Path(task, name)] = Ranking(name, questions, str(folder / name))
    if (folder / READING).is_file():
        sets[Path("reading")] = ReadingTimes(folder / READING)
    return sets


def _write(path: Path, content: Any) -> None:
    """As JSON; what is no number is NaN, which the collator reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content) + "\n")
