"""`bambino audit`: what a recipe's rewards like, before anything is trained."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from bambino.cli.code import code_path, load_code
from bambino.cli.console import DONE, Command, Parser, claim, quieten_libraries
from bambino.cli.settings import HOW_TO_WRITE, add_recipe, parse
from bambino.feedback.settings import KINDS
from bambino.phases.kinds import PHASES
from bambino.recipe.file import load_recipe, shipped
from bambino.recipe.names import Names
from bambino.recipe.settings import Recipe

ABOUT = """Look at each kind of feedback of a recipe before anything is trained: does it prefer grammatical sentences,
human text over worse text; does it go by length, fall as words are corrupted, tell the baby's utterances apart?
Writes audit.json, audit.md, audit.png and audit.svg. docs/audit.md says what each number is."""
EXAMPLES = """examples:
  bambino audit real-small --baby.model english-baby --parent.model italian-parent --text.sources '[italian.txt]' \\
      --pairs agreement=agreement.jsonl --other_text english.txt --to audits/first
  bambino audit mine.yaml --feedback '{parent_perplexity: {tau: null}, repetition: {}, random: {}}'"""
BESIDE = ("pairs", "other_text", "lines", "utterances", "to", "code", "help")


def _read(words: list[str]) -> Namespace:
    usage = "bambino audit [RECIPE] [--OPTION ...] [--SETTING VALUE ...]"
    parser = Parser("bambino audit", f"{ABOUT}\n\n{HOW_TO_WRITE}", EXAMPLES, usage)
    names = ", ".join(shipped())
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help=f"a YAML file, or one that is shipped: {names}")
    pairs = "minimal pairs of L2 (default: the recipe's evaluation.pairs)"
    parser.add_argument("--pairs", nargs="+", default=[], metavar="NAME=FILE", help=pairs)
    other = "text of another language, such as L1 (default: the recipe's replay.sources)"
    parser.add_argument("--other_text", nargs="+", default=[], metavar="FILE", help=other)
    lines = "at most so many held-out lines are continued and corrupted (default: 256)"
    parser.add_argument("--lines", type=_count, default=256, metavar="INT", help=lines)
    utterances = "utterances of the baby (default: 1024)"
    parser.add_argument("--utterances", type=_count, default=1024, metavar="INT", help=utterances)
    parser.add_argument("--to", default="audit", metavar="FOLDER", help="where results go (default: audit)")
    parser.add_argument("--code", metavar="FILE.py", help="a Python file of yours that defines KINDS or REWARDS")
    kinds = KINDS | load_code(code_path(words)).kinds
    add_recipe(parser, kinds)
    return parse(parser, words, Names.of(Recipe, kinds, "bambino audit", BESIDE))


def _count(word: str) -> int:
    if not word.isdigit() or int(word) < 1:
        raise ArgumentTypeError(f"{word!r} is no count. Give 1 or more.")
    return int(word)


def _pairs(words: list[str]) -> dict[str, str]:
    """NAME=FILE; a file alone is called by its own name."""
    found = {}
    for word in words:
        name, equals, source = word.partition("=")
        found[name if equals else Path(word).stem] = source if equals else word
    return found


def _run(given: Namespace) -> int:
    code = load_code(given.code)
    own: dict[str, Any] = {"kinds": KINDS | code.kinds, "phases": [*PHASES, *code.phases]}
    recipe = load_recipe(given.recipe, given.settings, **own)
    folder = claim(given.to, "--to")

    from bambino.analysis.reward_audit import save_audits
    from bambino.experiments.audit import AuditPlan, audit
    from bambino.files import write_atomically
    from bambino.report.audit import audit_figure, audit_rows, markdown, turned
    from bambino.report.plots import save
    from bambino.report.screen import Screen
    from bambino.report.tables import table

    quieten_libraries()
    plan = AuditPlan(_pairs(given.pairs), given.other_text, given.lines, given.utterances)
    audits, left_out = audit(recipe, plan, code.rewards)
    save_audits(audits, folder / "audit.json")
    write_atomically(folder / "audit.md", markdown(audit_rows(audits, with_intervals=True)))
    save(audit_figure(audits), folder, "audit")
    console = Screen()
    console.print(table(turned(audit_rows(audits, with_intervals=False))))
    for name, reason in left_out.items():
        console.print(f"{name} is left out: {reason}")
    console.print(f"All numbers: {folder / 'audit.json'}", soft_wrap=True)
    return DONE


AUDIT = Command("audit", "what a recipe's rewards like, before anything is trained", _read, _run)
