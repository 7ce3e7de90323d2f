"""Models and text that lie here are read here: nothing is asked of the network, no telemetry is sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bambino import Recipe
from bambino.recipe.file import dump_recipe

WITHOUT_NETWORK = """
import os, socket, sys

def refuse(*words, **_):
    sys.stderr.write(f"NETWORK {words}\\n")
    raise OSError("there is no network here")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
from bambino.cli.main import main

status = [main(["train", "RECIPE"]), main(["evaluate", "RUN", "--data", "DATA", "--output_dir", "OUT"])]
from huggingface_hub.constants import HF_HUB_DISABLE_TELEMETRY

print(status, HF_HUB_DISABLE_TELEMETRY)
"""


def test_a_run_and_an_evaluation_on_local_paths_ask_nothing_of_the_network(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = make_recipe("--max_steps", "3")
    (tmp_path / "r.yaml").write_text(dump_recipe(recipe))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "it.jsonl").write_text(
        '{"sentence_good": "il gatto dorme", "sentence_bad": "gatto il dorme"}\n'
    )
    places = {"RECIPE": "r.yaml", "RUN": str(Path(recipe.output_dir) / "model"), "DATA": "data", "OUT": "results"}
    script = WITHOUT_NETWORK
    for name, place in places.items():
        script = script.replace(f'"{name}"', repr(str(tmp_path / place)))
    online = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run([sys.executable, "-c", script], env=online, capture_output=True, text=True, check=False)
    assert "NETWORK" not in done.stderr
    assert done.stdout.splitlines()[-1] == "[0, 0] True", done.stderr
