"""Kinds of feedback that read the text alone, and the penalty for exploiting a parent: by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from known_models import bigram_lm, word_tokenizer

from bambino.errors import RecipeError
from bambino.feedback.exploitation_penalty import ExploitationPenalty, copied, repeated, without_repeats
from bambino.feedback.grader_settings import ExploitationPenaltyConfig
from bambino.feedback.language_identity import LanguageIdentity, LanguageIdentityConfig
from bambino.feedback.length import LengthConfig, distance
from bambino.speaking.speaker import Speaker
from bambino.text.language_id import LanguageIdentifier

# ------------------------------------------------------------------------------------------------------------- length


@pytest.mark.parametrize(("length", "expected"), [(0, 3.0), (2, 1.0), (3, 0.0), (5, 0.0), (7, 2.0)])
def test_the_distance_from_three_to_five(length: int, expected: float) -> None:
    assert distance(length, 3, 5) == expected


def test_length_is_counted_in_words_or_bytes() -> None:
    said = ["", " il gatto vede", "è già"]
    assert LengthConfig(shortest=2, longest=2).make(None)(completions=said) == [-2.0, -1.0, 0.0]
    # 0, 14 and 2 + 1 + 4 bytes
    assert LengthConfig(shortest=5, longest=10, unit="bytes").make(None)(completions=said) == [-5.0, -4.0, 0.0]


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"feedback.length.shortest = 13 is above longest = 12"):
        LengthConfig(shortest=13)


# -------------------------------------------------------------------------------------------------- language identity


def languages() -> LanguageIdentity:
    return LanguageIdentity(LanguageIdentifier.train(["the dog sees the house"] * 9, ["il cane vede la casa"] * 9))


def test_italian_words_earn_more_than_english_ones() -> None:
    reward = languages()
    italian, mixed, english = reward(prompts=[""] * 3, completions=["la casa", "la house", "the house"])
    assert italian > 0.95
    assert english < 0.05
    assert mixed == pytest.approx((reward.reward("", "la", True) + reward.reward("", "house", True)) / 2)


def test_words_that_end_after_the_prompt_count_and_a_cut_one_does_not() -> None:
    reward = languages()
    whole = reward.reward("", "casa", True)
    assert reward(prompts=["la ca"], completions=["sa"]) == [whole]
    assert reward(prompts=["la"], completions=[" casa the"], has_ended=[False]) == [whole]
    assert reward(prompts=["la"] * 3, completions=["", " 12 !", " the"], has_ended=[False] * 3) == [0.0] * 3


def test_both_languages_must_have_text(tmp_path: Path) -> None:
    (tmp_path / "digits.txt").write_text("1 2 3\n")
    (tmp_path / "words.txt").write_text("il cane\n")
    digits, words = str(tmp_path / "digits.txt"), str(tmp_path / "words.txt")
    with pytest.raises(RecipeError, match=r"needs text of both languages: --feedback.language_identity.l2"):
        LanguageIdentityConfig(l1=[words]).make(None)
    with pytest.raises(RecipeError, match="there is no word in the L1 lines"):
        LanguageIdentityConfig(l1=[digits], l2=[words]).make(None)


# ------------------------------------------------------------------------------------------------------- exploitation


@pytest.mark.parametrize(
    ("prompt", "said", "n", "expected"),
    [
        ("a b c", "b c a b", 2, 2 / 3),  # of bc ca ab the prompt has bc and ab
        ("a b c", "c a d", 1, 2 / 3),
        ("a b", "a", 2, 0.0),  # no phrase of two words
        ("", "a b", 2, 0.0),
    ],
)
def test_what_is_copied(prompt: str, said: str, n: int, expected: float) -> None:
    assert copied(prompt, said, n) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("said", "n", "expected"),
    [
        ("a b a b a", 2, 1 - 2 / 4),  # ab ba ab ba
        ("a a a a", 2, 1 - 1 / 3),
        ("a b c", 2, 0.0),
        ("a", 2, 0.0),
        ("a a b", 1, 1 / 3),
    ],
)
def test_what_is_repeated(said: str, n: int, expected: float) -> None:
    assert repeated(said, n) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("said", "n", "once"),
    [
        (" a b a b a", 2, " a b a"),
        (" a a a a", 2, " a a"),
        ("a b c", 2, "a b c"),
        ("a a b a", 1, "a b"),
        ("a", 3, "a"),
        ("", 2, ""),
    ],
)
def test_what_is_said_once(said: str, n: int, once: str) -> None:
    assert without_repeats(said, n) == once


def test_the_penalty_by_hand() -> None:
    # p(a | <s>) = 1, p(b | a) = 1/2, p(c | a) = 1/2, p(a | b) = 1; nothing follows c but <s>
    probs = torch.tensor([[0, 1, 0, 0], [0, 0, 0.5, 0.5], [0, 1, 0, 0], [1, 0, 0, 0]])
    speaker = Speaker(bigram_lm(probs), word_tokenizer("a", "b", "c"))
    reward = ExploitationPenalty(speaker, ExploitationPenaltyConfig())
    read: list[int] = []
    scores = reward(
        prompts=["a", "a b", "a"],
        completions=[" b a b a", " a c", " c"],
        read=lambda lm, tokens: read.append(tokens),
    )
    # first: ba ab ba, two different of three; once: " b a b". -2 ln 2 in 8 bytes against -2 ln 2 in 6
    # second: of the phrase "a c" nothing is in "a b"
    liked = -math.log(2) / 4 + math.log(2) / 3
    assert scores.values == pytest.approx([-(1 / 3 + liked), 0.0, 0.0], abs=1e-5)
    assert read == [6, 5]  # <s> a and what was said; only what repeats is read


def test_what_the_parent_likes_because_it_repeats_costs() -> None:
    # x is a surprise (1/4), and then goes on for sure
    probs = torch.tensor([[0, 1, 0, 0], [0, 0, 0.25, 0.75], [0, 0, 1, 0], [0, 1, 0, 0]])
    speaker = Speaker(bigram_lm(probs), word_tokenizer("a", "x", "y"))
    scores = ExploitationPenalty(speaker, ExploitationPenaltyConfig())(prompts=["a"], completions=[" x x x x"])
    # L(" x x x x") = -ln 4 / 8, L(" x x") = -ln 4 / 4
    liked = -math.log(4) / 8 + math.log(4) / 4
    assert scores.values == pytest.approx([-(2 / 3 + liked)], rel=1e-4)


def test_copying_costs() -> None:
    probs = torch.full((4, 4), 0.25)
    reward: Any = ExploitationPenalty(
        Speaker(bigram_lm(probs), word_tokenizer("a", "b", "c")), ExploitationPenaltyConfig()
    )
    assert reward(prompts=["a b c"], completions=[" a b c"]).values == [-1.0]
