"""BabyLM's questions: sentences of which one is right, told by the columns of their files.

    sentence_good, sentence_bad            BLiMP (with field and UID) and its supplement (named by the file)
    Context1, Target1, Target2, Domain     EWoK: the end of each, after the first context
    prefix_acceptable, prefix_unacceptable, property_phrase
                                           COMPS: the phrase after either beginning; the file says which of four sets
    input_prefix, options, numops          entity tracking: each option after the prefix, the first is right
    sentences, ratio                       wug: two sentences, parted by a tab, and the share of people for the first

Source: babylm-org/babylm-eval, strict/evaluation_pipeline/sentence_zero_shot, read on 2026-11-27.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bambino.errors import TextError, shortened
from bambino.evaluation.tables import Row, rows_of, text_in

COMPS_SETS = {"comps_base": "base", "comps_wugs": "wugs", "comps_wugs_dist-before": "wugs_dist_before"}
"""File without its ending -> set; any other file is of the set `wugs_dist_in_between`."""


@dataclass(frozen=True)
class Question:
    """Some sentences, the right one first."""

    uid: str
    """What it is a question about: its score is a mean over questions of one uid."""
    sentences: tuple[str, ...]
    ends: tuple[str, ...]
    """What of each sentence is scored, given what it begins with."""
    ratio: float | None = None
    """Wug: the share of people who chose the first."""
    answers_whole: bool = False
    """Whether predictions name the whole sentence, not its end (COMPS)."""

    @property
    def answers(self) -> tuple[str, ...]:
        """What predictions call each sentence."""
        return self.sentences if self.answers_whole else self.ends


def load_questions(path: Path, name: str | None = None) -> list[Question]:
    """The questions of a file.

    Args:
        name: of wug questions, which name none; None: the file's.

    Raises:
        TextError: a row (named) that is no question, by its columns or by what they hold; no row.
    """
    found = [_question(where, row, path.stem, name) for where, row in rows_of(path)]
    if not found:
        raise TextError(f"{path} holds no question.")
    return found


def holds_questions(columns: set[str]) -> bool:
    """Whether rows with such columns are questions that are no pairs: entity tracking or wug."""
    return any(set(form) <= columns for form in (_TRACKING, _WUG))


def _question(where: str, row: Row, stem: str, name: str | None) -> Question:
    for form, read in _FORMS.items():
        if set(form) <= set(row):
            question = read(where, row, stem, name)
            break
    else:
        forms = "; or ".join(", ".join(form) for form in _FORMS)
        raise TextError(f"{where}: no question, by its columns {shortened(', '.join(row))}. Known are {forms}.")
    if len(question.sentences) < 2 or not all(end.strip() for end in question.ends):
        raise TextError(f"{where}: it takes two answers, none of them empty.")
    return question


def _blimp(where: str, row: Row, stem: str, name: str | None) -> Question:
    sentences = text_in(where, row, "sentence_good"), text_in(where, row, "sentence_bad")
    return Question(text_in(where, row, "UID") if "field" in row else stem, sentences, sentences)


def _ewok(where: str, row: Row, stem: str, name: str | None) -> Question:
    domain, context, *targets = (text_in(where, row, column) for column in _EWOK)
    ends = tuple(f" {target}" for target in targets)
    return Question(domain, tuple(context + end for end in ends), ends)


def _comps(where: str, row: Row, stem: str, name: str | None) -> Question:
    *prefixes, phrase = (text_in(where, row, column) for column in _COMPS)
    uid = COMPS_SETS.get(stem, "wugs_dist_in_between")
    return Question(uid, tuple(f"{prefix} {phrase}" for prefix in prefixes), (phrase, phrase), answers_whole=True)


def _tracking(where: str, row: Row, stem: str, name: str | None) -> Question:
    prefix, options = text_in(where, row, "input_prefix"), row["options"]
    if not isinstance(options, list):
        raise TextError(f"{where}: options = {shortened(repr(options))} must be a list of strings.")
    ends = tuple(text_in(where, {"an option": option}, "an option") for option in options)
    return Question(f"{stem}_{row['numops']}_ops", tuple(prefix + end for end in ends), ends)


def _wug(where: str, row: Row, stem: str, name: str | None) -> Question:
    sentences = tuple(text_in(where, row, "sentences").split("\t"))
    try:
        ratio = float(row["ratio"])
    except (TypeError, ValueError):
        raise TextError(f"{where}: ratio = {shortened(repr(row['ratio']))} must be a number.") from None
    return Question(name or stem, sentences, sentences, ratio)


_BLIMP = ("sentence_good", "sentence_bad")
_EWOK = ("Domain", "Context1", "Target1", "Target2")
_COMPS = ("prefix_acceptable", "prefix_unacceptable", "property_phrase")
_TRACKING = ("input_prefix", "options", "numops")
_WUG = ("sentences", "ratio")
_FORMS: dict[tuple[str, ...], Callable[[str, Row, str, str | None], Question]] = {
    _BLIMP: _blimp,
    _EWOK: _ewok,
    _COMPS: _comps,
    _TRACKING: _tracking,
    _WUG: _wug,
}
