"""Minimal pairs from files and from the hub, checked line by line.

Lines are JSON objects (.jsonl), or rows below a line of names (.tsv), of one of these forms:

    sentence_good, sentence_bad        BLiMP, ZhoBLiMP and their like
    sen, wrong_sen                     MultiBLiMP
    prefix, good_form, bad_form        only the form is scored, given the prefix and a space, or nothing between them
                                       where none is written (`joining.py`); after an empty prefix, as a sentence

A line's paradigm is its UID or phenomenon; its term is term, linguistics_term or phenomenon; its field is field. Terms
and fields may also come from a second file of lines with UID, term and field. White space around a text is no part
of it. A pair of identical sentences is kept (BLiMP has some): it is a tie for every model, and results count such
pairs.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bambino.errors import TextError, shortened
from bambino.evaluation.joining import delimiter
from bambino.text.heldout import spread
from bambino.text.json_lines import lines_of, objects_of
from bambino.text.sieve import as_line, is_broken
from bambino.text.unicode import all_composed

_FORMS = (("sentence_good", "sentence_bad"), ("sen", "wrong_sen"))
RESERVED = ("shortest", "log_prob_good", "log_prob_bad")
"""What a paradigm cannot be called: scores beside it have these names."""
LONGEST_NAME = 150
"""Bytes of a paradigm's, term's or field's name."""
_WAY_OUT = 'Each line must be {"sentence_good": ..., "sentence_bad": ...} or {"prefix", "good_form", "bad_form"}.'


@dataclass(frozen=True)
class Pair:
    """Two sentences that differ in grammaticality only."""

    good: str
    bad: str
    uid: str
    """The paradigm; empty when the file names none."""
    given: int = 0
    """Characters at the beginning of both that are context: only what follows is scored."""
    term: str = ""
    """What linguists call it; several paradigms share one."""
    field: str = ""
    """Morphology, syntax, ...; several terms share one."""


@dataclass(frozen=True)
class PairSet:
    """Pairs and where they are from."""

    pairs: list[Pair]
    source: str
    """File, or name on the hub."""
    sha256: str
    """Of the file; of the pairs, where they are from the hub."""

    def spread(self, at_most: int) -> PairSet:
        """At most so many of the pairs, evenly spaced, in order."""
        return replace(self, pairs=spread(self.pairs, at_most))


def load_pair_set(source: str | Path, terms: Sequence[str | Path] = ()) -> PairSet:
    """Read a file of pairs, or a data set of the hub: `jumelet/multiblimp:ita` (name, colon, configuration).

    A folder that is laid out like a data set of the hub may stand in for its name, without a network.

    Args:
        terms: files that tell terms and fields of paradigms; paradigms they do not name keep what their lines say.

    Raises:
        TextError: as load_pairs and load_terms; a data set that cannot be reached.
    """
    name, _, configuration = str(source).partition(":")
    if _is_data_set(source, name):
        pairs = list(_pairs_of(_hub_rows(name, configuration or None)))
        digest = hashlib.sha256(json.dumps([(p.good, p.bad) for p in pairs]).encode())
    else:
        pairs = load_pairs(source)
        digest = hashlib.sha256(Path(source).read_bytes())
    known = {uid: entry for path in terms for uid, entry in load_terms(path).items()}
    pairs = [replace(p, term=known[p.uid][0], field=known[p.uid][1]) if p.uid in known else p for p in pairs]
    return PairSet(pairs, str(source), digest.hexdigest())


def _is_data_set(source: str | Path, name: str) -> bool:
    """Whether a source is meant as a data set: a folder, or what can be a name on the hub and is no path."""
    if os.path.isdir(name):
        return True
    is_path = os.path.exists(source) or name.startswith((".", "/", "~")) or Path(name).suffix in (".jsonl", ".tsv")
    return name.count("/") == 1 and not is_path


def load_pairs(path: str | Path) -> list[Pair]:
    """Read a .jsonl or .tsv file of pairs.

    Raises:
        TextError: no such file, no pair, or a line (named) that is not UTF-8, lacks a field, has an empty sentence, or
            characters that are none.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise TextError(f"There are no minimal pairs at {path}. Give the path of a .jsonl file.")
    pairs = list(_pairs_of(_rows(path)))
    if not pairs:
        raise TextError(f"{path} holds no pair.")
    return pairs


def load_terms(path: str | Path) -> dict[str, tuple[str, str]]:
    """UID -> (term, field), from a .jsonl file like BLiMP's table of paradigms.

    Raises:
        TextError: no such file, or a line (named) without UID, term and field.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise TextError(f"There is no file of terms at {path}.")
    terms = {}
    for where, row in _rows(path):
        missing = [name for name in ("UID", "term", "field") if not isinstance(row.get(name), str)]
        if missing:
            raise TextError(f'{where}: no {missing[0]}. Each line must be {{"UID": ..., "term": ..., "field": ...}}.')
        terms[row["UID"]] = (row["term"], _field(row["field"]))
    return terms


def _pairs_of(rows: Iterator[tuple[str, Mapping[str, Any]]]) -> Iterator[Pair]:
    for where, row in rows:
        good, bad, given = _sentences(where, row)
        uid = _name(where, row, "UID", "phenomenon")
        if uid in RESERVED or uid.startswith(("field:", "term:")):
            raise TextError(f"{where}: the paradigm {uid!r} has the name of another score. Rename it.")
        term, field = _name(where, row, "term", "linguistics_term", "phenomenon"), _name(where, row, "field")
        yield Pair(good, bad, uid, given, term, _field(field))


def _name(where: str, row: Mapping[str, Any], *keys: str) -> str:
    """The first of some names that a line gives; empty where it gives none."""
    key = next((key for key in keys if row.get(key)), keys[0])
    name = str(row.get(key) or "").strip()
    if is_broken(name) or len(name.encode()) > LONGEST_NAME:
        raise TextError(f"{where}: {key} = {shortened(repr(name))} names scores and files. Give a short text.")
    return name


def _field(name: str) -> str:
    """BLiMP spells one field in two ways, syntax/semantics and syntax_semantics; a slash would make two parts of it."""
    return name.replace("/", "_")


def _sentences(where: str, row: Mapping[str, Any]) -> tuple[str, str, int]:
    """Good sentence, bad sentence, characters of context."""
    if "good_form" in row:
        good, bad = (_text(where, row, name) for name in ("good_form", "bad_form"))
        prefix = "" if row.get("prefix") is not None and not str(row["prefix"]).strip() else _text(where, row, "prefix")
        if not prefix:
            return good, bad, 0
        joined = (f"{prefix}{delimiter(prefix, form)}{form}" for form in (good, bad))
        return next(joined), next(joined), len(prefix)
    names = next((names for names in _FORMS if names[0] in row), _FORMS[0])
    return _text(where, row, names[0]), _text(where, row, names[1]), 0


def _text(where: str, row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        raise TextError(f"{where}: no {name}. {_WAY_OUT}")
    text = row[name]
    if not isinstance(text, str) or not text.strip():
        raise TextError(f"{where}: {name} = {shortened(repr(text))} must be a non-empty string.")
    if is_broken(text):
        raise TextError(f"{where}: {name} holds NUL or half a character (another encoding?). Save the file as UTF-8.")
    return as_line(text)


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each line is, and what it says."""
    if path.suffix.lower() != ".tsv":
        yield from objects_of(path, _WAY_OUT)
        return
    names: list[str] | None = None
    for where, line in lines_of(path):
        try:
            cells = next(csv.reader([line], delimiter="\t"))
        except csv.Error as error:
            raise TextError(f"{where}: no row of a table ({error}). {_WAY_OUT}") from None
        if names is not None:
            yield where, dict(zip(names, cells, strict=False))
        names = names or cells


def _hub_rows(name: str, configuration: str | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All rows of the hub's data set; where it has several splits, of its first."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise TextError(f"Reading {name} from the hub needs `pip install datasets`, or give a file.") from None
    try:
        splits = load_dataset(name, configuration)
    except (OSError, ValueError, RuntimeError) as error:
        raise TextError(
            f"{name} (configuration {configuration}) could not be read from the hub: {type(error).__name__}: {error}. "
            "Without a network, give a .jsonl or .tsv file of it."
        ) from None
    split = next(iter(splits))
    for number, row in enumerate(splits[split]):
        yield f"{name} on the hub, {split}, row {number}", all_composed(row)
