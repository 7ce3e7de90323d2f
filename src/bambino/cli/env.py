"""`bambino env`: what a report of a bug or a timing needs to say of the machine."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import Any

from bambino.cli.console import DONE, Command, Parser, say


def _read(words: list[str]) -> Namespace:
    about = """Say what a run here depends on: versions, device, threads, speed, folders. Paste it into a bug report.
Nothing is asked of the network."""
    return Parser("bambino env", about).parse_args(words)


def _run(given: Namespace) -> int:
    for name, value in facts().items():
        say(f"{name:<16}{value}")
    return DONE


def facts() -> dict[str, Any]:
    """Name -> what it is here."""
    import torch
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

    from bambino.demo.base_models import cache_directory
    from bambino.runs.machine import matrix_rate
    from bambino.runs.provenance import environment

    here = environment(_device(torch))
    packages = {name: version or "not installed" for name, version in here["packages"].items()}
    return {
        "bambino": f"{packages.pop('bambino-lm')} (commit {here['git_commit'] or 'unknown: installed without one'})",
        "python": here["python"],
        "platform": here["platform"],
        "device": here["device"],
        "CPU cores": f"{_usable_cores()} of {os.cpu_count()}",
        "threads": torch.get_num_threads(),
        "speed": f"{matrix_rate():,.0f} GFLOP/s in fp32 matrix products on two CPU cores",
        "hub cache": HF_HUB_CACHE + (" (offline: the hub is not asked)" if HF_HUB_OFFLINE else ""),
        "demo's models": cache_directory(),
        **packages,
    }


def _usable_cores() -> int | None:
    """Cores that this process may run on; not every system says."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _device(torch: Any) -> str:
    """What Accelerate would train on."""
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return f"cuda ({names})"
    return "mps" if torch.backends.mps.is_available() else "cpu"


ENV = Command("env", "versions, device, speed and folders, for a bug report", _read, _run)
