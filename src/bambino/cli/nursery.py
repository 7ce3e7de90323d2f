"""`bambino nursery`: text and minimal pairs of the small world, or a whole folder to run recipes and experiments on."""

from __future__ import annotations

from argparse import Namespace
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from bambino.cli.console import DONE, Command, Parser, claim, claim_file, quieten_libraries, say
from bambino.errors import UsageError
from bambino.files import write_file

EXAMPLES = """examples:
  bambino nursery --lang it --lines 100000 --out it.txt
  bambino nursery --lang it --pairs 50 --out pairs-it.jsonl
  bambino nursery --lang it --world nursery --size medium
  bambino experiment ratios --recipe nursery/recipe.yaml"""


def _read(words: list[str]) -> Namespace:
    from bambino.nursery import LANGUAGES

    about = """Write text or minimal pairs of the nursery, a small world told in some languages; or a folder with all
that a user with a pair of languages has: texts, pairs, an English baby, parents, and a recipe. It takes minutes; the
same command goes on with what was stopped."""
    parser = Parser("bambino nursery", about, EXAMPLES)
    parser.add_argument("--lang", required=True, metavar="NAME", help="the language: " + LANGUAGES)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--lines", type=int, metavar="N", help="write N sentences, one a line")
    what.add_argument("--pairs", type=int, metavar="N", help="write N doublets (two minimal pairs each) per phenomenon")
    what.add_argument("--world", type=Path, metavar="FOLDER", help="write a folder: texts, pairs, models, recipe.yaml")
    size = "of --world, as of bambino demo (default: medium)"
    parser.add_argument("--size", choices=("small", "medium", "large"), default="medium", help=size)
    out = "the file to write (.txt for lines, .jsonl for pairs)"
    parser.add_argument("--out", type=Path, metavar="FILE", help=out)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, other sentences (default: 1)")
    given = parser.parse_args(words)
    for name in ("lines", "pairs"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            raise UsageError(f"--{name} {getattr(given, name)} is too few. Give 1 or more.")
    if (given.out is None) == (given.world is None):
        raise UsageError("--out FILE goes with --lines and --pairs, and only there.")
    return given


def _run(given: Namespace) -> int:
    from bambino.nursery import Grammar, write_pairs, write_text

    Grammar.load(given.lang)  # there is one
    if given.world is not None:
        return _write_world(given)
    out = claim_file(given.out, "--out")
    if given.lines is not None:
        write_file(out, lambda part: write_text(part, given.lang, given.lines, given.seed))
    else:
        write_file(out, lambda part: write_pairs(part, given.lang, given.pairs, given.seed))
    say(f"Wrote {out}")
    return DONE


def _write_world(given: Namespace) -> int:
    from bambino.experiments.nursery.designs import L1, SIZES
    from bambino.experiments.nursery.folder import write_world
    from bambino.experiments.nursery.runs import prepare_process

    if given.lang == L1:
        raise UsageError(f"--lang {L1} is what the baby speaks already. Use another: it.")
    world = claim(given.world, "--world").resolve()
    quieten_libraries()
    design = replace(SIZES[given.size], l2=given.lang)
    with ProcessPoolExecutor(2, get_context("spawn"), prepare_process) as pool:
        write_world(world, design, given.seed, pool, lambda part: say(f"Wrote {part}"))
    say(f"Done: {world}. Run: bambino experiment paper-ablation --recipe {world / 'recipe.yaml'}")
    return DONE


NURSERY = Command("nursery", "write text or minimal pairs of the small world, or a world to experiment on", _read, _run)
