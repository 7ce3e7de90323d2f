"""Minimal pairs by hand: scores, ties, normalizations, start tokens, context; results with what they depend on."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from conftest import FAMILIES, italian_lines, make_tokenizer, there, tiny_lm
from known_models import bigram_lm, sharp_lm, uniform_lm, unigram_lm, word_tokenizer
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from bambino.errors import ModelError
from bambino.evaluation.minimal_pairs import Linking, MinimalPairs, Normalization, PairScores, score_pairs
from bambino.evaluation.pair_files import Pair, PairSet
from bambino.scoring import texts as text_scores
from bambino.speaking.speaker import Speaker
from bambino.text.tokens import tokenizer_sha256

NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)


def agreeing_model() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """After il comes gatto with 3/4 and casa with 1/4, after la the other way round; all else is even."""
    words = ("il", "la", "gatto", "casa")
    probs = torch.full((5, 5), 0.2)
    probs[1] = torch.tensor([0, 0, 0, 0.75, 0.25])
    probs[2] = torch.tensor([0, 0, 0, 0.25, 0.75])
    return bigram_lm(probs), word_tokenizer(*words)


PAIRS = [
    Pair("il gatto", "il casa", "gender", term="agreement", field="morphology"),  # 3/4 against 1/4: right
    Pair("la gatto", "la casa", "gender", term="agreement", field="morphology"),  # wrong
    Pair("il gatto", "la casa", "even", term="agreement", field="syntax"),  # 1/5 * 3/4 each: a tie
    Pair("la casa", "il casa", "noun", term="nouns", field="syntax"),  # right
]


def many_pairs() -> list[Pair]:
    """Pairs of unequal length that share beginnings, and some that share nothing."""
    lines = [" ".join(line.split()[:8]) for line in italian_lines(24, seed=5)]
    return [Pair(line, f"{line.rsplit(' ', 1)[0]} tardi", "end") for line in lines] + [
        Pair(line, " ".join(reversed(line.split())), "order") for line in lines
    ]


# ------------------------------------------------------------------------------------------------------------ by hand


def test_accuracy_by_hand() -> None:
    lm, tokenizer = agreeing_model()
    assert score_pairs(lm, tokenizer, PAIRS).points().tolist() == [1.0, 0.0, 0.5, 1.0]
    assert score_pairs(lm, tokenizer, PAIRS).points().mean() == pytest.approx(2.5 / 4)


def test_log_probs_of_a_two_token_model_by_hand() -> None:
    # tokens: 0 BOS, 1 a, 2 b. p(a | BOS) = 1/4, p(b | BOS) = 1/2, p(a | a) = 1/4, p(b | a) = 1/2, p(a | b) = 1
    lm = bigram_lm(torch.tensor([[0.25, 0.25, 0.5], [0.25, 0.25, 0.5], [0.0, 1.0, 0.0]]))
    scores = score_pairs(lm, word_tokenizer("a", "b"), [Pair("a b a", "b a a", ""), Pair("b", "b b", "")])
    # a b a: 1/4 * 1/2 * 1 = 1/8; b a a: 1/2 * 1 * 1/4 = 1/8; b: 1/2; b b: 1/2 * 0
    np.testing.assert_allclose(scores.good, [-3 * math.log(2), -math.log(2)], rtol=1e-5)
    assert scores.bad[0] == pytest.approx(-3 * math.log(2), rel=1e-5)
    assert scores.bad[1] < -1000
    assert (scores.good_tokens.tolist(), scores.bad_tokens.tolist()) == ([3, 1], [3, 2])
    assert (scores.good_bytes.tolist(), scores.bad_bytes.tolist()) == ([5, 1], [5, 3])
    assert scores.points().tolist() == [0.5, 1.0]


def test_sum_per_token_and_per_byte_by_hand() -> None:
    # p(a) = 1/4: 2 bits; p(bbbb) = 1/8: 3 bits; p(c) = 1/2: 1 bit
    lm, tokenizer = unigram_lm([0.125, 0.25, 0.125, 0.5]), word_tokenizer("a", "bbbb", "c")
    pairs = [
        Pair("a", "bbbb", ""),  # sum 2 < 3; per token 2 < 3; per byte 2/1 > 3/4
        Pair("a", "c c c", ""),  # sum 2 < 3; per token 2 > 1; per byte 2/1 > 3/5
        Pair("c c", "a", ""),  # sum 2 = 2; per token 1 < 2; per byte 2/3 < 2/1
    ]
    scores = score_pairs(lm, tokenizer, pairs)
    assert scores.points().tolist() == [1.0, 1.0, 0.5]
    assert scores.points(Linking("token")).tolist() == [1.0, 0.0, 1.0]
    assert scores.points(Linking("byte")).tolist() == [0.0, 0.0, 1.0]


def test_a_power_of_the_length_lies_between_sum_and_mean_by_hand() -> None:
    # p(a) = 1/4: 2 bits; c c c: 3 bits, 3 / 3^0.5 = 1.73 < 2, and 3 / 3^0.25 = 2.28 > 2
    lm, tokenizer = unigram_lm([0.125, 0.25, 0.125, 0.5]), word_tokenizer("a", "bbbb", "c")
    scores = score_pairs(lm, tokenizer, [Pair("a", "c c c", "")])
    points = {alpha: scores.points(Linking("power", alpha)).item() for alpha in (0, 0.25, 0.5, 1)}
    assert points == {0: 1.0, 0.25: 1.0, 0.5: 0.0, 1: 0.0}


def test_given_a_prefix_only_the_form_counts() -> None:
    lm, tokenizer = agreeing_model()
    scores = score_pairs(
        lm, tokenizer, [Pair("il gatto", "il casa", "", given=2), Pair("il la casa", "il la il", "", 2)]
    )
    # gatto after il: 3/4, casa 1/4; "la casa" after il: p(la | il) = 0
    np.testing.assert_allclose(scores.good[0], math.log(0.75), rtol=1e-5)
    np.testing.assert_allclose(scores.bad[0], math.log(0.25), rtol=1e-5)
    assert (scores.good_tokens.tolist(), scores.bad_tokens.tolist()) == ([1, 2], [1, 2])
    assert (scores.good_bytes.tolist(), scores.bad_bytes.tolist()) == ([5, 7], [4, 5])  # without the space before


def test_a_token_across_the_end_of_the_context_counts_in_both_sentences() -> None:
    # "l'a" is l and 'a, "l'o" is l, ' and o: up to l both have the same tokens
    vocabulary = {token: i for i, token in enumerate(("<s>", "l", "'", "a", "o", "'a"))}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(BPE(vocabulary, [("'", "a")])), bos_token="<s>", eos_token="<s>"
    )
    lm = unigram_lm([0.25, 0.25, 0.125, 0.125, 0.125, 0.125])
    scores = score_pairs(lm, tokenizer, [Pair("l'a", "l'o", "", given=2), Pair("l'o", "l'oo", "", given=2)])
    # 'a: 3 bits, ' and o: 6; o alone would have had 3 as well. Then o: 3 bits, o o: 6
    np.testing.assert_allclose(-scores.good / math.log(2), [3, 3], rtol=1e-5)
    np.testing.assert_allclose(-scores.bad / math.log(2), [6, 6], rtol=1e-5)
    assert (scores.good_tokens.tolist(), scores.bad_tokens.tolist()) == ([1, 1], [2, 2])
    assert (scores.good_bytes.tolist(), scores.bad_bytes.tolist()) == ([1, 1], [1, 2])


# --------------------------------------------------------------------------------------------------------------- ties


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tokens_per_forward", [1, 4096])
def test_identical_logits_score_one_half_whatever_the_lengths_and_batches(
    family: str, tokens_per_forward: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_scores, "TOKENS_PER_FORWARD", tokens_per_forward)
    lm, tokenizer = uniform_lm(family, 320), make_tokenizer()
    scores = score_pairs(lm, tokenizer, many_pairs())
    assert (scores.good_tokens != scores.bad_tokens).any()
    assert (scores.points(Linking("token")) == 0.5).all()
    # the sum of log-probs favours fewer tokens, whatever they are: exactly one half where they are equally many
    same = scores.good_tokens == scores.bad_tokens
    assert same.any()
    assert (scores.points()[same] == 0.5).all()
    assert (scores.points()[~same] == (scores.good_tokens < scores.bad_tokens)[~same]).all()
    for normalization in NORMALIZATIONS:
        expected = scores.points_of_a_uniform_model(Linking(normalization))
        assert (scores.points(Linking(normalization)) == expected).all()


@pytest.mark.parametrize("tokens_per_forward", [1, 30, 4096])
@pytest.mark.parametrize("family", FAMILIES)
def test_rounding_does_not_decide_a_tie(family: str, tokens_per_forward: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # two tokens with the same rows in embeddings and head: which of them stands in a sentence makes no difference,
    # but the sentences are read in different columns and batches
    monkeypatch.setattr(text_scores, "TOKENS_PER_FORWARD", tokens_per_forward)
    lm, tokenizer = sharp_lm(family), make_tokenizer()
    one, other = tokenizer("xz")["input_ids"]
    with torch.no_grad():
        for matrix in (lm.get_input_embeddings().weight, lm.get_output_embeddings().weight):
            matrix[other] = matrix[one]
    lines = [" ".join(line.split()[:7]) for line in italian_lines(30, seed=2)]
    pairs = [Pair(f"x{line}", f"z{line}", "") for line in lines]
    scores = score_pairs(lm, tokenizer, pairs)
    assert (scores.good_tokens == scores.bad_tokens).all()
    assert (scores.good != scores.bad).any()
    assert (scores.points() == 0.5).all()


def test_the_width_of_a_tie_is_five_millionths() -> None:
    def points(good: float, bad: float) -> float:
        one = np.ones(1)
        return float(PairScores(good * one, bad * one, one, one, one, one, 0).points()[0])

    # 5e-6 of 80 nats are 4e-4
    assert [points(-80.0, -80.0 - gap) for gap in (0, 3.9e-4, 4.1e-4)] == [0.5, 0.5, 1.0]
    assert [points(-80.0 - gap, -80.0) for gap in (3.9e-4, 4.1e-4)] == [0.5, 0.0]
    assert points(-math.inf, -math.inf) == 0.5
    assert points(-math.inf, -80.0) == 0.0
    assert points(-80.0, -math.inf) == 1.0


def test_sentences_of_the_same_tokens_tie_exactly_whatever_their_neighbours() -> None:
    lm, tokenizer = sharp_lm("opt"), make_tokenizer()
    pairs = [Pair(line, line, "") for line in italian_lines(6)]
    scores = score_pairs(lm, tokenizer, [*pairs, *many_pairs()])
    assert (scores.good[:6] == scores.bad[:6]).all()
    # other characters, the same token: two words that the tokenizer does not know
    unknown = word_tokenizer("a", "?")
    unknown.backend_tokenizer.model.unk_token = "?"
    lm = unigram_lm([0.25, 0.25, 0.5])
    assert score_pairs(lm, unknown, [Pair("a x", "a y", ""), Pair("a", "z z", "")]).points().tolist() == [0.5, 0.5]


# ---------------------------------------------------------------------------------------- start tokens, batches, limits


def test_a_pair_that_differs_only_in_how_the_start_token_is_handled() -> None:
    # p(a | BOS) = 1/8, p(b | BOS) = 1/2, p(b | a) = 1/2, p(a | b) = 1/4
    lm = bigram_lm(torch.tensor([[0.375, 0.125, 0.5], [0.25, 0.25, 0.5], [0.25, 0.25, 0.5]]))
    pair = [Pair("a b", "b a", "")]
    # after BOS: a b has 1/8 * 1/2 = 1/16, b a has 1/2 * 1/4 = 1/8
    assert score_pairs(lm, word_tokenizer("a", "b"), pair).points().tolist() == [0.0]
    # without a start token the first word is context: 1/2 against 1/4
    assert score_pairs(lm, word_tokenizer("<s>", "a", "b", bos=None), pair).points().tolist() == [1.0]
    # EOS begins a text where there is no BOS
    assert score_pairs(lm, word_tokenizer("a", "b", bos=None, eos="</s>"), pair).points().tolist() == [0.0]


@pytest.mark.parametrize("family", FAMILIES)
def test_it_does_not_matter_who_prepends_the_start_token(family: str) -> None:
    lm = sharp_lm(family)
    ours, theirs = (score_pairs(lm, make_tokenizer(prepends_bos=prepends), many_pairs()) for prepends in (False, True))
    assert (ours.good == theirs.good).all()
    assert (ours.bad == theirs.bad).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_batch_order_and_shared_beginnings_change_nothing(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lm, tokenizer, pairs = sharp_lm(family), make_tokenizer(), many_pairs()
    scores = score_pairs(lm, tokenizer, pairs)
    backwards = score_pairs(lm, tokenizer, pairs[::-1])
    np.testing.assert_allclose(backwards.good[::-1], scores.good, rtol=1e-6)
    alone = [score_pairs(lm, tokenizer, [pair]) for pair in pairs[::5]]
    np.testing.assert_allclose([one.bad[0] for one in alone], scores.bad[::5], rtol=1e-6)
    monkeypatch.setattr(text_scores, "TOKENS_PER_FORWARD", 60)
    np.testing.assert_allclose(score_pairs(lm, tokenizer, pairs).good, scores.good, rtol=1e-6)
    monkeypatch.setattr(text_scores, "reads_trees", lambda *_: False)  # each sentence on its own
    apart = score_pairs(lm, tokenizer, pairs)
    np.testing.assert_allclose(apart.good, scores.good, rtol=1e-6)
    np.testing.assert_allclose(apart.bad, scores.bad, rtol=1e-6)
    assert (apart.points() == scores.points()).all()


def test_sentences_longer_than_the_context_are_counted_and_read_in_windows() -> None:
    # context 4: BOS and three words. a costs 1 bit after BOS and 3 after a
    lm = bigram_lm(torch.tensor([[0.5, 0.5], [0.875, 0.125]]), context=4)
    pairs = [Pair("a a a", "a a a a", ""), Pair("a a a a a", "a", "")]
    scores = score_pairs(lm, word_tokenizer("a"), pairs)
    # a a a: 1 + 3 + 3; a a a a: 7 + 1 in a second window; a a a a a: 7 + 1 + 3; a: 1
    np.testing.assert_allclose(-scores.good / math.log(2), [7, 11], rtol=1e-5)
    np.testing.assert_allclose(-scores.bad / math.log(2), [8, 1], rtol=1e-5)
    assert scores.too_long == 2
    result = MinimalPairs("long", PairSet(pairs, "memory", ""))(Speaker(lm, word_tokenizer("a")))
    assert result.settings["longer_than_context"] == "2 sentences, read in windows"


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    lm = tiny_lm("gpt2")
    with torch.no_grad():
        lm.transformer.h[0].mlp.c_fc.weight[0, 0] = math.nan
    with pytest.raises(ModelError, match=r"not numbers \(NaN\), first for 'il gatto'\. Is it broken\?"):
        score_pairs(lm, make_tokenizer(), [Pair("il gatto", "la gatto", "")])


# ------------------------------------------------------------------------------------------------------------ results


def test_a_result_has_every_paradigm_term_and_field_with_its_interval() -> None:
    lm, tokenizer = agreeing_model()
    result = MinimalPairs("it", PairSet(PAIRS, "pairs.jsonl", "0123"))(Speaker(lm, tokenizer))
    values = {score.name: (score.value, score.items) for score in result.scores}
    assert result.main.name == "pairs/it"
    # points 1, 0, 1/2, 1
    assert values == {
        "pairs/it": (0.625, 4),
        "pairs/it/shortest": (0.5, 4),
        "pairs/it/field:morphology": (0.5, 2),
        "pairs/it/field:syntax": (0.75, 2),
        "pairs/it/term:agreement": (0.5, 3),
        "pairs/it/term:nouns": (1.0, 1),
        "pairs/it/gender": (0.5, 2),
        "pairs/it/even": (0.5, 1),
        "pairs/it/noun": (1.0, 1),
    }
    assert all(score.chance == 0.5 and score.unit == "share" for score in result.scores)
    assert all(
        there(score.interval).holds(score.value) for score in result.scores if not score.name.endswith("shortest")
    )
    assert result.verdict == "not distinguishable from chance"
    assert result.item_scores["pairs/it"] == [1.0, 0.0, 0.5, 1.0]
    # 1/5 * 3/4 and 1/5 * 1/4
    assert result.item_scores["pairs/it/log_prob_good"][0] == pytest.approx(math.log(0.15), rel=1e-5)
    assert result.item_scores["pairs/it/log_prob_bad"][0] == pytest.approx(math.log(0.05), rel=1e-5)


def test_a_result_says_what_it_depends_on() -> None:
    lm, tokenizer = agreeing_model()
    pairs = [*PAIRS, Pair("il gatto", "il gatto", "same")]
    settings = MinimalPairs("it", PairSet(pairs, "pairs.jsonl", "0123"), Linking("byte"))(
        Speaker(lm, tokenizer)
    ).settings
    assert (settings["data"], settings["sha256"], settings["normalization"]) == ("pairs.jsonl", "0123", "byte")
    assert (settings["tied"], settings["identical"], settings["longer_than_context"][:1]) == (1, 1, "0")
    assert settings["ties"] == "half a point; equal within 5e-06 of the score"
    assert settings["start_token"] == "<s>"
    assert settings["dtype"] == "float32; log-softmax in float32, sums in float64"
    assert settings["context"] == 64
    assert settings["tokenizer"] == {
        "class": type(tokenizer).__name__,
        "vocabulary": 5,
        "sha256": tokenizer_sha256(tokenizer),
    }
    no_start = word_tokenizer("<s>", "il", "la", "gatto", "casa", bos=None)
    settings = MinimalPairs("it", PairSet(PAIRS, "pairs.jsonl", "0123"))(Speaker(lm, no_start)).settings
    assert settings["start_token"] == "none: the first token is not scored"


@pytest.mark.parametrize(("good", "bad", "verdict"), [("a", "b", "below chance"), ("b", "a", "above chance")])
def test_a_verdict_needs_the_whole_interval(good: str, bad: str, verdict: str) -> None:
    lm, tokenizer = unigram_lm([0.25, 0.25, 0.5]), word_tokenizer("a", "b")
    result = MinimalPairs("letters", PairSet([Pair(good, bad, "")] * 9, "memory", ""))(Speaker(lm, tokenizer))
    assert result.verdict == verdict


def test_the_tokenizers_hash_sees_its_vocabulary_and_not_how_it_was_used() -> None:
    tokenizer = make_tokenizer()
    before = tokenizer_sha256(tokenizer)
    tokenizer(["il", "il gatto"], padding=True, truncation=True, max_length=4)
    assert tokenizer_sha256(tokenizer) == before == tokenizer_sha256(make_tokenizer())
    assert len({before, tokenizer_sha256(make_tokenizer(vocab_size=300)), tokenizer_sha256(word_tokenizer("a"))}) == 3
