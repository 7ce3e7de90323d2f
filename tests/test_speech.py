"""What was said, as words, by hand; the baby beside human and parent, with models whose every word is known."""

import math

import numpy as np
import pytest
import torch
from conftest import italian_lines, make_tokenizer, there, tiny_lm
from hypothesis import given
from hypothesis import strategies as st
from known_models import bigram_lm, unigram_lm, word_tokenizer

from bambino.analysis.statistics import jackknife, ratio_of_sums
from bambino.errors import TextError
from bambino.evaluation.speech.continuations import SpeechSettings, parent_says
from bambino.evaluation.speech.generation import Said, overlap, variety
from bambino.evaluation.speech.speech import Speech
from bambino.measures import TaskResult
from bambino.speaking.speaker import Speaker
from bambino.text.language_id import LanguageIdentifier
from bambino.text.spelling import words_of


def value(result: TaskResult, name: str) -> float:
    return next(score.value for score in result.scores if score.name == name)


# ------------------------------------------------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L'uomo non c'è.", ["l'", "uomo", "non", "c'", "è"]),
        ("dell’ALBERO 'ciao' un po'", ["dell'", "albero", "ciao", "un", "po"]),  # noqa: RUF001
        ("don't, 3 x2 --", ["don'", "t", "x"]),
        ("", []),
    ],
)
def test_the_words_of_a_text_by_hand(text: str, expected: list[str]) -> None:
    assert words_of(text) == expected


@pytest.mark.parametrize(
    ("prompt", "text", "has_ended", "expected"),
    [
        ("il ga", "il gatto ved", True, ["gatto", "ved"]),
        ("il ga", "il gatto ved", False, ["gatto"]),  # ved may have been cut
        ("il ga", "il gatto vede ", False, ["gatto", "vede"]),  # a space ends vede
        ("il ga", "il gatto dell'", False, ["gatto"]),
        ("il gatto", "il gatto", False, []),
        ("il gatto", "il gatto.", True, []),  # the prompt ended the word
        ("il gat", "il gatto", False, []),
        ("", "", True, []),
    ],
)
def test_the_words_said_are_those_that_end_after_the_prompt(
    prompt: str, text: str, has_ended: bool, expected: list[str]
) -> None:
    assert Said(prompt, text, has_ended).words == expected


def test_overlap_by_hand() -> None:
    # a b a and a c share one a: 2 * 1 / (3 + 2); ab ba and ac share no bigram
    assert overlap(["a", "b", "a"], ["a", "c"], 1) == pytest.approx(2 / 5)
    assert overlap(["a", "b", "a"], ["a", "c"], 2) == 0
    # ab bc and bc ca share bc: 2 * 1 / (2 + 2)
    assert overlap(["a", "b", "c"], ["b", "c", "a"], 2) == pytest.approx(1 / 2)
    assert overlap(["a"], ["a"], 2) == 0
    assert overlap([], [], 1) == 0


word_lists = st.lists(st.sampled_from("abc"), max_size=6)


@given(word_lists, word_lists, st.integers(1, 3))
def test_overlap_is_symmetric_bounded_and_1_with_itself(one: list[str], other: list[str], n: int) -> None:
    assert overlap(one, other, n) == overlap(other, one, n)
    assert 0 <= overlap(one, other, n) <= 1
    assert overlap(one, one, n) == (1 if len(one) >= n else 0)


def test_variety_by_hand() -> None:
    said = [Said("il", "il gatto il gatto", True), Said("", "cane", False)]
    scores = {score.name: score for score in variety(said, "baby")}
    # completions: gatto il gatto; cane. distinct-1 3/4, distinct-2 2/2; gatto is said twice: 1 word; 3 and 1 words
    assert scores["speech/distinct_1/baby"].value == pytest.approx(3 / 4)
    assert scores["speech/distinct_2/baby"].value == pytest.approx(1)
    assert scores["speech/longest_repeat/baby"].value == pytest.approx(1 / 2)
    assert scores["speech/words/baby"].value == pytest.approx(2)
    assert scores["speech/ended/baby"].value == pytest.approx(1 / 2)
    assert all(score.items == 2 and there(score.interval).holds(score.value) for score in scores.values())
    assert all(there(score.interval).high <= 1 for score in scores.values() if score.unit == "share")


# ------------------------------------------------------------------------------------------------------- statistics


def test_a_ratio_of_sums_weighs_items_by_their_size() -> None:
    ratio, interval = ratio_of_sums([1, 9], [10, 10])
    assert ratio == pytest.approx(10 / 20)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.1, 0.9))
    ratio, interval = ratio_of_sums([1, 2, 0], [2, 4, 0])
    assert interval is not None
    assert (ratio, interval.low, interval.high) == (0.5, 0.5, 0.5)
    assert math.isnan(ratio_of_sums([0, 0], [0, 0])[0])
    assert ratio_of_sums([0, 0], [0, 0])[1] is None
    with pytest.raises(ValueError, match="zip"):
        ratio_of_sums([1], [1, 2])


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    numbers = [1, 2, 3, 4]  # variance 5/3, standard error sqrt(5/12), times 1.96
    interval = there(jackknife(lambda kept: sum(numbers[i] for i in kept) / len(kept), 4))
    assert interval.low == pytest.approx(2.5 - 1.959964 * math.sqrt(5 / 12), rel=1e-6)
    assert interval.high == pytest.approx(2.5 + 1.959964 * math.sqrt(5 / 12), rel=1e-6)
    assert jackknife(len, 1) is None


# ------------------------------------------------------------------------------------------------------------ speech

TOKENIZER = word_tokenizer("aa", "bb", "cc")
LINES = ["bb cc " * 4, "cc bb " * 5, "bb bb cc cc bb cc bb", "cc cc cc cc cc cc cc"]
SMALL = SpeechSettings(prompt_tokens=3, utterance_tokens=4, batch_size=3)


def always(token: int) -> Speaker:
    """A speaker that says one word for ever: ids are <s>, aa, bb, cc."""
    probs = torch.zeros(4, 4)
    probs[:, token] = 1
    return Speaker(bigram_lm(probs), TOKENIZER)


def parent_that_likes_aa() -> Speaker:
    return Speaker(unigram_lm([0.0, 0.5, 0.25, 0.25]), TOKENIZER)


def test_a_baby_that_says_what_the_parent_likes_exploits_it_by_hand() -> None:
    # each aa costs ln 2, each bb or cc ln 4: geometric means 2 against 4
    result = Speech(LINES, parent=parent_that_likes_aa(), settings=SMALL).spoken(always(1)).result
    main = result.scores[0]
    assert main.name == "speech/perplexity_ratio/baby"
    assert main.value == pytest.approx(1 / 2)
    assert (there(main.interval).low, there(main.interval).high) == pytest.approx((1 / 2, 1 / 2))
    assert result.verdict.startswith("exploitation")
    assert value(result, "speech/log_perplexity/baby") == pytest.approx(math.log(2))
    assert value(result, "speech/log_perplexity/human") == pytest.approx(math.log(4))
    # with its prompt of two words (the first token is BOS) and, the last word being cut off, three of its own:
    # (2 ln 4 + 3 ln 2) / 5 against ln 4
    assert value(result, "speech/perplexity_ratio_with_prompt/baby") == pytest.approx(2 ** (-3 / 5))
    assert result.item_scores["speech/log_perplexity_gap/baby"] == pytest.approx([-math.log(2)] * 4)


def test_a_baby_that_speaks_as_likely_as_humans_and_one_that_does_not() -> None:
    same = Speech(LINES, parent=parent_that_likes_aa(), settings=SMALL).spoken(always(2)).result
    assert same.scores[0].value == pytest.approx(1)
    assert "about as likely" in same.verdict
    parent = Speaker(unigram_lm([0.0, 0.25, 0.25, 0.5]), TOKENIZER)
    worse = Speech(["cc " * 8] * 3, parent=parent, settings=SMALL).spoken(always(2)).result
    assert worse.scores[0].value == pytest.approx(2)
    assert "less likely" in worse.verdict
    # bb has 0.3; humans say aa (0.5) twice and cc (0.2) three times: the ratio is below 1, but its interval is not
    parent = Speaker(unigram_lm([0.0, 0.5, 0.3, 0.2]), TOKENIZER)
    unclear = Speech(["aa " * 8] * 2 + ["cc " * 8] * 3, parent=parent, settings=SMALL).spoken(always(2)).result
    assert unclear.scores[0].value == pytest.approx((0.5 / 0.3) ** (2 / 5) * (0.2 / 0.3) ** (3 / 5))
    assert unclear.scores[0].value < 1 < there(unclear.scores[0].interval).high
    assert "about as likely" in unclear.verdict


def test_overlap_with_the_parent_beside_that_of_humans_and_of_the_parent_itself() -> None:
    result = Speech(LINES, parent=always(1), settings=SMALL).spoken(always(1)).result
    assert [value(result, f"speech/overlap_1/{name}") for name in ("baby", "human", "parent")] == [1, 0, 1]
    assert [value(result, f"speech/overlap_2/{name}") for name in ("baby", "human", "parent")] == [1, 0, 1]


def test_a_baby_that_is_silent() -> None:
    tokenizer = word_tokenizer("aa", "bb", "cc", eos="</s>")
    probs = torch.zeros(5, 5)
    probs[:, 1] = 1  # </s> after everything
    parent = Speaker(unigram_lm([0.1, 0.1, 0.3, 0.25, 0.25]), tokenizer)
    heard = Speech(LINES, parent=parent, settings=SMALL).spoken(Speaker(bigram_lm(probs), tokenizer))
    assert value(heard.result, "speech/silent/baby") == 1
    assert value(heard.result, "speech/ended/baby") == 1
    assert math.isnan(heard.result.scores[0].value)
    assert heard.result.verdict.startswith("silent")
    assert [one.baby for one in heard.examples] == [""] * 4
    assert all(math.isnan(gap) for gap in heard.result.item_scores["speech/log_perplexity_gap/baby"])


def test_human_continuations_are_cut_where_the_baby_is() -> None:
    examples = Speech(LINES, settings=SMALL).spoken(always(1)).examples
    assert [one.prompt for one in examples] == ["bb cc", "cc bb", "bb bb", "cc cc"]
    assert [one.human for one in examples] == [" bb cc bb cc", " cc bb cc bb", " cc cc bb cc", " cc cc cc cc"]
    assert [one.baby for one in examples] == [" aa aa aa aa"] * 4
    assert [one.has_ended for one in examples] == [False] * 4
    assert [one.parent for one in examples] == [""] * 4
    said = Speech(LINES, parent=parent_that_likes_aa(), settings=SMALL).spoken(always(1)).said
    assert list(said) == ["baby", "human", "parent"]
    assert all([one.prompt for one in those] == [one.prompt for one in examples] for those in said.values())


def test_the_parent_is_cut_to_the_babys_tokens() -> None:
    baby = Speaker(tiny_lm("gpt2", 259), make_tokenizer(vocab_size=259))  # a token per byte
    settings = SpeechSettings(prompt_tokens=6, utterance_tokens=5)
    one, other = parent_says(baby, always(2), [Said("bb cc", "bb cc", True), Said("cc", "cc", True)], settings)
    assert one == [Said("bb cc", "bb cc bb b", False), Said("cc", "cc bb b", False)]
    assert other == one
    within = parent_says(always(1), always(2), [Said("cc", "cc", True)], settings)[0]  # five tokens are five words
    assert within == [Said("cc", "cc bb bb bb bb bb", False)]


def test_without_parent_or_corpora_their_scores_are_left_out() -> None:
    names = {score.name for score in Speech(LINES, settings=SMALL).spoken(always(1)).result.scores}
    assert not any("perplexity" in name or "overlap" in name or "l1_words" in name for name in names)
    assert {"speech/distinct_1/baby", "speech/words/human"} <= names


def test_the_words_of_baby_and_human_are_judged() -> None:
    languages = LanguageIdentifier.train(["aa aa"], ["bb cc bb cc"])
    heard = Speech(LINES, languages=languages, settings=SMALL).spoken(always(1))
    assert value(heard.result, "speech/l1_words/baby") == 1
    assert value(heard.result, "speech/attested/baby") == 0
    assert value(heard.result, "speech/l1_only/baby") == 1
    assert value(heard.result, "speech/attested/human") == 1
    assert heard.examples[0].words == [("aa", "L1")] * 3
    assert heard.novel == []


def test_the_same_speech_every_time_whatever_the_batches_and_nothing_else_touched() -> None:
    tokenizer = make_tokenizer()
    baby, parent = Speaker(tiny_lm("opt"), tokenizer), Speaker(tiny_lm("gpt2", seed=1), tokenizer)
    lines = italian_lines(12, seed=3)
    before = torch.get_rng_state(), repr(np.random.get_state())  # Python's own is beartype's here, and nobody else's
    baby.lm.eval()
    parent.lm.train()
    small = SpeechSettings(prompts=7, prompt_tokens=4, utterance_tokens=5, batch_size=2)
    large = SpeechSettings(prompts=7, prompt_tokens=4, utterance_tokens=5, batch_size=7)
    first, second = (Speech(lines, parent=parent, settings=s).spoken(baby) for s in (small, large))
    assert first.examples == second.examples
    assert first.result.scores == second.result.scores
    assert len(first.examples) == 7
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]
    assert not any(module.training for module in baby.lm.modules())
    assert all(module.training for module in parent.lm.modules())
    other = Speech(lines, settings=SpeechSettings(prompts=7, prompt_tokens=4, utterance_tokens=5, seed=1)).spoken(baby)
    assert [one.baby for one in other.examples] != [one.baby for one in first.examples]
    assert [one.human for one in other.examples] == [one.human for one in first.examples]


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(TextError, match="None of 2 held-out lines is longer than a prompt of 3 tokens"):
        Speech(["bb", "cc"], settings=SMALL).spoken(always(1))
    with pytest.raises(ValueError, match="= 70 is more than the baby's context of 64"):
        Speech(LINES, settings=SpeechSettings(prompt_tokens=30, utterance_tokens=40)).spoken(always(1))
    with pytest.raises(ValueError, match="parent_samples = 1"):
        SpeechSettings(parent_samples=1)
    with pytest.raises(ValueError, match="utterance_tokens = 0"):
        SpeechSettings(utterance_tokens=0)
