"""`bambino lm-eval-tasks`: a folder of tests as tasks of lm-evaluation-harness."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bambino.cli.console import DONE, Command, Parser, claim, quieten_libraries, say

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
    model = "write them for this model (a folder or a hub name); needed where its tokenizer has no BOS, as Qwen 2's"
    parser.add_argument("--model", metavar="MODEL", help=model)
    return parser.parse_args(words)


def _run(given: Namespace) -> int:
    from bambino.evaluation.export import export

    quieten_libraries()
    beginning = "" if given.model is None else _beginning_for(given.model)
    names = export(given.data, claim(given.output_dir, "--output_dir"), beginning)
    say(f"Wrote {len(names)} tasks. Run them:\n")
    say(f"    lm_eval run --model hf --model_args pretrained={given.model or 'MODEL'},add_bos_token=True \\")
    say(f"        --include_path {given.output_dir} --tasks {names[0]}\n")
    if given.model is None:
        say("Items agree with bambino evaluate's where MODEL's tokenizer has a BOS token. For another: --model MODEL")
    if beginning:
        say(f"The tokenizer of {given.model} has no BOS: prompts begin with {beginning}. For another, write them anew.")
    return DONE


def _beginning_for(model: str) -> str:
    """What prompts begin with in lm-eval, where it cannot prepend the model's start token."""
    from bambino.errors import ModelError
    from bambino.evaluation.lm_eval_tasks import beginning_for
    from bambino.recipe.model_settings import ModelConfig
    from bambino.speaking.speaker import open_speaker

    try:
        return beginning_for(open_speaker(ModelConfig(model), "baby").tokenizer)
    except ModelError as error:  # which speaks of recipes
        raise ModelError(str(error).replace("baby.model", "--model")) from None


LM_EVAL_TASKS = Command("lm-eval-tasks", "write the same tests for lm-evaluation-harness", _read, _run)
