"""Replay: lines of the first language beside those of the second, so that it stays.

After n steps of exposure, floor(sum of share * batch_size over those steps) lines of L1 have been heard: a pure prefix
sum, also where the share changes, so a step's lines follow from its place and resuming needs no state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from bambino.errors import TextError
from bambino.recipe.text_settings import ReplayConfig, TextConfig
from bambino.text.batches import TokenBatch
from bambino.text.lines import SourceReport
from bambino.text.streams import LineStream, line_stream, read_corpus


@dataclass(frozen=True, eq=False)
class ReplayStream:
    """What is heard of L1 at each step of exposure."""

    lines: LineStream
    batch_size: int
    """L2 lines of a step, or recasts."""
    share: float
    """L1 lines for each L2 line at the first step."""
    last_share: float
    """The same at the last step; in between it moves linearly."""
    steps: int
    """Steps of exposure in the run."""
    manifest: list[dict[str, Any]]
    """Per source: hash, lines kept, dropped and why, truncated, tokens."""
    first_baby: float = 0.0
    """How much of what is learned from them is what the first baby expects of them."""
    reports: list[SourceReport] = field(default_factory=list)
    """What became of each source; none where it is no text of files."""

    def batch(self, nth: int) -> TokenBatch | None:
        """The L1 lines beside the nth L2 batch (from 0); None where there is none."""
        first, count = self._place(nth)
        return self.lines.batch(first, count) if count else None

    def words(self, nth: int) -> int:
        """Words in `batch(nth)`."""
        return self.lines.words(*self._place(nth))

    def beside(self, phase: str, steps: int) -> ReplayStream:
        """The same text beside the steps of another phase, in an order of its own."""
        lines = replace(self.lines, name=f"{self.lines.name}/{phase}", _orders={})
        return replace(self, lines=lines, steps=steps)

    def _place(self, nth: int) -> tuple[int, int]:
        """The first of the lines beside the nth L2 batch, and how many they are."""
        settings = (self.share, self.last_share, self.batch_size, self.steps)
        first, end = (lines_before(step, *settings) for step in (nth, nth + 1))
        return first, end - first


def lines_before(nth: int, share: float, last_share: float, batch_size: int, steps: int) -> int:
    """L1 lines heard in the first `nth` of so many steps, each with `batch_size` L2 lines."""
    slope = (last_share - share) / max(1, steps - 1)
    total = batch_size * (nth * share + slope * nth * (nth - 1) / 2)
    return math.floor(total + 1e-9)


def build_replay(
    replay: ReplayConfig,
    text: TextConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int,
    batch_size: int,
    steps: int,
) -> ReplayStream | None:
    """The replay of a run, cut and held out as its L2 text is, without L2's budget; None where there is none.

    Raises:
        TextError: text that cannot be used, or none where there shall be replay.
    """
    if replay.share == 0 and not replay.last_share:
        return None
    if not replay.sources:
        raise TextError(f"replay.share = {replay.share} needs L1 text: --replay.sources '[english.txt]'")
    unlimited = replace(text, max_lines=None, max_words=None, order_by=None)
    corpus = read_corpus(unlimited, seed, replay.sources, None)
    lines = line_stream(unlimited, seed, corpus, tokenizer, "replay", cut=True)
    last = replay.share if replay.last_share is None else replay.last_share
    manifest = [report.made_of() for report in corpus.reports]
    how = (replay.share, last, steps, manifest, replay.first_baby, corpus.reports)
    return ReplayStream(lines, batch_size, *how)
