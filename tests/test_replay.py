"""How much of L1 is heard when, by hand; that one loss is over both texts; and that a resumed run hears the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import italian_lines, make_tokenizer
from hypothesis import given
from hypothesis import strategies as st

from bambino import BambinoTrainer, Recipe, TextError
from bambino.recipe.text_settings import ReplayConfig, TextConfig
from bambino.text.replay import ReplayStream, build_replay, lines_before

Make = Callable[..., Recipe]


def stream(share: float, last_share: float | None = None, batch_size: int = 32, steps: int = 5) -> ReplayStream:
    text = TextConfig(min_chars=1, heldout_every=None)
    config = ReplayConfig(sources=["english.txt"], share=share, last_share=last_share)
    found = build_replay(config, text, make_tokenizer(), seed=1, batch_size=batch_size, steps=steps)
    assert found is not None
    return found


@pytest.fixture
def _english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """english.txt in the folder that a test works in."""
    (tmp_path / "english.txt").write_text("\n".join(italian_lines(50, seed=9)) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def counts(replay: ReplayStream) -> list[int]:
    batches = [replay.batch(nth) for nth in range(replay.steps)]
    return [0 if batch is None else len(batch.input_ids) for batch in batches]


@pytest.mark.usefixtures("_english")
def test_a_quarter_adds_eight_lines_to_thirty_two() -> None:
    assert counts(stream(0.25)) == [8, 8, 8, 8, 8]


@pytest.mark.usefixtures("_english")
def test_a_small_share_adds_a_line_now_and_then() -> None:
    # 0.1 of 4 lines: 0.4, 0.8, 1.2, 1.6, 2.0 lines after each step, so a whole one at the third and the fifth
    assert counts(stream(0.1, batch_size=4)) == [0, 0, 1, 0, 1]


@pytest.mark.usefixtures("_english")
def test_a_share_that_falls_is_heard_early() -> None:
    # 10 lines a batch, shares 1, 0.75, 0.5, 0.25, 0: 10, 17.5, 22.5, 25, 25 lines after each step
    assert counts(stream(1.0, 0.0, batch_size=10)) == [10, 7, 5, 3, 0]


@given(st.floats(0, 2), st.floats(0, 2), st.integers(1, 40), st.integers(1, 60))
def test_lines_heard_never_fall_and_end_at_the_mean_share(
    share: float, last: float, batch_size: int, steps: int
) -> None:
    before = [lines_before(nth, share, last, batch_size, steps) for nth in range(steps + 1)]
    assert before[0] == 0
    assert all(a <= b for a, b in pairwise(before))
    mean = share if steps == 1 else (share + last) / 2
    assert before[-1] == pytest.approx(batch_size * steps * mean, abs=1 + 1e-6)


@pytest.mark.usefixtures("_english")
def test_each_line_comes_once_before_any_comes_again() -> None:
    replay = stream(1.0, batch_size=10)
    heard = [tuple(row.tolist()) for nth in range(5) for row in (replay.batch(nth) or pytest.fail("none")).input_ids]
    assert len({tuple(token for token in row if token) for row in heard}) == 50


def test_a_share_without_text_is_refused() -> None:
    with pytest.raises(TextError, match=r"replay\.share = 0\.25 needs L1 text: --replay\.sources"):
        build_replay(ReplayConfig(share=0.25), TextConfig(), make_tokenizer(), seed=1, batch_size=4, steps=4)


@pytest.mark.usefixtures("_english")
def test_nothing_is_replayed_where_nothing_is_asked_for() -> None:
    config = ReplayConfig(sources=["english.txt"])
    assert build_replay(config, TextConfig(), make_tokenizer(), seed=1, batch_size=4, steps=4) is None


def train(make_recipe: Make, name: str, *more: str) -> tuple[BambinoTrainer, list[dict[str, float]]]:
    settings = ("--replay.sources", "[english.txt]", "--replay.share", "0.5", "--schedule.cycle", "{clm: 1}", *more)
    trainer = BambinoTrainer(args=make_recipe(*settings, output_dir=name))
    trainer.train()
    lines = (Path(trainer.args.output_dir) / "metrics.jsonl").read_text("utf-8").splitlines()
    return trainer, [json.loads(line) for line in lines]


@pytest.mark.usefixtures("_english")
def test_the_loss_is_the_mean_over_the_targets_of_both_texts(make_recipe: Make) -> None:
    """The gradient's norm of a step on both is that of one batch with all the rows."""
    trainer = BambinoTrainer(args=make_recipe("--replay.sources", "[english.txt]", "--replay.share", "0.5"))
    at, phase = trainer.schedule.at(0), trainer.phases["clm"]
    l2 = trainer.tools.streams.clm_batch(at)
    assert trainer.tools.replay is not None
    l1 = trainer.tools.replay.batch(0)
    assert l1 is not None
    lm = trainer.baby.lm.eval()
    total, targets = torch.zeros(()), 0
    for batch in (l2, l1):
        for ids, real in zip(batch.input_ids, batch.is_real, strict=True):
            row = ids[real][None]
            logits = lm(input_ids=row).logits[0, :-1]
            total = total + torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum")
            targets += row.shape[1] - 1
    (total / targets).backward()
    norm = torch.stack([p.grad.square().sum() for p in lm.parameters() if p.grad is not None]).sum().sqrt()
    trainer.baby.zero_grad()
    for module in trainer.baby.modules():
        if hasattr(module, "dropout"):
            vars(module)["dropout"] = 0.0  # OPT's own, which the clm step turns on
    row = phase.step(at)
    assert row["clm/grad_norm"] == pytest.approx(float(norm), rel=1e-4)
    assert row["clm/replay_loss"] > 0


@pytest.mark.usefixtures("_english")
def test_the_l2_batches_stay_the_same_and_costs_are_counted_apart(make_recipe: Make) -> None:
    _, plain = train(make_recipe, "plain", "--replay.share", "0")
    _, replayed = train(make_recipe, "replayed")
    assert [row["clm/targets"] for row in plain] == [row["clm/targets"] for row in replayed]
    assert plain[-1]["total/clm_tokens"] == replayed[-1]["total/clm_tokens"]
    assert "total/replay_tokens" not in plain[-1]
    assert replayed[-1]["total/replay_tokens"] > 0
    assert plain[0]["clm/loss"] == pytest.approx(replayed[0]["clm/loss"], rel=1e-5)
    assert plain[-1]["clm/loss"] != replayed[-1]["clm/loss"]


@pytest.mark.usefixtures("_english")
def test_a_resumed_run_hears_the_same(make_recipe: Make) -> None:
    whole, _ = train(make_recipe, "whole", "--replay.last_share", "0")
    recipe = make_recipe(
        *("--replay.sources", "[english.txt]", "--replay.share", "0.5", "--replay.last_share", "0"),
        *("--schedule.cycle", "{clm: 1}"),
        output_dir="parts",
    )
    first = BambinoTrainer(args=recipe, on_row=lambda row: setattr(first, "stop_requested", row.get("step") == 3))
    first.train()
    second = BambinoTrainer(args=recipe)
    second.train(resume_from_checkpoint=True)
    pairs = zip(whole.baby.lm.parameters(), second.baby.lm.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
