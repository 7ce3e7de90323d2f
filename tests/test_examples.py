"""The examples, run as they stand."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from bambino import BambinoTrainer, Recipe
from bambino.cli.code import load_code
from bambino.cli.main import main
from bambino.feedback.answers import Spans
from bambino.feedback.rewards import Kind, Moment, answer_of
from bambino.speaking.utterances import Utterances

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(recipe: Recipe, output_dir: Path) -> list[str]:
    settings = {
        "--baby": recipe.baby.model,
        "--parent": recipe.parent.model,
        "--text": recipe.text.sources[0],
        "--output_dir": output_dir,
        "--parent.must_know_l2": "false",
        "--batch_size": 4,
        "--save_steps": 5,
        "--text.max_length": 40,
        "--rollout.prompt_tokens": 4,
        "--rollout.max_new_tokens": 5,
        "--evaluation.eval_steps": "null",
        "--clm.learning_rate": 1e-3,
    }
    return [str(word) for setting in settings.items() for word in setting]


def test_a_phase_of_ones_own_learns_and_is_logged(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    example("own_phase").main([*words(make_recipe(), tmp_path / "run"), "--steps", "11"])
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [row["phase"] for row in rows] == ["clm"] * 8 + ["imitate"] + ["ppo"] * 2
    imitate = rows[8]
    assert imitate["imitate/loss"] > 0
    assert imitate["imitate/learning_rate"] > 0
    assert "time/imitate" in imitate
    said = [json.loads(line) for line in (tmp_path / "run" / "utterances.jsonl").read_text("utf-8").splitlines()]
    written = [row for row in said if row["kind"] == "imitate"]
    assert len(written) == 4
    assert imitate["imitate/words"] == sum(len(row["utterance"].split()) for row in written)


def test_a_phase_of_ones_own_resumes_to_the_same_bits(
    make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_phase, recipe = example("own_phase"), make_recipe()
    train = own_phase.BambinoTrainer.train

    def model_of(name: str) -> bytes:
        return (tmp_path / name / "model" / "model.safetensors").read_bytes()

    def flops_of(name: str) -> float:
        last = (tmp_path / name / "metrics.jsonl").read_text("utf-8").splitlines()[-1]
        return float(json.loads(last)["total/flops"])

    own_phase.main([*words(recipe, tmp_path / "whole"), "--steps", "22"])
    for stop_after in (8, 9, 12):

        def stopped(self: BambinoTrainer, resume_from_checkpoint: bool = False, after: int = stop_after) -> Any:
            self.session.log.on_row = lambda row: setattr(self, "stop_requested", row.get("step") == after)
            return train(self, resume_from_checkpoint)

        part = f"stopped after {stop_after}"
        with monkeypatch.context() as patch:
            patch.setattr(BambinoTrainer, "train", stopped)
            own_phase.main([*words(recipe, tmp_path / part), "--steps", "22"])
        assert not (tmp_path / part / "model").exists()
        own_phase.main([*words(recipe, tmp_path / part), "--steps", "22", "--resume"])
        assert (model_of(part), flops_of(part)) == (model_of("whole"), flops_of("whole")), part


def test_examples_can_be_given_on_the_command_line() -> None:
    assert list(load_code(str(EXAMPLES / "own_phase.py")).phases) == ["imitate"]
    assert len(load_code(str(EXAMPLES / "own_reward.py")).rewards or []) == 2


def test_rewards_of_ones_own_give_numbers_and_pieces() -> None:
    own = example("own_reward")
    said = Utterances(["p"] * 2, [" il gatt è qui?", " perché no"], ["p il gatt è qui?", "p perché no"], [True] * 2)
    answer = answer_of([Kind(one.__name__, one) for one in own.REWARDS], said, lambda lm, tokens: None, Moment())
    # "il" and "gatt" end in consonants, "è" and "qui?" in vowels; "perché" and "no" in vowels
    assert answer.metrics == {"feedback/questions": 0.5, "feedback/vowels_at_the_end": 1.0}
    assert answer.rewards == [1 + 0, 0 + 2]
    pieces = answer.by_kind[1][1]
    assert isinstance(pieces, Spans)
    assert pieces.per_utterance[0] == [(1, 3, -1.0), (4, 8, -1.0), (9, 11, 1.0), (12, 16, 1.0)]


def test_rewards_of_ones_own_reach_the_babys_tokens(make_recipe: Callable[..., Recipe]) -> None:
    own, weights = example("own_reward"), []
    for name, rewards in (("numbers", own.REWARDS[:1]), ("both", own.REWARDS)):
        trainer = BambinoTrainer(args=make_recipe(output_dir=name), reward_funcs=rewards)
        trainer.train()
        weights.append(trainer.baby.lm.get_input_embeddings().weight.detach().clone())
    assert not torch.equal(*weights)


def test_a_task_of_ones_own_is_read_and_evaluated(baby_folder: Path, tmp_path: Path) -> None:
    items = [("Che bella giornata!", 1), ("Vattene via.", 0), ("Grazie mille, ciao.", 1), ("Non ti sopporto.", 0)]
    lines = [json.dumps({"text": text, "label": label, "split": "test"}) for text, label in items]
    (tmp_path / "tone.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    own = str(EXAMPLES / "own_task.yaml")
    out = tmp_path / "results"
    words = ["evaluate", str(baby_folder), "--data", str(tmp_path), "--tasks", f"[{own}]", "--output_dir", str(out)]
    assert main(words) == 0
    found = json.loads((out / "results.json").read_text("utf-8"))["tasks"]["tasks/tone"]
    assert found["settings"]["items"] == 4
    assert len(found["settings"]["templates"]) == 2


@pytest.mark.slow
def test_the_whole_way_offline(tmp_path: Path) -> None:
    small = "--text.heldout_every 20 --text.max_length 40 --batch_size 4 --clm.warmup_updates 1"
    size = "--shape.context 64 --shape.hidden_size 16 --shape.num_layers 1 --shape.num_heads 1 --shape.vocab_size 300"
    fast = "--parent.must_know_l2 false --save_steps 100 --evaluation.eval_steps 6 --evaluation.utterances 2"
    environment = os.environ | {"LINES": "300", "STEPS": "12", "MORE": f"{small} {size} {fast}", "OMP_NUM_THREADS": "1"}
    # pretraining takes STEPS from its recipe; here as few as everything else
    script = (EXAMPLES / "offline.sh").read_text("utf-8").replace("pretrain-small", "pretrain-small --max_steps 4")
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    words = ["bash", "-c", script, "offline.sh", str(tmp_path)]
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "one - other" in ran.stdout
    assert (tmp_path / "runs" / "bambino" / "evaluation" / "results.json").is_file()
