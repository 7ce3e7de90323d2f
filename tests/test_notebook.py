"""The notebook runs from top to bottom, made small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "examples" / "compare.ipynb"
SIZES = "LINES, PRETRAIN_STEPS, WORDS, PASSES, SEEDS = 50_000, 600, 10_000, 6, (1, 2, 3)"


@pytest.mark.slow
def test_the_notebook_trains_compares_and_plots(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert SIZES in notebook.cells[1].source
    notebook.cells[1].source = notebook.cells[1].source.replace(
        SIZES, SIZES.split("=")[0] + "= 4000, 2, 400, 1, (1, 2)"
    )
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs: list[Any] = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("bits per byte" in output.get("data", {}).get("text/html", "") for output in outputs)
    said = "".join(output["text"] for output in outputs if output["output_type"] == "stream")
    assert "it: recasts - clm = " in said
    assert "en: recasts - clm = " in said
