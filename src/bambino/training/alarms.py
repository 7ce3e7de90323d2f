"""Alarms: by what rows of metrics.jsonl say, a run goes wrong.

An alarm is on while its number lies beyond the recipe's threshold, and is told when it comes on. Which are on is a
function of the rows so far, so a run that goes on from a checkpoint tells what one never stopped tells.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from bambino.files import finite
from bambino.recipe.alarm_settings import AlarmsConfig
from bambino.runs.log import Row
from bambino.text.unknown import Unknown

WINDOW = 10
"""Steps of a phase that numbers of steps are averaged over."""
TEXTS = "eval/bits_per_byte/"
LEARNS = {"ppo": "so PPO learns from noise", "reinforce": "so there is nothing to learn"}


@dataclass(frozen=True)
class Alarm:
    """An alarm that is on."""

    name: str
    """Its setting in the recipe's section `alarms`."""
    metric: str
    """The number that it goes by."""
    value: float
    threshold: float
    meaning: str
    """What is wrong, and what may help."""

    def row(self, step: int) -> Row:
        """For metrics.jsonl."""
        number = {"metric": self.metric, "value": self.value, "threshold": self.threshold}
        return {"kind": "alarm", "step": step, "alarm": self.name, **number, "text": str(self)}

    def __str__(self) -> str:
        limit = f"alarms.{self.name}: {self.threshold:g}"
        return f"{self.name}: {self.metric} is {self.value:.3g} ({limit}). {self.meaning}"


class Alarms:
    """Those of one run, as its rows come."""

    def __init__(self, config: AlarmsConfig) -> None:
        self.config = config
        self._steps: dict[str, deque[Row]] = defaultdict(lambda: deque(maxlen=WINDOW))
        self._evaluations: list[Row] = []
        self._on: dict[str, set[str]] = {}
        """Phase, or "evaluation" -> names of the alarms that were on at its last row."""

    def take(self, row: Row) -> list[Alarm]:
        """The alarms that come on with a row, as the log keeps it: numbers that are not finite are none."""
        row = finite(row)
        if row["kind"] == "step":
            source, rows = str(row["phase"]), self._steps[row["phase"]]
            rows.append(row)
            on = list(of_steps(self.config, list(rows)))
        elif row["kind"] == "evaluation":
            source = "evaluation"
            self._evaluations.append({name: value for name, value in row.items() if name.startswith("eval/")})
            on = list(of_evaluations(self.config, self._evaluations))
        else:
            return []
        before, self._on[source] = self._on.get(source, set()), {alarm.name for alarm in on}
        return [alarm for alarm in on if alarm.name not in before]


def of_steps(config: AlarmsConfig, rows: Sequence[Row]) -> Iterator[Alarm]:
    """The alarms that are on after the last WINDOW rows of a phase that is answered; of fewer rows, none."""
    phase = rows[-1]["phase"]

    def mean(name: str) -> float:
        """NaN where a row has no such number, which is beyond no threshold."""
        numbers = _numbers(rows, f"{phase}/{name}")
        return fmean(numbers) if len(numbers) == WINDOW else math.nan

    if config.kl is not None and (kl := mean("kl")) > config.kl:
        way_out = f"Lower {phase}.learning_rate, or hold it with more {phase}.kl_coef."
        yield Alarm("kl", f"{phase}/kl", kl, config.kl, f"The policy runs away from its reference. {way_out}")
    if config.dead_reward is not None and (dead := mean("dead_reward")) > config.dead_reward:
        meaning = f"The rewards are all alike, {LEARNS.get(phase, 'so there is nothing to learn')}."
        if f"{phase}/tau" in rows[-1]:
            calibrated = "--feedback.parent_perplexity.tau null --feedback.parent_perplexity.beta_times_tau 3"
            meaning += f" Calibrate tau ({calibrated})."
        yield Alarm("dead_reward", f"{phase}/dead_reward", dead, config.dead_reward, meaning)
    if config.entropy is not None and (entropy := mean("entropy")) < config.entropy:
        meaning = f"The baby has hardly a choice of words left. Lower {phase}.learning_rate."
        yield Alarm("entropy", f"{phase}/entropy", entropy, config.entropy, meaning)


def of_evaluations(config: AlarmsConfig, rows: Sequence[Row]) -> Iterator[Alarm]:
    """The alarms that are on after a run's evaluations, from its first to the last."""
    distinct = _numbers(rows[-1:], "eval/speech/distinct_2/baby")
    if config.repetition is not None and distinct and distinct[0] < config.repetition:
        meaning = "The baby says the same again and again. feedback.repetition counts against that."
        yield Alarm("repetition", "speech/distinct_2/baby", distinct[0], config.repetition, meaning)
    curves = {name: _numbers(rows, name) for name in rows[-1] if name.startswith(TEXTS)}
    curves = {name: curve for name, curve in curves.items() if len(curve) == len(rows)}
    if not curves:
        return
    rise, name = max((curve[-1] - curve[0], name) for name, curve in curves.items())
    if config.forgetting is not None and rise > config.forgetting:
        meaning = "So much more than at the first evaluation: it is forgotten. replay and dreaming keep it."
        yield Alarm("forgetting", name.removeprefix("eval/"), rise, config.forgetting, meaning)
    waited = min(len(curve) - 1 - curve.index(min(curve)) for curve in curves.values())
    if config.plateau is not None and waited >= config.plateau:
        meaning = "So many evaluations without fewer bits per byte than before. early_stopping.patience stops there."
        yield Alarm("plateau", "bits_per_byte", waited, config.plateau, meaning)


def of_text(config: AlarmsConfig, unknown: Unknown) -> Iterator[Alarm]:
    """The alarm that is on where the baby's tokenizer does not know so much of the text."""
    share = unknown.tokens / max(1, unknown.of_tokens)
    if config.unknown is not None and share > config.unknown:
        meaning = "Of the text's tokens so many are <unk>: the baby's tokenizer cannot spell it. Use another baby."
        yield Alarm("unknown", "tokens that are <unk>", share, config.unknown, meaning)


def _numbers(rows: Sequence[Row], name: str) -> list[float]:
    """A number of those rows that have it."""
    found = [row.get(name) for row in rows]
    return [number for number in found if isinstance(number, float | int) and not math.isnan(number)]
