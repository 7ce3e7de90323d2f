"""Text of models, corpora and file names as it may be shown: nothing in it acts on a terminal, a page or a paper.

Escaped are the characters that do something instead of being seen: control characters (ESC, BEL, CSI, carriage return),
those that turn the direction of what follows, line and paragraph separators, halves of surrogate pairs (bytes of a file
name that is no UTF-8). Everything else stays as it is, in every script; so do line ends and tabs.
"""

from __future__ import annotations

import re

ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""C0 but for tab and line end, DEL, C1, separators, turns of direction, byte order mark, surrogates."""
MARKUP = re.compile(r"[\\`*\[\]<>&|~$]|(?<![^\W_])_|_(?![^\W_])")
"""What may be Markdown or HTML within a line; an underscore inside a word is not."""
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "{}$&#%_"},
}
"""What acts in LaTeX or is drawn as something else -> how it is written there."""


def printable(text: str) -> str:
    r"""The text with each acting character as Python writes it: ESC is `\x1b`, a right-to-left override `\u202e`."""
    return ACTING.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str) -> str:
    r"""Printable, each line end written as `\n`."""
    return printable(text).replace("\n", r"\n")


def in_markdown(text: str) -> str:
    """Plain words for a line or a cell of a Markdown table: no markup, link or HTML of the text's own."""
    return MARKUP.sub(lambda found: "\\" + found[0], one_line(text))


def in_latex(text: str) -> str:
    """Plain words for a paragraph or a cell of LaTeX: no command of the text's own; a minus before a number is one."""
    escaped = re.sub(r"[\\~^<>|{}$&#%_]", lambda found: LATEX[found[0]], one_line(text))
    return re.sub(r"(?<![\w.-])-(?=\d)", "$-$", escaped)


def as_code(text: str) -> str:
    """A code span for a line or a cell of a Markdown table; its fence is longer than any in the text."""
    shown = one_line(text).replace("|", r"\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    edge = " " if not shown.strip() or "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{edge}{shown}{edge}{fence}"
