"""What tests run in processes of their own."""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bambino.text.stored import Columns


def bambino(words: list[str], screen: Path) -> None:
    """The command line, alone in this process, a warning being an error; `screen` gets what it says on stderr."""
    import torch

    from bambino.cli.main import main

    for stream, path in ((1, Path(os.devnull)), (2, screen)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    sys.exit(main(words))


def store_slowly(folder: Path) -> None:
    """Store a thousand numbers, a few at a time; the log gets a line each time that they are made."""
    import numpy as np

    from bambino.text.stored import stored

    def make(columns: Columns) -> dict[str, Any]:
        with (folder / "log").open("a") as file:
            file.write("made\n")
        for number in range(100):
            columns.append({"numbers": np.full(10, number)})
            time.sleep(0.005)
        return {"sum": 49_500}

    found = stored(str(folder / "cache"), {"of": "numbers"}, {"numbers": "<i8"}, make)
    assert found.arrays["numbers"].sum() == found.counted["sum"]
