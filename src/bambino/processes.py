"""Several processes that train one baby, each on rows of its own of every batch (`torchrun`, `accelerate launch`).

All of them go through the same calls here in the same order. A sum has the same bits in each, and so have the weights.
With one process nothing happens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch import Tensor, nn

from bambino.errors import ProcessError, shortened

T = TypeVar("T")

PATIENCE = timedelta(hours=1)
"""How long a process waits for the others: longer than any evaluation of the first takes. One that ended is noticed at
once."""
WAY_OUT = "Start them with torchrun: torchrun --nproc-per-node 2 -m bambino train RECIPE ..."
NUMBERS_AT_ONCE = 1 << 24
"""Numbers that are summed in one message, about, at most; they are copied for it."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    count: int = 1
    index: int = 0
    """From 0."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes, measures and asks the parent."""
        return self.index == 0

    def rows(self, count: int) -> slice:
        """This process's rows of so many: as many as the others have, or one more, or one less; perhaps none."""
        first, end = (count * i // self.count for i in (self.index, self.index + 1))
        return slice(first, end)

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Put the sum over all processes into each of some tensors, all on one device."""
        if self.count == 1:
            return
        for part in _parts(tensors):
            flat = torch.cat([tensor.detach().reshape(-1) for tensor in part])
            with _together():
                dist.all_reduce(flat)
            for tensor, total in zip(part, flat.split([tensor.numel() for tensor in part]), strict=True):
                tensor.detach().copy_(total.view_as(tensor))

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the sum over all processes into each gradient; where none has one, there is none."""
        if self.count == 1:
            return
        parameters = list(parameters)
        have = torch.tensor([float(parameter.grad is not None) for parameter in parameters])
        self.add([have])
        moved = [parameter for parameter, has in zip(parameters, have.tolist(), strict=True) if has]
        for parameter in moved:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.add([parameter.grad for parameter in moved if parameter.grad is not None])

    def joined(self, mine: Tensor, count: int) -> Tensor:
        """All `count` rows, of which `mine` begins with those of this process."""
        if self.count == 1:
            return mine
        whole, rows = mine.new_zeros(count, *mine.shape[1:], dtype=_summable(mine.dtype)), self.rows(count)
        whole[rows] = mine[: rows.stop - rows.start].to(whole.dtype)
        self.add([whole])
        return whole.to(mine.dtype)

    def leave(self) -> None:
        """All is done; nothing can be told any more."""
        if self.count > 1:
            dist.destroy_process_group()

    def sum(self, number: float) -> float:
        """The sum of a number over all processes."""
        return float(sum(self._told(number)))

    def max(self, number: float) -> float:
        """The largest of a number over all processes."""
        return float(max(self._told(number)))

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first process makes; the others only get it. It may be anything that can be pickled, on the CPU.

        Raises:
            ProcessError: in the others, where the first could not make it.
        """
        if self.count == 1:
            return make()
        told: list[Any] = [False, None]
        if self.is_first:
            try:
                told = [True, make()]
            except BaseException:
                _send(told)
                raise
        _send(told)
        is_made, made = told
        if not is_made:
            raise ProcessError("The first process could not go on, so none does. It says why.")
        result: T = made
        return result

    def check_alike(self, what: Mapping[str, str], problem: str) -> None:
        """Refuse to go on where something is not the same in all processes.

        Args:
            what: name -> digest.
            problem: begins the message.

        Raises:
            ProcessError: in all processes, naming what differs and where.
        """
        first, *others = self._told(dict(what))
        for index, other in enumerate(others, start=1):
            if different := [name for name in first if other.get(name) != first[name]]:
                raise ProcessError(f"{problem}: process {index} has not the same {', '.join(different)} as the first.")

    def _told(self, mine: T) -> list[T]:
        """What each process has to say, in order."""
        told: list[Any] = [mine] * self.count
        if self.count > 1:
            with _together():
                dist.all_gather_object(told, mine)
        return told


def take_part() -> Processes:
    """Meet the processes that were started together; where this one was started alone, it is alone.

    Raises:
        ProcessError: more were asked for than there are.
    """
    asked_for = int(os.environ.get("WORLD_SIZE", 1))
    if asked_for > 1:
        on_gpus = torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_CPU")
        backend = {"backend": "cuda:nccl,cpu:gloo"} if on_gpus else {}
        with _together():
            state = PartialState(cpu=not on_gpus, timeout=PATIENCE, **backend)
        found = Processes(state.num_processes, state.process_index)
    else:
        found = Processes()
    if found.count != asked_for:
        raise ProcessError(f"WORLD_SIZE = {asked_for}, but there are {found.count} processes. {WAY_OUT}")
    if found.count == 1 and {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR"} <= os.environ.keys():
        raise ProcessError(f"accelerate launch was asked for several processes and started one. {WAY_OUT}")
    return found


def _send(told: list[Any]) -> None:
    """Replace what is told by what the first process tells."""
    with _together():
        dist.broadcast_object_list(told, src=0)


@contextmanager
def _together() -> Iterator[None]:
    """What all processes do at once; it fails in the others where one has ended.

    Raises:
        ProcessError: one has.
    """
    try:
        yield
    except RuntimeError as error:
        raise ProcessError(
            "Another process of this run has ended, was lost or does not answer; what it said last is why. The run "
            f"goes on from its last checkpoint with --resume. ({shortened(str(error).splitlines()[0])})"
        ) from error


def _parts(tensors: Iterable[Tensor]) -> Iterator[Sequence[Tensor]]:
    """The tensors in order, so many together as make NUMBERS_AT_ONCE."""
    part: list[Tensor] = []
    for tensor in tensors:
        if part and sum(other.numel() for other in part) + tensor.numel() > NUMBERS_AT_ONCE:
            yield part
            part = []
        part.append(tensor)
    if part:
        yield part


def _summable(dtype: torch.dtype) -> torch.dtype:
    return torch.uint8 if dtype == torch.bool else dtype
