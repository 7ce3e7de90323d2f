"""Rewards by hand, the parent's perplexity by a plain forward, calibration, and reward functions in a run."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_tokenizer, there, tiny_lm
from hypothesis import given
from hypothesis import strategies as st
from known_models import bigram_lm, unigram_lm, word_tokenizer
from transformers import PreTrainedModel

from bambino import BambinoTrainer, Recipe
from bambino.errors import RewardError
from bambino.feedback.answers import Scores, Spans
from bambino.feedback.parent_perplexity import ParentPerplexity, reversed_sigmoid
from bambino.feedback.rewards import Kind, Moment, Reply, answer_of, is_dead, reward_name
from bambino.feedback.settings import KINDS, ParentPerplexityConfig
from bambino.scoring.perplexity import perplexities, without_cut_word
from bambino.speaking.utterances import Utterances


def plain_perplexity(lm: PreTrainedModel, ids: list[int], counted_from: int = 1) -> float:
    """exp of the mean loss over tokens counted_from, counted_from + 1, ..., by the model's own loss."""
    labels = torch.tensor([ids])
    labels[:, :counted_from] = -100
    with torch.no_grad():
        return math.exp(lm(input_ids=torch.tensor([ids]), labels=labels).loss.item())


def counting_parent(**settings: Any) -> ParentPerplexity:
    """A parent to whom the words due, quattro, otto have perplexity 2, 4 and 8."""
    lm = unigram_lm([0.125, 0.5, 0.25, 0.125])
    return ParentPerplexity(lm, word_tokenizer("due", "quattro", "otto"), ParentPerplexityConfig(**settings))


def hear(reward: Any, *texts: str) -> Sequence[float]:
    scores: Scores = reward(prompts=[""] * len(texts), completions=list(texts))
    return scores.values


def asked(*rewards: Any, said: Utterances, weights: tuple[float, ...] = (1.0, 1.0)) -> Reply:
    """What some rewards make of what was said."""
    kinds = [Kind(reward_name(reward), reward, weight=w) for reward, w in zip(rewards, weights, strict=False)]
    return answer_of(kinds, said, lambda lm, tokens: None, Moment())


# ---------------------------------------------------------------------------------------------------- the formula


@pytest.mark.parametrize(
    ("perplexity", "expected"),
    [
        (150.0, 2.5),  # alpha / 2 at tau
        (20.0, 2.66),  # 5 / (1 + exp(-0.13)) = 5 / 1.8781
        (1000.0, 1.50),  # 5 / (1 + exp(0.85)) = 5 / 3.3396
    ],
)
def test_the_papers_reward_by_hand(perplexity: float, expected: float) -> None:
    assert reversed_sigmoid(perplexity, alpha=5.0, beta=0.001, tau=150.0) == pytest.approx(expected, abs=0.005)


def test_the_reward_is_half_of_alpha_at_tau_exactly() -> None:
    assert reversed_sigmoid(70.0, alpha=3.0, beta=0.5, tau=70.0) == 1.5


@given(st.floats(1, 30_000), st.floats(0.1, 3_000))
def test_the_reward_falls_as_perplexity_rises(perplexity: float, more: float) -> None:
    low, high = (reversed_sigmoid(p, 5.0, 0.001, 150.0) for p in (perplexity, perplexity + more))
    assert 5.0 > low > high > 0.0


@pytest.mark.parametrize("perplexity", [1e6, 1e300, math.inf])
def test_a_huge_perplexity_earns_nothing_and_does_not_overflow(perplexity: float) -> None:
    assert reversed_sigmoid(perplexity, 5.0, 0.001, 150.0) == pytest.approx(0.0, abs=1e-300)


def test_rewards_are_dead_when_they_all_lie_within_a_thousandth_of_alpha() -> None:
    parents = [Kind("parent", counting_parent(alpha=5.0))]
    assert is_dead([1.0, 1.0049], parents)  # 0.0049 < 0.005
    assert not is_dead([1.0, 1.0051], parents)
    assert not is_dead([0.0, 1e-6, 5.0], parents)
    assert not is_dead([2.0], parents)  # alone, it is like no other
    assert is_dead([1.0, 1.0099], [Kind("parent", counting_parent(alpha=5.0), weight=2.0)])


def test_rewards_of_ones_own_are_dead_when_equal() -> None:
    own = Kind("own", lambda prompts, completions, **_: [0.0])
    assert is_dead([0.25, 0.25, 0.25], [own])
    assert not is_dead([0.25, 0.251], [own])
    assert is_dead([0.25, 0.251], [own, Kind("parent", counting_parent())])


# --------------------------------------------------------------------------------------------- the parent's perplexity


def test_the_parents_perplexity_is_a_plain_computation_with_bos_prepended() -> None:
    tokenizer = make_tokenizer(bos="<|end|>", eos="<|end|>", pad=None)
    lm = tiny_lm("gpt2", len(tokenizer), seed=2)
    prompts, completions = ["il gatto", "la città"], [" vede il cane", " è già"]
    reward = ParentPerplexity(lm, tokenizer, ParentPerplexityConfig())
    seen: dict[str, Any] = {}
    counted = []
    rewards = reward(
        prompts=prompts,
        completions=completions,
        log_extra=seen.__setitem__,
        log_metric=seen.__setitem__,
        read=lambda lm, tokens: counted.append((lm, tokens)),
    ).values
    rows = [[tokenizer.bos_token_id, *tokenizer(p + c)["input_ids"]] for p, c in zip(prompts, completions, strict=True)]
    expected = [plain_perplexity(lm, row) for row in rows]
    assert seen["parent_perplexity"] == pytest.approx(expected, rel=1e-5)
    assert seen["tau"] == 150.0
    assert rewards == pytest.approx([5 / (1 + math.exp(0.001 * (p - 150))) for p in expected], rel=1e-5)
    assert counted == [(lm, sum(map(len, rows)))]


def test_the_text_is_scored_as_one_piece_not_as_two() -> None:
    tokenizer = make_tokenizer(bos="<|end|>", eos="<|end|>", pad=None)
    lm = tiny_lm("gpt2", len(tokenizer), seed=2)
    prompt, completion = "perch", "é"
    together = tokenizer(prompt + completion)["input_ids"]
    assert together != tokenizer(prompt)["input_ids"] + tokenizer(completion)["input_ids"]
    reward = ParentPerplexity(lm, tokenizer, ParentPerplexityConfig())
    for texts in (None, ["perché"]):
        seen: dict[str, Any] = {}
        reward(prompts=[prompt], completions=[completion], texts=texts, log_extra=seen.__setitem__)
        expected = plain_perplexity(lm, [tokenizer.bos_token_id, *together])
        assert seen["parent_perplexity"] == pytest.approx([expected], rel=1e-5)


def test_scope_whole_counts_the_prompt_and_scope_utterance_does_not() -> None:
    # p(il | BOS) = 1/2, p(gatto | il) = 1/8, p(mangia | gatto) = 1/4, p(oggi | mangia) = 1/4
    probs = torch.zeros(5, 5)
    probs[0, 1], probs[1, 2], probs[2, 3], probs[3, 4] = 1 / 2, 1 / 8, 1 / 4, 1 / 4
    probs[:, 0] = 1 - probs.sum(1)
    lm, tokenizer = bigram_lm(probs), word_tokenizer("il", "gatto", "mangia", "oggi")
    said = (["il gatto"], ["il gatto mangia oggi"], [True])
    whole, utterance = (perplexities(lm, tokenizer, *said, scope=scope).values for scope in ("whole", "utterance"))
    assert whole == pytest.approx([2 ** (8 / 4)], rel=1e-5)  # 1 + 3 + 2 + 2 bits over 4 tokens
    assert utterance == pytest.approx([4.0], rel=1e-5)


def test_a_parent_token_across_the_border_of_prompt_and_utterance_belongs_to_the_utterance() -> None:
    # the word gatto is begun by the prompt and finished by the utterance: p(gatto | il) = 1/8
    probs = torch.tensor([[0.5, 0.5, 0.0], [0.875, 0.0, 0.125], [1.0, 0.0, 0.0]])
    said = (["il ga"], ["il gatto"], [True])
    found = perplexities(bigram_lm(probs), word_tokenizer("il", "gatto"), *said, scope="utterance")
    assert found.values == pytest.approx([8.0], rel=1e-5)


def test_until_last_word_leaves_a_cut_word_out() -> None:
    due_due, cut = "due due", "due due otto"
    parent = counting_parent()

    def found(text: str, has_ended: bool, until: Any) -> float:
        return perplexities(parent.parent, parent.tokenizer, ["due"], [text], [has_ended], until=until).values[0]

    assert found(cut, False, "cut") == pytest.approx(2 ** (5 / 3), rel=1e-5)
    assert found(cut, False, "last_word") == pytest.approx(2.0, rel=1e-5)
    assert found(cut, True, "last_word") == pytest.approx(2 ** (5 / 3), rel=1e-5)
    assert found(due_due, False, "last_word") == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("il", "il gatto ma", "il gatto"),
        ("il", "il gatto\nma", "il gatto"),
        ("il ga", "il gatto ne", "il gatto"),
        ("il", "il ga", "il ga"),  # nothing of the utterance would be left
        ("il gatto", "il gatto", "il gatto"),
        ("il ", "il    ", "il    "),
        ("il", "il gatto ", "il gatto"),
        ("我", "我们去", "我们去"),  # no spaces
        ("", "gatto ma", "gatto"),
        ("", "ga", "ga"),
        ("", "", ""),
    ],
)
def test_the_text_without_its_cut_word(prompt: str, text: str, expected: str) -> None:
    assert without_cut_word(prompt, text) == expected


def test_an_empty_utterance_earns_nothing_when_the_utterance_is_judged() -> None:
    reward = counting_parent(scope="utterance", tau=4.0)
    seen: dict[str, Any] = {}
    rewards = reward(prompts=["due", "due"], completions=["", " quattro"], log_extra=seen.__setitem__).values
    assert seen["parent_perplexity"] == [math.inf, pytest.approx(4.0)]
    assert rewards == [0.0, pytest.approx(2.5)]


def test_silence_earns_nothing_however_good_its_prompt() -> None:
    reward = counting_parent(scope="whole", tau=2.0)
    assert reward(prompts=["due", "due"], completions=["", "  "]) == Scores([0.0, 0.0])


def test_an_empty_text_earns_nothing() -> None:
    assert counting_parent()(prompts=[""], completions=[""], texts=[""], has_ended=[True]) == Scores([0.0])


# ---------------------------------------------------------------------------------------------------------- calibration


def test_tau_is_the_median_of_the_log_perplexities_of_what_was_said_this_batch_included() -> None:
    reward = counting_parent(tau=None, beta=1.0)
    assert reward.tau is None
    rewards = hear(reward, "due", "quattro", "otto")
    assert reward.tau == pytest.approx(4.0, rel=1e-5)
    # 5 / (1 + e^(2 - 4)), 5 / 2, 5 / (1 + e^(8 - 4))
    assert rewards == pytest.approx([4.40399, 2.5, 0.0899310], rel=1e-4)
    hear(reward, "otto")  # 2, 4, 8, 8: half way between ln 4 and ln 8
    assert reward.tau == pytest.approx(math.sqrt(4 * 8), rel=1e-5)


def test_beta_can_follow_tau() -> None:
    rewards = hear(counting_parent(tau=None, beta_times_tau=3.0), "due", "quattro", "otto")
    # beta = 3 / 4
    assert rewards[2] == pytest.approx(5 / (1 + math.exp(3)), rel=1e-4)


def test_tau_moves_with_a_window_of_the_last_utterances() -> None:
    reward = counting_parent(tau=None)
    hear(reward, *["due"] * 512)
    assert reward.tau == pytest.approx(2.0, rel=1e-5)
    hear(reward, *["otto"] * 257)
    assert reward.tau == pytest.approx(8.0, rel=1e-5)
    assert len(reward.log_perplexities) == 512


def test_utterances_that_cannot_be_scored_do_not_move_tau() -> None:
    reward = counting_parent(tau=None)
    assert hear(reward, "quattro", "")[1] == 0.0
    assert reward.tau == pytest.approx(4.0, rel=1e-5)
    hear(reward, "", "", "")
    assert reward.tau == pytest.approx(4.0, rel=1e-5)


def test_tau_is_not_calibrated_on_silence_which_earns_nothing() -> None:
    reward = counting_parent(tau=None)
    assert reward(prompts=["due"], completions=[""]) == Scores([0.0])
    assert reward.tau is None
    reward(prompts=["due"], completions=[" quattro"])
    assert reward.tau == pytest.approx(math.sqrt(2 * 4), rel=1e-5)  # over both words


def test_a_given_tau_is_never_calibrated() -> None:
    reward = counting_parent(tau=150.0)
    hear(reward, "due", "otto")
    assert (reward.tau, reward.log_perplexities) == (150.0, [])


def test_the_state_survives_json() -> None:
    first, second = counting_parent(tau=None), counting_parent(tau=None)
    hear(first, "due", "otto", "otto")
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for texts in (["quattro", "due"], ["otto", "otto"], ["due"]):
        assert hear(second, *texts) == hear(first, *texts)
        assert second.state_dict() == first.state_dict()


# ------------------------------------------------------------------------------------------------------------ in a run


def utterance_rows(recipe: Recipe, kind: str = "ppo") -> list[dict[str, Any]]:
    lines = (Path(recipe.output_dir) / "utterances.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def metric_rows(recipe: Recipe) -> list[dict[str, Any]]:
    lines = (Path(recipe.output_dir) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row.get("phase") == "ppo"]


def length(prompts: list[str], completions: list[str], **kwargs: Any) -> list[float]:
    """A reward as written for TRL."""
    return [float(len(completion)) for completion in completions]


def test_a_trl_reward_function_works_as_it_is(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe()
    BambinoTrainer(args=recipe, reward_funcs=length).train()
    rows = utterance_rows(recipe)
    assert len(rows) == 8
    assert [row["reward"] for row in rows] == [float(len(row["utterance"])) for row in rows]
    means = [sum(row["reward"] for row in rows[i : i + 4]) / 4 for i in (0, 4)]
    assert [row["ppo/reward"] for row in metric_rows(recipe)] == pytest.approx(means)


def test_several_reward_functions_are_summed_and_may_log(make_recipe: Callable[..., Recipe]) -> None:
    def vowels(
        *,
        completions: list[str],
        texts: list[str],
        prompts: list[str],
        has_ended: list[bool],
        log_extra: Any,
        log_metric: Any,
        **kwargs: Any,
    ) -> list[float]:
        assert [p + c for p, c in zip(prompts, completions, strict=True)] == texts
        assert len(has_ended) == len(texts)
        counts = [sum(character in "aeiou" for character in c) for c in completions]
        log_extra("vowels", counts)
        log_metric("most_vowels", max(counts))
        return [100.0 * count for count in counts]

    recipe = make_recipe()
    rewards: Any = [length, vowels]
    BambinoTrainer(args=recipe, reward_funcs=rewards).train()
    rows = utterance_rows(recipe)
    assert [row["reward"] for row in rows] == [len(row["utterance"]) + 100 * row["vowels"] for row in rows]
    most = [max(row["vowels"] for row in rows[i : i + 4]) for i in (0, 4)]
    assert [row["ppo/most_vowels"] for row in metric_rows(recipe)] == most


def uttered(*completions: str) -> Utterances:
    return Utterances(["Il "] * len(completions), list(completions), ["Il " + c for c in completions], [True] * 2)


def test_a_reward_that_gives_none_adds_nothing_for_that_utterance() -> None:
    def sometimes(prompts: list[str], completions: list[str], **_: Any) -> list[float | None]:
        return [None, 2.0]

    def always(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        return [1.0, 1.0]

    said = uttered("a", "b")
    assert asked(sometimes, always, said=said).rewards == [1.0, 3.0]
    assert asked(sometimes, said=said).rewards == [0.0, 2.0]
    assert asked(sometimes, always, said=said, weights=(2.0, 0.5)).rewards == [0.5, 4.5]


@pytest.mark.parametrize(
    "kind",
    [np.float32, np.float64, int, torch.tensor, lambda x: torch.tensor([x])],
    ids=["np32", "np64", "int", "0d", "1d"],
)
def test_numbers_of_any_kind_become_floats(kind: Callable[[int], Any]) -> None:
    scores = asked(lambda **_: [kind(1), kind(2)], said=uttered("a", "b")).rewards
    assert scores == [1.0, 2.0]
    assert [type(score) for score in scores] == [float, float]


def test_a_run_logs_what_rewards_give_as_arrays_and_tensors(make_recipe: Callable[..., Recipe]) -> None:
    def length(prompts: list[str], completions: list[str], log_extra: Any, log_metric: Any, **_: Any) -> Any:
        lengths = np.array([len(c) for c in completions], dtype=np.float32)
        log_extra("length", lengths)
        log_extra("half", torch.from_numpy(lengths) / 2)
        log_extra("nothing", [np.float32("nan")] * len(completions))
        log_metric("mean_length", lengths.mean())
        return torch.from_numpy(lengths)

    recipe = make_recipe()
    reward: Any = length
    BambinoTrainer(args=recipe, reward_funcs=reward).train()
    for row in utterance_rows(recipe):
        assert row["reward"] == row["length"] == 2 * row["half"] == len(row["utterance"])
        assert row["nothing"] is None
    assert metric_rows(recipe)[0]["ppo/mean_length"] == metric_rows(recipe)[0]["ppo/reward"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ([1.0], "The reward strange gave 1 scores for 2 utterances. Give one each."),
        ([1.0, "much"], "The reward strange gave something else than numbers: could not convert string to float"),
        (3.0, "The reward strange gave something else than numbers: 'float' object is not iterable"),
    ],
)
def test_a_reward_that_does_not_give_a_number_each_is_named(answer: Any, problem: str) -> None:
    def strange(prompts: list[str], completions: list[str], **_: Any) -> Any:
        return answer

    with pytest.raises(RewardError) as caught:
        asked(strange, said=uttered("a", "b"))
    assert str(caught.value).startswith(problem)


def test_spans_are_added_up_and_counted_like_scores() -> None:
    def dense(completions: list[str], **_: Any) -> Spans:
        return Spans([[(0, 1, 0.5), (1, 2, -2.0)], []])

    assert asked(dense, said=uttered("ab", "c"), weights=(2.0,)).rewards == [-3.0, 0.0]

    def too_few(completions: list[str], **_: Any) -> Spans:
        return Spans([[]])

    with pytest.raises(RewardError, match="The reward too_few gave spans of 1 utterances for 2"):
        asked(too_few, said=uttered("a", "b"))


def test_several_kinds_say_what_each_gave() -> None:
    def one(**_: Any) -> list[float]:
        return [1.0, 3.0]

    def other(**_: Any) -> list[float]:
        return [0.0, -1.0]

    metrics = asked(one, other, said=uttered("a", "b"), weights=(1.0, 5.0)).metrics
    assert metrics == {"feedback/one": 2.0, "feedback/other": -0.5}  # before they are weighted
    assert asked(one, said=uttered("a", "b")).metrics == {}


def test_what_the_token_limit_ended_costs_its_weight() -> None:
    said = Utterances(["p", "p"], ["a", "b"], ["pa", "pb"], [True, False])
    assert asked(KINDS["missing_eos"]().make(None), said=said, weights=(0.5,)).rewards == [0.0, -0.5]


@pytest.mark.parametrize(
    ("said", "expected"),
    [("il gatto il cane", -0.5), ("il il il", -1.0), ("il gatto", -0.5), ("il", 0.0), ("", 0.0)],
)
def test_repetition_is_the_share_of_the_commonest_word(said: str, expected: float) -> None:
    assert KINDS["repetition"]().make(None)(completions=[said]) == [expected]


def test_a_column_without_a_value_each_is_named() -> None:
    def strange(prompts: list[str], completions: list[str], log_extra: Any, **_: Any) -> Any:
        log_extra("vowels", [1])
        return [0.0, 0.0]

    with pytest.raises(RewardError, match=r"log_extra\('vowels', \.\.\.\) got 1 values for 2 utterances"):
        asked(strange, said=uttered("a", "b"))


def test_what_is_rewarded_changes_what_is_learned(make_recipe: Callable[..., Recipe]) -> None:
    weights = []
    for i, sign in enumerate((1.0, -1.0)):
        trainer = BambinoTrainer(
            args=make_recipe(output_dir=f"run{i}"),
            reward_funcs=lambda prompts, completions, sign=sign, **_: [sign * len(c) for c in completions],
        )
        trainer.train()
        weights.append(trainer.baby.lm.get_input_embeddings().weight.detach().clone())
    assert not torch.equal(*weights)


def test_the_weights_of_parent_and_initial_reference_never_move(make_recipe: Callable[..., Recipe]) -> None:
    trainer = BambinoTrainer(args=make_recipe())
    parent = {name: p.clone() for name, p in there(trainer.parent).state_dict().items()}
    first_baby = {name: p.clone() for name, p in trainer.baby.lm.state_dict().items()}
    trainer.train()
    assert all(torch.equal(p, parent[name]) for name, p in there(trainer.parent).state_dict().items())
    ppo: Any = trainer.phases["ppo"]
    assert ppo.reference.lm is not None
    assert all(torch.equal(p, first_baby[name]) for name, p in ppo.reference.lm.state_dict().items())
    assert all(not torch.equal(p, first_baby[name]) for name, p in trainer.baby.lm.named_parameters())
    frozen = [*there(trainer.parent).parameters(), *ppo.reference.lm.parameters()]
    assert not any(p.requires_grad or p.grad is not None for p in frozen)
