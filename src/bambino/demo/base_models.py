"""The demo's baby and parent: trained from scratch once, then kept in the user's cache."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Executor
from pathlib import Path

from rich.console import Console

from bambino.demo.progress import run_and_show
from bambino.demo.tables import roles
from bambino.experiments.local import Job
from bambino.experiments.nursery.designs import BASES, Design, cache_key
from bambino.experiments.nursery.runs import train_base
from bambino.experiments.nursery.test_set import write_test_set


def cache_directory() -> Path:
    """Where base models are kept: $XDG_CACHE_HOME/bambino, or ~/.cache/bambino."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bambino"


def base_models_folder(design: Design, seed: int, cache: Path | None = None) -> Path:
    """The folder of the base models of a design and a seed, trained or not."""
    return (cache or cache_directory()) / "demo" / cache_key(design, seed)


def train_bases(folder: Path, design: Design, seed: int, pool: Executor, console: Console) -> None:
    """Train parent and baby and keep them in the folder, unless they are there."""
    if folder.is_dir():
        console.print(f"Baby and parent are there from an earlier demo: {folder}.", soft_wrap=True)
        return
    part = folder.with_name(f".part-{os.getpid()}-{folder.name}")
    console.print(f"Training two models from scratch: {' and '.join(roles(design).values())}.")
    try:
        write_test_set(part / "test-set", design, seed)
        jobs = [
            Job(
                roles(design)[name],
                part / name,
                design.base_steps,
                train_base,
                (base, design, seed, part / "test-set", part / name),
            )
            for name, base in BASES.items()
        ]
        run_and_show(jobs, pool, console)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
