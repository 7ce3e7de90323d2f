"""Questions of a school's tests by grade: the columns question, options, answer, Grado (INVALSI).

An option's score is the log-probability of its text, without its letter, after the passage and the question; the
highest is chosen. INVALSI's own evaluation has chat models write an answer, which base models cannot: the numbers do
not compare. Questions without options, or with an answer that is none of them, are left out and counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bambino.analysis.statistics import bootstrap
from bambino.errors import TextError, shortened
from bambino.evaluation.minimal_pairs import SUM, Linking
from bambino.evaluation.model_description import describe_model
from bambino.evaluation.tables import Row, rows_of, text_in
from bambino.evaluation.zero_shot.choices import Choice
from bambino.files import sha256
from bambino.measures import Score, TaskResult
from bambino.scoring.forward import context_length
from bambino.scoring.texts import require_tokens, score_texts
from bambino.speaking.speaker import Speaker
from bambino.text.heldout import spread
from bambino.text.sieve import as_line, is_broken

COLUMNS = {"question", "options", "answer", "Grado"}
_LETTER = re.compile(r"^\s*([A-Z])[.)]\s*(?=\S)")


@dataclass(frozen=True)
class SchoolQuestion:
    """A question with options of which one is right."""

    choice: Choice
    right: int
    grade: str
    """The school year, from which the age of the children follows."""
    aspect: str
    """Orthography, morphology, ...; empty where the file says none."""


def load_school(path: Path) -> tuple[list[SchoolQuestion], int]:
    """The questions of a file, and how many were left out.

    Raises:
        TextError: a row (named) without a question, options or a grade; no question with options.
    """
    found = [_question(where, row) for where, row in rows_of(path)]
    questions = [question for question in found if question is not None]
    if not questions:
        raise TextError(f"{path} holds no question whose answer is one of its options.")
    return questions, len(found) - len(questions)


class School:
    """Accuracy over all questions, by grade (`/grade:5`) and by what they are about (`/aspect:Ortografia`)."""

    def __init__(self, name: str, path: Path, linking: Linking = SUM, at_most: int | None = None) -> None:
        """
        Args:
            name: of the questions; the main score is `school/NAME`.
            at_most: so many of them, evenly spread; None: all.

        Raises:
            TextError: as `load_school`.
        """
        questions, self.left_out = load_school(path)
        self.name, self.linking = f"school/{name}", linking
        self.questions = questions if at_most is None else spread(questions, at_most)
        self.depends_on: dict[str, Any] = {
            "data": str(path),
            "sha256": sha256(path),
            "normalization": linking.described,
            "max_items": at_most,
        }

    def __call__(self, baby: Speaker) -> TaskResult:
        """Measure a model as it is now."""
        points, too_long = self._points(baby)
        scores = [self._score(self.name, np.ones(len(points), dtype=bool), points)]
        for kind, labels in (
            ("grade", [question.grade for question in self.questions]),
            ("aspect", [question.aspect for question in self.questions]),
        ):
            for label in sorted(set(labels) - {""}, key=lambda label: (len(label), label)):
                is_of_it = np.array([one == label for one in labels])
                scores.append(self._score(f"{self.name}/{kind}:{label}", is_of_it, points))
        settings = {
            **self.depends_on,
            "left_out": f"{self.left_out} questions whose answer is no option",
            "longer_than_context": f"{too_long} options, read in windows",
            **describe_model(baby),
        }
        return TaskResult(self.name, scores, settings, item_scores={self.name: points.tolist()})

    def _points(self, baby: Speaker) -> tuple[np.ndarray, int]:
        """1 where the right option has the highest score, a share where others tie; texts beyond the context."""
        choices = [question.choice for question in self.questions]
        texts = [text for choice in choices for text in choice.texts]
        begins = [len(choice.prompt) for choice in choices for _ in choice.options]
        found = score_texts(baby.lm, baby.tokenizer, texts, count_from=begins)
        require_tokens(found, texts)
        num_bytes = np.array([len(option.encode()) for choice in choices for option in choice.options])
        lengths = self.linking.lengths(np.array([one.tokens for one in found]), num_bytes)
        scores = np.array([one.log_prob for one in found]) / lengths
        edges = np.cumsum([len(choice.options) for choice in choices])[:-1]
        each = zip(np.split(scores, edges), (question.right for question in self.questions), strict=True)
        points = np.array([(of[right] >= of.max()) / (of >= of.max()).sum() for of, right in each])
        longest = context_length(baby.lm) or 1 << 30
        return points, sum(one.tokens_read > longest for one in found)

    def _score(self, name: str, is_of_it: np.ndarray, points: np.ndarray) -> Score:
        chance = np.array([1 / len(question.choice.options) for question in self.questions])[is_of_it].mean()
        mine = points[is_of_it]
        return Score(name, float(mine.mean()), "share", len(mine), bootstrap(mine.tolist()), float(chance))


def _question(where: str, row: Row) -> SchoolQuestion | None:
    """None: it has no options, or its answer is none of them."""
    options, answers = row.get("options"), row.get("answer")
    grade = str(row.get("Grado") or "")
    if not isinstance(options, list) or not isinstance(answers, list) or not grade:
        given = shortened(", ".join(row))
        raise TextError(f"{where}: no question, options, answer and Grado in {given}. Questions have these columns.")
    by_letter = dict(filter(None, map(_lettered, options)))
    right = str(answers[0]).strip() if len(answers) == 1 else ""
    if len(by_letter) < 2 or len(by_letter) < len(options) or right not in by_letter:
        return None
    passage = row.get("context")
    asked = [passage] if isinstance(passage, str) and passage.strip() else []
    prompt = " ".join(as_line(text) for text in [*asked, text_in(where, row, "question")])
    choice = Choice(prompt, tuple(by_letter.values()))
    if any(map(is_broken, choice.texts)):
        raise TextError(f"{where}: a text holds NUL or half a character (another encoding?). Save the file as UTF-8.")
    return SchoolQuestion(choice, list(by_letter).index(right), grade, _name(row.get("lang_aspect")))


def _lettered(option: object) -> tuple[str, str] | None:
    """An option's letter and its text; None where it has no letter."""
    text = as_line(str(option.get("scelta", ""))) if isinstance(option, dict) else ""
    found = _LETTER.match(text)
    return None if found is None else (found[1], text[found.end() :].strip())


def _name(aspect: object) -> str:
    return str(aspect).strip().replace("/", "_") if isinstance(aspect, str) else ""
