"""Minimal pairs from files and from the hub, checked line by line.

Rows (`tables.py`: .jsonl, .tsv, .csv, .parquet) have the columns of one of these forms:

    sentence_good, sentence_bad        BLiMP and its supplement, BLiMP-NL, BLiMP-IT, ZhoBLiMP
    sen, wrong_sen                     MultiBLiMP
    good_sentence, bad_sentence        JBLiMP, TurBLiMP
    source_sentence, target_sentence, PID
                                       RuBLiMP
    prefix, good_form, bad_form        only the form is scored, given the prefix and a space, or nothing between them
                                       where none is written (`joining.py`); after an empty prefix, as a sentence
    prefix_acceptable, prefix_unacceptable, property_phrase
                                       COMPS: the phrase is scored after the one and after the other
    Context1, Target1, Target2         EWoK as BabyLM scores it: both targets after the first context

A row's paradigm is its UID, PID, paradigm, Domain or phenomenon (with its subtype, where no other names it); its term
is term, linguistics_term or phenomenon; its field is field. Where a folder is read, a paradigm that no row names is its
file's name. Terms and fields may also come from a second file of lines with UID, term and field. White space around a
text is no part of it. A pair of identical sentences is kept (BLiMP has some): it is a tie for every model, and results
count such pairs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bambino.errors import TextError, shortened
from bambino.evaluation.joining import delimiter
from bambino.evaluation.tables import SUFFIXES, Row, rows_of
from bambino.text.heldout import spread
from bambino.text.sieve import as_line, is_broken
from bambino.text.sources import find_files
from bambino.text.unicode import all_composed

_SENTENCES = (
    ("sentence_good", "sentence_bad"),
    ("sen", "wrong_sen"),
    ("good_sentence", "bad_sentence"),
    ("source_sentence", "target_sentence", "PID"),
)
_PREFIX = ("prefix", "good_form", "bad_form")
_COMPS = ("prefix_acceptable", "prefix_unacceptable", "property_phrase")
_EWOK = ("Context1", "Target1", "Target2")
FORMS = (*_SENTENCES, _PREFIX, _COMPS, _EWOK)
"""Columns of pairs: a row that has all of one of these is one."""
RESERVED = ("shortest", "log_prob_good", "log_prob_bad")
"""What a paradigm cannot be called: scores beside it have these names."""
LONGEST_NAME = 150
"""Bytes of a paradigm's, term's or field's name."""
_WAY_OUT = "Pairs have the columns " + "; or ".join(", ".join(form) for form in FORMS) + "."


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
    given_bad: int | None = None
    """Characters of context of the bad one, where it has another context than the good one."""

    @property
    def sentences(self) -> tuple[str, str]:
        """The good and the bad one."""
        return self.good, self.bad

    @property
    def scored(self) -> tuple[str, str]:
        """What is scored of the good and of the bad one, without white space around it."""
        (good, bad), (of_good, of_bad) = self.sentences, self.begins
        return good[of_good:].strip(), bad[of_bad:].strip()

    @property
    def begins(self) -> tuple[int, int]:
        """Where in the good and in the bad one what is scored begins, in characters."""
        return self.given, self.given if self.given_bad is None else self.given_bad


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
    """Read a file of pairs, a folder of such files, or a data set of the hub: `jumelet/multiblimp:ita` (name, colon,
    configuration).

    A folder that is laid out like a data set of the hub, with its card (README.md), may stand in for its name, without
    a network.

    Args:
        terms: files that tell terms and fields of paradigms; paradigms they do not name keep what their lines say.

    Raises:
        TextError: as load_pairs and load_terms; a data set that cannot be reached.
    """
    name, _, configuration = str(source).partition(":")
    if _is_folder_of_files(source):
        files = find_files(source, SUFFIXES)
        pairs = [replace(p, uid=p.uid or path.stem) for path in files for p in load_pairs(path)]
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in files))
    elif _is_data_set(source, name):
        pairs = list(_pairs_of(_hub_rows(name, configuration or None)))
        digest = hashlib.sha256(json.dumps([(p.good, p.bad) for p in pairs]).encode())
    else:
        pairs = load_pairs(source)
        digest = hashlib.sha256(Path(source).read_bytes())
    known = {uid: entry for path in terms for uid, entry in load_terms(path).items()}
    pairs = [replace(p, term=known[p.uid][0], field=known[p.uid][1]) if p.uid in known else p for p in pairs]
    return PairSet(pairs, str(source), digest.hexdigest())


def holds_pairs(columns: set[str]) -> bool:
    """Whether rows with such columns are meant as pairs."""
    whole = (form for form in FORMS if set(form) <= columns)
    return any(whole) or bool(columns & {"sentence_good", "good_sentence", "wrong_sen", "good_form"})


def _is_folder_of_files(source: str | Path) -> bool:
    path = Path(source)
    is_table = (Path(name).suffix.lower() in SUFFIXES for _, _, names in os.walk(path) for name in names)
    return path.is_dir() and not (path / "README.md").exists() and any(is_table)


def _is_data_set(source: str | Path, name: str) -> bool:
    """Whether a source is meant as a data set: a folder, or what can be a name on the hub and is no path."""
    if os.path.isdir(name):
        return True
    is_path = os.path.exists(source) or name.startswith((".", "/", "~")) or Path(name).suffix in SUFFIXES
    return name.count("/") == 1 and not is_path


def load_pairs(path: str | Path) -> list[Pair]:
    """Read a file of pairs (.jsonl, .tsv, .csv, .parquet).

    Raises:
        TextError: no such file, no pair, or a line (named) that is not UTF-8, lacks a field, has an empty sentence, or
            characters that are none.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise TextError(f"There are no minimal pairs at {path}. Give the path of a .jsonl file.")
    pairs = list(_pairs_of(rows_of(path, _WAY_OUT)))
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
    for where, row in rows_of(path, _WAY_OUT):
        missing = [name for name in ("UID", "term", "field") if not isinstance(row.get(name), str)]
        if missing:
            raise TextError(f'{where}: no {missing[0]}. Each line must be {{"UID": ..., "term": ..., "field": ...}}.')
        terms[row["UID"]] = (row["term"], _field(row["field"]))
    return terms


def _pairs_of(rows: Iterator[tuple[str, Row]]) -> Iterator[Pair]:
    for where, row in rows:
        good, bad, given, given_bad = _sentences(where, row)
        uid = _paradigm(where, row)
        if uid in RESERVED or uid.startswith(("field:", "term:")):
            raise TextError(f"{where}: the paradigm {uid!r} has the name of another score. Rename it.")
        term, field = _name(where, row, "term", "linguistics_term", "phenomenon"), _name(where, row, "field")
        yield Pair(good, bad, uid, given, term, _field(field), given_bad)


def _paradigm(where: str, row: Row) -> str:
    named = _name(where, row, "UID", "PID", "paradigm", "Domain")
    kinds = (_name(where, row, "phenomenon"), _name(where, row, "subtype"))
    return named or "_".join(kind for kind in kinds if kind)


def _name(where: str, row: Row, *keys: str) -> str:
    """The first of some names that a line gives; empty where it gives none."""
    key = next((key for key in keys if row.get(key)), keys[0])
    name = str(row.get(key) or "").strip()
    if is_broken(name) or len(name.encode()) > LONGEST_NAME:
        raise TextError(f"{where}: {key} = {shortened(repr(name))} names scores and files. Give a short text.")
    return name


def _field(name: str) -> str:
    """BLiMP spells one field in two ways, syntax/semantics and syntax_semantics; a slash would make two parts of it."""
    return name.replace("/", "_")


def _sentences(where: str, row: Row) -> tuple[str, str, int, int | None]:
    """Good sentence, bad sentence, characters of context; those of the bad one, where it has its own."""
    if "good_form" in row:
        good, bad = (_text(where, row, name) for name in _PREFIX[1:])
        prefix = "" if row.get("prefix") is not None and not str(row["prefix"]).strip() else _text(where, row, "prefix")
        if not prefix:
            return good, bad, 0, None
        joined = (f"{prefix}{delimiter(prefix, form)}{form}" for form in (good, bad))
        return next(joined), next(joined), len(prefix), None
    if "property_phrase" in row:
        *prefixes, phrase = (_text(where, row, name) for name in _COMPS)
        good, bad = (f"{prefix} {phrase}" for prefix in prefixes)
        return good, bad, len(prefixes[0]) + 1, len(prefixes[1]) + 1
    if "Target1" in row:
        context, good, bad = (_text(where, row, name) for name in _EWOK)
        return f"{context} {good}", f"{context} {bad}", len(context), None
    names = next((names for names in _SENTENCES if set(names) & set(row)), None)
    if names is None:
        raise TextError(f"{where}: no pair, by its columns {shortened(', '.join(map(str, row)))}. {_WAY_OUT}")
    if missing := [name for name in names[2:] if name not in row]:
        raise TextError(f"{where}: no {missing[0]}. {_WAY_OUT}")
    return _text(where, row, names[0]), _text(where, row, names[1]), 0, None


def _text(where: str, row: Row, name: str) -> str:
    if name not in row:
        raise TextError(f"{where}: no {name}. {_WAY_OUT}")
    text = row[name]
    if not isinstance(text, str) or not text.strip():
        raise TextError(f"{where}: {name} = {shortened(repr(text))} must be a non-empty string.")
    if is_broken(text):
        raise TextError(f"{where}: {name} holds NUL or half a character (another encoding?). Save the file as UTF-8.")
    return as_line(text)


def _hub_rows(name: str, configuration: str | None) -> Iterator[tuple[str, Row]]:
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
