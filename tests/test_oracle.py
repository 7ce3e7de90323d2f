"""The oracle's reward, by hand on a language of three sentences, and on the nursery's Italian."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bambino.feedback.oracle import GrammarReward
from bambino.nursery import Grammar


class ThreeSentences:
    """ab. half of the time, ac. and èd. a quarter each."""

    sentences = {"ab.": 1 / 2, "ac.": 1 / 4, "èd.": 1 / 4}  # noqa: RUF012

    def log_probability(self, text: str) -> float:
        return math.log(self.sentences[text]) if text in self.sentences else -math.inf

    def prefix_log_probability(self, text: str) -> float:
        total = sum(p for sentence, p in self.sentences.items() if sentence.startswith(text))
        return math.log(total) if total else -math.inf


@pytest.fixture
def oracle() -> GrammarReward:
    return GrammarReward(ThreeSentences(), alpha=4.0)


def test_a_sentence_earns_by_its_bits_per_byte(oracle: GrammarReward) -> None:
    # After "a" (3/4), "b." has probability 2/3: log2 1.5 = 0.58496 bits over b, . and the end: 4 (1 - 0.58496 / 24).
    assert oracle.reward("a", "b.", True) == pytest.approx(4 * (1 - math.log2(1.5) / 24))
    # After nothing, "èd." (1/4) has 2 bits over 2 + 1 + 1 bytes and the end: 4 (1 - 2 / 40).
    assert oracle.reward("", "èd.", True) == pytest.approx(3.8)


def test_text_that_breaks_off_a_sentence_earns_in_proportion(oracle: GrammarReward) -> None:
    # "ax.": one byte of three is possible, P(a...) = 3/4 is 0.41504 bits, and it is no end: 4 / 4 * (1 - 0.41504 / 8).
    assert oracle.reward("", "ax.", True) == pytest.approx(1 - math.log2(4 / 3) / 8)
    # The same, cut by the token limit: no end to be judged: 4 * 1/3 * (1 - 0.41504 / 8).
    assert oracle.reward("", "ax.", False) == pytest.approx(4 / 3 * (1 - math.log2(4 / 3) / 8))


def test_ending_too_early_costs_the_byte_of_the_end(oracle: GrammarReward) -> None:
    # "b" after "a": 0.58496 bits on one possible byte; ended, it is one of two.
    assert oracle.reward("a", "b", False) == pytest.approx(4 * (1 - math.log2(1.5) / 8))
    assert oracle.reward("a", "b", True) == pytest.approx(2 * (1 - math.log2(1.5) / 8))


def test_words_after_the_end_earn_nothing(oracle: GrammarReward) -> None:
    assert oracle.reward("a", "b.b.", True) < oracle.reward("a", "b.b", True) < oracle.reward("a", "b.", True)


def test_the_likelier_of_two_sentences_earns_more(oracle: GrammarReward) -> None:
    assert oracle.reward("a", "b.", True) > oracle.reward("a", "c.", True)


def test_silence_nonsense_and_an_impossible_prompt_earn_nothing(oracle: GrammarReward) -> None:
    for prompt, utterance in (("a", ""), ("a", "  "), ("a", "zz"), ("z", "b."), ("ab.", "ab."), ("ab.", "")):
        for has_ended in (True, False):
            assert oracle.reward(prompt, utterance, has_ended) == 0


def test_the_signature_is_trls_and_ends_are_assumed(oracle: GrammarReward) -> None:
    rewards = oracle(prompts=["a", "a"], completions=["b.", "b"], texts=["ab.", "ab"], has_ended=[True, False])
    assert rewards == [oracle.reward("a", "b.", True), oracle.reward("a", "b", False)]
    assert oracle(prompts=["a"], completions=["b."]) == [oracle.reward("a", "b.", True)]


@given(st.text("abcdè. ", max_size=6), st.text("abcdè. ", max_size=6), st.booleans())
def test_rewards_lie_between_0_and_alpha(prompt: str, utterance: str, has_ended: bool) -> None:
    assert 0 <= GrammarReward(ThreeSentences(), alpha=4.0).reward(prompt, utterance, has_ended) <= 4


@given(st.text("abcdè. ", max_size=6), st.sampled_from("abcdè. "))
def test_adding_what_is_impossible_never_pays(utterance: str, more: str) -> None:
    language, oracle = ThreeSentences(), GrammarReward(ThreeSentences())
    if language.prefix_log_probability(utterance + more) == -math.inf:
        assert oracle.reward("", utterance + more, False) <= oracle.reward("", utterance, False)


def test_better_italian_earns_more() -> None:
    oracle = GrammarReward(Grammar.load("it"))
    said = [" dorme.", " dormono.", " sleeps.", "xq"]  # right, wrong number, English, noise
    rewards = [oracle.reward("il gatto", one, True) for one in said]
    assert rewards == sorted(rewards, reverse=True)
    assert len(set(rewards)) == 4
    assert 4.0 < rewards[0] < 5.0


def test_a_sentence_of_the_nursery_earns_by_its_exact_surprisal() -> None:
    # alpha (1 - bits / (8 (bytes + 1))), the surprisal from the sample.
    grammar = Grammar.load("it")
    for sentence in grammar.sample(7, 20):
        bits = sentence.surprisal / math.log(2)
        expected = 5 * (1 - bits / (8 * (len(sentence.text.encode()) + 1)))
        assert GrammarReward(grammar).reward("", sentence.text, True) == pytest.approx(expected)
