"""The sampler against independent full forwards, inverse CDF and truncation by hand, and rollouts as text."""

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch
from conftest import FAMILIES, make_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from known_models import bigram_lm, sharp_lm, unigram_lm
from torch import Tensor
from transformers import PreTrainedModel
from transformers.convert_slow_tokenizer import bytes_to_unicode

from bambino.models.baby import Baby
from bambino.randomness import uniforms
from bambino.recipe.phase_settings import RolloutConfig
from bambino.speaking.rollout import Rollout, inverse_cdf, log_policy, sample, truncated_support
from bambino.speaking.utterances import to_text, without_cut_character
from bambino.text.batches import TokenBatch, pad

PROMPTS = [[1, 20, 30, 40, 50, 60, 70, 80], [1, 7, 9], [1, 300, 2, 2, 5], [1]]
PADDINGS = {
    "left": ("left", 0, 0),
    "right": ("right", 0, 0),
    "extra left": ("left", 4, 0),
    "extra both": ("right", 3, 2),
}
TOLERANCE = 1e-5
"""fp32, in nats: two orders of summation over a few hundred terms; a wrong position costs 0.1 and more."""


def baby_of(lm: PreTrainedModel, seed: int = 5) -> Baby:
    """A baby with a value head that is not zero."""
    baby = Baby(lm)
    torch.manual_seed(seed)
    torch.nn.init.normal_(baby.value_head.weight, std=0.2)
    torch.nn.init.normal_(baby.value_head.bias, std=0.2)
    return baby


def padded(rows: list[list[int]], side: Any, left: int, right: int) -> TokenBatch:
    batch = pad(rows, 0, side)
    return TokenBatch(
        torch.nn.functional.pad(batch.input_ids, (left, right), value=3),
        torch.nn.functional.pad(batch.is_real, (left, right), value=False),
    )


def numbers(rows: int, width: int, step: int = 0) -> Tensor:
    return uniforms(rows, width, seed=11, stream="test", step=step)


def sampled(baby: Baby, prompts: TokenBatch, uniform: Tensor, config: RolloutConfig, eos: int | None) -> Rollout:
    return sample(baby.lm, prompts, uniform, config, eos, values_of=baby.values)


def utterance(rollout: Rollout, row: int) -> list[int]:
    return rollout.utterance_ids[row][rollout.is_real[row]].tolist()


@torch.no_grad()
def plain_forward(baby: Baby, prompt: list[int], said: list[int], temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Log-probs and values of an utterance by the model's own forward over the row without pads."""
    lm = copy.deepcopy(baby.lm).eval()
    output = lm(input_ids=torch.tensor([prompt + said]), output_hidden_states=True)
    before = slice(len(prompt) - 1, len(prompt) + len(said) - 1)
    log_probs = (output.logits[0, before].float() / temperature).log_softmax(-1)
    return log_probs[torch.arange(len(said)), said], baby.value_head(output.hidden_states[-1][0, before])[:, 0]


# --------------------------------------------------------------------------------------------------- the sampler's law


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_samplers_log_probs_and_values_are_those_of_a_plain_full_forward(family: str, padding: str) -> None:
    baby = baby_of(sharp_lm(family, dropout=0.4)).train()
    config = RolloutConfig(temperature=0.8)
    rollout = sampled(baby, padded(PROMPTS, *PADDINGS[padding]), numbers(4, 6), config, eos=None)
    assert baby.training
    assert all(module.training for module in baby.modules())
    assert rollout.is_real.all()
    for i, prompt in enumerate(PROMPTS):
        log_probs, values = plain_forward(baby, prompt, utterance(rollout, i), temperature=0.8)
        torch.testing.assert_close(rollout.log_probs[i], log_probs, rtol=0, atol=TOLERANCE)
        torch.testing.assert_close(rollout.values[i], values, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_law_holds_up_to_the_eos_of_each_row(family: str) -> None:
    baby = baby_of(sharp_lm(family))
    first = sampled(baby, pad(PROMPTS, 0, "left"), numbers(4, 8), RolloutConfig(), eos=None)
    eos = utterance(first, 1)[3]  # a token that some row is known to say
    rollout = sampled(baby, pad(PROMPTS, 0, "left"), numbers(4, 8), RolloutConfig(), eos=eos)
    assert rollout.is_real.sum(1).unique().numel() > 1
    for i, prompt in enumerate(PROMPTS):
        said = utterance(rollout, i)
        assert said == utterance(first, i)[: len(said)]
        log_probs, values = plain_forward(baby, prompt, said)
        torch.testing.assert_close(rollout.log_probs[i, : len(said)], log_probs, rtol=0, atol=TOLERANCE)
        torch.testing.assert_close(rollout.values[i, : len(said)], values, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("padding", ["left", "extra both"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_law_holds_under_bf16_autocast(family: str, padding: str) -> None:
    baby = baby_of(sharp_lm(family, dropout=0.4)).train()
    with torch.autocast("cpu", torch.bfloat16):
        rollout = sampled(baby, padded(PROMPTS, *PADDINGS[padding]), numbers(4, 6), RolloutConfig(), eos=None)
        plain = [plain_forward(baby, prompt, utterance(rollout, i)) for i, prompt in enumerate(PROMPTS)]
    assert rollout.log_probs.dtype == rollout.values.dtype == torch.float32
    for i, (log_probs, values) in enumerate(plain):
        # bf16 keeps 8 bits: numbers around 1 are known to 2^-8 = 0.004, and a few roundings add up
        torch.testing.assert_close(rollout.log_probs[i], log_probs, rtol=0, atol=0.02)
        torch.testing.assert_close(rollout.values[i], values.float(), rtol=0, atol=0.04)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_says_what_its_rows_say_alone(family: str) -> None:
    baby, random = baby_of(sharp_lm(family)), numbers(4, 6)
    together = sampled(baby, pad(PROMPTS, 0, "left"), random, RolloutConfig(), eos=None)
    for i, prompt in enumerate(PROMPTS):
        alone = sampled(baby, pad([prompt], 0), random[i : i + 1], RolloutConfig(), eos=None)
        assert utterance(alone, 0) == utterance(together, i)
        torch.testing.assert_close(alone.log_probs[0], together.log_probs[i], rtol=0, atol=TOLERANCE)
        torch.testing.assert_close(alone.values[0], together.values[i], rtol=0, atol=TOLERANCE)


def test_prompts_come_back_left_padded_and_sequences_join_them_with_the_utterances() -> None:
    baby = baby_of(unigram_lm([0.0, 0.0, 1.0]))
    rollout = sampled(baby, pad([[1, 1, 0], [1]], 0, "right"), numbers(2, 2), RolloutConfig(), eos=None)
    assert rollout.prompts.is_real.tolist() == [[True, True, True], [False, False, True]]
    sequences = rollout.sequences
    assert [ids[real].tolist() for ids, real in zip(sequences.input_ids, sequences.is_real, strict=True)] == [
        [1, 1, 0, 2, 2],
        [1, 2, 2],
    ]
    assert rollout.is_target.tolist() == [[False] * 3 + [True] * 2] * 2


def test_rows_take_every_field_along() -> None:
    baby = baby_of(sharp_lm("gpt2"))
    rollout = sampled(baby, pad(PROMPTS, 0, "left"), numbers(4, 3), RolloutConfig(top_k=5), eos=None)
    part = rollout.rows(torch.tensor([2, 0]))
    assert part.prompts.input_ids.tolist() == rollout.prompts.input_ids[[2, 0]].tolist()
    assert part.prompts.is_real.tolist() == rollout.prompts.is_real[[2, 0]].tolist()
    for name in ("utterance_ids", "is_real", "log_probs", "values", "has_ended", "support"):
        assert torch.equal(getattr(part, name), getattr(rollout, name)[[2, 0]])


# ------------------------------------------------------------------------------------------------------------ stopping


def chain(**follows: int) -> Baby:
    """Tokens 0 pad, 1 EOS, 2 a, 3 b, 4 c; after each comes what `follows` says, else a; never a pad."""
    probs = torch.zeros(5, 5)
    for i, letter in enumerate(["pad", "eos", "a", "b", "c"]):
        probs[i, follows.get(letter, 2)] = 1
    return baby_of(bigram_lm(probs))


def test_eos_ends_a_row_and_counts_as_its_last_token() -> None:
    baby = chain(a=3, b=1, c=4)  # a -> b -> EOS; c -> c
    rollout = sampled(baby, pad([[2], [3], [4]], 0), numbers(3, 4), RolloutConfig(), eos=1)
    assert rollout.is_real.tolist() == [[True, True, False, False], [True, False, False, False], [True] * 4]
    assert [utterance(rollout, i) for i in range(3)] == [[3, 1], [1], [4, 4, 4, 4]]
    assert rollout.has_ended.tolist() == [True, True, False]
    assert (rollout.log_probs[~rollout.is_real] == 0).all()
    assert (rollout.values[~rollout.is_real] == 0).all()
    assert (rollout.values[rollout.is_real] != 0).all()
    assert rollout.tokens.tolist() == [3, 1, 1, 4, 4, 4, 4]


def test_when_all_have_ended_no_more_columns_are_made() -> None:
    rollout = sampled(chain(a=3, b=1), pad([[2], [3]], 0), numbers(2, 16), RolloutConfig(), eos=1)
    assert rollout.utterance_ids.shape == (2, 2)
    assert rollout.has_ended.all()


@pytest.mark.parametrize("between", [2, 3, 8])
def test_asking_more_seldom_whether_all_have_ended_changes_nothing(
    between: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    baby, config = baby_of(sharp_lm("opt", 12, seed=1)), RolloutConfig(max_new_tokens=9, top_k=7)
    prompts = pad([[1, 5, 7], [1, 6], [1, 4]], 0, "left")
    step = next(
        s for s in range(200) if 1 < sampled(baby, prompts, numbers(3, 9, s), config, 1).tokens.shape[0] / 3 < 3
    )
    at_once = sampled(baby, prompts, numbers(3, 9, step), config, 1)
    assert at_once.utterance_ids.shape[1] < 9
    monkeypatch.setattr("bambino.speaking.rollout.tokens_between_checks", lambda device: between)
    later = sampled(baby, prompts, numbers(3, 9, step), config, 1)
    for field in dataclasses.fields(Rollout):
        if field.name != "prompts":
            assert torch.equal(getattr(later, field.name), getattr(at_once, field.name)), field.name


def test_values_of_tokens_are_taken_from_their_places_and_put_back() -> None:
    # rows of 2 and 1 real tokens: 1, 2 and 3 of 1, 2 / 3, 4
    zeros = torch.zeros(2, 2)
    is_real = torch.tensor([[True, True], [True, False]])
    rollout = Rollout(pad([[1], [1]], 0, "left"), zeros.long(), is_real, zeros, zeros, torch.tensor([False, True]))
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert rollout.of_tokens(values).tolist() == [1.0, 2.0, 3.0]
    assert rollout.in_places(torch.tensor([5.0, 6.0, 7.0])).tolist() == [[5.0, 6.0], [7.0, 0.0]]


def test_eos_as_the_last_allowed_token_is_an_end() -> None:
    rollout = sampled(chain(a=3, b=1), pad([[2]], 0), numbers(1, 2), RolloutConfig(), eos=1)
    assert utterance(rollout, 0) == [3, 1]
    assert rollout.has_ended.tolist() == [True]


def test_without_an_eos_token_nothing_ends_a_row() -> None:
    rollout = sampled(chain(a=1, eos=1), pad([[2]], 0), numbers(1, 3), RolloutConfig(), eos=None)
    assert utterance(rollout, 0) == [1, 1, 1]
    assert rollout.has_ended.tolist() == [False]


# ------------------------------------------------------------------------------------------------------- drawing tokens


def test_inverse_cdf_by_hand() -> None:
    # cumulative 0.25, 0.25, 0.75, 1: token 0 below 0.25, never 1, 2 below 0.75, 3 from there on
    log_probs = torch.tensor([0.25, 0.0, 0.5, 0.25], dtype=torch.float64).log()
    u = torch.tensor([0.0, 0.2499, 0.25, 0.5, 0.7499, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert inverse_cdf(log_probs.expand(7, -1), u).tolist() == [0, 0, 2, 2, 2, 3, 3]


def test_inverse_cdf_never_picks_a_token_of_probability_zero() -> None:
    inf = float("inf")
    log_probs = torch.tensor([[-inf, -inf, 0.0, -inf], [-inf, math.log(0.5), math.log(0.5), -inf]])
    for u in (0.0, 1e-300, 0.5, 1 - 2**-53):
        first, second = inverse_cdf(log_probs, torch.tensor([u, u], dtype=torch.float64)).tolist()
        assert first == 2
        assert second in (1, 2)


def test_inverse_cdf_bears_probs_that_do_not_quite_add_up_to_one() -> None:
    log_probs = torch.tensor([[0.5, 0.5, 0.0]]).log()
    for shift in (-1e-3, 1e-3):
        assert inverse_cdf(log_probs + shift, torch.tensor([1 - 2**-53], dtype=torch.float64)).tolist() == [1]


def test_an_even_grid_of_uniforms_gives_each_token_its_share() -> None:
    probs = [0.1, 0.05, 0.0, 0.6, 0.25]
    grid = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    tokens = inverse_cdf(torch.tensor(probs).log().expand(10_000, -1), grid)
    for token, p in enumerate(probs):
        # an interval of length p holds 10 000 p grid points, give or take one
        assert abs(int((tokens == token).sum()) - 10_000 * p) <= 1


def test_the_tokens_drawn_with_the_runs_uniforms_pass_a_chi_square_test() -> None:
    probs = torch.tensor([0.1, 0.05, 0.3, 0.35, 0.2])
    tokens = inverse_cdf(probs.log().expand(20_000, -1), numbers(20_000, 1)[:, 0])
    expected = 20_000 * probs
    chi_square = float(((torch.bincount(tokens, minlength=5) - expected) ** 2 / expected).sum())
    assert chi_square < 18.47  # the 99.9 % quantile with 4 degrees of freedom; the draw is fixed


def test_uniforms_are_a_pure_function_of_their_arguments() -> None:
    a = uniforms(4, 6, seed=1, stream="sampling", step=2)
    state = torch.get_rng_state()
    torch.manual_seed(99)
    assert torch.equal(a, uniforms(4, 6, seed=1, stream="sampling", step=2))
    torch.set_rng_state(state)
    uniforms(4, 6, seed=5, stream="sampling", step=2)
    assert torch.equal(torch.get_rng_state(), state)
    arguments: dict[str, Any] = {"seed": 1, "stream": "sampling", "step": 2}
    others: list[dict[str, Any]] = [{"seed": 3}, {"stream": "evaluation"}, {"step": 3}]
    for other in others:
        assert not torch.equal(a, uniforms(4, 6, **(arguments | other)))
    assert a.dtype == torch.float64
    assert ((a >= 0) & (a < 1)).all()
    assert a.unique().numel() == 24


# ------------------------------------------------------------------------------------------- temperature, top-k, top-p


def test_temperature_by_hand() -> None:
    # p = 0.8, 0.2 at temperature 1/2: squares 0.64, 0.04 over 0.68
    tempered = log_policy(torch.tensor([[0.8, 0.2]]).log(), 0.5).exp()
    torch.testing.assert_close(tempered, torch.tensor([[0.64 / 0.68, 0.04 / 0.68]]))
    rollout = sampled(
        baby_of(unigram_lm([0.8, 0.2])),
        pad([[0]], 0),
        torch.tensor([[0.5, 0.99]]),
        RolloutConfig(temperature=0.5),
        None,
    )
    assert utterance(rollout, 0) == [0, 1]
    torch.testing.assert_close(rollout.log_probs[0].exp(), torch.tensor([0.64 / 0.68, 0.04 / 0.68]))


def test_log_policy_renormalizes_over_the_support_in_fp32() -> None:
    support = torch.tensor([[True, False, True]])
    result = log_policy(torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.bfloat16).log(), 1.0, support)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.exp(), torch.tensor([[0.5, 0.0, 0.5]]))


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        (1, None, [3]),
        (2, None, [0, 3]),
        (99, None, [0, 1, 2, 3]),
        (None, 0.4, [3]),
        (None, 0.5, [0, 3]),  # 0.45 alone is short of 0.5
        (None, 0.74, [0, 3]),
        (None, 0.8, [0, 2, 3]),
        (None, 0.99, [0, 1, 2, 3]),
        (None, 1.0, [0, 1, 2, 3]),
        (None, 1e-9, [3]),
        (2, 0.55, [3]),  # of the two left, 0.45 / 0.75 = 0.6 is enough
        (2, 0.65, [0, 3]),
        (1, 0.99, [3]),
    ],
)
def test_truncated_support_by_hand(top_k: int | None, top_p: float | None, kept: list[int]) -> None:
    log_probs = torch.tensor([[0.3, 0.05, 0.2, 0.45]]).log()
    assert truncated_support(log_probs, top_k, top_p)[0].nonzero()[:, 0].tolist() == kept


def test_ties_at_the_edge_of_the_support_go_to_the_lower_ids() -> None:
    log_probs = torch.tensor([[0.25, 0.25, 0.25, 0.25]]).log()
    assert truncated_support(log_probs, 2, None).tolist() == [[True, True, False, False]]
    assert truncated_support(log_probs, None, 0.6).tolist() == [[True, True, True, False]]
    assert truncated_support(log_probs, None, 0.5).tolist() == [[True, True, False, False]]  # two hold it exactly


@pytest.mark.parametrize(
    ("config", "kept", "shares"),
    [
        (RolloutConfig(top_k=2), [0, 1], [0.625, 0.375]),  # 0.5 and 0.3 over 0.8
        (RolloutConfig(top_p=0.85), [0, 1, 2], [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95]),
        (RolloutConfig(top_k=2, temperature=0.5), [0, 1], [0.25 / 0.34, 0.09 / 0.34]),
    ],
)
def test_truncated_sampling_keeps_the_log_probs_of_what_it_drew_from(
    config: RolloutConfig, kept: list[int], shares: list[float]
) -> None:
    baby = baby_of(unigram_lm([0.5, 0.3, 0.15, 0.05]))
    rollout = sampled(baby, pad([[0]] * 50, 0), numbers(50, 4), config, eos=None)
    assert rollout.tokens.unique().tolist() == kept
    torch.testing.assert_close(rollout.log_probs.exp(), torch.tensor([*shares, 0.0])[rollout.utterance_ids])
    assert rollout.support is not None
    assert rollout.support.shape == (50, 4, 4)
    assert (rollout.support == torch.tensor([i in kept for i in range(4)])).all()


def test_without_truncation_no_support_is_kept() -> None:
    assert sampled(chain(a=3), pad([[2]], 0), numbers(1, 2), RolloutConfig(), None).support is None


# ------------------------------------------------------------------------------------------------------- as text

TOKENIZER = make_tokenizer()
EOS = TOKENIZER.eos_token_id


def byte_ids(data: bytes) -> list[int]:
    """One token per byte."""
    spelling = bytes_to_unicode()
    ids: list[int] = TOKENIZER.convert_tokens_to_ids([spelling[byte] for byte in data])
    return ids


def rollout_of(rows: list[tuple[list[int], list[int]]], has_ended: list[bool] | None = None) -> Rollout:
    """A rollout of given prompt and utterance ids."""
    prompts, said = pad([p for p, _ in rows], 0, "left"), pad([u for _, u in rows], 0)
    zeros = torch.zeros(said.input_ids.shape)
    ended = torch.tensor(has_ended if has_ended is not None else [u[-1:] == [EOS] for _, u in rows])
    return Rollout(prompts, said.input_ids, said.is_real, zeros, zeros, ended)


def said(prompt: list[int], utterance: list[int], has_ended: bool | None = None) -> tuple[str, str]:
    """Prompt and completion of one rollout as text; checks what holds for every one."""
    result = to_text(rollout_of([(prompt, utterance)], None if has_ended is None else [has_ended]), TOKENIZER)
    assert result.prompts[0] + result.completions[0] == result.texts[0]
    return result.prompts[0], result.completions[0]


def test_text_is_prompt_and_completion_without_special_tokens() -> None:
    prompt, utterance = TOKENIZER("il gatto")["input_ids"], TOKENIZER(" vede il cane")["input_ids"]
    rows = [([EOS, *prompt], [*utterance, EOS]), ([EOS, *prompt[:1]], utterance)]
    result = to_text(rollout_of(rows), TOKENIZER)
    assert result.prompts == ["il gatto", TOKENIZER.decode(prompt[:1])]
    assert result.completions == [" vede il cane", " vede il cane"]
    assert result.texts == [p + c for p, c in zip(result.prompts, result.completions, strict=True)]
    assert result.has_ended == [True, False]


def test_spaces_before_punctuation_stay_as_the_baby_said_them() -> None:
    assert said(byte_ids(b"a ."), byte_ids(b" , b !")) == ("a .", " , b !")


@pytest.mark.parametrize("character", ["è", "我", "\N{GRINNING FACE}"])
def test_a_character_that_the_token_limit_cuts_is_trimmed(character: str) -> None:
    data = character.encode()
    for kept in range(1, len(data)):
        assert said(byte_ids(b"il"), byte_ids(b" caff" + data[:kept])) == ("il", " caff")
    assert said(byte_ids(b"il"), byte_ids(b" caff" + data)) == ("il", " caff" + character)


def test_a_broken_character_in_the_middle_is_kept() -> None:
    assert said(byte_ids(b"il"), byte_ids(b" caff\xc3 nero")) == ("il", " caff\ufffd nero")


def test_a_broken_character_before_eos_is_the_babys_own_and_is_kept() -> None:
    assert said(byte_ids(b"il"), [*byte_ids(b" caff\xc3"), EOS]) == ("il", " caff\ufffd")


@pytest.mark.parametrize("character", ["è", "我", "\N{GRINNING FACE}"])
def test_a_prompt_cut_inside_a_character_gives_the_whole_character_to_the_completion(character: str) -> None:
    data = character.encode()
    for cut in range(1, len(data)):
        prompt, rest = byte_ids(b"caff" + data[:cut]), byte_ids(data[cut:] + b" nero")
        assert said(prompt, rest) == ("caff", character + " nero")


def test_a_prompt_cut_inside_a_character_that_the_baby_does_not_finish() -> None:
    assert said(byte_ids(b"caff\xc3"), byte_ids(b" nero")) == ("caff\ufffd", " nero")
    assert said(byte_ids(b"caff\xf0"), byte_ids(b"\x9f")) == ("caff", "")


def test_an_utterance_that_is_only_eos_is_empty() -> None:
    assert said(byte_ids(b"il"), [EOS]) == ("il", "")
    assert said([EOS], [EOS]) == ("", "")


@given(st.text(max_size=12), st.integers(0, 40), st.integers(1, 40))
def test_wherever_prompt_and_utterance_are_cut_the_text_is_a_prefix_without_its_cut_character(
    text: str, first: int, second: int
) -> None:
    data = text.replace("\ufffd", "").encode()
    prompt, utterance = byte_ids(data[:first]), byte_ids(data[first : first + second])
    whole = data[: first + second].decode(errors="ignore")
    if prompt and utterance:
        prompt_text, completion = said(prompt, utterance)
        assert prompt_text + completion == whole
        assert prompt_text == data[:first].decode(errors="ignore")


def test_at_most_one_cut_character_is_trimmed() -> None:
    assert without_cut_character("casa\ufffd") == "casa"
    assert without_cut_character("casa\ufffd\ufffd\ufffd") == "casa"
    assert without_cut_character("casa\ufffd\ufffd\ufffd\ufffd") == "casa\ufffd"
