"""A corpus on disk: seconds and memory of making it and of finding it again, and steps per second beside a small one.

    python benchmarks/corpus.py [--words 10000000] [--folder DIR] [--steps 100] [--rounds 5] [--output FILE.json]

Lines of ten made-up words of Zipf's law, 10 bytes a word, as many as make up --words; a model of 1 M parameters and
8192 tokens hears them with `text.cache`. In processes of their own: the text is read, tokenized and stored (made); the
same again, which finds it (found); then --rounds of --steps steps of clm at batch size 32 on this text and on its first
100 000 words in turn. Memory is what the process holds beyond what it held once the model was loaded: of its own, which
the system cannot take back (RssAnon), and all that lies in RAM, pages of mapped files among it. Reads /proc, so it runs
on Linux. A machine is told by its matrix products and its load when all begins.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bambino import BambinoTrainer, load_recipe
from bambino.cli.console import quieten_libraries
from bambino.models.loading import load_lm, load_tokenizer
from bambino.models.newborn import make_newborn
from bambino.recipe.model_settings import ModelConfig, ShapeConfig
from bambino.recipe.settings import Recipe
from bambino.runs.machine import matrix_rate
from bambino.text.streams import Streams, build_streams

IN_LINE, IN_SMALL, AT_ONCE = 10, 100_000, 100_000
"""Words of a line, of the small text, lines that are made at once."""


class Memory:
    """The most memory of this process beyond what it held at the beginning, in MiB."""

    def __enter__(self) -> Memory:
        self.before, self.most, self._is_over = _now(), _now(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(0.02):
            self.most = {name: max(value, self.most[name]) for name, value in _now().items()}

    @property
    def beyond(self) -> dict[str, float]:
        return {f"MiB {name}": round(self.most[name] - self.before[name], 1) for name in self.most}


def _now() -> dict[str, float]:
    lines = Path("/proc/self/status").read_text().splitlines()
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest}
    return {"of its own": kib["RssAnon"] / 1024, "in all": kib["VmRSS"] / 1024}


def write_words(path: Path, words: int) -> None:
    """A text of so many words."""
    generator = np.random.default_rng(1)
    syllables = [first + second for first in "bcdfglmnprstvz" for second in "aeiou"]
    vocabulary = np.array(["".join(generator.choice(syllables, size)) for size in generator.integers(3, 7, 100_000)])
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, words // IN_LINE, AT_ONCE):
            lines = min(AT_ONCE, words // IN_LINE - first)
            ranks = np.minimum(generator.zipf(1.2, (lines, IN_LINE)) - 1, len(vocabulary) - 1)
            file.writelines(" ".join(row) + "\n" for row in vocabulary[ranks].tolist())


def prepare(folder: Path, words: int) -> None:
    """The text, a small one, and the model."""
    large, small = folder / "large.txt", folder / "small.txt"
    write_words(large, words)
    with large.open(encoding="utf-8") as file:
        lines = [next(file) for _ in range(IN_SMALL // IN_LINE)]
    small.write_text("".join(lines), encoding="utf-8")
    make_newborn(ShapeConfig(size="1m", context=128), lines, 0, folder / "baby")


def recipe_of(folder: Path, text: str) -> Recipe:
    settings = {
        "output_dir": folder / f"run-{text}",
        "baby.model": folder / "baby",
        "text.sources": f"[{folder / text}.txt]",
        "text.cache": folder / "cache",
        "schedule.cycle": "{clm: 1}",
        "max_steps": 1_000_000,
    }
    return load_recipe(None, [f"--{name}={value}" for name, value in settings.items()])


def opened(folder: Path) -> dict[str, Any]:
    """Seconds and memory until the first batch of the large text is there."""
    recipe, config = recipe_of(folder, "large"), ModelConfig(str(folder / "baby"))
    lm = load_lm(config, "baby")
    tokenizer = load_tokenizer(config, "baby", lm)
    with Memory() as memory:
        begin, cpu = time.perf_counter(), time.process_time()
        streams = build_streams(recipe.text, tokenizer, seed=0, batch_size=32, prompt_tokens=8)
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        streams.clm.batch(0, 32)
    first_batch = time.perf_counter() - begin - seconds
    return {"seconds": seconds, "CPU seconds": cpu, "first batch": first_batch, **memory.beyond, **_counts(streams)}


def _counts(streams: Streams) -> dict[str, int]:
    (report,) = streams.reports
    return {"lines": report.kept, "words": report.words, "tokens": report.tokens}


def steps(folder: Path, steps: int, rounds: int) -> dict[str, Any]:
    """Steps per second on both texts in turn, and the memory that both runs take."""
    found: dict[str, Any] = {"large": [], "small": []}
    with Memory() as memory:
        trainers = {text: BambinoTrainer(args=recipe_of(folder, text)) for text in found}
        for trainer in trainers.values():
            step(trainer, 3)
        for _ in range(rounds):
            for text, trainer in trainers.items():
                found[text].append(steps / step(trainer, steps))
    medians = {text: statistics.median(rates) for text, rates in found.items()}
    pairs = [large / small for large, small in zip(found["large"], found["small"], strict=True)]
    return {**medians, "large over small": [min(pairs), statistics.median(pairs), max(pairs)], **memory.beyond}


def step(trainer: BambinoTrainer, count: int) -> float:
    """Seconds of so many steps of clm; nothing is logged or saved."""
    phase, begin = trainer.phases["clm"], time.perf_counter()
    for _ in range(count):
        phase.step(trainer.schedule.at(trainer.state.step))
        trainer.state.step += 1
    return time.perf_counter() - begin


def alone(folder: Path, part: str, *more: int) -> dict[str, Any]:
    """A part of the benchmark in a process of its own."""
    words = [sys.executable, __file__, "--part", part, "--folder", str(folder), "--steps", *map(str, more[:1] or [0])]
    words += ["--rounds", *map(str, more[1:] or [0])]
    found: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    print(part, json.dumps(found), flush=True)
    return found


def measured(folder: Path, words: int, count: int, rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {"GFLOP/s": matrix_rate(), "load": os.getloadavg(), "cores": os.cpu_count()}
    prepare(folder, words)
    found["text MB"] = (folder / "large.txt").stat().st_size / 1e6
    found |= {"made": alone(folder, "open"), "found": alone(folder, "open")}
    found["cache MB"] = sum(path.stat().st_size for path in (folder / "cache").rglob("*.bin")) / 1e6
    return found | {"steps per second": alone(folder, "steps", count, rounds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="an empty folder for text and cache; none: a temporary one")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--part", choices=["open", "steps"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    quieten_libraries()
    if given.part:
        torch.set_num_threads(1)
        result = opened(given.folder) if given.part == "open" else steps(given.folder, given.steps, given.rounds)
        print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = measured(Path(folder), given.words, given.steps, given.rounds)
    print(json.dumps(found, indent=1))
    if given.output:
        given.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
