"""What tests run in processes of their own."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path


def bambino(words: list[str], screen: Path) -> None:
    """The command line, alone in this process, a warning being an error; `screen` gets what it says on stderr."""
    import torch

    from bambino.cli.main import main

    for stream, path in ((1, Path(os.devnull)), (2, screen)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    sys.exit(main(words))
