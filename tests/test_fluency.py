"""Bits per byte as a result with an interval."""

import pytest
from conftest import make_tokenizer, there, tiny_lm
from known_models import unigram_lm, word_tokenizer

from bambino.errors import TextError
from bambino.evaluation.fluency import BitsPerByte
from bambino.scoring.texts import bits_per_byte
from bambino.speaking.speaker import Speaker


def test_bits_per_byte_by_hand() -> None:
    # p(a) = 1/2, p(bb) = 1/4: "a a" has 2 bits in 3 bytes, "bb" 2 bits in 2 bytes; together 4 / 5
    lm, tokenizer = unigram_lm([0.25, 0.5, 0.25]), word_tokenizer("a", "bb")
    result = BitsPerByte("it", ["a a", "bb"])(Speaker(lm, tokenizer))
    score = result.scores[0]
    assert (result.task, score.name, score.unit, score.items) == (
        "bits_per_byte/it",
        "bits_per_byte/it",
        "bits per byte",
        2,
    )
    assert score.value == pytest.approx(4 / 5)
    # resampled: twice the first line 2/3, twice the second 1
    assert (there(score.interval).low, there(score.interval).high) == pytest.approx((2 / 3, 1))
    # Per line, bits over the mean of 2.5 bytes a line: 2 / 2.5, so that the mean over lines is the score.
    assert result.item_scores["bits_per_byte/it"] == pytest.approx([0.8, 0.8])


def test_it_is_the_bits_per_byte_of_scoring_and_windows_are_counted() -> None:
    lm, tokenizer = tiny_lm("gpt2", context=8), make_tokenizer(vocab_size=259)
    lines = ["perché no", "sì"]  # 10 and 3 bytes, a token each; a window holds 7 of them
    result = BitsPerByte("it", lines)(Speaker(lm, tokenizer))
    assert result.scores[0].value == pytest.approx(bits_per_byte(lm, tokenizer, lines))
    assert (result.settings["tokens"], result.settings["windows"], result.settings["context"]) == (13, 3, 8)


def test_nothing_to_measure_is_refused() -> None:
    lm, tokenizer = unigram_lm([0.25, 0.5, 0.25]), word_tokenizer("a", "bb")
    with pytest.raises(TextError, match="no it lines"):
        BitsPerByte("it", [])(Speaker(lm, tokenizer))
    with pytest.raises(TextError, match="line 2 of 2 is empty"):
        BitsPerByte("it", ["a", " "])(Speaker(lm, tokenizer))
