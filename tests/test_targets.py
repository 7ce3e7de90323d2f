"""Targets of what the baby hears and says: where they go, what is learned, and that a resumed run finds the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import italian_lines, make_tokenizer, tiny_lm
from known_models import bigram_lm, word_tokenizer

from bambino import BambinoTrainer, Recipe
from bambino.errors import RecipeError
from bambino.feedback.answers import Targets
from bambino.feedback.parent_targets import knows_ends, text_to
from bambino.feedback.settings import ParentTargetsConfig
from bambino.losses.clm import clm_loss
from bambino.phases.targets import BatchTargets, stood_at
from bambino.speaking.speaker import Speaker
from bambino.text.batches import TokenBatch, pad, without_pads

Make = Callable[..., Recipe]
SHORT = ("--text.max_length", "12")
HEARD = ("--schedule.cycle", "{clm: 1}", "--feedback", "{parent_targets: {max_dropped: 0.5}}", *SHORT)
SAID = ("--schedule.cycle", "{distill: 1}", "--feedback", "{said_targets: {max_dropped: 0.5}}")


def rows_of(recipe: Recipe) -> list[dict[str, Any]]:
    lines = (Path(recipe.output_dir) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if not k.startswith(("time/", "total/"))} for line in lines]


def phase_of(trainer: BambinoTrainer, name: str) -> Any:
    return trainer.phases[name]


# -------------------------------------------------------------------------------------------------- where they go


def test_a_targets_place_is_found_again_when_lines_share_rows() -> None:
    batch = pad([[1, 2, 3, 4, 5], [6, 7, 8], [9, 10]], pad_id=0)
    part = without_pads(batch)
    assert part.documents is not None
    row, column = stood_at(part, 0, was_packed=False)
    assert part.input_ids[part.is_target].tolist() == batch.input_ids[row, column].tolist()
    row, column = stood_at(batch.rows(slice(1, 3)), 1, was_packed=False)
    assert batch.input_ids[row, column].tolist() == [7, 8, 10]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_loss_mixes_the_text_and_the_targets_where_there_are_some(share: float) -> None:
    batch = pad([[1, 2, 3]], pad_id=0)
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.5, 0.25, 0.125, 0.125]])
    logits[1] = logits[1].log()
    # a target at the last token only: 1/2 and 1/4 for tokens 1 and 0, which q gives 1/4 and 1/2
    targets = Targets(torch.tensor([0]), torch.tensor([2]), torch.tensor([[1, 0]]), torch.tensor([[0.5, 0.25]]))
    config = ParentTargetsConfig(share=share, weight=2.0)
    answers = BatchTargets(targets, torch.tensor([0.0]), config, None)
    found = answers.loss(batch, 2)(logits, torch.zeros(2), batch, slice(0, 1))
    log2 = torch.tensor(2.0).log()
    # token 2: log 4 of cross-entropy; token 3: log 8 of it, and 1/4 log 2 of divergence, weighed twice
    expected = (2 * log2 + (1 - share) * 3 * log2 + share * 2 * log2 / 4) / 2
    torch.testing.assert_close(found["loss"], expected)
    torch.testing.assert_close(found["targets_loss"], log2 / 4)
    if share == 0:
        torch.testing.assert_close(found["loss"], clm_loss(logits, torch.tensor([2, 3])) / 2)


def test_what_the_parent_says_nothing_about_is_left_alone() -> None:
    batch = pad([[1, 2]], pad_id=0)
    targets = Targets(torch.tensor([0]), torch.tensor([1]), torch.tensor([[1, 2]]), torch.tensor([[0.5, 0.5]]))
    answers = BatchTargets(targets, torch.tensor([0.0]), ParentTargetsConfig(share=1.0), 0)
    logits = torch.tensor([[9.0, 1.0, 1.0]], requires_grad=True)
    found = answers.loss(batch, 1)(logits, torch.zeros(1), batch, slice(0, 1))
    found["loss"].backward()
    assert found["loss"].item() == pytest.approx(0.0, abs=1e-5)
    assert logits.grad is not None
    assert logits.grad[0, 0] == 0


@pytest.mark.parametrize("mode", ["lines", "packed"])
def test_targets_of_a_batch_are_those_of_its_lines(make_recipe: Make, mode: str) -> None:
    trainer = BambinoTrainer(args=make_recipe(*HEARD, "--text.mode", mode))
    phase = phase_of(trainer, "clm")
    at = trainer.schedule.at(0)
    batch: TokenBatch = phase.tools.streams.clm_batch(at)
    answers = phase.targets.of(batch, at)
    row, column = answers.targets.row, answers.targets.position
    assert batch.is_target[row, column].all()
    if mode == "lines":
        ids = batch.input_ids[2][batch.is_real[2]].tolist()
        alone, _ = phase.targets.reader([ids])
        kept = alone[0].dropped <= 0.5
        assert column[row == 2].tolist() == alone[0].position[kept].tolist()
        found, expected = answers.targets.probs[row == 2].float(), alone[0].probs[kept].float()
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)


# -------------------------------------------------------------------------------------------------------- in a run


def test_a_second_pass_costs_no_parent(make_recipe: Make) -> None:
    recipe = make_recipe(*HEARD, "--text.max_lines", "12", "--max_steps", "6")
    read: list[float] = []
    BambinoTrainer(args=recipe, on_row=lambda row: read.append(row.get("total/parent_tokens", 0.0))).train()
    read = [tokens for tokens in read if tokens]
    assert read[0] < read[2] == read[-1]


@pytest.mark.parametrize("learns", [HEARD, SAID])
def test_a_run_that_goes_on_ends_in_the_same_bits(make_recipe: Make, learns: tuple[str, ...]) -> None:
    more = (*learns, "--text.max_lines", "12", "--max_steps", "6", "--save_steps", "4")
    whole = make_recipe(*more, output_dir="whole")
    one = BambinoTrainer(args=whole)
    one.train()
    stopped = make_recipe(*more, output_dir="stopped")
    other = BambinoTrainer(args=stopped, on_row=lambda row: setattr(other, "stop_requested", row.get("step") == 4))
    other.train()
    again = BambinoTrainer(args=stopped)
    again.train(resume_from_checkpoint=True)
    assert rows_of(whole) == rows_of(stopped)
    for name, tensor in one.baby.state_dict().items():
        assert torch.equal(tensor, again.baby.state_dict()[name]), name


def test_the_baby_comes_nearer_to_the_targets_of_what_it_says(make_recipe: Make) -> None:
    recipe = make_recipe(*SAID, "--max_steps", "20", "--distill.learning_rate", "1e-2")
    BambinoTrainer(args=recipe).train()
    losses = [row["distill/targets_loss"] for row in rows_of(recipe) if row["kind"] == "step"]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_distill_without_targets_is_refused(make_recipe: Make) -> None:
    with pytest.raises(RecipeError, match="no targets to learn from"):
        BambinoTrainer(args=make_recipe("--schedule.cycle", "{distill: 1}"))


def test_two_kinds_of_targets_for_one_phase_are_refused(make_recipe: Make) -> None:
    feedback = "{parent_targets: {}, said_targets: {for: clm}}"
    with pytest.raises(RecipeError, match="Two kinds"):
        BambinoTrainer(args=make_recipe("--schedule.cycle", "{clm: 1}", "--feedback", feedback))


# ------------------------------------------------------------------------------------------------------- the parent


def test_a_parent_knows_where_lines_end_or_does_not() -> None:
    tokenizer = make_tokenizer()
    lm = tiny_lm("gpt2", len(tokenizer))
    lines = italian_lines(8)
    assert not knows_ends(Speaker(lm, tokenizer), lines)  # EOS is as likely anywhere
    words = sorted({word for line in lines for word in line.split()})
    worded = word_tokenizer(*words, eos="</s>")
    probs = torch.full((len(worded), len(worded)), 1e-4)
    for line in lines:
        probs[worded.convert_tokens_to_ids(line.split()[-1]), worded.eos_token_id] = 1.0
    assert knows_ends(Speaker(bigram_lm(probs / probs.sum(1, keepdim=True)), worded), lines)


@pytest.mark.parametrize(
    ("said", "end"),
    [(b"abc", 3), ("è".encode()[:1], 1), (b"ab\xc3(c", 3), (b"a\xa8b", 1), ("我".encode()[:2] + b"a", 2)],
)
def test_bytes_are_a_texts_beginning_up_to_where_they_are_broken(said: bytes, end: int) -> None:
    assert text_to(said) == end
