"""Minus the parent's log-perplexity: by hand, against what the parent says itself, standardised, in a resumed run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from known_models import bigram_lm, unigram_lm, word_tokenizer

from bambino import BambinoTrainer, Recipe
from bambino.errors import RecipeError
from bambino.feedback.parent_log_perplexity import ParentLogPerplexity, continued, first_bytes, standardised
from bambino.feedback.settings import ParentLogPerplexityConfig
from bambino.speaking.speaker import Speaker

EIGHT = ["uno", "due", "quattro", "otto", "cinque", "sei", "sette"]


def counting_parent(**settings: Any) -> ParentLogPerplexity:
    """A parent of eight tokens (BOS is the first); due, quattro, otto have probability 1/2, 1/4, 1/8."""
    lm = unigram_lm([1 / 64, 1 / 64, 1 / 2, 1 / 4, 1 / 8, 1 / 32, 1 / 32, 1 / 32])
    return ParentLogPerplexity(Speaker(lm, word_tokenizer(*EIGHT)), ParentLogPerplexityConfig(**settings))


def echoing_parent(**settings: Any) -> ParentLogPerplexity:
    """A parent that says a b c with certainty; c begins again, and after d it is sure of nothing but e (1/4 of it)."""
    probs = torch.zeros(6, 6)  # <s> a b c d e
    probs[0, 1] = probs[1, 2] = probs[2, 3] = probs[3, 1] = 1.0
    probs[4, 5], probs[4, 1] = 1 / 4, 3 / 4
    probs[5, 1] = 1.0
    speaker = Speaker(bigram_lm(probs), word_tokenizer("a", "b", "c", "d", "e"))
    return ParentLogPerplexity(speaker, ParentLogPerplexityConfig(**settings))


def test_the_reward_is_minus_the_log_perplexity_in_nats() -> None:
    reward = counting_parent()
    scores = reward(prompts=["due"] * 3, completions=[" due", " quattro", " otto quattro"])
    # per token: (1 + 1) / 2, (1 + 2) / 2 and (1 + 3 + 2) / 3 bits
    assert scores.values == pytest.approx([-math.log(2) * bits for bits in (1.0, 1.5, 2.0)], rel=1e-5)


def test_the_prompt_does_not_count_where_the_utterance_alone_does() -> None:
    scores = counting_parent(scope="utterance")(prompts=["due"], completions=[" quattro"])
    assert scores.values == pytest.approx([-2 * math.log(2)], rel=1e-5)


def test_silence_earns_what_guessing_does_and_nothing_earns_less() -> None:
    reward = counting_parent(scope="utterance")
    seen: dict[str, Any] = {}
    scores = reward(prompts=["due"] * 3, completions=["", " ", " uno"], log_extra=seen.__setitem__)
    # uno has 6 bits; eight tokens are guessed at 3 bits each
    assert scores.values == pytest.approx([-3 * math.log(2)] * 3)
    assert seen["parent_log_perplexity"] == pytest.approx([3 * math.log(2)] * 3)


def test_relative_to_a_parent_that_would_have_said_the_same_an_utterance_earns_zero() -> None:
    reward = echoing_parent(relative=True, scope="utterance")
    seen: dict[str, Any] = {}
    scores = reward(prompts=["a", "d"], completions=[" b c", " e a"], log_extra=seen.__setitem__)
    assert seen["parent_own_log_perplexity"][0] == pytest.approx(0.0, abs=1e-4)
    assert scores.values[0] == pytest.approx(0.0, abs=1e-4)
    # after d the parent says e or a: (ln 4 + 0) / 2, or (ln 4/3 + 0) / 2 nats per token; the baby says e a
    own = seen["parent_own_log_perplexity"][1]
    assert min(abs(own - math.log(4) / 2), abs(own - math.log(4 / 3) / 2)) < 1e-4
    assert scores.values[1] == pytest.approx(own - math.log(4) / 2, abs=1e-4)


def test_a_hard_prompt_costs_nothing_where_the_parent_also_pays_for_it() -> None:
    # scope whole: the prompt "a d" has a cost (d after a is impossible: the floor), the parent pays it too
    scores = echoing_parent(relative=True)(prompts=["a d a"], completions=[" b"])
    assert scores.values == pytest.approx([0.0], abs=1e-4)


def test_the_parent_goes_on_no_longer_than_the_utterance() -> None:
    parent = echoing_parent().parent
    read: list[int] = []
    own = continued(parent, ["a", "b", "c"], [" d e", " d", ""], lambda lm, tokens: read.append(tokens), seed=1, step=2)
    assert own.texts == ["a b c", "b c", "c"]
    assert own.has_ended == [False, False, False]
    assert read == [3 * 2 + 3 * 2]  # three prompts of two tokens, two tokens more each


def test_where_the_parent_is_silent_its_other_continuations_stand_in() -> None:
    # after a the parent says b; after b it ends (token 1)
    probs = torch.zeros(4, 4)  # <s> </s> a b
    probs[0, 2] = probs[1, 2] = probs[2, 3] = probs[3, 1] = 1.0
    speaker = Speaker(bigram_lm(probs), word_tokenizer("a", "b", eos="</s>"))
    reward = ParentLogPerplexity(speaker, ParentLogPerplexityConfig(relative=True, scope="utterance"))
    seen: dict[str, Any] = {}
    scores = reward(prompts=["a", "b"], completions=[" b", " b"], log_extra=seen.__setitem__)
    assert seen["parent_own_log_perplexity"] == pytest.approx([0.0, 0.0], abs=1e-4)
    # b after b is impossible: ln 4, the floor
    assert scores.values == pytest.approx([0.0, -math.log(4)], abs=1e-4)
    alone: dict[str, Any] = {}
    reward(prompts=["b"], completions=[" b"], log_extra=alone.__setitem__)
    assert alone["parent_own_log_perplexity"] == pytest.approx([math.log(4)])


def test_text_is_cut_to_whole_characters() -> None:
    assert [first_bytes("è già", count) for count in (0, 1, 2, 3, 99)] == ["", "", "è", "è ", "è già"]


def test_standardised_by_hand() -> None:
    # mean 2, deviation sqrt((1 + 0 + 1) / 3) = 0.816497
    assert standardised([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == pytest.approx([-1.224745, 0.0, 1.224745])
    assert standardised([1.0, 5.0], [2.0, 2.0]) == [0.0, 0.0]
    assert standardised([1.0], []) == [0.0]


def test_rewards_are_standardised_over_the_last_512_utterances_that_were_not_silent() -> None:
    reward = counting_parent(standardised=True, scope="utterance")
    first = reward(prompts=["due"] * 3, completions=[" due", " otto", ""])
    # -1 and -3 bits: mean -2, deviation 1; silence has -3
    assert first.values == pytest.approx([1.0, -1.0, -1.0], rel=1e-4)
    assert reward.window == pytest.approx([-math.log(2), -3 * math.log(2)], rel=1e-5)
    reward(prompts=["due"] * 600, completions=[" otto"] * 600)
    assert len(reward.window) == 512
    assert reward(prompts=["due"], completions=[""]).values == [0.0]  # the window no longer varies


def test_the_window_survives_json() -> None:
    one, other = counting_parent(standardised=True), counting_parent(standardised=True)
    one(prompts=["due"] * 2, completions=[" due", " otto"])
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    said: dict[str, Any] = {"prompts": ["due"], "completions": [" quattro"]}
    assert one(**said) == other(**said)


def test_without_a_parent_it_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"feedback.parent_log_perplexity needs a parent: --parent.model PATH"):
        ParentLogPerplexityConfig().make(None)


def test_a_run_stopped_and_resumed_ends_in_the_same_bits(make_recipe: Callable[..., Recipe]) -> None:
    kinds = ("--feedback", "{parent_log_perplexity: {relative: true, standardised: true}, random: {}}")
    whole, stopped = (make_recipe(*kinds, output_dir=name) for name in ("whole", "stopped"))
    BambinoTrainer(args=whole).train()

    def stop(row: dict[str, Any]) -> None:
        trainer.stop_requested = row["step"] == 4

    trainer = BambinoTrainer(args=stopped, on_row=stop)
    trainer.train()
    assert trainer.step == 4
    BambinoTrainer(args=stopped).train(resume_from_checkpoint=True)
    one, other = (Path(recipe.output_dir) for recipe in (whole, stopped))
    for name in ("model/model.safetensors", "utterances.jsonl"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    rows = [json.loads(line) for line in (one / "utterances.jsonl").read_text("utf-8").splitlines()]
    assert {"parent_log_perplexity", "parent_own_log_perplexity", "reward"} <= rows[0].keys()
