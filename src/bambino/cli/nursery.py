"""`bambino nursery`: text and minimal pairs of the small world."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bambino.cli.console import DONE, Command, Parser, claim_file, say
from bambino.errors import UsageError
from bambino.files import write_file

EXAMPLES = """examples:
  bambino nursery --lang it --lines 100000 --out it.txt
  bambino nursery --lang it --pairs 50 --out pairs-it.jsonl"""


def _read(words: list[str]) -> Namespace:
    from bambino.nursery import LANGUAGES

    about = "Write text or minimal pairs of the nursery, a small world told in some languages."
    parser = Parser("bambino nursery", about, EXAMPLES)
    parser.add_argument("--lang", required=True, metavar="NAME", help="the language: " + LANGUAGES)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--lines", type=int, metavar="N", help="write N sentences, one a line")
    what.add_argument("--pairs", type=int, metavar="N", help="write N doublets (two minimal pairs each) per phenomenon")
    out = "the file to write (.txt for lines, .jsonl for pairs)"
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=out)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, other sentences (default: 1)")
    given = parser.parse_args(words)
    for name in ("lines", "pairs"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            raise UsageError(f"--{name} {getattr(given, name)} is too few. Give 1 or more.")
    return given


def _run(given: Namespace) -> int:
    from bambino.nursery import Grammar, write_pairs, write_text

    Grammar.load(given.lang)  # there is one
    out = claim_file(given.out, "--out")
    if given.lines is not None:
        write_file(out, lambda part: write_text(part, given.lang, given.lines, given.seed))
    else:
        write_file(out, lambda part: write_pairs(part, given.lang, given.pairs, given.seed))
    say(f"Wrote {out}")
    return DONE


NURSERY = Command("nursery", "write text or minimal pairs of the small world", _read, _run)
