"""What the first baby expects of L1 lines, as what is learned there: by hand, at the start, and over a resumed run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import italian_lines, tiny_lm
from torch.nn.functional import cross_entropy

from bambino import BambinoTrainer, Recipe
from bambino.losses.distillation import kl_from
from bambino.phases.beside import as_expected, next_tokens
from bambino.scoring.forward import logits_before
from bambino.text.batches import pad

Make = Callable[..., Recipe]
REPLAY = ("--replay.sources", "[english.txt]", "--replay.share", "1", "--schedule.cycle", "{clm: 1}")


@pytest.fixture(autouse=True)
def _english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """english.txt in the folder that a test works in."""
    (tmp_path / "english.txt").write_text("\n".join(italian_lines(50, seed=9)) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def test_the_kl_of_two_known_distributions() -> None:
    expected = torch.tensor([[0.5, 0.25, 0.25]]).log()
    model = torch.tensor([[0.25, 0.5, 0.25]]).log()
    # 0.5 log 2 + 0.25 log 0.5
    assert float(kl_from(expected, model)) == pytest.approx(0.25 * torch.log(torch.tensor(2.0)).item())


def test_the_loss_mixes_tokens_and_expectations() -> None:
    lm, batch = tiny_lm("opt").eval(), pad([[1, 5, 6, 7], [1, 8, 9]], 0)
    logits = torch.randn(5, lm.config.vocab_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        p = logits_before(lm, batch, batch.is_target).softmax(-1)
    tokens = batch.input_ids[batch.is_target]
    kl = ((p * (p.log() - logits.log_softmax(-1))).sum() / 5).item()
    found = as_expected(batch, lm, 0.25)(logits, torch.zeros(5), batch, slice(0, 2))
    assert float(found["first_baby_kl"]) == pytest.approx(kl, rel=1e-5)
    assert float(found["loss"]) == pytest.approx(0.75 * float(cross_entropy(logits, tokens)) + 0.25 * kl, rel=1e-5)
    nothing = as_expected(batch, lm, 0.0)(logits, torch.zeros(5), batch, slice(0, 2))
    assert float(nothing["loss"]) == pytest.approx(
        float(next_tokens(batch)(logits, torch.zeros(5), batch, slice(0, 2))["loss"])
    )


def test_the_first_baby_reads_in_the_precision_of_the_baby() -> None:
    lm, batch = tiny_lm("opt").eval(), pad([[1, 5, 6, 7], [1, 8, 9]], 0)
    autocast = partial(torch.autocast, "cpu", torch.bfloat16)
    with torch.no_grad(), autocast():
        logits = logits_before(lm, batch, batch.is_target)
    losses = [
        as_expected(batch, lm, 1.0, *way)(logits, torch.zeros(5), batch, slice(0, 2)) for way in ((autocast,), ())
    ]
    assert float(losses[0]["loss"]) == 0 < float(losses[1]["loss"])


def test_without_replay_no_first_baby_is_kept(make_recipe: Make) -> None:
    for share, is_kept in (("0", False), ("1", True)):
        words = (*REPLAY[:3], share, *REPLAY[4:], "--replay.first_baby", "1", "--max_steps", "1")
        trainer = BambinoTrainer(args=make_recipe(*words, output_dir=share))
        assert (trainer.tools.first_baby is not None) == is_kept


def test_the_first_baby_expects_what_it_expects(make_recipe: Make) -> None:
    """Before the first update nothing is apart, and only L2 moves the weights; later something is."""
    rows: list[dict[str, float]] = []
    recipe = make_recipe(*REPLAY, "--replay.first_baby", "1", "--baby.dropout", "0")
    trainer = BambinoTrainer(args=recipe, on_row=rows.append)
    trainer.train()
    apart = [row["clm/replay_first_baby_kl"] for row in rows if "clm/replay_first_baby_kl" in row]
    assert apart[0] == pytest.approx(0, abs=1e-6)
    assert apart[-1] > 1e-4
    assert rows[-1]["total/flops"] > 0


def test_it_costs_a_forward_of_the_first_baby(make_recipe: Make) -> None:
    flops = []
    for share in ("0", "0.5"):
        trainer = BambinoTrainer(args=make_recipe(*REPLAY, "--replay.first_baby", share, output_dir=f"run{share}"))
        trainer.train()
        totals = trainer.state.costs.totals
        flops.append(totals["flops"])
        l1 = totals["replay_tokens"] / (totals["replay_tokens"] + totals["clm_tokens"])
    # a forward more where there were three, over the L1 part
    assert flops[1] / flops[0] == pytest.approx(1 + l1 / 3, rel=0.03)


@pytest.mark.parametrize("phase", ["clm", "recast"])
def test_a_resumed_run_remembers_the_same_first_baby(make_recipe: Make, phase: str) -> None:
    more: tuple[str, ...] = (*REPLAY, "--replay.first_baby", "0.5")
    if phase == "recast":
        more += ("--schedule.cycle", "{clm: 1, recast: 1}", "--feedback", "{recast: {for: recast}}")
        more += ("--recast.replay", "true")
    whole = BambinoTrainer(args=make_recipe(*more, output_dir="whole"))
    whole.train()
    recipe = make_recipe(*more, output_dir="parts")
    first = BambinoTrainer(args=recipe, on_row=lambda row: setattr(first, "stop_requested", row.get("step") == 3))
    first.train()
    assert (Path("parts") / "constants" / f"{phase}.safetensors").exists()
    second = BambinoTrainer(args=recipe)
    second.train(resume_from_checkpoint=True)
    pairs = zip(whole.baby.lm.parameters(), second.baby.lm.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
