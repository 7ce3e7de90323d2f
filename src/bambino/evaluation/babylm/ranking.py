"""Does the model give the right sentence the highest probability? As BabyLM's scorer counts: a tie goes to the one that
is listed first, which is the right one.

The score is the mean over the uids of their accuracies; of entity tracking, uids that differ in the number of
operations only are averaged first. Of wug questions it is Spearman's correlation between the model's probability of
the first sentence, out of both, and the share of people who chose it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import astuple
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np
from scipy.special import softmax
from scipy.stats import spearmanr

from bambino.analysis.statistics import bootstrap
from bambino.evaluation.babylm.likelihood import START, end_log_probs
from bambino.evaluation.babylm.questions import Question
from bambino.evaluation.model_description import describe_model
from bambino.measures import Score, TaskResult
from bambino.speaking.speaker import Speaker

_OPERATIONS = re.compile(r"_\d+_ops$")


class Ranking:
    """Questions, answered by probability; `babylm/NAME`."""

    def __init__(self, name: str, questions: Sequence[Question], source: str) -> None:
        """
        Args:
            source: where the questions are from.
        """
        self.name, self.questions = f"babylm/{name}", list(questions)
        digest = hashlib.sha256(json.dumps([astuple(question) for question in questions]).encode())
        self.depends_on: dict[str, Any] = {"data": source, "sha256": digest.hexdigest()}

    def __call__(self, baby: Speaker) -> TaskResult:
        """Measure a model as it is now.

        Raises:
            TextError: a sentence that is longer than the model's context.
        """
        sentences = [sentence for question in self.questions for sentence in question.sentences]
        ends = [end for question in self.questions for end in question.ends]
        edges = pairwise(np.cumsum([0, *(len(question.sentences) for question in self.questions)]))
        log_probs = end_log_probs(baby, sentences, ends)
        each = [log_probs[start:end] for start, end in edges]
        items = {
            f"{self.name}/chosen": [float(scores.argmax()) for scores in each],
            f"{self.name}/probability": [float(softmax(scores)[0]) for scores in each],
        }
        settings = {**self.depends_on, **describe_model(baby), "start_token": START, "ties": "the one listed first"}
        is_wug = self.questions[0].ratio is not None
        scores = self._correlation(items[f"{self.name}/probability"]) if is_wug else self._accuracies(items)
        return TaskResult(self.name, scores, settings, item_scores=items)

    def predictions(self, result: TaskResult) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """For each uid what was chosen, question by question: the content of the collator's predictions.json."""
        found: dict[str, dict[str, list[dict[str, Any]]]] = {}
        columns = (result.item_scores[f"{self.name}/{what}"] for what in ("chosen", "probability"))
        for question, chosen, probability in zip(self.questions, *columns, strict=True):
            rows = found.setdefault(question.uid, {"predictions": []})["predictions"]
            row = {"id": f"{question.uid}_{len(rows)}", "pred": question.answers[int(chosen)]}
            rows.append(row if question.ratio is None else {**row, "prob": probability})
        return found

    def _accuracies(self, items: dict[str, list[float]]) -> list[Score]:
        points: dict[str, list[float]] = {}
        chances: dict[str, list[float]] = {}
        for question, chosen in zip(self.questions, items[f"{self.name}/chosen"], strict=True):
            points.setdefault(question.uid, []).append(float(chosen == 0))
            chances.setdefault(question.uid, []).append(1 / len(question.sentences))
        value, chance = _mean_over_uids(points), _mean_over_uids(chances)
        return [
            Score(self.name, value, "share", len(self.questions), chance=chance),
            *(
                Score(f"{self.name}/{uid}", fmean(each), "share", len(each), bootstrap(each), fmean(chances[uid]))
                for uid, each in points.items()
            ),
        ]

    def _correlation(self, probabilities: list[float]) -> list[Score]:
        people = [question.ratio for question in self.questions]
        is_flat = len(set(probabilities)) < 2 or len(set(people)) < 2
        rho = float("nan") if is_flat else float(spearmanr(probabilities, people).statistic)
        return [Score(self.name, rho, "Spearman's rho", len(people), chance=0.0)]


def _mean_over_uids(by_uid: dict[str, list[float]]) -> float:
    groups: dict[str, list[float]] = {}
    for uid, values in by_uid.items():
        groups.setdefault(_OPERATIONS.sub("", uid), []).append(fmean(values))
    return fmean(map(fmean, groups.values()))
