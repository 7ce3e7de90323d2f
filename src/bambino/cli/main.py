"""The command line: `bambino COMMAND ...`. One file a command; what they share is in `console.py`."""

from __future__ import annotations

import io
import os
import sys
from argparse import ArgumentParser
from importlib.metadata import version

from bambino.cli import (
    audit,
    compare,
    demo,
    env,
    evaluate,
    experiment,
    front,
    interpolate,
    lm_eval_tasks,
    meter,
    nursery,
    push,
    recipes,
    report,
    table,
    train,
    write,
)
from bambino.cli.console import DEBUG, DONE, FAILED, Parser, complain
from bambino.cli.failures import told
from bambino.cli.unread import output_may_be_unread
from bambino.recipe.names import nearest
from bambino.stopping import on_stop, stop_at_once

COMMANDS = [
    demo.DEMO,
    train.TRAIN,
    train.PRETRAIN,
    audit.AUDIT,
    evaluate.EVALUATE,
    compare.COMPARE,
    table.TABLE,
    interpolate.INTERPOLATE,
    front.FRONT,
    experiment.EXPERIMENT,
    meter.METER,
    report.REPORT,
    push.PUSH,
    write.WRITE,
    nursery.NURSERY,
    lm_eval_tasks.LM_EVAL_TASKS,
    recipes.RECIPES,
    env.ENV,
]
ABOUT = """bambino raises bilingual baby language models: a baby pretrained on a first language learns a second one by
hearing it (clm) and by a parent's feedback (ppo)."""
EXAMPLES = """examples:
  bambino demo
  bambino train real-small --baby.model PATH --parent.model PATH --text.sources '[italian.txt]' --output_dir runs/first
  bambino train --resume runs/first
  bambino report runs/first
  bambino evaluate runs/first --data tests

exit status:
  0    done
  1    the run failed (failure.json in its directory says why), or bambino has a bug; --debug shows the traceback
  2    something that was given is wrong; the message says what, and the way out
  130  interrupted (Ctrl-C), or a run that was stopped before its last step: go on with bambino train --resume
  143, 129, 138  the same by SIGTERM, SIGHUP (a terminal that was closed), SIGUSR1 (SLURM): 128 + the signal's number"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0 done, 1 the run failed, 2 something given was wrong, 128 + a signal's number where that
        interrupted or stopped it.
    """
    given = sys.argv[1:] if argv is None else argv
    words = [word for word in given if word != DEBUG]
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before anything imports huggingface_hub
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what its encoding has no word for
    with output_may_be_unread() as lost, on_stop(stop_at_once):
        try:
            status = _main(words)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  whatever it is, its user gets one message
            status = told(error, debug=len(words) < len(given))
    if lost:
        complain(f"Some of what was to be shown is lost: {lost[0]}.")
    return status or (FAILED if lost else DONE)


def _main(words: list[str]) -> int:
    try:
        if not words or words[0].startswith("-"):
            return _without_command(words)
        command = next((command for command in COMMANDS if command.name == words[0]), None)
        if command is None:
            near = nearest(words[0], [command.name for command in COMMANDS])
            hint = f"Did you mean {near}?" if near else "Try: bambino --help"
            return complain(f"There is no command {words[0]!r}. {hint}")
        return command.run(command.read(words[1:]))
    except SystemExit as stop:  # --help
        return int(stop.code or DONE)


def _without_command(words: list[str]) -> int:
    """`bambino`, `bambino --help`, `bambino --version`."""
    usage = "bambino COMMAND ...\n       bambino COMMAND --help"
    parser = Parser("bambino", ABOUT, EXAMPLES, usage)
    parser.add_argument("--version", action="version", version=version("bambino-lm"))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=ArgumentParser)
    for command in COMMANDS:
        commands.add_parser(command.name, help=command.about)
    parser.parse_args(words or ["--help"])
    return DONE


if __name__ == "__main__":
    sys.exit(main())
