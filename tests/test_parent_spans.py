"""Spans against the parent: by hand, and the law that they add up to a sample of the KL from baby to parent."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from conftest import italian_lines, make_tokenizer, tiny_lm
from known_models import bigram_lm, byte_speaker, sharp_lm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino import BambinoTrainer, Recipe
from bambino.errors import RewardError
from bambino.feedback.answers import Spans
from bambino.feedback.credit import SaidTokens, centred_returns, said_tokens, utterance_ends
from bambino.feedback.parent_spans import ParentSpans, Piece, pieces_of
from bambino.feedback.settings import ParentSpansConfig
from bambino.randomness import uniforms
from bambino.recipe.phase_settings import RolloutConfig
from bambino.speaking.rollout import Rollout, sample
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import to_text
from bambino.text.batches import pad

UNCLIPPED = 1e6
Unit = Literal["word", "token"]


def log_prob_of(text: str, probs: torch.Tensor, tokenizer: PreTrainedTokenizerBase) -> float:
    """That a text begins so, byte by byte."""
    ids = [0, *tokenizer(text)["input_ids"]]
    return sum(math.log(probs[last, token]) for last, token in pairwise(ids))


def spoken(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tokens: int = 8) -> Rollout:
    """What a baby says after the beginnings of six lines."""
    prompts = [[tokenizer.bos_token_id, *tokenizer(line)["input_ids"][:4]] for line in italian_lines(6)]
    random = uniforms(6, tokens, seed=0, stream="sampling", step=0)
    return sample(lm, pad(prompts, 0, "left"), random, RolloutConfig(max_new_tokens=tokens), tokenizer.eos_token_id)


def judged(
    parent: Speaker, rollout: Rollout, tokenizer: PreTrainedTokenizerBase, **settings: Any
) -> tuple[Spans, dict[str, Any]]:
    """The judgements, and what was logged and counted."""
    said, seen = to_text(rollout, tokenizer), dict[str, Any]()
    spans = ParentSpans(parent, ParentSpansConfig(**settings))(
        prompts=said.prompts,
        completions=said.completions,
        texts=said.texts,
        has_ended=said.has_ended,
        tokens=lambda: said_tokens(rollout, tokenizer),
        log_extra=seen.__setitem__,
        log_metric=lambda name, value: seen.__setitem__(f"mean {name}", value),
        read=lambda lm, tokens: seen.__setitem__("read", seen.get("read", 0) + tokens),
    )
    return spans, seen


# ------------------------------------------------------------------------------------------------------------- pieces


def test_words_begin_with_a_space_and_tokens_beyond_the_text_are_in_none() -> None:
    # " il" " ga" "tto" then a token whose character was cut, of which the text knows nothing
    said, tokens = b" il gatto", SaidTokens([0, 3, 6, 9, 10], [-1.0, -2.0, -4.0, -8.0])
    assert pieces_of(said, tokens, "word") == [Piece(0, 3, -1.0), Piece(3, 9, -6.0)]
    assert pieces_of(said, tokens, "token") == [Piece(0, 3, -1.0), Piece(3, 6, -2.0), Piece(6, 9, -4.0)]


@pytest.mark.parametrize("unit", ["word", "token"])
def test_a_token_without_bytes_is_in_no_span_and_ends_a_word(unit: Unit) -> None:
    # "ga" <pad> "tto" EOS
    tokens = SaidTokens([0, 2, 2, 5, 5], [-1.0, -2.0, -4.0, -8.0])
    assert pieces_of(b"gatto", tokens, unit) == [Piece(0, 2, -1.0), Piece(2, 5, -4.0)]


def test_the_tokens_of_an_utterance_lie_where_its_ids_say() -> None:
    tokenizer = make_tokenizer()
    rollout = spoken(tiny_lm("opt", len(tokenizer), seed=1), tokenizer)
    prompts = to_text(rollout, tokenizer).prompts
    for i, said in enumerate(said_tokens(rollout, tokenizer)):
        assert said.bounds == [0, *utterance_ends(rollout, i, prompts[i], tokenizer)]
        assert said.log_probs == rollout.log_probs[i][rollout.is_real[i]].tolist()


# --------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("unit", ["word", "token"])
def test_the_spans_add_up_to_a_sample_of_the_kl_whatever_the_tokenizers(unit: Unit) -> None:
    tokenizer, (parent, probs) = make_tokenizer(), byte_speaker()
    rollout = spoken(sharp_lm("opt", len(tokenizer), seed=1), tokenizer)
    said, tokens = to_text(rollout, tokenizer), said_tokens(rollout, tokenizer)
    spans, seen = judged(parent, rollout, tokenizer, unit=unit, clip=UNCLIPPED)
    totals, lengths = [], []
    for i, completion in enumerate(said.completions):
        size = len(completion.encode())
        bounds = tokens[i].bounds
        mine = sum(
            p for first, end, p in zip(bounds[:-1], bounds[1:], tokens[i].log_probs, strict=True) if first < end <= size
        )
        # what the parent makes of the text that those tokens say, given the prompt
        text = completion.encode()[: max(bound for bound in bounds if bound <= size)].decode()
        theirs = log_prob_of(said.prompts[i] + text, probs, parent.tokenizer)
        totals.append(mine - (theirs - log_prob_of(said.prompts[i], probs, parent.tokenizer)))
        lengths.append(len(text.encode()))
        assert seen["reverse_kl"][i] == pytest.approx(totals[i] / lengths[i], rel=1e-4)
        earned = sum(value for *_, value in spans.per_utterance[i])
        if unit == "token" or said.has_ended[i]:
            assert -earned == pytest.approx(totals[i], rel=1e-4)
        else:  # the last word was cut, and earns nothing
            assert max((end for _, end, _ in spans.per_utterance[i]), default=0) < len(text.encode())
    assert seen["mean reverse_kl"] == pytest.approx(sum(totals) / sum(lengths), rel=1e-4)
    assert seen["read"] > 0


@pytest.mark.parametrize("unit", ["word", "token"])
def test_a_baby_that_is_its_parent_diverges_nowhere(unit: Unit) -> None:
    parent, _ = byte_speaker(says="abc def")
    rollout = spoken(parent.lm, parent.tokenizer, tokens=12)
    spans, seen = judged(parent, rollout, parent.tokenizer, unit=unit)
    assert sum(map(len, spans.per_utterance)) > 3
    for value in (value for of in spans.per_utterance for *_, value in of):
        assert value == pytest.approx(0, abs=1e-4)  # fp32 sums of up to 16 log-probs of 5 nats
    assert seen["mean reverse_kl"] == pytest.approx(0, abs=1e-5)


def test_a_baby_that_is_better_pleased_with_itself_than_its_parent_is_pays_and_clipped_at_so_much_a_byte() -> None:
    tokenizer, (parent, probs) = make_tokenizer(), byte_speaker()
    ids = tokenizer(" gatto")["input_ids"]
    shape = (1, len(ids))
    prompt = pad([[1, *tokenizer("il")["input_ids"]]], 0, "left")
    log_probs = torch.full(shape, -0.5)
    rollout = Rollout(
        prompt, torch.tensor([ids]), torch.ones(shape).bool(), log_probs, torch.zeros(shape), torch.tensor([True])
    )
    own, theirs = -0.5 * len(ids), log_prob_of("il gatto", probs, parent.tokenizer)
    divergence = own - (theirs - log_prob_of("il", probs, parent.tokenizer))
    assert divergence > 6 * 1.0  # above a nat a byte
    for clip, expected in ((UNCLIPPED, -divergence), (1.0, -6.0)):
        ((span,),) = judged(parent, rollout, tokenizer, clip=clip)[0].per_utterance
        assert list(span) == pytest.approx([0, 6, expected], rel=1e-4)


def test_beyond_the_parents_context_nothing_is_earned() -> None:
    tokenizer, (parent, probs) = make_tokenizer(), byte_speaker()
    short = Speaker(bigram_lm(probs, context=16), parent.tokenizer)
    rollout = spoken(tiny_lm("opt", len(tokenizer), seed=1), tokenizer, tokens=12)
    far, near = (judged(one, rollout, tokenizer, unit="token")[0].per_utterance for one in (parent, short))
    assert sum(map(len, near)) < sum(map(len, far))
    for one, other in zip(near, far, strict=True):
        assert [span[:2] for span in one] == [span[:2] for span in other[: len(one)]]


def test_text_that_was_not_sampled_is_refused() -> None:
    parent, _ = byte_speaker()
    with pytest.raises(RewardError, match="judges what the baby just sampled"):
        ParentSpans(parent, ParentSpansConfig())(
            prompts=["il"], completions=[" gatto"], texts=["il gatto"], has_ended=[True]
        )


# ---------------------------------------------------------------------------------------------------------------- runs


def test_a_run_learns_from_spans_and_logs_what_they_say(make_recipe: Callable[..., Recipe]) -> None:
    words = ("--schedule.cycle", "{clm: 1, reinforce: 1}", "--feedback", "{parent_spans: {unit: token}}")
    recipe = make_recipe(*words, "--reinforce.baseline", "batch", "--reinforce.group_size", "1")
    BambinoTrainer(args=recipe).train()
    folder = Path(recipe.output_dir)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    said = [json.loads(line) for line in (folder / "utterances.jsonl").read_text().splitlines()]
    for row in rows[1::2]:
        assert math.isfinite(row["reinforce/reverse_kl"])
        assert row["total/parent_tokens"] > 0
        assert row["reinforce/update_norm"] > 0
    assert all(math.isfinite(row["reverse_kl"]) for row in said)


def test_what_tokens_answer_for_sums_to_nothing_over_the_batch() -> None:
    tokenizer, (parent, _) = make_tokenizer(), byte_speaker()
    rollout = spoken(tiny_lm("opt", len(tokenizer), seed=1), tokenizer)
    spans, _ = judged(parent, rollout, tokenizer)
    returns = centred_returns(spans, rollout, tokenizer)
    assert float(returns.sum()) == pytest.approx(0, abs=1e-3)
    assert float(returns.abs().sum()) > 1
