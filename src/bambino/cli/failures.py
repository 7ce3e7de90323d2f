"""What went wrong, whatever it is, as one message with the way out and an exit status."""

from __future__ import annotations

import errno
import tempfile
import traceback

from bambino.cli.code import place_in_code
from bambino.cli.console import DEBUG, FAILED, WRONG, complain, note
from bambino.errors import BambinoError, ProcessError, StorageError, TrainingError
from bambino.stopping import status_of

ROOM = "Make room there; a run that was stopped goes on with --resume."
SPENT = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: "The system allows no larger file; ask for more, or write less.",
    errno.EIO: "The disk or its network fails; try again, or use another.",
    errno.EMFILE: "Too many files are open; raise the limit (ulimit -n).",
    errno.ENOMEM: "Close other programs, or ask for less at a time (batch_size).",
}
"""What the machine has no more of -> the way out; the work that was begun has failed."""
REFUSED = {
    errno.ENAMETOOLONG: "Use a shorter name.",
    errno.EROFS: "Use another folder.",
    errno.EACCES: "Use another path, or ask for the right to it.",
    errno.EPERM: "Use another path, or ask for the right to it.",
}
"""What the system does not let a path be used for -> the way out."""


def told(error: BaseException, *, debug: bool) -> int:
    """Say on stderr what went wrong; gives the exit status for it.

    Args:
        debug: whether the traceback is shown before.
    """
    if debug:
        note(_traceback(error))
    if isinstance(error, KeyboardInterrupt):
        note("Interrupted.")
        return status_of(error)
    if isinstance(error, BambinoError):
        complain(str(error))
        return FAILED if isinstance(error, ProcessError | StorageError | TrainingError) else WRONG
    if isinstance(error, OSError) and (error.errno in SPENT or error.filename is not None):
        complain(_refusal(error))
        return FAILED if error.errno in SPENT else WRONG
    complain(_surprise(error, debug=debug))
    return FAILED


def _refusal(error: OSError) -> str:
    """Which path the system refused, why, and the way out."""
    ways = SPENT | REFUSED
    way_out = ways.get(error.errno or 0, "Use another path.")
    return f"{error.filename or 'A file'} cannot be used: {error.strerror}. {way_out}"


def _surprise(error: BaseException, *, debug: bool) -> str:
    """What nobody foresaw: too little memory, an error in the user's own code, or a bug."""
    kind = type(error).__name__
    what = "".join(traceback.format_exception_only(error)).strip()
    if isinstance(error, MemoryError) or kind == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return f"There is too little memory ({what}). Use a smaller batch_size, or shorter lines (text.max_length)."
    if (place := place_in_code(error)) is not None:
        return f"--code {place}: {what}" + ("" if debug else f"\n{DEBUG} shows where it was called.")
    kept = "" if debug else f" The traceback is {_kept(error)}."
    return f"bambino has a bug: {what}.{kept} Run again with {DEBUG} and report what is shown, with `bambino env`."


def _kept(error: BaseException) -> str:
    """Where its traceback can be read from now on: in a file, or on stderr where there is no room for one."""
    try:
        descriptor, path = tempfile.mkstemp(prefix="bambino-", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_traceback(error))
    except OSError:
        note(_traceback(error))
        return "above"
    return f"in {path}"


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
