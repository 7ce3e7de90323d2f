"""Credit: the one place where judgements of text become rewards of the baby's own tokens.

Parent and baby share no ids, so a judgement names bytes. The bytes of each token are taken from the ids that were
sampled, in context, never from encoding the text anew. A judgement goes to one token as a whole, the one that holds its
last byte, so sums are kept exactly, whatever the two tokenizers are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from bambino.errors import RewardError
from bambino.feedback.answers import Feedback, Scores, Spans
from bambino.losses.advantages import at_last_token, less_mean
from bambino.speaking.rollout import Rollout
from bambino.speaking.utterances import to_text
from bambino.text.token_bytes import token_bytes


def credit(feedback: Feedback, rollout: Rollout, tokenizer: PreTrainedTokenizerBase) -> Float[Tensor, "B U"]:
    """What each token of the utterances earned; zero on tokens that earned nothing and on pads.

    Scores go to an utterance's last token, each span to the token that holds its last byte (the utterance's first token
    where that byte belongs to the prompt).

    Raises:
        RewardError: a span lies outside its utterance's text, or the feedback is of a kind that rewards no tokens.
    """
    if isinstance(feedback, Scores):
        values = torch.tensor(list(feedback.values), dtype=torch.float32, device=rollout.log_probs.device)
        return at_last_token(values, rollout.is_real)
    if not isinstance(feedback, Spans):
        raise RewardError(f"{type(feedback).__name__} reward no tokens, so ppo cannot learn from them.")
    result = torch.zeros(rollout.log_probs.shape)
    for i, _, last, value in _token_spans(feedback, rollout, tokenizer):
        result[i, last] += value
    return result.to(rollout.log_probs.device)


def centred_returns(
    feedback: Scores | Spans, rollout: Rollout, tokenizer: PreTrainedTokenizerBase
) -> Float[Tensor, "B U"]:
    """The judgement that each token answers for, less the mean over the batch's tokens that answer for any.

    Every token of an utterance answers for its score, every token that lies in a span for the span, and for nothing
    that comes later: return-to-go with discount 1 inside a piece and 0 beyond it. Zero on tokens that answer for
    nothing.

    Raises:
        RewardError: a span lies outside its utterance's text.
    """
    if isinstance(feedback, Scores):
        values = torch.tensor(list(feedback.values), dtype=torch.float32, device=rollout.log_probs.device)
        return less_mean(values[:, None].expand_as(rollout.is_real), rollout.is_real)
    result, answers = torch.zeros(rollout.is_real.shape), torch.zeros(rollout.is_real.shape, dtype=torch.bool)
    for i, first, last, value in _token_spans(feedback, rollout, tokenizer):
        result[i, first : last + 1] += value
        answers[i, first : last + 1] = True
    return less_mean(result, answers).to(rollout.log_probs.device)


@dataclass(frozen=True)
class SaidTokens:
    """The tokens of an utterance as they were sampled, and where they lie in its text."""

    bounds: list[int]
    """Token u is bytes bounds[u] .. bounds[u + 1] - 1 of the utterance's text; special tokens, EOS too, have no bytes.
    The first bound is 0, but where a character begins in the prompt and ends in the utterance."""
    log_probs: list[float]
    """Of each token under the policy that it was sampled from, in nats."""


def said_tokens(rollout: Rollout, tokenizer: PreTrainedTokenizerBase) -> list[SaidTokens]:
    """The tokens of each utterance of a rollout."""
    prompts, log_probs, lengths = (
        to_text(rollout, tokenizer).prompts,
        rollout.log_probs.tolist(),
        rollout.is_real.sum(1),
    )
    return [
        SaidTokens(utterance_bounds(rollout, i, prompt, tokenizer), log_probs[i][:length])
        for i, (prompt, length) in enumerate(zip(prompts, lengths.tolist(), strict=True))
    ]


def utterance_ends(rollout: Rollout, row: int, prompt: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """For each real token of an utterance, the byte of the utterance's text before which it ends."""
    return utterance_bounds(rollout, row, prompt, tokenizer)[1:]


def utterance_bounds(rollout: Rollout, row: int, prompt: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The byte of the utterance's text at which its first real token begins, and those before which each one ends."""
    before = rollout.prompts.input_ids[row][rollout.prompts.is_real[row]].tolist()
    said = rollout.utterance_ids[row][rollout.is_real[row]].tolist()
    lengths = [len(piece) for piece in token_bytes(tokenizer, before + said)]
    begins = len(prompt.encode("utf-8"))
    return [end - begins for end in accumulate(lengths, initial=0)][len(before) :]


def _token_spans(
    feedback: Spans, rollout: Rollout, tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[int, int, int, float]]:
    """(utterance, first token, last token, value) of each span: the tokens that hold its first and its last byte."""
    said = to_text(rollout, tokenizer)
    texts = zip(feedback.per_utterance, said.prompts, said.completions, strict=True)
    for i, (spans, prompt, completion) in enumerate(texts):
        ends, length = utterance_ends(rollout, i, prompt, tokenizer), len(completion.encode("utf-8"))
        for first, end, value in spans:
            last = _token_of(first, end, ends, length)
            yield i, last if first == end else bisect_right(ends, first), last, value


def _token_of(first: int, end: int, ends: list[int], length: int) -> int:
    """The token that holds the last byte of a span, or ends the utterance (of `length` bytes as a reward reads it:
    tokens may end later, where the token limit cut a character)."""
    if not (0 <= first < end <= length or first == end == length):
        raise RewardError(f"The span ({first}, {end}) lies outside the utterance's {length} bytes, or is empty.")
    return len(ends) - 1 if first == end else bisect_left(ends, end)
