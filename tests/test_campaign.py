"""A short campaign. The long one is `make campaign`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import campaign
import pytest
from campaign import Trial


def test_a_campaign_compares_counts_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_kill(trial: Trial) -> str:
        process = trial.run.start()
        trial.sleep()
        process.kill()
        process.join()
        trial.counts["SIGKILLs"] += 1
        trial.run.finish()
        return trial.compare()

    def spoiled(trial: Trial) -> str:
        trial.run.finish()
        campaign.damage_file(trial.run.folder / "model" / "model.safetensors", "flipped", trial.rng)
        return trial.compare()

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # see campaign.main
    monkeypatch.setattr(campaign, "CONDITIONS", {"clm": campaign.CONDITIONS["clm"]})
    monkeypatch.setattr(campaign, "KINDS", (one_kill, spoiled))
    trials = list(campaign.go_on(tmp_path, seed=0, until=2))
    wrong = "WRONG: AssertionError: model differ from the run that nothing disturbed"
    assert [trial["verdict"] for trial in trials] == ["same bits", wrong]
    assert (tmp_path / "trial-1" / "run" / "recipe.yaml").is_file()
    assert not (tmp_path / "trial-0").exists()
    assert list(campaign.go_on(tmp_path, seed=0, until=2)) == []
    lines = campaign.table(trials).splitlines()
    assert lines[2:4] == ["| one kill | 1 | 1 SIGKILLs | 1 same bits |", "| spoiled | 1 |  | 1 WRONG |"]
    assert lines[-1] == "| **all** | 2 | 1 SIGKILLs | 1 same bits, 1 WRONG |"
