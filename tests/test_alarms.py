"""Alarms: rows by hand come on at the thresholds; a run tells one once, stops where it is asked to, and goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bambino import BambinoTrainer, Recipe, RecipeError
from bambino.errors import TrainingError
from bambino.recipe.alarm_settings import AlarmsConfig
from bambino.text.unknown import Unknown
from bambino.training.alarms import WINDOW, Alarm, Alarms, of_evaluations, of_steps, of_text

Make = Callable[..., Recipe]
Row = dict[str, Any]


def steps(*numbers: float, name: str = "kl", phase: str = "ppo", tau: float | None = None) -> list[Row]:
    """Rows of a phase's steps with a number of these values."""
    more = {} if tau is None else {f"{phase}/tau": tau}
    return [
        {"kind": "step", "step": i, "phase": phase, f"{phase}/{name}": number, **more}
        for i, number in enumerate(numbers, start=1)
    ]


def evaluations(**curves: list[float]) -> list[Row]:
    """Rows of evaluations, with bits per byte of texts."""
    return [
        {f"eval/bits_per_byte/{name}": value for name, value in zip(curves, values, strict=True)}
        for values in zip(*curves.values(), strict=True)
    ]


def names(alarms: Any) -> list[str]:
    return [alarm.name for alarm in alarms]


def one(alarms: Any) -> Alarm:
    (alarm,) = alarms
    assert isinstance(alarm, Alarm)
    return alarm


def test_kl_is_the_mean_of_ten_steps_of_a_phase() -> None:
    config = AlarmsConfig(kl=100.0)
    assert names(of_steps(config, steps(*[100.0] * 10))) == []
    alarm = one(of_steps(config, steps(*[100.0] * 9, 110.0, phase="reinforce")))
    assert (alarm.name, alarm.metric, alarm.value) == ("kl", "reinforce/kl", 101.0)
    assert names(of_steps(config, steps(*[1e9] * 9))) == []  # fewer than ten say nothing yet
    assert names(of_steps(config, steps(*[1e9] * 9, math.nan))) == []
    assert names(of_steps(AlarmsConfig(kl=None), steps(*[1e9] * 10))) == []


def test_entropy_collapses_below_its_threshold() -> None:
    assert names(of_steps(AlarmsConfig(), steps(*[0.11] * 10, name="entropy"))) == []
    assert names(of_steps(AlarmsConfig(), steps(*[0.09] * 10, name="entropy"))) == ["entropy"]


def test_rewards_are_dead_in_more_than_half_of_ten_steps_and_the_way_out_is_told() -> None:
    assert names(of_steps(AlarmsConfig(), steps(*[1.0] * 5, *[0.0] * 5, name="dead_reward"))) == []
    alarm = one(of_steps(AlarmsConfig(), steps(*[1.0] * 6, *[0.0] * 4, name="dead_reward", tau=150.0)))
    assert (alarm.name, alarm.value) == ("dead_reward", 0.6)
    assert "so PPO learns from noise. Calibrate tau (--feedback.parent_perplexity.tau null" in str(alarm)
    other = one(of_steps(AlarmsConfig(), steps(*[1.0] * 10, name="dead_reward", phase="reinforce")))
    assert str(other).endswith("all alike, so there is nothing to learn.")


def test_repetition_is_that_of_the_last_evaluation() -> None:
    rows = [{"eval/speech/distinct_2/baby": value} for value in (0.2, 0.6)]
    assert names(of_evaluations(AlarmsConfig(), rows)) == []
    assert names(of_evaluations(AlarmsConfig(), rows[:1])) == ["repetition"]
    assert names(of_evaluations(AlarmsConfig(), [{"eval/speech/distinct_2/baby": math.nan}])) == []


def test_forgetting_is_a_rise_since_the_first_evaluation() -> None:
    rows = evaluations(en=[1.7, 3.6, 6.8], it=[4.4, 2.4, 2.3])
    assert names(of_evaluations(AlarmsConfig(), rows[:2])) == []
    alarm = one(of_evaluations(AlarmsConfig(), rows))
    assert (alarm.name, alarm.metric) == ("forgetting", "bits_per_byte/en")
    assert alarm.value == pytest.approx(5.1)


def test_a_plateau_is_so_many_evaluations_in_which_no_text_got_better() -> None:
    config = AlarmsConfig(plateau=2)
    rows = evaluations(en=[1.7, 1.8, 1.9, 2.0], it=[4.4, 2.4, 2.4, 2.5])
    assert names(of_evaluations(config, rows[:3])) == []
    assert names(of_evaluations(config, rows)) == ["plateau"]
    assert names(of_evaluations(config, evaluations(en=[1.7, 1.8, 1.9, 1.6], it=[4.4, 2.4, 2.4, 2.5]))) == []
    assert names(of_evaluations(config, [{"eval/weight/mean": 1.0}] * 9)) == []


def test_unknown_tokens() -> None:
    assert names(of_text(AlarmsConfig(), Unknown(5, 100, 90, 400))) == []
    assert names(of_text(AlarmsConfig(), Unknown(6, 100, 1, 400))) == ["unknown"]


def test_an_alarm_is_told_when_it_comes_on_and_again_after_it_went() -> None:
    rows = steps(*[0.0] * 9, *[20.0] * 5, *[0.0] * 10, *[20.0] * 5)
    alarms = Alarms(AlarmsConfig(kl=1.0))
    assert [row["step"] for row in rows if alarms.take(row)] == [10, 25]
    # what other phases do between is not counted, nor does it put the alarm off
    alarms = Alarms(AlarmsConfig(kl=1.0))
    mixed = [row for step in rows for row in (step, {"kind": "step", "step": step["step"], "phase": "clm"})]
    assert [row["step"] for row in mixed if alarms.take(row)] == [10, 25]


def test_an_alarm_that_is_none_cannot_stop_a_run() -> None:
    with pytest.raises(RecipeError, match=r"alarms\.stop = \['k1'\] names no alarm: k1\. Use some of kl, dead_reward"):
        AlarmsConfig(stop=["k1"])
    AlarmsConfig(stop=[one.name for one in fields(AlarmsConfig) if one.name != "stop"])


def metrics_of(recipe: Recipe) -> list[Row]:
    """Rows without what depends on the clock."""
    rows = map(json.loads, (Path(recipe.output_dir) / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    timed = ("time/", "total/seconds")
    return [{name: value for name, value in row.items() if not name.startswith(timed)} for row in rows]


def test_a_run_that_an_alarm_stopped_has_saved_and_goes_on_to_the_same_bits(make_recipe: Make) -> None:
    """Rewards that are all alike; the alarm comes at the tenth ppo step, which is evaluated."""
    alike = ("--schedule.cycle", "{ppo: 1}", "--feedback.constant.for", "ppo", "--max_steps", str(WINDOW + 2))
    more = ("--evaluation.eval_steps", "5", "--evaluation.utterances", "2")
    warned = make_recipe(*alike, *more, output_dir="warned")
    BambinoTrainer(args=warned).train()
    stopped = make_recipe(*alike, *more, "--alarms.stop", "[dead_reward]", output_dir="stopped")
    with pytest.raises(TrainingError, match=r"^Stopped at step 10: alarm dead_reward: ppo/dead_reward is 1 ") as caught:
        BambinoTrainer(args=stopped).train()
    assert str(caught.value).endswith("The last checkpoint is step 10.")
    assert json.loads((Path(stopped.output_dir) / "failure.json").read_text())["alarm"] == "dead_reward"
    BambinoTrainer(args=stopped).train(resume_from_checkpoint=True)
    assert metrics_of(stopped) == metrics_of(warned)
    assert [row["step"] for row in metrics_of(warned) if row["kind"] == "alarm"] == [10]
    model = Path("model") / "model.safetensors"
    assert (Path(stopped.output_dir) / model).read_bytes() == (Path(warned.output_dir) / model).read_bytes()


def test_an_alarm_of_the_text_stops_a_run_of_no_steps(make_recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    alarm = Alarm("unknown", "tokens that are <unk>", 0.5, 0.05, "Use another baby.")
    monkeypatch.setattr("bambino.training.session.of_text", lambda *_: [alarm])
    with pytest.raises(TrainingError, match=r"^Stopped at step 0: alarm unknown: "):
        BambinoTrainer(args=make_recipe("--max_steps", "0", "--alarms.stop", "[unknown]")).train()


def test_a_number_that_is_not_finite_is_none_as_in_the_log() -> None:
    alarms = Alarms(AlarmsConfig(kl=5.0))
    assert not [alarm for row in steps(*[math.inf] * WINDOW) for alarm in alarms.take(row)]
