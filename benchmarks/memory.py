"""Whether memory stays flat: a run of tiny models, the memory of its process after every step, and its slope.

    python benchmarks/memory.py [--steps 10000] [--cycle '{clm: 10, ppo: 2}'] [--skip 0.5]

The run evaluates and saves as a long one does, 20 times each. The first steps, in which libraries fill their caches (a
tokenizer keeps 10 000 words), are left out (--skip: their share). The rest is cut into 20 blocks; a line through their
means gives bytes per step, with a 95 % interval (t, 18 degrees of freedom; blocks are taken as independent). Reads
/proc, so it runs on Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from scipy import stats

from bambino import BambinoTrainer, load_recipe, measures_of
from bambino.cli.console import quieten_libraries
from bambino.models.newborn import make_newborn
from bambino.nursery import write_text
from bambino.recipe.model_settings import ShapeConfig

BLOCKS = 20
SHAPE = ShapeConfig(hidden_size=32, num_layers=2, num_heads=2, context=128, vocab_size=512)


def resident_bytes() -> int:
    """Memory of this process that lies in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def slope(memory: Int[np.ndarray, " steps"], skip: float) -> dict[str, Any]:
    """Bytes per step of memory after each step, the first left out, with a 95 % interval."""
    first = round(skip * len(memory))
    blocks = np.array_split(np.arange(first, len(memory)), BLOCKS)
    line = stats.linregress([steps.mean() for steps in blocks], [memory[steps].mean() for steps in blocks])
    margin = stats.t.ppf(0.975, BLOCKS - 2) * line.stderr
    return {
        "steps": len(memory),
        "bytes_per_step": float(line.slope),
        "interval": [float(line.slope - margin), float(line.slope + margin)],
        "MiB": {"after_skipped": memory[first] / 2**20, "last": memory[-1] / 2**20, "most": memory.max() / 2**20},
    }


def train(folder: Path, steps: int, cycle: str) -> Int[np.ndarray, " steps"]:
    """Memory after each step of a run."""
    texts = {}
    for role, language, seed in (("baby", "en", 1), ("parent", "it", 2)):
        texts[language] = folder / f"{language}.txt"
        write_text(texts[language], language, 4000, 1)
        make_newborn(SHAPE, texts[language].read_text(encoding="utf-8").splitlines(), seed, folder / role)
    every = max(1, steps // 20)
    settings = {
        "output_dir": folder / "run",
        "baby.model": folder / "baby",
        "parent.model": folder / "parent",
        "parent.must_know_l2": "false",
        "text.sources": f"[{texts['it']}]",
        "schedule.cycle": cycle,
        "max_steps": steps,
        "batch_size": 8,
        "save_steps": every,
        "evaluation.eval_steps": every,
        "evaluation.texts": f"{{it: [{texts['it']}], en: [{texts['en']}]}}",
    }
    recipe = load_recipe(None, [f"--{name}={value}" for name, value in settings.items()])
    memory = np.full(steps, -1)  # what is measured does not grow by being measured

    def note(row: dict[str, Any]) -> None:
        if row["kind"] == "step":
            memory[row["step"] - 1] = resident_bytes()

    trainer = BambinoTrainer(args=recipe, on_row=note)
    trainer.measures += measures_of(recipe, parent=trainer.tools.parent)
    trainer.train()
    return memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--cycle", default="{clm: 10, ppo: 2}")
    parser.add_argument("--skip", type=float, default=0.5)
    given = parser.parse_args()
    quieten_libraries()
    with tempfile.TemporaryDirectory() as folder:
        memory = train(Path(folder), given.steps, given.cycle)
    print(json.dumps({"cycle": given.cycle, **slope(memory, given.skip)}, indent=1))


if __name__ == "__main__":
    main()
