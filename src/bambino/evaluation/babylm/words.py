"""Age of acquisition: the surprisal of words in context at every revision of a model, and the age at which each word is
learned, beside that of children (Chang & Bergen 2022).

A word is learned where a sigmoid through its negative surprisal over log10 of the words seen crosses the middle between
that of a model that knows nothing and its best; a child's word, where a sigmoid through the share of children who say
it crosses one half. A word whose curve does not fit, or crosses outside of what was measured, has no age. The score is
Pearson's correlation over words that have both.

Source: babylm-org/babylm-eval, strict/evaluation_pipeline (AoA_word/, utils.py), read on 2026-11-27. As there surprisal
is in nats while knowing nothing is log2 of 300 000.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.stats import pearsonr

from bambino.errors import TextError, shortened
from bambino.evaluation.babylm.likelihood import START, end_log_probs
from bambino.evaluation.model_description import describe_model
from bambino.evaluation.tables import rows_of
from bambino.files import json_of, sha256
from bambino.measures import Score, TaskResult
from bambino.speaking.speaker import Speaker
from bambino.text.sources import bytes_of

KNOWING_NOTHING = math.log2(300_000)
MONTHS = tuple(map(str, range(16, 31)))
"""Columns of children's ages."""
LEAST = 3
"""Points that a curve takes, and words that a correlation takes."""


@dataclass(frozen=True)
class WordInContext:
    """A word, and what it is said after."""

    word: str
    context_id: int
    context: str


def load_words(path: Path) -> list[WordInContext]:
    """The words of more than one letter of a .json file: {word: [{"context": ...}, ...], ...}.

    Raises:
        TextError: it is no such file, or holds no word.
    """
    try:
        content = json_of(bytes_of(path).decode("utf-8"))
        words = [
            WordInContext(word, number, str(one["context"]))
            for word, contexts in content.items()
            if len(word) > 1
            for number, one in enumerate(contexts)
        ]
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise TextError(f'{path}: must be {{word: [{{"context": ...}}, ...], ...}} ({error!r}).') from None
    if not words:
        raise TextError(f"{path} holds no word of more than one letter.")
    return words


class WordSurprisal:
    """`babylm/words`: the mean surprisal of words after their contexts and a space; one number for each of them."""

    name = "babylm/words"

    def __init__(self, path: Path) -> None:
        """
        Raises:
            TextError: as `load_words`.
        """
        self.words = load_words(path)
        self.depends_on: dict[str, Any] = {"data": str(path), "sha256": sha256(path)}

    def __call__(self, baby: Speaker) -> TaskResult:
        """Measure a model as it is now."""
        targets = [one.word.strip() for one in self.words]
        sentences = [f"{one.context.strip()} {target}" for one, target in zip(self.words, targets, strict=True)]
        found = (-end_log_probs(baby, sentences, targets)).tolist()
        settings = {**self.depends_on, **describe_model(baby), "start_token": START}
        return TaskResult(
            self.name, [Score(self.name, fmean(found), "nats", len(found))], settings, "", {self.name: found}
        )


def surprisal_file(
    model: str, words: Sequence[WordInContext], by_revision: Mapping[str, list[float]]
) -> dict[str, Any]:
    """The content of the collator's surprisal.json.

    Args:
        by_revision: revision (`chck_1M`) -> surprisals of the words.
    """
    results = [
        {
            "step": revision,
            "word_count": words_seen(revision),
            "target_word": one.word,
            "context_id": one.context_id,
            "context": one.context,
            "surprisal": surprisal,
        }
        for revision, found in by_revision.items()
        for one, surprisal in zip(words, found, strict=True)
    ]
    steps = len(by_revision)
    about = {"model_name": model, "use_bos_only": False, "total_steps": steps, "completed_steps": steps}
    return {"metadata": about, "results": results}


def words_seen(revision: str) -> int:
    """Of a revision named `chck_10M`, 10 000 000."""
    return int(revision.removeprefix("chck_").removesuffix("M")) * 1_000_000


def age_of_acquisition(
    words: Sequence[WordInContext], by_revision: Mapping[str, list[float]], children: Path
) -> TaskResult:
    """`babylm/age_of_acquisition`: the correlation of a model's ages with children's; NaN with fewer than three words.

    Args:
        children: a .csv file with word and a column for each of MONTHS that is there: the share of children.

    Raises:
        TextError: the file lacks a column, or a cell is no number.
    """
    seen = np.log10([words_seen(revision) + 1 for revision in by_revision])
    of_children = _ages_of_children(children)
    curves: dict[str, list[list[float]]] = {}
    for number, one in enumerate(words):
        curves.setdefault(one.word, []).append([found[number] for found in by_revision.values()])
    ages = {word: model_age(seen, np.array(each)) for word, each in curves.items() if of_children.get(word) is not None}
    both = [(age, of_children[word]) for word, age in ages.items() if age is not None]
    score = float(pearsonr(*zip(*both, strict=True)).statistic) if len(both) >= LEAST else math.nan
    name = "babylm/age_of_acquisition"
    settings = {"children": str(children), "words": len(curves), "revisions": list(by_revision)}
    return TaskResult(name, [Score(name, score, "Pearson's r", len(both), chance=0.0)], settings)


def model_age(seen: np.ndarray, surprisal: np.ndarray) -> float | None:
    """Log10 of the words seen at which a word is learned.

    Args:
        seen: (R,) log10 of words seen at each revision, rising.
        surprisal: (C, R) of the word after each of its contexts, all of them points of one curve.
    """
    points, values = np.tile(seen, len(surprisal)), -surprisal.ravel()
    middle = -(KNOWING_NOTHING + surprisal.min()) / 2
    start = [np.ptp(values), 1.0, points.mean(), values.min()]
    return _crossing(points, values, middle, start, (-np.inf, np.inf))


def child_age(months: np.ndarray, share: np.ndarray) -> float | None:
    """The month in which half of the children say a word."""
    start = [1.0, 0.1, months.mean(), 0.0]
    bounds = [0, 0, months[0], -0.5], [2.0, 1.0, months[-1], 0.5]
    return _crossing(months, share, 0.5, start, bounds)


def _crossing(x: np.ndarray, y: np.ndarray, level: float, start: list[float], bounds: Any) -> float | None:
    """Where the sigmoid a / (1 + exp(-b (x - c))) + d through some points crosses a level, within the points."""

    def sigmoid(x: np.ndarray, a: float, b: float, c: float, d: float) -> np.ndarray:
        return a / (1 + np.exp(-b * (x - c))) + d

    if len(x) < LEAST:
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", OptimizeWarning)
        try:
            (a, b, c, d), _ = curve_fit(sigmoid, x, y, p0=start, bounds=bounds, maxfev=1000)
        except (RuntimeError, ValueError):  # no fit
            return None
    if a <= 0 or b <= 0 or not d < level < a + d:
        return None
    place = float(c - np.log(a / (level - d) - 1) / b)
    return place if x.min() <= place <= x.max() else None


def _ages_of_children(path: Path) -> dict[str, float | None]:
    ages: dict[str, float | None] = {}
    for where, row in rows_of(path):
        months = [month for month in MONTHS if month in row]
        if "word" not in row or not months:
            raise TextError(f"{where}: no word, or no month of {', '.join(MONTHS)}.")
        try:
            share = np.array([float(row[month] or "nan") for month in months])
        except ValueError:
            raise TextError(f"{where}: {shortened(str(dict(row)))} holds a share that is no number.") from None
        is_known = ~np.isnan(share)
        ages.setdefault(str(row["word"]), child_age(np.array(months, dtype=float)[is_known], share[is_known]))
    return ages
