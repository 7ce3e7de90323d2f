"""Token log-probs, perplexity and bits per byte of texts under any causal LM.

Everything that reads a model goes through `hidden_states`, which hands it explicit positions and a mask, so padding on
either side changes nothing; the LM head runs only where a token is wanted.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase

from bambino.prefix_trees import Forest, grow
from bambino.prepacked import prepacked
from bambino.text import TokenBatch, encode, encode_from, pad, start_token

TOKENS_PER_FORWARD = 4096
"""Upper bound on batch x length when texts are scored."""
LOGITS_AT_ONCE = 1 << 21
"""Logits computed together when texts are scored: 8 MB, which stay in a processor's cache."""
WORTH_PREPACKING = 4096
"""Tokens from which on a faster order of the weights pays for making it."""
READERS = 8
"""Groups of texts that a processor reads at a time, at most; each takes memory for its activations."""
TREE_COLUMNS = 128
"""Width of a tree of texts that begin alike; attention costs more in wider ones, and narrower ones share less."""


@contextmanager
def eval_mode(*modules: nn.Module) -> Iterator[None]:
    """Dropout off inside, as it was afterwards."""
    was_training = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, mode in zip(modules, was_training, strict=True):
            module.train(mode)


def positions_of(is_real: Bool[Tensor, "B T"], documents: Int[Tensor, "B T"] | None = None) -> Int[Tensor, "B T"]:
    """Position of each token in its text: real tokens before it in the row (in its document, when packed)."""
    positions = (is_real.long().cumsum(1) - 1).clamp(min=0)
    if documents is None:
        return positions
    starts = torch.ones_like(is_real)
    starts[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return positions - torch.where(starts, positions, 0).cummax(1).values


def hidden_states(
    lm: PreTrainedModel,
    input_ids: Int[Tensor, "B T"],
    is_real: Bool[Tensor, "B S"],
    *,
    documents: Int[Tensor, "B T"] | None = None,
    ends: Int[Tensor, "B T"] | None = None,
    cache: Cache | None = None,
) -> Float[Tensor, "B T D"]:
    """The last layer's output, as the LM head reads it.

    With a cache, `is_real` also covers the S - T columns the cache holds. With documents, attention stays within each;
    with ends, rows are trees (`prefix_trees.Tree`) and each column attends to its ancestors.
    """
    width = input_ids.shape[1]
    settings: dict[str, object] = {"attention_mask": is_real.long()}
    positions = positions_of(is_real, documents)[:, -width:]
    if documents is not None:
        settings["attention_mask"] = _additive(documents[:, :, None] == documents[:, None, :], lm.dtype)
    if ends is not None:
        is_seen = ends[:, None, :] > torch.arange(width, device=ends.device)[:, None]
        settings["attention_mask"] = _additive(is_seen, lm.dtype)
        positions = (is_seen.tril().sum(2) - 1).clamp(min=0)
    if takes_positions(lm):
        settings["position_ids"] = positions
    elif documents is not None or ends is not None:
        raise ValueError(
            f"{type(lm).__name__} takes no position_ids, so it cannot read packed rows. Use text.mode lines."
        )
    if cache is not None:
        name = "cache" if "cache" in _arguments(lm) else "past_key_values"  # before transformers 5.24
        settings |= {name: cache, "use_cache": True}
    else:
        settings["use_cache"] = False
    return lm.base_model(input_ids=input_ids, **settings).last_hidden_state


def states_before(lm: PreTrainedModel, batch: TokenBatch, is_target: Bool[Tensor, "B T"]) -> Float[Tensor, "N D"]:
    """The hidden states that predict the N target tokens (each from the column before it), row by row.

    The last column predicts nothing, so it is not computed.
    """
    documents = None if batch.documents is None else batch.documents[:, :-1]
    hidden = hidden_states(lm, batch.input_ids[:, :-1], batch.is_real[:, :-1], documents=documents)
    return hidden[is_target[:, 1:]]


def logits_before(lm: PreTrainedModel, batch: TokenBatch, is_target: Bool[Tensor, "B T"]) -> Float[Tensor, "N V"]:
    """Logits that predict the N target tokens, row by row; the LM head runs nowhere else."""
    return lm_logits(lm, states_before(lm, batch, is_target))


def lm_logits(lm: PreTrainedModel, states: Float[Tensor, "*N D"]) -> Float[Tensor, "*N V"]:
    """What the LM head makes of last hidden states, and what the model makes of that: a scale or a soft cap."""
    logits, config = lm.get_output_embeddings()(states), lm.config
    if isinstance(scale := getattr(config, "logit_scale", None), float):  # Cohere
        logits = logits * scale
    if divisor := getattr(config, "logits_scaling", None):  # Granite
        logits = logits / divisor
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma 2
        logits = cap * torch.tanh(logits / cap)
    return logits


def log_probs_of(logits: Float[Tensor, "N V"], tokens: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Log-probability of each token, in nats, computed in fp32."""
    return -nn.functional.cross_entropy(logits.float(), tokens, reduction="none")


@torch.no_grad()
def token_log_probs(
    lm: PreTrainedModel, batch: TokenBatch, is_wanted: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B T"]:
    """Column t: log p(token t | tokens before it), in nats; zero where token t is not a target or not wanted."""
    is_target = batch.is_target if is_wanted is None else batch.is_target & is_wanted
    result = torch.zeros(batch.input_ids.shape, device=batch.input_ids.device)
    if is_target.any():
        states = states_before(lm, batch, is_target)
        result[is_target] = log_probs_at(
            lm, states, torch.arange(len(states), device=states.device), batch.input_ids[is_target]
        )
    return result


def log_probs_at(
    lm: PreTrainedModel, states: Float[Tensor, "N D"], state_of: Int[Tensor, " M"], tokens: Int[Tensor, " M"]
) -> Float[Tensor, " M"]:
    """Log-probability of each token after the state that `state_of` names, in nats, computed in fp32.

    A few states at a time, so that their logits stay in cache.
    """
    at_once = max(1, LOGITS_AT_ONCE // lm.get_output_embeddings().weight.shape[0])
    result = torch.zeros(len(tokens), device=states.device)
    for first in range(0, len(states), at_once):
        log_probs = lm_logits(lm, states[first : first + at_once]).float().log_softmax(-1)
        is_here = (state_of >= first) & (state_of < first + at_once)
        result[is_here] = log_probs[state_of[is_here] - first, tokens[is_here]]
    return result


@dataclass(frozen=True)
class TextScore:
    """What a model makes of one text."""

    log_prob: float
    """Sum over the tokens that count, in nats."""
    tokens: int
    """Tokens that count."""
    num_bytes: int
    """UTF-8 bytes of the whole text."""
    tokens_read: int
    """Tokens of its rows, start tokens included: what the score costs where no other text shares its beginning."""

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood per token; infinite when no token counts."""
        if self.tokens == 0:
            return math.inf
        mean = -self.log_prob / self.tokens
        return math.exp(mean) if mean < 700 else math.inf

    @property
    def bits_per_byte(self) -> float:
        return -self.log_prob / math.log(2) / self.num_bytes if self.num_bytes else math.nan


def score_texts(
    lm: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    *,
    count_from: list[int] | None = None,
) -> list[TextScore]:
    """Score each text, the model's start token prepended; beginnings that many share are read once.

    Texts longer than the model's context are read in windows that each begin with the start token.

    Args:
        count_from: one character offset per text; only tokens that end after it count (the rest is context).
    """
    windows = _windows(lm, tokenizer, texts, count_from)
    if not windows:
        return [TextScore(0.0, 0, len(text.encode("utf-8")), 0) for text in texts]
    with eval_mode(lm):
        scores = row_log_probs(
            lm, [w.row for w in windows], None if count_from is None else [w.counted for w in windows]
        )
    lengths = np.array([len(window.row) for window in windows])
    window_text = np.array([window.text for window in windows])
    token_text = window_text.repeat(lengths)
    is_counted = np.concatenate([window.counted for window in windows])
    is_counted[lengths.cumsum() - lengths] = False  # nothing predicts a window's first token
    log_prob = np.bincount(token_text[is_counted], scores[is_counted], len(texts))
    tokens = np.bincount(token_text[is_counted], minlength=len(texts))
    read = np.bincount(window_text, lengths, len(texts))
    return [
        TextScore(float(log_prob[i]), int(tokens[i]), len(text.encode("utf-8")), int(read[i]))
        for i, text in enumerate(texts)
    ]


def row_log_probs(lm: PreTrainedModel, rows: list[list[int]], counted: list[np.ndarray] | None = None) -> np.ndarray:
    """log p(token | tokens before it in its row), in nats; the rows one after the other, zero at their first tokens.

    Rows that begin alike are read as trees where that leaves out a quarter of the columns and the model can read them.

    Args:
        counted: for each row, which of its tokens are wanted (booleans); None: all. The LM head does not run for the
            others, whose entries mean nothing.
    """
    forest = grow(rows, TREE_COLUMNS)
    plain = sum(len(row) - 1 for row in rows)
    if forest.columns < 0.75 * plain and reads_packed_rows(lm, max(map(len, rows))):
        return _log_probs_on_trees(lm, forest, None if counted is None else np.concatenate(counted))
    starts = np.cumsum([0, *map(len, rows)])
    result = np.zeros(starts[-1])

    def read(group: list[int]) -> None:
        batch = pad([rows[i] for i in group], pad_id=0).to(lm.device)
        is_wanted = batch.is_real.clone()
        if counted is not None:
            is_wanted[batch.is_real] = torch.from_numpy(np.concatenate([counted[i] for i in group])).to(lm.device)
        scores = token_log_probs(lm, batch, is_wanted)[batch.is_real].cpu().double().numpy()
        result[np.concatenate([np.arange(starts[i], starts[i + 1]) for i in group])] = scores

    _for_each_group(lm, read, [len(row) for row in rows])
    return result


def _log_probs_on_trees(lm: PreTrainedModel, forest: Forest, is_counted: np.ndarray | None) -> np.ndarray:
    """`row_log_probs` of the rows that the forest grew from."""
    is_wanted = np.ones(len(forest.tree), dtype=bool)
    if is_counted is not None:
        is_wanted[:] = False
        is_wanted[forest.edge_of[is_counted & (forest.edge_of >= 0)]] = True
    edges = np.searchsorted(forest.tree, np.arange(len(forest.trees) + 1))
    scores = np.zeros(len(forest.tree) + 1)  # the last is that of first tokens

    @torch.no_grad()
    def read(group: list[int]) -> None:
        batch = pad([forest.trees[t].ids for t in group], pad_id=0).to(lm.device)
        ends = pad([forest.trees[t].ends for t in group], pad_id=0).input_ids.to(lm.device)
        row_starts = np.arange(len(group)) * batch.input_ids.shape[1]
        here = np.concatenate([np.arange(edges[t], edges[t + 1]) for t in group])
        places = forest.column[here] + np.repeat(row_starts, [edges[t + 1] - edges[t] for t in group])
        here, places = here[is_wanted[here]], places[is_wanted[here]]
        needed, state_of = np.unique(places, return_inverse=True)
        states = hidden_states(lm, batch.input_ids, batch.is_real, ends=ends).flatten(0, 1)
        on_device = (torch.from_numpy(x).to(lm.device) for x in (needed, state_of, forest.token[here]))
        needed_states, state_of_each, tokens = on_device
        scores[here] = log_probs_at(lm, states[needed_states], state_of_each, tokens).cpu().double().numpy()

    _for_each_group(lm, read, [len(tree.ids) for tree in forest.trees])
    return scores[forest.edge_of]


def _for_each_group(lm: PreTrainedModel, read: Callable[[list[int]], None], lengths: list[int]) -> None:
    """Read all rows in groups of similar length."""
    groups = list(_groups(sorted(range(len(lengths)), key=lengths.__getitem__), lengths))
    with prepacked(lm) if sum(lengths) >= WORTH_PREPACKING else nullcontext():
        _in_threads(lm, read, groups)


def _in_threads(lm: PreTrainedModel, read: Callable[[list[int]], None], groups: list[list[int]]) -> None:
    """On a processor several groups at a time, each with its share of the threads: threads that wait for each other in
    every operation waste half of their time and more where the machine has other work.
    """
    threads = torch.get_num_threads() if lm.device.type == "cpu" else 1
    workers = min(threads, len(groups), READERS)
    if workers == 1:
        for group in groups:
            read(group)
        return
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,)) as pool:
            list(pool.map(read, groups))
    finally:
        torch.set_num_threads(threads)  # for threads that begin later


def bits_per_byte(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> float:
    """Total bits of the texts over their total UTF-8 bytes; comparable between tokenizers, models and languages."""
    scores = score_texts(lm, tokenizer, texts)
    return -sum(s.log_prob for s in scores) / math.log(2) / sum(s.num_bytes for s in scores)


def context_length(lm: PreTrainedModel) -> int | None:
    """Longest row the model reads, in tokens; None when it states none."""
    return getattr(lm.config, "max_position_embeddings", None)


@dataclass(frozen=True)
class _Window:
    """A part of a text that fits the model's context."""

    text: int
    """Which of the texts."""
    row: list[int]
    counted: np.ndarray
    """Which of the row's tokens end after the text's context."""


def _windows(
    lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], count_from: list[int] | None
) -> list[_Window]:
    start = start_token(tokenizer)
    longest = (context_length(lm) or 1 << 30) - 1
    head = [] if start is None else [start]
    if count_from is None:
        rows = [(row, len(row)) for row in encode(tokenizer, texts)]
    else:
        rows = encode_from(tokenizer, texts, count_from)
    windows = []
    for i, (row, count) in enumerate(rows):
        body = row[len(head) :]
        for first in range(0, len(body), longest):
            part = head + body[first : first + longest]
            windows.append(_Window(i, part, np.arange(len(part)) + first >= len(row) - count))
    return windows


def _groups(order: list[int], lengths: list[int]) -> Iterator[list[int]]:
    """Consecutive items of `order` (sorted by length) in groups of at most TOKENS_PER_FORWARD padded tokens."""
    group: list[int] = []
    for i in order:
        if group and (len(group) + 1) * lengths[i] > TOKENS_PER_FORWARD:
            yield group
            group = []
        group.append(i)
    if group:
        yield group


@torch.no_grad()
def reads_packed_rows(lm: PreTrainedModel, length: int) -> bool:
    """Whether packed rows of so many tokens are read exactly as each line alone: tried out on two short lines.

    No for models without explicit positions, with a state that runs on over a line's end (Qwen3-Next, LFM2), or with a
    sliding window shorter than the rows.
    """
    window = getattr(lm.config, "sliding_window", None)
    if not takes_positions(lm) or (window is not None and window < length) or (context_length(lm) or 6) < 6:
        return False
    ids = torch.arange(1, 13, device=lm.device)[None] % lm.config.vocab_size
    other = torch.cat([ids[:, :6].flip(1), ids[:, 6:]], 1)
    is_real = torch.ones_like(ids, dtype=torch.bool)
    documents = (torch.arange(12, device=lm.device) >= 6).long()[None]
    with eval_mode(lm):
        try:
            packed, after_another = (hidden_states(lm, x, is_real, documents=documents)[:, 6:] for x in (ids, other))
        except (ValueError, RuntimeError):
            return False
        alone = hidden_states(lm, ids[:, 6:], is_real[:, 6:])
    return torch.equal(packed, after_another) and torch.allclose(packed, alone, rtol=1e-3, atol=1e-3)


def takes_positions(lm: PreTrainedModel) -> bool:
    """Whether the model can be told positions, which packed rows need."""
    return "position_ids" in _arguments(lm)


def _arguments(lm: PreTrainedModel) -> Collection[str]:
    """Names of what the model's forward takes."""
    return inspect.signature(lm.base_model.forward).parameters


def _additive(may_see: Bool[Tensor, "B T T"], dtype: torch.dtype) -> Float[Tensor, "B 1 T T"]:
    """An attention mask: each column attends to those before it and itself that it may see."""
    mask = torch.zeros(may_see.shape, dtype=dtype, device=may_see.device)
    return mask.masked_fill(~may_see.tril(), torch.finfo(dtype).min)[:, None]
