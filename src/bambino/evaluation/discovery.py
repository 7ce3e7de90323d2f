"""Which tests a folder of data holds: minimal pairs, classification tasks, text; told by names and first lines.

    FOLDER/**/sentipolc2016.jsonl      a classification task's own file name (`evaluation/zero_shot/tasks/*.yaml`)
    FOLDER/**/blimp.jsonl              minimal pairs: lines with sentence_good, good_form or wrong_sen
    FOLDER/**/blimp_uid_terms.jsonl    terms and fields of paradigms: lines with UID and term
    FOLDER/**/ud_sentences.jsonl       text, for bits per byte: lines with a text and nothing else but where it is from

A test is named by its file without the ending, a classification task by its own name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bambino.text import TextError, find_files

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
    """Look at the first line of every .jsonl file below a folder.

    Args:
        task_files: file name -> name of the classification task that reads it.

    Raises:
        TextError: no such folder, no test in it, or two tests of one name.
    """
    tests: dict[str, Found] = {}
    terms: list[Path] = []
    others: dict[str, str] = {}
    for path in find_files(folder):
        if path.suffix != ".jsonl":
            others[str(path)] = "not .jsonl"
            continue
        keys = _keys_of_first_line(path)
        if "term" in keys and "sentence_good" not in keys:
            terms.append(path)
            continue
        kind = _kind(path, keys, task_files)
        if kind is None:
            others[str(path)] = "neither pairs nor text nor the file of a classification task"
            continue
        name = task_files.get(path.name, path.stem)
        if name in tests:
            raise TextError(f"{folder} holds two tests named {name}: {tests[name].path} and {path}. Rename one.")
        tests[name] = Found(name, kind, path)
    if not tests:
        raise TextError(f"{folder} holds no test: {others or 'no .jsonl file'}.")
    return Discovered(tests, terms, others)


def _kind(path: Path, keys: set[str], task_files: Mapping[str, str]) -> Kind | None:
    if path.name in task_files:
        return "classification"
    if keys & {"sentence_good", "good_form", "wrong_sen"}:
        return "pairs"
    return "text" if "text" in keys and "label" not in keys else None


def _keys_of_first_line(path: Path) -> set[str]:
    """The keys of the first line that holds anything; none where it is no JSON object."""
    with path.open("rb") as file:
        for raw in file:
            if raw.strip():
                try:
                    item = json.loads(raw.decode("utf-8"))
                except ValueError:
                    return set()
                return set(item) if isinstance(item, dict) else set()
    return set()
