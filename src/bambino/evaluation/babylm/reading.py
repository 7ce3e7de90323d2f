"""Reading times: how much of what a word costs a reader does its surprisal explain, beyond its length and frequency?

The measure is (R2 with surprisal - R2 without) / (1 - R2 without) of ordinary least squares, the share that surprisal
explains of what is left without it: of eye tracking, the mean over four times; of self-paced reading, where length and
surprisal of the word before are known too. Surprisal is that of the word's own tokens after its context's, each
tokenized alone, as the tokenizer begins a text.

Source: babylm-org/babylm-eval, strict/evaluation_pipeline (reading/, collate_preds.py), read on 2026-11-27; data are
those of de Varda, Marelli & Amenta 2023. Their scorer tokenizes context and word anew after each token of the word; the
same but for tokenizers that then join them otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from bambino.errors import TextError, shortened
from bambino.evaluation.babylm.likelihood import START, row_sums
from bambino.evaluation.model_description import describe_model
from bambino.evaluation.tables import Row, rows_of, text_in
from bambino.files import sha256
from bambino.measures import Score, TaskResult
from bambino.speaking.speaker import Speaker
from bambino.text.tokens import encode

EYE_TRACKING = ("RTfirstfix", "RTfirstpass", "RTgopast", "RTrightbound")
SELF_PACED = "self_paced_reading_time"
KNOWN = ("Subtlex_log10", "length", "context_length")
"""What is known of a word without a model."""
COLUMNS = {"item", "word", "prev_item", "prev_word", "prev_length", *KNOWN, *EYE_TRACKING, SELF_PACED}
_MISSING = frozenset(("", "NA", "N/A", "n/a", "NaN", "nan", "None", "null", "NULL", "<NA>", "#N/A", "-nan", "-NaN"))
"""Cells that stand for nothing, as pandas reads them."""


class ReadingTimes:
    """`babylm/reading`: first the share for eye tracking, then `/self_paced`."""

    name = "babylm/reading"

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: a .csv file with COLUMNS, a word a row.

        Raises:
            TextError: a column is missing, or a cell (named) that should be a text or a number is none.
        """
        rows = list(rows_of(path))
        if missing := sorted(COLUMNS - set(rows[0][1])) if rows else ["rows"]:
            raise TextError(f"{path}: no {', '.join(missing)}. Reading times have {', '.join(sorted(COLUMNS))}.")
        self.words = [
            ("None" if _is_missing(row.get("item")) else text_in(where, row, "item"), text_in(where, row, "word"))
            for where, row in rows
        ]
        """Context and word; a word without a context comes after "None", as in BabyLM's scorer."""
        self.previous = {
            number: (text_in(where, row, "prev_item"), text_in(where, row, "prev_word"))
            for number, (where, row) in enumerate(rows)
            if not _is_missing(row.get("prev_item"))
        }
        """Number of a word -> context and word of the one before, where there is one."""
        self.numbers = {name: _numbers(rows, name) for name in (*KNOWN, "prev_length", *EYE_TRACKING, SELF_PACED)}
        self.depends_on: dict[str, Any] = {"data": str(path), "sha256": sha256(path)}

    def __call__(self, baby: Speaker) -> TaskResult:
        """Measure a model as it is now."""
        surprisal = -word_log_probs(baby, self.words)
        previous = np.full(len(self.words), math.nan)
        if self.previous:
            previous[list(self.previous)] = -word_log_probs(baby, list(self.previous.values()))
        gains = {time: self._gain(time, KNOWN, surprisal, {}) for time in EYE_TRACKING}
        self_paced = self._gain(SELF_PACED, (*KNOWN, "prev_length", "prev_pred"), surprisal, {"prev_pred": previous})
        count, unit = len(self.words), "share of variance"
        scores = [
            Score(self.name, fmean(gains.values()), unit, count, chance=0.0),
            Score(f"{self.name}/self_paced", self_paced, unit, count, chance=0.0),
            *(Score(f"{self.name}/{time}", gain, unit, count, chance=0.0) for time, gain in gains.items()),
        ]
        items = {f"{self.name}/pred": surprisal.tolist(), f"{self.name}/prev_pred": previous.tolist()}
        settings = {**self.depends_on, **describe_model(baby), "start_token": START}
        return TaskResult(self.name, scores, settings, item_scores=items)

    def predictions(self, result: TaskResult) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Surprisal of each word and of the word before it, in nats: the content of the collator's predictions.json."""
        columns = (result.item_scores[f"{self.name}/{what}"] for what in ("pred", "prev_pred"))
        rows = zip(*columns, strict=True)
        return {"reading": {"predictions": [{"id": i, "pred": p, "prev_pred": q} for i, (p, q) in enumerate(rows)]}}

    def _gain(self, time: str, known: Sequence[str], surprisal: np.ndarray, more: dict[str, np.ndarray]) -> float:
        columns = self.numbers | more
        known_columns = np.stack([columns[name] for name in known], axis=1)
        return explained(columns[time], known_columns, surprisal)


def explained(times: np.ndarray, known: np.ndarray, surprisal: np.ndarray) -> float:
    """Of the variance of times that the columns of `known` and their products leave, the share that surprisal explains.

    Rows that lack a number are left out; NaN where nothing is left to explain.
    """
    is_whole = ~np.isnan(np.column_stack([times, known, surprisal])).any(axis=1)
    times, known, surprisal = times[is_whole], known[is_whole], surprisal[is_whole]
    products = [known[:, i] * known[:, j] for i, j in combinations(range(known.shape[1]), 2)]
    without = np.column_stack([np.ones(len(times)), known, *products])
    left, rest = _unexplained(times, without), _unexplained(times, np.column_stack([without, surprisal]))
    return 1 - rest / left if left > 1e-12 * float(times @ times) else math.nan


def word_log_probs(baby: Speaker, words: Sequence[tuple[str, str]]) -> np.ndarray:
    """log p of each (context, word): of the word's tokens, tokenized alone, after those of the context; nats."""
    contexts = encode(baby.tokenizer, [context for context, _ in words], with_start=False)
    targets = baby.tokenizer([word for _, word in words], add_special_tokens=False)["input_ids"]
    rows = [context + target for context, target in zip(contexts, targets, strict=True)]
    counted = [np.arange(len(row)) >= len(context) for row, context in zip(rows, contexts, strict=True)]
    return row_sums(baby, rows, counted)


def _unexplained(times: np.ndarray, columns: np.ndarray) -> float:
    """The sum of squares that a linear fit leaves."""
    scaled = columns / np.abs(columns).max(axis=0, initial=1e-300)  # the same fit, better conditioned
    rest = times - scaled @ np.linalg.lstsq(scaled, times, rcond=None)[0]
    return float(rest @ rest)


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and cell in _MISSING)


def _numbers(rows: Sequence[tuple[str, Row]], name: str) -> np.ndarray:
    """A column; NaN where a cell stands for nothing."""
    found = []
    for where, row in rows:
        cell = row.get(name)
        try:
            found.append(math.nan if _is_missing(cell) else float(str(cell)))
        except ValueError:
            raise TextError(f"{where}: {name} = {shortened(repr(cell))} must be a number.") from None
    return np.array(found)
