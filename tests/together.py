"""Processes that train together, started as torchrun starts them."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
"""What is dear to import is imported once, then every process is a fork of that one."""
FORKS.set_forkserver_preload(["bambino.cli.main", "bambino.evaluation.in_training", "bambino.training.trainer"])


def started(count: int, act: Callable[..., None], *args: Any) -> list[BaseProcess]:
    """So many processes that call `act(*args)` as torchrun would have started them; with one, it is alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes: list[BaseProcess] = [
        FORKS.Process(target=_one_of, args=(index, count, port, act, args)) for index in range(count)
    ]
    for process in processes:
        process.start()
    return processes


def done(processes: list[BaseProcess], seconds: float = 120) -> list[int | None]:
    """Their exit statuses, when all have ended; none may hang."""
    for process in processes:
        process.join(timeout=seconds)
    statuses = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return statuses


def _one_of(index: int, count: int, port: int, act: Callable[..., None], args: tuple[Any, ...]) -> None:
    import torch

    torch.set_num_threads(1)
    where: dict[str, Any] = {"RANK": index, "LOCAL_RANK": index, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    where |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    if count > 1:
        os.environ.update({name: str(value) for name, value in where.items()})
    act(*args)
