"""Which tests a folder of data holds: minimal pairs, classification tasks, text; told by names and columns.

Columns are the keys of a .jsonl file's first line, else the names in a table's first line (.tsv, .csv, .parquet).

    FOLDER/**/sentipolc2016.jsonl      a classification task's own file name (`evaluation/zero_shot/tasks/*.yaml`)
    FOLDER/**/blimp.jsonl              minimal pairs: the columns of `pair_files.FORMS`
    FOLDER/**/wug_past_tense.jsonl     BabyLM's questions: wug and entity tracking (`babylm/questions.py`)
    FOLDER/**/reading_data.csv         reading times (`babylm/reading.py`)
    FOLDER/**/invalsi.jsonl            questions by grade (`zero_shot/school.py`)
    FOLDER/**/ItaCoLA_phenomenon.tsv   judged sentences (`zero_shot/acceptability.py`)
    FOLDER/**/blimp_uid_terms.jsonl    terms and fields of paradigms: lines with UID and term
    FOLDER/**/ud_sentences.jsonl       text, for bits per byte: lines with a text and nothing else but where it is from

A test is named by its file without the ending, a classification task by its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bambino.errors import TextError
from bambino.evaluation.babylm import reading
from bambino.evaluation.babylm.questions import holds_questions
from bambino.evaluation.pair_files import holds_pairs
from bambino.evaluation.tables import SUFFIXES, columns_of
from bambino.evaluation.zero_shot import acceptability, school
from bambino.text.sources import find_files

Kind = Literal["pairs", "classification", "text", "questions", "reading", "school", "acceptability"]


_KINDS: dict[Kind, Callable[[set[str]], bool]] = {
    "pairs": holds_pairs,
    "questions": holds_questions,
    "reading": reading.COLUMNS.issubset,
    "school": school.COLUMNS.issubset,
    "acceptability": acceptability.COLUMNS.issubset,
}
"""Kind of test -> whether files with such columns are of it."""


@dataclass(frozen=True)
class Found:
    """One test."""

    name: str
    kind: Kind
    path: Path


@dataclass(frozen=True)
class Discovered:
    """What a folder holds."""

    tests: dict[str, Found]
    terms: list[Path]
    """Files that tell terms and fields of paradigms."""
    others: dict[str, str] = field(default_factory=dict)
    """File -> why it is no test."""


def discover(folder: str | Path, task_files: Mapping[str, str]) -> Discovered:
    """Look at the columns of every .jsonl, .tsv, .csv and .parquet file below a folder.

    Args:
        task_files: file name -> name of the classification task that reads it.

    Raises:
        TextError: no such folder, no test in it, two tests of one name, or a first line that cannot be read.
    """
    tests: dict[str, Found] = {}
    terms: list[Path] = []
    others: dict[str, str] = {}
    for path in find_files(folder, SUFFIXES):
        keys = columns_of(path)
        if "term" in keys and not holds_pairs(keys):
            terms.append(path)
            continue
        kind = _kind(path, keys, task_files)
        if kind is None:
            found, tasks = (", ".join(sorted(names)) or "nothing" for names in (keys, task_files))
            others[str(path)] = f"no known columns ({found} in line 1), nor named like a task's file ({tasks})"
            continue
        name = task_files.get(path.name, path.stem)
        if name in tests:
            raise TextError(f"{folder} holds two tests named {name}: {tests[name].path} and {path}. Rename one.")
        tests[name] = Found(name, kind, path)
    if not tests:
        raise TextError(f"{folder} holds no test. " + "; ".join(f"{path}: {why}" for path, why in others.items()))
    return Discovered(tests, terms, others)


def _kind(path: Path, keys: set[str], task_files: Mapping[str, str]) -> Kind | None:
    if path.name in task_files:
        return "classification"
    for of_it, is_it in _KINDS.items():
        if is_it(keys):
            return of_it
    is_text = path.suffix.lower() == ".jsonl" and "text" in keys and "label" not in keys
    return "text" if is_text else None
