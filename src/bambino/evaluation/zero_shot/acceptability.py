"""Sentences labelled by linguists: the columns Acceptability, Sentence, and one for each phenomenon (ItaCoLA).

The measure is the AUC of log-probability per byte (`ranking.py`), over all sentences and over those of each phenomenon.
ItaCoLA's authors fine-tune a classifier and give its Matthews correlation: the numbers do not compare.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bambino.errors import TextError, shortened
from bambino.evaluation.model_description import describe_model
from bambino.evaluation.tables import rows_of, text_in
from bambino.evaluation.zero_shot.ranking import ranking
from bambino.files import sha256
from bambino.measures import Score, TaskResult
from bambino.scoring.texts import score_texts
from bambino.speaking.speaker import Speaker
from bambino.text.heldout import spread
from bambino.text.sieve import as_line

COLUMNS = {"Acceptability", "Sentence"}
_ABOUT = {*COLUMNS, "UniqueIndexID", "Source", "Split"}


class LabelledSentences:
    """AUC over all sentences and by phenomenon (`/Cleft_construction`), where it has sentences of both kinds."""

    def __init__(self, name: str, path: Path, at_most: int | None = None) -> None:
        """
        Args:
            name: of the sentences; the main score is `acceptability/NAME`.
            path: a table; where it has a column Split, its rows of the split test are used.
            at_most: so many of them, evenly spread; None: all.

        Raises:
            TextError: a row (named) without a sentence, or whose label is neither 0 nor 1; all of one label.
        """
        rows = [(where, row) for where, row in rows_of(path) if row.get("Split", "test") == "test"]
        rows = rows if at_most is None else spread(rows, at_most)
        self.name, self.sentences, labels = f"acceptability/{name}", [], []
        for where, row in rows:
            label = str(row.get("Acceptability")).strip()
            if label not in ("0", "1"):
                raise TextError(f"{where}: Acceptability = {shortened(repr(label))} must be 0 or 1.")
            self.sentences.append(as_line(text_in(where, row, "Sentence")))
            labels.append(label == "1")
        self.is_acceptable = np.array(labels, dtype=bool)
        if self.is_acceptable.all() or not self.is_acceptable.any():
            raise TextError(f"{path}: its {len(labels)} sentences are not of both kinds.")
        self.phenomena = {
            column: np.array([str(row.get(column)).strip() == "1" for _, row in rows])
            for column in dict(rows[0][1])
            if column not in _ABOUT
        }
        self.depends_on: dict[str, Any] = {"data": str(path), "sha256": sha256(path), "max_items": at_most}

    def __call__(self, baby: Speaker) -> TaskResult:
        """Measure a model as it is now."""
        found = score_texts(baby.lm, baby.tokenizer, self.sentences)
        per_byte = np.array([one.log_prob / one.num_bytes for one in found])
        scores: list[Score] = [ranking(self.name, per_byte, self.is_acceptable)]
        for phenomenon, is_of_it in self.phenomena.items():
            labels = self.is_acceptable[is_of_it]
            if labels.any() and not labels.all():
                scores.append(ranking(f"{self.name}/{phenomenon}", per_byte[is_of_it], labels))
        settings = {**self.depends_on, **describe_model(baby)}
        return TaskResult(
            self.name, scores, settings, item_scores={f"{self.name}/log_prob_per_byte": per_byte.tolist()}
        )
