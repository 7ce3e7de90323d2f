"""Which tests a folder of data holds: minimal pairs, classification tasks, text; told by names and first lines.

    FOLDER/**/sentipolc2016.jsonl      a classification task's own file name (`evaluation/zero_shot/tasks/*.yaml`)
    FOLDER/**/blimp.jsonl              minimal pairs: lines with sentence_good, good_form or wrong_sen (.tsv too)
    FOLDER/**/blimp_uid_terms.jsonl    terms and fields of paradigms: lines with UID and term
    FOLDER/**/ud_sentences.jsonl       text, for bits per byte: lines with a text and nothing else but where it is from

A test is named by its file without the ending, a classification task by its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bambino.errors import TextError
from bambino.text.json_lines import lines_of, objects_of
from bambino.text.sources import find_files

SUFFIXES = (".jsonl", ".tsv")
Kind = Literal["pairs", "classification", "text"]


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
    """Look at the first line of every .jsonl and .tsv file below a folder.

    Args:
        task_files: file name -> name of the classification task that reads it.

    Raises:
        TextError: no such folder, no test in it, two tests of one name, or a first line that cannot be read.
    """
    tests: dict[str, Found] = {}
    terms: list[Path] = []
    others: dict[str, str] = {}
    for path in find_files(folder, SUFFIXES):
        keys = _keys_of_first_line(path)
        if "term" in keys and "sentence_good" not in keys:
            terms.append(path)
            continue
        kind = _kind(path, keys, task_files)
        if kind is None:
            found, tasks = (", ".join(sorted(names)) or "nothing" for names in (keys, task_files))
            others[str(path)] = f"no pairs, no text ({found} in line 1), nor named like a task's file ({tasks})"
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
    if keys & {"sentence_good", "good_form", "wrong_sen"}:
        return "pairs"
    return "text" if "text" in keys and "label" not in keys else None


def _keys_of_first_line(path: Path) -> set[str]:
    """The keys of the first line that holds anything (in a .tsv file its words); none of an empty file."""
    if path.suffix.lower() == ".tsv":
        return next((set(line.split("\t")) for _, line in lines_of(path)), set())
    return next((set(found) for _, found in objects_of(path)), set())
