"""`bambino lm-eval-tasks`: a folder of tests as tasks of lm-evaluation-harness."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bambino.cli.console import DONE, Command, Parser, claim, say

EXAMPLES = """example:
  bambino lm-eval-tasks --data tests --output_dir lm-eval-tasks
  lm_eval run --model hf --model_args pretrained=MODEL,add_bos_token=True --include_path lm-eval-tasks --tasks NAME"""


def _read(words: list[str]) -> Namespace:
    about = "Write the tests of a folder as tasks of lm-evaluation-harness, for lm_eval --include_path."
    parser = Parser("bambino lm-eval-tasks", about, EXAMPLES)
    data = "a folder with tests, as for bambino evaluate"
    parser.add_argument("--data", required=True, metavar="FOLDER", help=data)
    out = "where the YAML files and their data go"
    parser.add_argument("--output_dir", type=Path, required=True, metavar="FOLDER", help=out)
    return parser.parse_args(words)


def _run(given: Namespace) -> int:
    from bambino.evaluation.export import export

    names = export(given.data, claim(given.output_dir, "--output_dir"))
    say(f"Wrote {len(names)} tasks. Run them:\n")
    say("    lm_eval run --model hf --model_args pretrained=MODEL,add_bos_token=True \\")
    say(f"        --include_path {given.output_dir} --tasks {names[0]}")
    return DONE


LM_EVAL_TASKS = Command("lm-eval-tasks", "write the same tests for lm-evaluation-harness", _read, _run)
