"""`bambino demo`: the whole idea on a small world."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bambino.cli.console import DONE, Command, Parser, claim
from bambino.errors import UsageError

EXAMPLES = """examples:
  bambino demo
  bambino demo --size small
  bambino demo --language invented --seeds 5"""


def _read(words: list[str]) -> Namespace:
    parser = Parser("bambino demo", "The whole idea on a small world: offline, in some four minutes.", EXAMPLES)
    size = (
        "small takes some two minutes; numbers of different sizes do not compare (default: the largest that this "
        "machine does in under four minutes)"
    )
    parser.add_argument("--size", choices=("small", "medium", "large"), help=size)
    language = "what the parent speaks and the baby learns: it, invented, or another of the nursery's (default: it)"
    parser.add_argument("--language", default="it", metavar="NAME", help=language)
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="run the conditions with N seeds (default: 1)"
    )
    seed = "the first seed, and that of the base models (default: 1)"
    parser.add_argument("--seed", type=int, default=1, metavar="N", help=seed)
    out = "where the page, the numbers and the runs go (default: runs/demo)"
    parser.add_argument("--output_dir", type=Path, default=Path("runs/demo"), metavar="FOLDER", help=out)
    given = parser.parse_args(words)
    if given.seeds < 1 or given.seed < 0:
        raise UsageError("--seeds must be at least 1 and --seed at least 0.")
    return given


def _run(given: Namespace) -> int:
    from bambino.demo import start_demo

    start_demo(claim(given.output_dir, "--output_dir"), given.size, given.language, given.seed, given.seeds)
    return DONE


DEMO = Command("demo", "the whole idea on a small world: offline, in minutes", _read, _run)
