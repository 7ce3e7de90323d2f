"""Output that cannot be written any more is dropped, and what is being done goes on.

The reader may have left (`| head`), the terminal may be gone, the disk of a log may be full: no reason to lose a run.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

GONE = (errno.EPIPE, errno.EIO)
"""Nobody is there any more: the reader of a pipe has left, a terminal was closed."""


class Droppable:
    """A text stream, until writing to it fails; from then on, what is written to it is dropped."""

    def __init__(self, stream: TextIO, lost: list[str]) -> None:
        self._stream, self._lost = stream, lost

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
        except OSError as error:
            if error.errno not in GONE:
                self._lost.append(error.strerror or str(error))
            # what is still in the buffer is dropped too, else it fails again when Python ends
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def output_may_be_unread() -> Iterator[list[str]]:
    """Inside, stdout and stderr are droppable; what they hold back is written, or dropped, at the end.

    Gives a list that says in the end why something was lost that somebody might still want to read.
    """
    lost: list[str] = []
    streams = [stream and Droppable(stream, lost) for stream in (sys.stdout, sys.stderr)]  # None: closed before us
    with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
        try:
            yield lost
        finally:
            for stream in filter(None, streams):
                stream.flush()
