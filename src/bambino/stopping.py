"""Signals that ask a program to stop: which they are, and the exit status that tells of each.

A program that a signal ended has the status 128 + the signal's number in a shell. One that ends in good order because
of a signal has the same, so that a queue or a script sees why it ended, whichever way it took.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
"""Ctrl-C; a machine that shuts down; a terminal that was closed; SLURM's warning, where it is asked for one. Windows
has the first two."""


class Stopped(KeyboardInterrupt):
    """A signal asked to stop at once; raised where the program was, so that what is open is closed on the way out."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def status_of(interrupt: KeyboardInterrupt) -> int:
    """The exit status after an interrupt; of one without a number, that of Ctrl-C."""
    return 128 + (interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT)


def was_stopped(status: int) -> bool:
    """Whether an exit status, or minus the number of the signal that ended a process, says that it was to stop."""
    return (-status if status < 0 else status - 128) in SIGNALS


def stop_at_once(number: int) -> None:
    """Stop at once.

    Raises:
        Stopped: always.
    """
    raise Stopped(number)


@contextmanager
def on_stop(act: Callable[[int], None]) -> Iterator[None]:
    """Inside, `act` is called with the number of each signal that asks to stop; then all is as before.

    A signal that is ignored stays ignored, as `nohup` and `command &` in a script want it. Only the main thread can be
    told of signals; in another, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    taken = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    try:
        for number in taken:
            signal.signal(number, lambda number, _: act(number))
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])
