"""The one reader of run directories, of this version's and of earlier ones': no model, no torch, no recipe checked.

Format 2 says so in data.json (`"format": 2`). Format 1, of earlier versions, says nothing; its settings have keys that
a recipe has no longer, and its scores other names (`old_names.py`). Both can be read and compared; only runs of this
version can be resumed. A row that is cut at a log's end (the run is going on, or died there) is passed over.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from bambino.errors import RunDirectoryError
from bambino.files import json_of
from bambino.recipe.plain_yaml import load
from bambino.runs.account import Lines, account_of
from bambino.runs.old_names import has_old_names, row_with_new_names

T = TypeVar("T")
Row = dict[str, Any]
COUNTS = ("total/", "clm/batch")
"""How the names of what a log counts begin."""


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Whoever reads what a run's files hold refuses it where that is something else than a run's.

    Raises:
        RunDirectoryError: naming the directory, in place of what goes wrong with such data.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise _wrong(path, error, "the directory") from None


def _refusing(read: Callable[[RunRecord], T]) -> Callable[[RunRecord], T]:
    """What reads a record, with that refusal."""

    @functools.wraps(read)
    def wrapped(run: RunRecord) -> T:
        with refusing(run.path):
            return read(run)

    return wrapped


@dataclass(frozen=True)
class RunRecord:
    """What a run left in its directory so far. Read when first asked for, then kept.

    Everything raises RunDirectoryError where a file is missing or not of a run.
    """

    path: Path

    @cached_property
    @_refusing
    def format(self) -> int:
        """1: written by an earlier version."""
        found = self.data.get("format", 1)
        if not isinstance(found, int):
            raise _wrong(self.path / "data.json", TypeError(f"format = {found!r}"), "a data manifest")
        return found

    @cached_property
    def settings(self) -> Row:
        """The recipe as plain YAML; of format 1 with keys that are refused now."""
        return _mapping(self.path / "recipe.yaml", "settings", lambda content: load(content.decode("utf-8"), "it"))

    @cached_property
    def data(self) -> Row:
        """What the run is made of: texts, models, measures."""
        return _mapping(self.path / "data.json", "a data manifest", json_of)

    @cached_property
    def environment(self) -> Row:
        """Versions, git commit, device."""
        return _mapping(self.path / "environment.json", "versions", json_of)

    @cached_property
    def peak_memory(self) -> dict[str, int]:
        """The most memory that the run took up to its last checkpoint, in bytes: of the `process`, and of tensors on a
        CUDA `device`; empty where it was not written down."""
        path = self.path / "memory.json"
        found = _mapping(path, "sizes", json_of) if path.is_file() else {}
        return {what: size for what, size in found.items() if isinstance(size, int)}

    @cached_property
    @_refusing
    def rows(self) -> list[Row]:
        """The rows of metrics.jsonl, evaluations by today's names."""
        rows = _rows(self.path / "metrics.jsonl")
        if not any(has_old_names(row) for row in rows):
            return rows
        return [row_with_new_names(row, self.settings) for row in rows]

    @property
    def steps(self) -> list[Row]:
        """A row for each step."""
        return [row for row in self.rows if row["kind"] == "step"]

    @property
    def evaluations(self) -> list[Row]:
        """A row for each evaluation, by rising steps; of two at one step the later."""
        found = {row["step"]: row for row in self.rows if row["kind"] == "evaluation"}
        return [found[step] for step in sorted(found)]

    @cached_property
    def utterances(self) -> list[Row]:
        """The rows of utterances.jsonl."""
        return _rows(self.path / "utterances.jsonl")

    @cached_property
    def said_at_evaluations(self) -> list[Row]:
        """Those of evaluations; the others, often many more, are passed over unread."""
        rows = _rows(self.path / "utterances.jsonl", holding=b'"kind": "evaluation"')
        return [row for row in rows if row["kind"] == "evaluation"]

    @cached_property
    def recasts(self) -> list[Row]:
        """Those with what was written for the baby; the others are passed over unread."""
        return [row for row in _rows(self.path / "utterances.jsonl", holding=b'"recast"') if "recast" in row]

    @property
    def steps_done(self) -> int:
        """Steps done so far."""
        return max((row["step"] for row in self.rows), default=0)

    @property
    @_refusing
    def batches(self) -> str:
        """What was heard in clm steps, two letters a batch (the last byte of `clm/batch`)."""
        return "".join(f"{int(row['clm/batch']) & 255:02x}" for row in self.steps if "clm/batch" in row)

    @property
    @_refusing
    def model_step(self) -> int | None:
        """The step of the evaluation that tells of `model/`: the best, where its weights were kept, else the last."""
        last = self.evaluations[-1] if self.evaluations else {}
        if "best/step" in last and self.settings["early_stopping"]["keep_best"]:
            return int(last["best/step"])
        return last.get("step")

    @property
    def totals(self) -> dict[str, float]:
        """Costs up to the last step, without `total/`; empty before the first."""
        last = self.steps[-1] if self.steps else {}
        return {name.removeprefix("total/"): value for name, value in last.items() if name.startswith("total/")}

    @property
    @_refusing
    def word_account(self) -> Lines:
        """What was heard, said and written; empty of runs that counted no words yet."""
        return account_of(self.data, self.totals)

    def words_heard(self, step: int) -> float:
        """L2 words that exposure (clm) had gone through when so many steps were done.

        Runs that counted no words yet: clm tokens times the corpus's words per token, which is a little too many where
        lines were cut at text.max_length; NaN without a text.
        """
        steps, words = self._words_heard
        before = bisect_right(steps, step)
        return words[before - 1] if before else 0.0

    @cached_property
    def _words_heard(self) -> tuple[list[int], list[float]]:
        rows = {row["step"]: row for row in self.steps}
        return sorted(rows), [self._words_of(rows[step]) for step in sorted(rows)]

    def _words_of(self, row: Row) -> float:
        if "total/clm_tokens" not in row:
            return 0.0
        counted: float | None = row.get("total/words_heard")
        return self._words_per_token * row["total/clm_tokens"] if counted is None else counted

    @cached_property
    @_refusing
    def _words_per_token(self) -> float:
        words, tokens = (sum(source[name] for source in self.data["clm"]) for name in ("words", "tokens"))
        return words / tokens if tokens else math.nan


def read_run(path: str | Path) -> RunRecord:
    """The record of a run's directory."""
    return RunRecord(Path(path).expanduser())


def newest_step(path: Path) -> Row:
    """The last whole row of a step in a run's metrics.jsonl, read alone; empty before the first."""
    log = path / "metrics.jsonl"
    lines = log.read_bytes().split(b"\n")[:-1] if log.is_file() else []
    last = next((line for line in reversed(lines) if line.startswith(b'{"kind": "step"')), b"{}")
    try:
        return dict(json_of(last))
    except ValueError as error:
        raise _wrong(log, error, "the log") from None


def _mapping(path: Path, kind: str, parse: Callable[[bytes], Any]) -> Row:
    try:
        content = parse(path.read_bytes())
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        raise _wrong(path, error, kind) from None
    if not isinstance(content, dict):
        raise RunDirectoryError(f"{path} does not hold {kind}. Is it of a bambino run?")
    return content


def _rows(path: Path, holding: bytes = b"") -> list[Row]:
    """The rows of a log whose lines hold some bytes; one that is cut at the end is passed over."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise _wrong(path, error, "the log") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or holding not in line:
            continue
        try:
            row = json_of(line)
            if not isinstance(row["kind"], str) or not isinstance(row["step"], int):
                raise TypeError("kind is no word or step no whole number")
            if strange := [name for name in row if name.startswith(COUNTS) and not isinstance(row[name], int | float)]:
                raise TypeError(f"{strange[0]} is no number")
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and isinstance(error, ValueError):  # no line break after it: cut
                break
            message = f"{path}, line {number}: {type(error).__name__}: {error}. Is it a bambino log?"
            raise RunDirectoryError(message) from None
        rows.append(row)
    return rows


def _missing(path: Path) -> RunDirectoryError:
    return RunDirectoryError(f"There is no {path}. Give the output_dir of a run.")


def _wrong(path: Path, error: Exception, kind: str) -> RunDirectoryError:
    return RunDirectoryError(f"{path}: {type(error).__name__}: {error}. Is it {kind} of a bambino run?")
