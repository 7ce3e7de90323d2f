"""Log-likelihood of every option of a multiple choice, given its prompt; the prompt is read once for all its options.

Prompt and option are tokenized together and the tokens that end after the prompt count, so it does not matter where
a tokenizer puts the space between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from bambino.scoring import (
    TOKENS_PER_FORWARD,
    eval_mode,
    hidden_states,
    log_probs_of,
    reads_packed_rows,
    token_ends,
    token_log_probs,
)
from bambino.text import encode, pad

DELIMITER = " "
"""Between prompt and option."""
CACHED_PER_FORWARD = 4 * TOKENS_PER_FORWARD
"""Upper bound on options x prompt length whose keys and values are held at once."""


@dataclass(frozen=True)
class Choice:
    """A question with its possible answers."""

    prompt: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class EncodedChoice:
    """A choice as tokens."""

    rows: list[list[int]]
    """One per option: start token, prompt, option."""
    counted: list[int]
    """How many of each row's last tokens end after the prompt."""

    @property
    def length(self) -> int:
        """Tokens of the longest row."""
        return max(map(len, self.rows))

    @property
    def shared(self) -> int:
        """Tokens at the beginning of all rows that do not count: what needs to be read only once."""
        most = min(len(row) - counted for row, counted in zip(self.rows, self.counted, strict=True))
        first = self.rows[0]
        return next((i for i in range(most) if any(row[i] != first[i] for row in self.rows)), most)


def encode_choices(tokenizer: PreTrainedTokenizerBase, choices: Sequence[Choice]) -> list[EncodedChoice]:
    """Tokens of each prompt with each of its options. A row's first token never counts: nothing predicts it."""
    texts = [choice.prompt + DELIMITER + option for choice in choices for option in choice.options]
    ends_after = [len(choice.prompt) for choice in choices for _ in choice.options]
    rows = encode(tokenizer, texts)
    counted = [
        min(sum(end > offset for end in token_ends(tokenizer, text)), len(row) - 1)
        for text, offset, row in zip(texts, ends_after, rows, strict=True)
    ]
    result, first = [], 0
    for choice in choices:
        last = first + len(choice.options)
        result.append(EncodedChoice(rows[first:last], counted[first:last]))
        first = last
    return result


def choice_log_probs(lm: PreTrainedModel, choices: Sequence[EncodedChoice]) -> list[list[float]]:
    """For each choice the log-probability of each option given the prompt: nats, summed over the tokens that count.

    Rows must fit the model's context. Models that cannot read packed rows (`reads_packed_rows`: recurrent state, short
    sliding window) read prompt and option anew for every option, with the same result.
    """
    longest = max(choice.length for choice in choices)
    with eval_mode(lm):
        if not reads_packed_rows(lm, longest):
            return _each_anew(lm, choices)
        result: list[list[float]] = [[] for _ in choices]
        apart = [i for i, choice in enumerate(choices) if choice.shared == 0]
        for i, scores in zip(apart, _each_anew(lm, [choices[i] for i in apart]), strict=True):
            result[i] = scores
        together = [i for i, choice in enumerate(choices) if choice.shared > 0]
        order = sorted(together, key=lambda i: (choices[i].shared, choices[i].length))
        for group in _groups(order, choices):
            for i, scores in zip(group, _shared_prompt(lm, [choices[i] for i in group]), strict=True):
                result[i] = scores
    return result


def _groups(order: list[int], choices: Sequence[EncodedChoice]) -> Iterator[list[int]]:
    """Consecutive choices of `order`, as many as the bounds on prompts, on their copies and on options allow."""
    group: list[int] = []
    rows = widest = 0
    for i in order:
        length, more = choices[i].shared, len(choices[i].rows)
        wider = max(widest, choices[i].length - length)
        copies, options = (rows + more) * length, (rows + more) * wider
        too_many = (len(group) + 1) * length > TOKENS_PER_FORWARD or options > TOKENS_PER_FORWARD
        if group and (too_many or copies > CACHED_PER_FORWARD):
            yield group
            group, rows, wider = [], 0, choices[i].length - length
        group.append(i)
        rows, widest = rows + more, wider
    if group:
        yield group


@torch.no_grad()
def _shared_prompt(lm: PreTrainedModel, choices: list[EncodedChoice]) -> list[list[float]]:
    """Reads each prompt once, then every option's tokens after it, on a copy of the prompt's keys and values."""
    prompts = pad([choice.rows[0][: choice.shared] for choice in choices], pad_id=0).to(lm.device)
    cache = DynamicCache(config=lm.config)
    hidden = hidden_states(lm, prompts.input_ids, prompts.is_real, cache=cache)
    last = hidden[torch.arange(len(choices)), prompts.is_real.sum(1) - 1]
    owners = [i for i, choice in enumerate(choices) for _ in choice.rows]
    suffixes = [row[choice.shared :] for choice in choices for row in choice.rows]
    counted = [n for choice in choices for n in choice.counted]
    logits = torch.log_softmax(lm.get_output_embeddings()(last).float(), -1)
    first = logits[owners, [suffix[0] for suffix in suffixes]].cpu().double()
    rest = _after_first(lm, cache, prompts.is_real, owners, suffixes)
    columns = torch.cat([first[:, None], rest], 1)
    totals = [
        float(columns[row, len(suffix) - n : len(suffix)].sum())
        for row, (suffix, n) in enumerate(zip(suffixes, counted, strict=True))
    ]
    return _per_choice(totals, choices)


def _after_first(
    lm: PreTrainedModel,
    cache: DynamicCache,
    is_real: Bool[Tensor, "B P"],
    owners: list[int],
    suffixes: list[list[int]],
) -> Float[Tensor, "R L"]:
    """Column l: log p(token l + 1 of the suffix | prompt, the suffix's tokens before it); zero past its end."""
    result = torch.zeros(len(suffixes), max(map(len, suffixes)) - 1, dtype=torch.float64)
    longer = [row for row, suffix in enumerate(suffixes) if len(suffix) > 1]
    if not longer:
        return result
    picks: Int[Tensor, " R"] = torch.tensor([owners[row] for row in longer], device=lm.device)
    cache.batch_select_indices(picks)
    read = pad([suffixes[row][:-1] for row in longer], pad_id=0).to(lm.device)
    wanted = pad([suffixes[row][1:] for row in longer], pad_id=0).to(lm.device)
    seen = torch.cat([is_real[picks], read.is_real], 1)
    hidden = hidden_states(lm, read.input_ids, seen, cache=cache)[read.is_real]
    scores = torch.zeros(read.input_ids.shape, dtype=torch.float64)
    log_probs = log_probs_of(lm.get_output_embeddings()(hidden), wanted.input_ids[wanted.is_real])
    scores[read.is_real.cpu()] = log_probs.cpu().double()
    result[longer, : scores.shape[1]] = scores
    return result


def _each_anew(lm: PreTrainedModel, choices: Sequence[EncodedChoice]) -> list[list[float]]:
    """Every row read whole, in batches of similar length."""
    rows = [row for choice in choices for row in choice.rows]
    counted = [n for choice in choices for n in choice.counted]
    totals = [0.0] * len(rows)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    while order:
        size = max(1, TOKENS_PER_FORWARD // len(rows[order[-1]]))
        group, order = order[-size:], order[:-size]
        scores = token_log_probs(lm, pad([rows[i] for i in group], pad_id=0).to(lm.device)).cpu().double()
        for row, i in enumerate(group):
            totals[i] = float(scores[row, len(rows[i]) - counted[i] : len(rows[i])].sum())
    return _per_choice(totals, choices)


def _per_choice(totals: list[float], choices: Sequence[EncodedChoice]) -> list[list[float]]:
    remaining = iter(totals)
    return [[next(remaining) for _ in choice.rows] for choice in choices]
