"""What all commands share: how they read their words, what they say when something is wrong, and how they end."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bambino.errors import UsageError
from bambino.printable import printable

DONE, FAILED, WRONG = 0, 1, 2
"""Exit statuses: done; the run failed; something that was given is wrong. Of what was stopped: `stopping.py`."""
DEBUG = "--debug"


@dataclass(frozen=True)
class Command:
    """One command of `bambino`."""

    name: str
    """The word after `bambino`."""
    about: str
    """What it does, in a line."""
    read: Callable[[list[str]], argparse.Namespace]
    """The words after its name -> what they ask for; `--help` shows all of it and leaves."""
    run: Callable[[argparse.Namespace], int]
    """Does what is asked for; gives the exit status."""


class Parser(argparse.ArgumentParser):
    """A parser of a command's words; whole option names only, and complaints in our words."""

    def __init__(self, prog: str, about: str, examples: str = "", usage: str | None = None) -> None:
        super().__init__(
            prog=prog,
            usage=usage,
            description=about,
            epilog=examples or None,
            formatter_class=_Help,
            allow_abbrev=False,
        )
        self.add_argument(DEBUG, action="store_true", help="show the traceback of what else is told in one message")

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        message = message.removeprefix("argument ")
        if found := re.match(r"(?:\S+/)?(--\S+): expected one argument", message):
            metavar = next(action.metavar for action in self._actions if found[1] in action.option_strings)
            message = f"{found[1]}: expected one argument. Write {found[1]} {metavar}"
        elif message.startswith(("the following arguments are required", "unrecognized arguments")):
            message = f"{message[0].upper()}{message[1:]}. `{self.prog} --help` shows how."
        raise UsageError(message)


class _Help(argparse.HelpFormatter):
    """Fills paragraphs; lines that are indented, such as examples, stay whole, to be copied. Never breaks at the hyphen
    of a name such as real-small."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = re.sub(r"(?<=\S)\n(?=\S)", " ", text).splitlines()
        lines = [
            textwrap.fill(line, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
            if not line.startswith(" ")
            else indent + line
            for line in paragraphs
        ]
        return "\n".join(lines)


def say(text: str, *, end: str = "\n") -> None:
    """Print a line, with nothing in it that acts on a terminal."""
    print(printable(text), end=end)


def note(text: str) -> None:
    """As `say`, on stderr."""
    print(printable(text), file=sys.stderr)


def complain(problem: str) -> int:
    """Say what is wrong, on stderr; gives the exit status for it."""
    note(f"bambino: {problem}")
    return WRONG


def claim(folder: str | Path, option: str) -> Path:
    """The folder for results, made before any work is done for them.

    Raises:
        UsageError: it cannot be written to.
    """
    path = Path(folder).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise UsageError(f"{option} {path} cannot be written to ({error.strerror}). Give another folder.") from None
    return path


def claim_file(file: str | Path, option: str) -> Path:
    """The path of a file for results, its folder made before any work is done for it.

    Raises:
        UsageError: it is a folder or a device, or its folder cannot be written to.
    """
    path = Path(file).expanduser()
    if path.exists() and not path.is_file():
        raise UsageError(f"{option} {path} is no file. Give another name.")
    claim(path.parent, f"{option} {path}:")
    return path


def quieten_libraries() -> None:
    """No progress bars or notices of other libraries between our lines."""
    import huggingface_hub.utils
    from transformers.utils import logging

    huggingface_hub.utils.logging.set_verbosity_error()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
