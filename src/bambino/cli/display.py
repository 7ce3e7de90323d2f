"""What a run shows while it goes: a live panel on a terminal, plain lines elsewhere. Reads rows, knows no trainer."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bambino.printable import printable
from bambino.recipe.settings import Recipe
from bambino.report.screen import Screen
from bambino.runs.names import is_headline
from bambino.speaking.utterances import without_cut_character

NO_BREAK = "\u00a0"


WINDOW = 36
"""Steps that speed and time left are averaged over: three cycles of the paper's schedule."""

ANSWERED = [
    ("reward", "reward", ".3f"),
    ("KL", "kl", ".3g"),
    ("kl_coef", "kl_coef", ".3g"),
    ("entropy", "entropy", ".2f"),
]
"""What a phase that is answered shows: label, metric, form."""


class Progress:
    """The newest number of every metric, speed, time left, and something the baby said."""

    def __init__(self, recipe: Recipe) -> None:
        self.max_steps = recipe.max_steps
        self.step = 0
        self.phase = ""
        self.metrics: dict[str, float] = {}
        self.said: dict[str, Any] | None = None
        self._history: deque[tuple[int, float, float]] = deque(maxlen=WINDOW + 1)

    def take(self, row: dict[str, Any]) -> None:
        """Read one row of the trainer's."""
        if row["kind"] == "utterances" and row["rows"]:
            self.said = row["rows"][row["step"] % len(row["rows"])]
        elif row["kind"] in ("step", "evaluation"):
            self.step = row["step"]
            self.metrics |= {key: value for key, value in row.items() if isinstance(value, float | int)}
        if row["kind"] == "step":
            self.phase = row["phase"]
            tokens = sum(row.get(f"total/{part}_tokens", 0) for part in ("clm", "prompt", "utterance"))
            self._history.append((self.step, row.get("total/seconds", 0.0), tokens))

    @property
    def tokens_per_second(self) -> float | None:
        """Baby tokens heard and said per second."""
        if len(self._history) < 2 or self._history[-1][1] <= self._history[0][1]:
            return None
        return (self._history[-1][2] - self._history[0][2]) / (self._history[-1][1] - self._history[0][1])

    @property
    def seconds_left(self) -> float | None:
        if len(self._history) < 2:
            return None
        steps, seconds = (self._history[-1][i] - self._history[0][i] for i in (0, 1))
        return seconds / steps * (self.max_steps - self.step)

    def numbers(self) -> list[tuple[str, str]]:
        """(label, value) of what a reader wants to see first; missing numbers left out."""
        wanted = [
            ("clm loss", "clm/loss", ".3f"),
            *((label, f"{phase}/{name}", style) for phase in ("ppo", "reinforce") for label, name, style in ANSWERED),
            ("clm update", "clm/update_norm", ".2g"),
            ("ppo update", "ppo/update_norm", ".2g"),
            ("reinforce update", "reinforce/update_norm", ".2g"),
        ]
        shown = [(label, f"{self.metrics[key]:{style}}") for label, key, style in wanted if key in self.metrics]
        if self.tokens_per_second is not None:
            shown.append(("tokens/s", f"{self.tokens_per_second:,.0f}"))
        if self.seconds_left is not None:
            shown.append(("left", duration(self.seconds_left)))
        return shown

    def evaluation(self) -> list[tuple[str, str]]:
        """The newest evaluation's numbers, paradigms of minimal pairs left out (there may be 67)."""
        return [(k.removeprefix("eval/"), f"{v:.3f}") for k, v in self.metrics.items() if is_headline(k)]


class PlainDisplay:
    """A line every `logging_steps` steps, one per evaluation, warnings as they come."""

    def __init__(self, recipe: Recipe, console: Screen) -> None:
        self.progress, self.console, self.every = Progress(recipe), console, recipe.logging_steps

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, row: dict[str, Any]) -> None:
        self.progress.take(row)
        if row["kind"] in ("warning", "alarm"):
            self._print(f"{row['kind']}: {row['text']}")
        elif row["kind"] == "evaluation":
            self._print(f"step {self.progress.step}: " + "  ".join(f"{k} {v}" for k, v in self.progress.evaluation()))
        elif row["kind"] == "step" and (row["step"] % self.every == 0 or row["step"] == self.progress.max_steps):
            numbers = "  ".join(f"{label} {value}" for label, value in self.progress.numbers())
            self._print(f"step {row['step']}/{self.progress.max_steps} {row['phase']}  {numbers}")
            if self.progress.said is not None:
                self._print(f"    {one_line(self.progress.said)}")
                self.progress.said = None

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)


class LiveDisplay:
    """One panel that is redrawn: progress, phase, numbers, the last evaluation, what the baby just said."""

    def __init__(self, recipe: Recipe, console: Screen) -> None:
        self.progress = Progress(recipe)
        self.last_warning = ""
        self.live = Live(console=console, refresh_per_second=4, get_renderable=self._panel)

    def __enter__(self) -> LiveDisplay:
        self.live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.live.__exit__(*error)

    def __call__(self, row: dict[str, Any]) -> None:
        self.progress.take(row)
        if row["kind"] == "warning":
            self.last_warning = row["text"]
        elif row["kind"] == "alarm":
            self.last_warning = f"alarm at step {row['step']}: {row['text']}"

    def _panel(self) -> Panel:
        progress = self.progress
        bar = Table.grid(expand=True)
        bar.add_row(ProgressBar(total=max(1, progress.max_steps), completed=progress.step))
        parts: list[Any] = [bar, _line(progress.numbers())]
        if progress.evaluation():
            parts += [Text("last evaluation", style="dim"), _line(progress.evaluation())]
        if progress.said is not None:
            parts.append(Text(printable(one_line(progress.said)), style="italic"))
        if self.last_warning:
            parts.append(Text(printable(self.last_warning), style="yellow"))
        title = f"step {progress.step} of {progress.max_steps}  {progress.phase}"
        return Panel(Group(*parts), title=Text(title), title_align="left")


def display_for(recipe: Recipe, console: Screen) -> PlainDisplay | LiveDisplay:
    """Live on a terminal, plain lines elsewhere."""
    return LiveDisplay(recipe, console) if console.is_terminal else PlainDisplay(recipe, console)


def one_line(said: dict[str, Any]) -> str:
    """A prompt, what the baby said after it (else what it was told), and what it earned."""
    perplexity = said.get("parent_perplexity")
    opinion = f", parent perplexity {perplexity:,.0f}" if perplexity is not None and math.isfinite(perplexity) else ""
    after = said["utterance"] if "utterance" in said else said["recast"] or ""
    text = f"{without_cut_character(said['prompt'])} → {after.strip()}".replace("\n", " ")
    reward = f"reward {said['reward']:.2f}" if "reward" in said else f"{said['kind']} at step {said['step']}"
    return f"{text}   ({reward}{opinion})"


def duration(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def _line(items: list[tuple[str, str]]) -> Text:
    """Labels and values in one paragraph that breaks between pairs only."""
    parts: list[Any] = []
    for label, value in items:
        parts += [(label.replace(" ", NO_BREAK) + NO_BREAK, "dim"), value, "   "]
    return Text.assemble(*parts)
