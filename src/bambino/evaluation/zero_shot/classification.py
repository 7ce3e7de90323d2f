"""Zero-shot classification: every option's log-likelihood after a prompt, scored plain and calibrated.

The ways to score an option o of an item x (each template on its own; measures are means over templates):

- `sum`: log p(o | x), the paper's.
- `per_byte`: log p(o | x) / UTF-8 bytes of o.
- `pmi`: log p(o | x) - log p(o | premise), the premise being the end of the prompt that makes sense without an item
  (domain-conditional PMI, Holtzman et al. 2021).
- `calibrated`: log p(o | x) - log q(o), q being the mean over content-free items of the options' normalized
  probabilities (contextual calibration, Zhao et al. 2021, with weights diag(q)^-1 and no offset).

The main score is **balanced accuracy** by `sum`: whatever ignores the item (one answer for everything, as small models
are prone to) scores exactly chance by it, while accuracy rewards hitting on the most frequent class. Its chance is
1 / classes that occur: with tags that no item has, one answer for everything beats a guess among all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.analysis.statistics import bootstraps_of
from bambino.analysis.verdicts import against, in_words
from bambino.errors import TextError
from bambino.evaluation.model_description import describe_model
from bambino.evaluation.zero_shot.choices import Choice, choice_lengths, choice_log_probs
from bambino.evaluation.zero_shot.confusion import TIE, Accuracies, Confusion, always, credits_of, guessing, shares_of
from bambino.evaluation.zero_shot.prompts import content_free, filled, premise_of, shortened
from bambino.evaluation.zero_shot.ranking import auc_of
from bambino.evaluation.zero_shot.task_data import Item, TaskData, load_items
from bambino.evaluation.zero_shot.task_definitions import Task, load_task
from bambino.measures import Score, TaskResult
from bambino.scoring.forward import context_length
from bambino.speaking.speaker import Speaker

SCORINGS = ("sum", "per_byte", "pmi", "calibrated")
ITEMS_AT_ONCE = 1000
"""Items whose questions are held as tokens together; more would only take memory."""
MEASURES = ("balanced_accuracy", "accuracy", "macro_f1")


@dataclass(frozen=True)
class OptionScores:
    """What a model makes of the options of N items, by T templates, with k options each."""

    by: Mapping[str, np.ndarray]
    """Scoring -> (T, N, k); nats, `per_byte` nats per byte."""
    lengths: np.ndarray
    """(T, N, k) UTF-8 bytes of the options."""
    truncated: list[int]
    """Per template: items whose text was cut to fit the context."""


class Classification:
    """A zero-shot task: balanced accuracy and all that stands beside it."""

    def __init__(
        self,
        task: Task | str,
        data: str | Path | None = None,
        *,
        max_items: int | None = None,
        brief: bool = False,
    ) -> None:
        """
        Args:
            task: or the name of a shipped one, or the path of a YAML file; the main score is `tasks/NAME`.
            data: the task's file, or a folder that holds it; None: from the hub.
            max_items: at most so many (sentences, in token tagging), evenly spread.
            brief: only the three measures of options scored by `sum`, without intervals: what training follows.

        Raises:
            TaskError: no such task.
            TextError: data that cannot be used (file and line named).
        """
        self.task = task if isinstance(task, Task) else load_task(task)
        self.data, self.brief = load_items(self.task, data, max_items), brief
        self.name = f"tasks/{self.task.name}"
        self.depends_on: dict[str, Any] = {
            "data": self.data.source,
            "sha256": self.data.sha256,
            "items": len(self.data.items),
            "max_items": max_items,
        }

    def __call__(self, baby: Speaker) -> TaskResult:
        """Measure a model as it is now.

        Raises:
            TextError: a template longer than the model's context.
        """
        task, items = self.task, self.data.items
        scores = score_options(baby.lm, baby.tokenizer, task, items)
        if self.brief:
            return self._result_in_brief(scores)
        result = result_of(task, self.data, scores, self.depends_on | describe_model(baby))
        if task.ranked is None:
            return result
        auc = auc_of(f"{self.name}/auc", baby, task, items, task.ranked)
        verdict = f"{result.verdict}; AUC {against(auc, 0.5, 'chance')}"
        return replace(result, scores=[*result.scores, auc], verdict=verdict)

    def _result_in_brief(self, scores: OptionScores) -> TaskResult:
        truth = np.array([item.label for item in self.data.items])
        groups = np.array([item.group for item in self.data.items])
        shares = Confusion(credits_of(scores.by["sum"]), truth, groups).shares()
        chance = _chance(truth, len(self.task.labels))
        return TaskResult(self.name, _plain_scores(self.task, "", shares, chance, len(truth)), self.depends_on)


def score_options(
    lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: Task, items: Sequence[Item]
) -> OptionScores:
    """Score every option of every item by every template; equal questions are asked once.

    A text that is too long loses words at its beginning until prompt and longest option fit the context.

    Raises:
        TextError: a question that does not fit even then.
    """
    parts = [
        _score_some(lm, tokenizer, task, items[first : first + ITEMS_AT_ONCE])
        for first in range(0, len(items), ITEMS_AT_ONCE)
    ]
    return OptionScores(
        by={scoring: np.concatenate([part.by[scoring] for part in parts], axis=1) for scoring in SCORINGS},
        lengths=np.concatenate([part.lengths for part in parts], axis=1),
        truncated=[sum(counts) for counts in zip(*(part.truncated for part in parts), strict=True)],
    )


def _score_some(
    lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: Task, items: Sequence[Item]
) -> OptionScores:
    own = [[filled(task, template, item) for item in items] for template in task.templates]
    premises = [[premise_of(task, template, item) for item in items] for template in task.templates]
    free = [[content_free(task, template, item) for item in items] for template in task.templates]
    longest, truncated = context_length(lm), [0] * len(task.templates)
    if longest is not None:
        tokens = _tokens(tokenizer, [*chain(*own), *chain(*premises), *chain(*chain(*free))])
        for t, template in enumerate(task.templates):
            for i, item in enumerate(items):
                if tokens[own[t][i]] > longest:
                    own[t][i], _ = shortened(tokenizer, task, template, item, longest)
                    truncated[t] += 1
        for choice in [*chain(*premises), *chain(*chain(*free))]:
            if tokens[choice] > longest:
                raise TextError(f"{task.name}: {choice.prompt!r} with its options does not fit {longest} tokens.")
    asked = list(dict.fromkeys([*chain(*own), *chain(*premises), *chain(*chain(*free))]))
    log_probs = dict(zip(asked, choice_log_probs(lm, tokenizer, asked), strict=True))
    plain = np.array([[log_probs[choice] for choice in row] for row in own])
    without_item = np.array([[log_probs[choice] for choice in row] for row in premises])
    without_content = np.array([[[log_probs[choice] for choice in few] for few in row] for row in free])
    lengths = np.array([[[len(o.encode("utf-8")) for o in choice.options] for choice in row] for row in own])
    by = {
        "sum": plain,
        "per_byte": plain / lengths,
        "pmi": plain - without_item,
        "calibrated": plain - log_mean_share(without_content),
    }
    return OptionScores(by, lengths, truncated)


def _tokens(tokenizer: PreTrainedTokenizerBase, choices: Iterable[Choice]) -> dict[Choice, int]:
    """How many tokens each choice takes."""
    unique = list(dict.fromkeys(choices))
    return dict(zip(unique, choice_lengths(tokenizer, unique), strict=True))


def log_mean_share(log_probs: np.ndarray) -> np.ndarray:
    """(..., M, k) log-probs under M content-free items -> (..., k) log of the options' mean normalized probability."""
    shares = np.exp(log_probs - log_probs.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    mean: np.ndarray = np.log(shares.mean(-2))
    return mean


def result_of(task: Task, data: TaskData, scores: OptionScores, settings: Mapping[str, Any]) -> TaskResult:
    """All measures of the scores, with intervals over items, chance, majority classes and a verdict."""
    truth = np.array([item.label for item in data.items])
    groups = np.array([item.group for item in data.items])
    labels = len(task.labels)
    majority, chance = _majority(truth, labels), _chance(truth, labels)
    found: list[Score] = []
    item_scores: dict[str, list[float]] = {}
    for scoring in SCORINGS:
        answers = credits_of(scores.by[scoring])
        part = "" if scoring == "sum" else f"/{scoring}"
        found += _scores(task, part, Confusion(answers, truth, groups), chance, len(truth))
        for t in range(len(answers)):
            shares = shares_of(answers[t], truth)
            found += _plain_scores(task, f"/{scoring}/template_{t + 1}", shares, chance, len(truth))
        right = np.take_along_axis(answers.mean(0), truth[:, None], 1)[:, 0]
        item_scores |= _item_scores(task, part, right, truth)
    found += _plain_scores(task, "/majority", majority, chance, len(truth))
    if data.train_majority is not None:
        of_train = always(data.train_majority, truth, labels)
        found += _plain_scores(task, "/train_majority", of_train, chance, len(truth))
    shortest = credits_of(-scores.lengths).mean(0)
    found += _plain_scores(task, "/shortest", shares_of(shortest, truth), chance, len(truth))
    found = sorted(found, key=lambda score: (score.interval is None, score.name.count("/")))
    settings = {**_settings(task, data, scores, truth), **settings}
    name = f"tasks/{task.name}"
    return TaskResult(name, found, settings, in_words(name, found), item_scores)


def _majority(truth: np.ndarray, labels: int) -> Accuracies:
    return always(int(np.bincount(truth, minlength=labels).argmax()), truth, labels)


def _chance(truth: np.ndarray, labels: int) -> Accuracies:
    """What guessing scores; of balanced accuracy, what one answer for everything does."""
    return replace(guessing(truth, labels), balanced_accuracy=_majority(truth, labels).balanced_accuracy)


def _named(task: Task, measure: str, part: str = "") -> str:
    """tasks/NAME for balanced accuracy, tasks/NAME/accuracy for the others; a part (`/pmi`) follows."""
    return f"tasks/{task.name}" + ("" if measure == "balanced_accuracy" else f"/{measure}") + part


def _scores(task: Task, part: str, confusion: Confusion, chance: Accuracies, items: int) -> list[Score]:
    """The measures of one scoring, with bootstrap intervals."""

    def measured(picks: np.ndarray | None = None) -> list[float]:
        shares = confusion.shares(picks)
        return [float(getattr(shares, name)) for name in MEASURES]

    return [
        Score(_named(task, name, part), value, "share", items, interval, _level(name, chance))
        for name, value, interval in zip(MEASURES, measured(), bootstraps_of(measured, confusion.groups), strict=True)
    ]


def _plain_scores(task: Task, part: str, value: Accuracies, chance: Accuracies, items: int) -> list[Score]:
    return [
        Score(_named(task, name, part), getattr(value, name), "share", items, chance=_level(name, chance))
        for name in MEASURES
    ]


def _level(name: str, chance: Accuracies) -> float:
    return float(getattr(chance, name))


def _item_scores(task: Task, part: str, right: np.ndarray, truth: np.ndarray) -> dict[str, list[float]]:
    """Per item, so that the mean is the score: the part that is right, and that weighted by the class's rarity."""
    counts = np.bincount(truth)
    weights = len(truth) / (counts[truth] * (counts > 0).sum())
    return {
        _named(task, "accuracy", part): right.tolist(),
        _named(task, "balanced_accuracy", part): (right * weights).tolist(),
    }


def _settings(task: Task, data: TaskData, scores: OptionScores, truth: np.ndarray) -> dict[str, Any]:
    names = list(task.labels)
    answers = {scoring: credits_of(scores.by[scoring]).mean(1) for scoring in SCORINGS}

    def shares(row: np.ndarray) -> dict[str, float]:
        return {name: round(float(share), 4) for name, share in zip(names, row, strict=True)}

    return {
        "templates": [dict(template.prompts) | dict(template.options) for template in task.templates],
        "truncated": scores.truncated,
        "empty_tokens": data.empty_tokens,
        "labels": shares(np.bincount(truth, minlength=len(names)) / len(truth)),
        "answers": {scoring: [shares(row) for row in rows] for scoring, rows in answers.items()},
        "tie": f"options within {TIE:g} nats of the best share the answer",
        "delimiter": "a space, or nothing where none is written",
    }
