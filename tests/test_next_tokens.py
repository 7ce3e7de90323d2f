"""The parent's distribution over another tokenizer's next token, against sums over all texts of a toy language."""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate, pairwise, product
from typing import Literal

import pytest
import torch
from conftest import italian_lines, make_tokenizer, tiny_lm
from test_covers import ALPHABET, MERGES, OTHER_MERGES, toy, toy_tokenizer
from test_credit import sentence_pieces
from transformers import PreTrainedTokenizerFast

from bambino.scoring import next_tokens
from bambino.scoring.next_tokens import NextTokenReader
from bambino.text.vocabulary import Vocabulary

LONGEST = 9
"""Bytes of the longest text that is summed over; longer ones are rare (`ends`)."""


def enumerated(
    probs: torch.Tensor, tokenizer: PreTrainedTokenizerFast, other: PreTrainedTokenizerFast, begins: list[str]
) -> dict[str, dict[int, float]]:
    """For each beginning: the mass of all texts in which the other tokenizer's token `id` stands right after it."""
    p = probs.double().tolist()
    pieces = Vocabulary(other).pieces
    result: dict[str, dict[int, float]] = {begin: defaultdict(float) for begin in begins}
    for length in range(LONGEST + 1):
        texts = ["".join(letters) for letters in product(ALPHABET, repeat=length)]
        rows = tokenizer(texts)["input_ids"]
        others = other(texts)["input_ids"]
        for text, row, ids in zip(texts, rows, others, strict=True):
            mass = 1.0
            for a, b in pairwise([0, *row, 0]):
                mass *= p[a][b]
            starts = [0, *accumulate(len(pieces[i]) for i in ids)]
            for start, token in zip(starts, [*ids, 0], strict=True):
                if text[:start] in result:
                    result[text[:start]][token] += mass
    return result


BEGINS = ["".join(letters) for length in range(3) for letters in product(ALPHABET, repeat=length)]


def distance(found: dict[int, float], expected: dict[int, float]) -> float:
    """Total variation."""
    return sum(abs(found.get(i, 0.0) - expected.get(i, 0.0)) for i in {*found, *expected}) / 2


def distances(
    rule: Literal["covers", "cheap"], other_merges: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[float, float]]:
    """(distance from the sum over all texts, share dropped) after every beginning."""
    monkeypatch.setattr(next_tokens, "SIGNIFICANT", 1e-6)
    monkeypatch.setattr(next_tokens, "FOLLOWED", 100)
    lm, tokenizer, probs = toy(ends=4.0)
    other = toy_tokenizer(other_merges)
    expected = enumerated(probs, tokenizer, other, BEGINS)
    reader = NextTokenReader(lm, tokenizer, other, eos=True, rule=rule)
    found = reader([begin.encode() for begin in BEGINS], [[len(begin)] for begin in BEGINS])
    result = []
    for i, begin in enumerate(BEGINS):
        total = sum(expected[begin].values())
        if total > 1e-4:
            of = dict(zip(found.ids[i].tolist(), found.probs[i].tolist(), strict=True))
            sums = {token: mass / total for token, mass in expected[begin].items()}
            result.append((distance(of, sums), float(found.dropped[i])))
    return result


def test_it_is_the_sum_over_all_texts_within_what_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    found = distances("covers", OTHER_MERGES, monkeypatch)
    assert len(found) > 8
    for apart, dropped in found:
        assert apart <= dropped + 0.02  # of all probability so much is of texts longer than LONGEST
        assert dropped < 0.02


def test_equal_tokenizers_give_the_models_own_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, tokenizer, probs = toy(ends=4.0)
    reader = NextTokenReader(lm, tokenizer, toy_tokenizer(MERGES), eos=True)
    text = "ab abab ba"
    ids = tokenizer(text)["input_ids"]
    ends = [0, *accumulate(len(reader.vocabulary.pieces[i]) for i in ids)]
    found = reader([text.encode()], [ends])
    for i, last in enumerate([0, *ids]):
        own = {j: float(p) for j, p in enumerate(probs[last]) if p}
        of = dict(zip(found.ids[i].tolist(), found.probs[i].tolist(), strict=True))
        assert distance(of, own) <= float(found.dropped[i]) + 1e-3


@pytest.mark.parametrize("text", ["perché è così", "我们去 casa", "გამარჯობა მსოფლიო"])
def test_places_inside_characters_have_targets_too(text: str) -> None:
    parent, baby = make_tokenizer(vocab_size=400), make_tokenizer()
    lm = tiny_lm("gpt2", len(parent), context=64)
    reader = NextTokenReader(lm, parent, baby, eos=False, top=len(baby))
    whole = text.encode()
    found = reader([whole], [range(len(whole))])
    torch.testing.assert_close(found.probs.sum(1), torch.ones(len(whole)))
    assert (found.dropped < 1).all()
    special = torch.tensor(baby.all_special_ids)
    assert not (torch.isin(found.ids, special) & (found.probs > 0)).any()


def test_a_place_gets_the_same_alone_as_among_others() -> None:
    parent, baby = make_tokenizer(vocab_size=400), make_tokenizer()
    lm = tiny_lm("gpt2", len(parent), context=64)
    reader = NextTokenReader(lm, parent, baby, eos=False)
    texts = [line[:40].encode() for line in italian_lines(3)]
    together = reader(texts, [[5, 20], [0, 9], [30]])
    alone = reader(texts[1:2], [[0, 9]])
    torch.testing.assert_close(together.probs[2:4], alone.probs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("text", ["il gatto 我们去 casa", "perché è così"])
@pytest.mark.parametrize("parent_has_pieces", [True, False])
def test_byte_level_tokens_and_pieces_answer_each_other(text: str, parent_has_pieces: bool) -> None:
    parent, baby = sentence_pieces(), make_tokenizer()
    if not parent_has_pieces:
        parent, baby = baby, parent
    lm = tiny_lm("gpt2", len(parent), context=64)
    reader = NextTokenReader(lm, parent, baby, eos=False, top=len(baby))
    ids = baby(text)["input_ids"]
    says = [len(reader.other.pieces[i]) for i in ids]
    ends = [max(0, end - len(reader.other.lead)) for end in accumulate([0, *says])][:-1]
    found = reader([text.encode()], [ends])
    torch.testing.assert_close(found.probs.sum(1), torch.ones(len(ends)))
    assert (found.dropped < 0.5).all()
