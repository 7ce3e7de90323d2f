"""Output that cannot be written any more is dropped, and what is being done goes on.

The reader may have left (`| head`), the terminal may be gone, the disk of a log may be full: no reason to lose a run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO


class Droppable:
    """A text stream, until writing to it fails; from then on, what is written to it is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None
        """Why what was written did not arrive; a reader who has left wants no more of it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._or_drop(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._or_drop(self._stream.flush)

    def _or_drop(self, act: Callable[..., Any], *words: Any) -> None:
        try:
            act(*words)
        except OSError as error:  # what is still in the buffer is dropped too, else it fails again when Python ends
            if not isinstance(error, BrokenPipeError):
                self.lost = self.lost or OSError(error.errno, error.strerror, "standard output")
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def output_may_be_unread() -> Iterator[Droppable | None]:
    """Inside, stdout (which is given) and stderr are droppable; what they hold back is written, or dropped, at the end.

    One that was closed before Python began is None, and stays so: print passes over it.
    """
    out, err = (Droppable(stream) if stream is not None else None for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield out
        finally:
            for stream in (out, err):
                if stream is not None:
                    stream.flush()
