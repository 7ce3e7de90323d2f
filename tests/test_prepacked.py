"""Packed weights give the same numbers, are made anew each time, and leave the model as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import FAMILIES, make_tokenizer, tiny_lm
from torch import nn
from transformers import PreTrainedModel

from bambino.scoring import texts as text_scores
from bambino.scoring.forward import token_log_probs
from bambino.scoring.prepacked import prepacked
from bambino.scoring.texts import score_texts
from bambino.text.batches import pad

ROWS = pad([[1, 20, 30, 40, 50, 60], [1, 7, 9], [1, 5, 5, 5, 5, 5, 5, 5, 11]], pad_id=0)


class Doubled(nn.Linear):
    """A layer of somebody else's, like an adapter's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def replaced(lm: nn.Module) -> list[str]:
    return [name for name, layer in lm.named_modules() if "forward" in layer.__dict__]


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_layers_give_the_same_log_probs_and_are_gone_afterwards(family: str) -> None:
    lm = tiny_lm(family)
    plain = token_log_probs(lm, ROWS)
    with prepacked(lm):
        assert len(replaced(lm)) >= 9  # four or more products in each of two layers, and the head
        packed = token_log_probs(lm, ROWS)
    assert replaced(lm) == []
    torch.testing.assert_close(packed, plain)
    assert torch.equal(token_log_probs(lm, ROWS), plain)


def test_gpt2s_activation_in_one_step_is_the_one_in_eight() -> None:
    act = tiny_lm("gpt2").transformer.h[0].mlp.act
    x = torch.linspace(-6, 6, 101)
    plain = act(x)
    with prepacked(act):
        assert replaced(act) == [""]
        torch.testing.assert_close(act(x), plain)


def test_weights_that_changed_in_between_are_packed_anew() -> None:
    lm = tiny_lm("gpt2")
    with prepacked(lm):
        before = token_log_probs(lm, ROWS)
    with torch.no_grad():
        lm.transformer.h[0].mlp.c_fc.weight.mul_(-3)
    plain = token_log_probs(lm, ROWS)
    assert not torch.allclose(plain, before, atol=1e-3)
    with prepacked(lm):
        torch.testing.assert_close(token_log_probs(lm, ROWS), plain)


def test_layers_come_back_after_an_error() -> None:
    lm = tiny_lm("opt")
    with pytest.raises(RuntimeError, match="halfway"), prepacked(lm):
        raise RuntimeError("halfway")
    assert replaced(lm) == []


def test_layers_of_another_class_precision_or_forward_are_left_alone() -> None:
    model = nn.Sequential(Doubled(3, 3), nn.Linear(3, 3).bfloat16(), nn.Linear(3, 3), nn.Linear(3, 3))
    hooked = model[2]
    hooked.forward = lambda x: x
    with prepacked(model):
        assert replaced(model) == ["2", "3"]
        assert torch.equal(model[2](torch.ones(1, 3)), torch.ones(1, 3))
    assert replaced(model) == ["2"]


def test_autocast_keeps_its_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16), prepacked(model := nn.Linear(3, 3)):
        assert model(torch.ones(1, 3)).dtype == torch.bfloat16


def test_many_texts_are_read_with_packed_weights_and_few_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def watched(lm: PreTrainedModel) -> Any:
        asked.append(True)
        return prepacked(lm)

    monkeypatch.setattr(text_scores, "prepacked", watched)
    lm, tokenizer = tiny_lm("gpt2"), make_tokenizer()
    few = score_texts(lm, tokenizer, ["il gatto vede il cane"])
    assert asked == []
    monkeypatch.setattr(text_scores, "WORTH_PREPACKING", 5)
    many = score_texts(lm, tokenizer, ["il gatto vede il cane"])
    assert asked == [True]
    assert many[0].log_prob == pytest.approx(few[0].log_prob, rel=1e-6)
