"""`bambino write`: text by a model, such as the control that hears what the parent wrote."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bambino.cli.console import DONE, Command, Parser, claim_file, quieten_libraries, say
from bambino.errors import UsageError
from bambino.recipe.model_settings import ModelConfig
from bambino.recipe.phase_settings import RolloutConfig

ABOUT = """Write lines of text that a model samples when nothing is before it. The same model and seed write the same
text. Trained on in place of human lines, or beside them, it is what recasts and other answers of a parent must beat."""
EXAMPLES = """examples:
  bambino write italian-parent --words 30000 --out parent.txt
  bambino write runs/first/model --lines 20 --out said.txt --seed 2"""
USUAL = RolloutConfig(max_new_tokens=128)


def _read(words: list[str]) -> Namespace:
    parser = Parser("bambino write", ABOUT, EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="a folder or hub name that AutoModelForCausalLM opens")
    much = parser.add_mutually_exclusive_group(required=True)
    much.add_argument("--lines", type=int, metavar="N", help="write N lines")
    much.add_argument("--words", type=int, metavar="N", help="write lines until they hold N words; the last is whole")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the text file to write, a text a line")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, another text (default: 1)")
    longest = (
        f"longest line, in the model's tokens; the word that it cuts is left out (default: {USUAL.max_new_tokens})"
    )
    parser.add_argument("--max_new_tokens", type=int, default=USUAL.max_new_tokens, metavar="N", help=longest)
    warmth = "sampling temperature (default: 1.0)"
    parser.add_argument("--temperature", type=float, default=USUAL.temperature, metavar="X", help=warmth)
    top_p = "sample among the fewest tokens that hold this probability (default: among all)"
    parser.add_argument("--top_p", type=float, metavar="X", help=top_p)
    given = parser.parse_args(words)
    for name in ("lines", "words"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            raise UsageError(f"--{name} {getattr(given, name)} is too few. Give 1 or more.")
    given.how = RolloutConfig(max_new_tokens=given.max_new_tokens, temperature=given.temperature, top_p=given.top_p)
    return given


def _run(given: Namespace) -> int:
    out = claim_file(given.out, "--out")
    quieten_libraries()
    from bambino.files import write_atomically
    from bambino.speaking.speaker import open_speaker
    from bambino.speaking.written import up_to, written

    speaker = open_speaker(ModelConfig(given.model), "parent")
    lines = up_to(written(speaker, given.how, seed=given.seed), max_lines=given.lines, max_words=given.words)
    write_atomically(out, "".join(f"{line}\n" for line in lines))
    words = sum(len(line.split()) for line in lines)
    say(f"Wrote {out}: {len(lines)} lines, {words} words")
    return DONE


WRITE = Command("write", "write text that a model samples", _read, _run)
