"""The law of a reader: a result or a BambinoError, within a bounded time, nothing else, and nothing is written."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

from bambino.errors import BambinoError

SECONDS = 5.0
"""CPU time that a reader may take for a case; all cases are small."""
LONGEST_MESSAGE = 20_000
"""Characters of an error's message."""


class LawBrokenError(AssertionError):
    """A reader did something else."""


class _HangError(BaseException):
    """The case takes too long; no reader catches it."""


def keeps_the_law(read: Callable[[], object], folder: Path) -> Literal["read", "refused"]:
    """Read a case whose files lie in a folder.

    Raises:
        LawBrokenError: what was done instead, and where.
    """
    before, began = _state(folder), time.process_time()
    try:
        with _alarm(6 * SECONDS):
            read()
        outcome: Literal["read", "refused"] = "read"
    except BambinoError as error:
        outcome = "refused"
        if not str(error).strip() or len(str(error)) > LONGEST_MESSAGE:
            raise LawBrokenError(f"a message of {len(str(error))} characters") from error
    except _HangError as error:
        raise LawBrokenError(f"still busy after {6 * SECONDS:.0f} s, {_place(error)}") from None
    except Exception as error:
        raise LawBrokenError(f"{type(error).__name__} {_place(error)}: {error}") from error
    if (took := time.process_time() - began) > SECONDS:
        raise LawBrokenError(f"{took:.1f} s of CPU time")
    if _state(folder) != before:
        raise LawBrokenError("a file was written or changed")
    return outcome


def _place(error: BaseException) -> str:
    """The last line of bambino's own that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/bambino/" in frame.filename and "/tests/" not in frame.filename]
    return f"in {own[-1].filename.rpartition('/bambino/')[2]}, {own[-1].name}" if own else "outside bambino"


def _state(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with a file's content."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Stop what is inside after so many seconds, where the system can."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
