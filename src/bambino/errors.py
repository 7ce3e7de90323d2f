"""Everything bambino refuses or stops for: one family under `BambinoError`, each message with the way out."""

from __future__ import annotations

import copyreg
from typing import Any

from bambino.printable import printable


def shortened(value: object, most: int = 200) -> str:
    """A value in a message, cut where it is long."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


class BambinoError(Exception):
    """Anything bambino refuses or stops for. The message names what is wrong and the way out, and is safe to show."""

    def __str__(self) -> str:
        return printable(super().__str__())

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is to another process, whatever arguments a subclass is made from."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class CheckpointError(BambinoError, RuntimeError):
    """A checkpoint that cannot be read; the message names the file."""


class RecipeError(BambinoError, ValueError):
    """A recipe that cannot be run. `key` is the dotted name of the setting at fault."""

    def __init__(self, key: str, problem: str, where: str = "") -> None:
        self.key, self.problem, self.where = key, problem, where
        super().__init__(problem + (f"\n             ({where})" if where else ""))


class YamlError(BambinoError, ValueError):
    """YAML that cannot be read. `key` is the dotted name at fault, `where` its file and line, where they are known."""

    def __init__(self, key: str, problem: str, where: str = "") -> None:
        self.key, self.problem, self.where = key, problem, where
        super().__init__(f"{where}: {problem}" if where else problem)


class DemoError(BambinoError, ValueError):
    """The demo cannot begin."""


class ExperimentError(BambinoError, ValueError):
    """An experiment that cannot be run; the message names the file, the key and the way out."""


class EvaluationError(BambinoError, ValueError):
    """Something an evaluation was asked for that cannot be had; the message names it and the way out."""


class HarnessError(EvaluationError):
    """lm-eval is missing, does not know a task, or cannot read its data; the message names the way out."""


class OrderError(EvaluationError):
    """An order of acquisition that cannot be read; the message names the file and the key."""


class CurveError(EvaluationError):
    """Evaluations that cannot be used; the message names the file or the measure, and the way out."""


class PlanError(EvaluationError):
    """An evaluation that cannot be run as asked; the message names the option, the value and the way out."""


class ReportError(BambinoError, ValueError):
    """Runs that no report can be made of; the message names them and the way out."""


class ResultsError(EvaluationError):
    """Results that cannot be read; the message names the file and the way out."""


class TaskError(EvaluationError):
    """A task definition that cannot be used; the message names the file, the key and the way out."""


class ModelError(BambinoError, ValueError):
    """A model that cannot be used; the message names the setting, the path and the way out."""


class NurseryError(BambinoError, ValueError):
    """A grammar that cannot be used; the message names the file's key and what is wrong."""


class TrainingError(BambinoError, RuntimeError):
    """A run that must stop; `details` explains why and goes to failure.json."""

    def __init__(self, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.details = details


class ProcessError(BambinoError, RuntimeError):
    """Processes that cannot train together, or one that has lost another; the message says what is known of it."""


class RewardError(BambinoError, ValueError):
    """A reward that gave something else than a number per utterance; the message names it."""


class RunDirectoryError(BambinoError, RuntimeError):
    """A run directory that cannot be used; the message names the way out."""


class StorageError(BambinoError, OSError):
    """A file or folder that cannot be written: a full disk, a read-only folder, a run's directory that is gone."""


class UsageError(BambinoError, ValueError):
    """Words of a command line that the command does not understand; the message names the way out."""


class TextError(BambinoError, ValueError):
    """Text that cannot be used; the message names the file and the way out."""
