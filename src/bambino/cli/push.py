"""`bambino push`: a run's model and revisions to the Hugging Face hub."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bambino.cli.console import DONE, Command, Parser, say

ABOUT = """Upload a run to the Hugging Face hub: its model as main, with card, ledger and datasheet, and each revision
(chck_1M, ...) as a branch. Log in before: hf auth login, or HF_TOKEN."""
EXAMPLES = """examples:
  bambino push runs/first NAME/italian-baby
  bambino push runs/first NAME/italian-baby --public"""


def _read(words: list[str]) -> Namespace:
    parser = Parser("bambino push", ABOUT, EXAMPLES, "bambino push RUN_DIRECTORY OWNER/NAME [--public]")
    parser.add_argument("run", metavar="RUN_DIRECTORY", help="a run that has a trained model")
    parser.add_argument("repo_id", metavar="OWNER/NAME", help="the repository; made where there is none")
    parser.add_argument("--public", action="store_true", help="a new repository can be read by everybody")
    return parser.parse_args(words)


def _run(given: Namespace) -> int:
    from huggingface_hub.errors import HFValidationError, HTTPError, OfflineModeIsEnabled

    from bambino.cli.console import quieten_libraries
    from bambino.errors import UsageError
    from bambino.models.opening import in_a_line
    from bambino.runs.hub import push

    quieten_libraries()
    try:
        address = push(Path(given.run).expanduser(), given.repo_id, private=not given.public, tell=say)
    except (HTTPError, HFValidationError, OfflineModeIsEnabled) as error:
        way_out = "Is the name OWNER/NAME, are you logged in (hf auth login), and is the hub there?"
        raise UsageError(f"{given.repo_id} cannot be uploaded: {in_a_line(error)}. {way_out}") from None
    say(address)
    return DONE


PUSH = Command("push", "a run's model and its revisions to the Hugging Face hub", _read, _run)
