"""Which way a metric is better, told by its name."""

from __future__ import annotations

HIGHER = ("pairs/", "tasks/")
LOWER = ("bits_per_byte/", "speech/log_perplexity")


def direction_of(name: str) -> int | None:
    """1 when higher is better (pairs, tasks), -1 when lower is (bits per byte, log-perplexity); None: nobody can tell.

    Args:
        name: as in an evaluation's row, without eval/.
    """
    return 1 if name.startswith(HIGHER) else -1 if name.startswith(LOWER) else None
