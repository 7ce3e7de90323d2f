"""Hidden states, logits and token log-probs of batches under any causal LM.

Everything that reads a model goes through `hidden_states`, which hands it explicit positions and a mask, so padding on
either side changes nothing; the LM head runs only where a token is wanted.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from bambino.text.batches import TokenBatch

PACKED_TOLERANCE = defaultdict(lambda: 5e-2, {torch.float32: 1e-5})
"""Share of the largest state by which a packed line's states may differ from the line's alone, by dtype (others: as
bf16); rounding alone makes them differ by up to 9e-7 and 2e-2 on real weights (`benchmarks/rounding.py`)."""


TRIED_ROW = 6
"""Tokens that a row begins and ends with when it is tried out how a model reads several rows at once."""


LOGITS_AT_ONCE = 1 << 21
"""Logits computed together when texts are scored: 8 MB, which stay in a CPU's cache; elsewhere 32 times this."""


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
        settings["attention_mask"] = _additive((documents[:, :, None] == documents[:, None, :]).tril(), lm.dtype)
    if ends is not None:
        is_seen = ends[:, None, :] > torch.arange(width, device=ends.device)[:, None]
        settings["attention_mask"] = _additive(is_seen.tril(), lm.dtype)
        positions = (is_seen.tril().sum(2) - 1).clamp(min=0)
    if takes_positions(lm):
        settings["position_ids"] = positions
    elif documents is not None or ends is not None:
        raise ValueError(
            f"{type(lm).__name__} takes no position_ids, so it cannot read packed rows. Use text.mode lines."
        )
    return _states(lm, input_ids, settings, cache)


def states_in_cache(
    lm: PreTrainedModel,
    input_ids: Int[Tensor, "B T"],
    may_see: Bool[Tensor, "B T S"],
    positions: Int[Tensor, "B T"],
    cache: Cache,
) -> Float[Tensor, "B T D"]:
    """The last layer's output for tokens that are put into a cache of S columns, as the caller says what each sees and
    where it stands; each must see a column. Nothing waits for a GPU."""
    settings = {"attention_mask": _additive(may_see, lm.dtype), "position_ids": positions}
    return _states(lm, input_ids, settings, cache)


def _states(
    lm: PreTrainedModel, input_ids: Int[Tensor, "B T"], settings: Mapping[str, object], cache: Cache | None
) -> Float[Tensor, "B T D"]:
    if cache is not None:
        name = "cache" if "cache" in _arguments(lm) else "past_key_values"  # before transformers 5.24
        settings = {**settings, name: cache, "use_cache": True}
    else:
        settings = {**settings, "use_cache": False}
    states: Tensor = lm.base_model(input_ids=input_ids, **settings).last_hidden_state
    return states


def states_before(lm: PreTrainedModel, batch: TokenBatch, is_target: Bool[Tensor, "B T"]) -> Float[Tensor, "N D"]:
    """The hidden states that predict the N target tokens (each from the column before it), row by row.

    The last column predicts nothing, so it is not computed.
    """
    read = batch.columns(slice(-1))
    hidden = hidden_states(lm, read.input_ids, read.is_real, documents=read.documents)
    return hidden[is_target[:, 1:]]


def logits_before(lm: PreTrainedModel, batch: TokenBatch, is_target: Bool[Tensor, "B T"]) -> Float[Tensor, "N V"]:
    """Logits that predict the N target tokens, row by row; the LM head runs nowhere else."""
    return lm_logits(lm, states_before(lm, batch, is_target))


def lm_logits(lm: PreTrainedModel, states: Float[Tensor, "*N D"]) -> Float[Tensor, "*N V"]:
    """What the LM head makes of last hidden states, and what the model makes of that: a scale or a soft cap."""
    logits: Tensor = lm.get_output_embeddings()(states)
    config = lm.config
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
    budget = LOGITS_AT_ONCE if states.device.type == "cpu" else 32 * LOGITS_AT_ONCE
    at_once = max(1, budget // lm.get_output_embeddings().weight.shape[0])
    result = torch.zeros(len(tokens), device=states.device)
    for first in range(0, len(states), at_once):
        log_probs = lm_logits(lm, states[first : first + at_once]).float().log_softmax(-1)
        is_here = (state_of >= first) & (state_of < first + at_once)
        result[is_here] = log_probs[state_of[is_here] - first, tokens[is_here]]
    return result


def context_length(lm: PreTrainedModel) -> int | None:
    """Longest row the model reads, in tokens; None when it states none."""
    stated = getattr(lm.config, "max_position_embeddings", None)
    return stated if stated is not None and stated > 0 else None  # XLNet states -1


@torch.no_grad()
def reads_from_left_to_right(lm: PreTrainedModel) -> bool:
    """Whether what follows, be it pads, changes nothing of what was read, and a row among others is read as alone.

    Tried out; no for BERT, XLNet and CPM-Ant. Alone there are fewer columns, which round otherwise: by far less than
    the 5 % of the largest state that are allowed.
    """
    length = min(2 * TRIED_ROW, context_length(lm) or 2 * TRIED_ROW)
    ids, half = _some_ids(lm, length), length // 2
    rows = torch.cat([ids, torch.cat([ids[:, :half], ids[:, half:].flip(1)], 1), ids])
    is_real = torch.ones_like(rows, dtype=torch.bool)
    is_real[2, half:] = False
    first, *others = hidden_states(lm, rows, is_real)[:, :half].split(1)
    alone = hidden_states(lm, ids[:, :half], is_real[:1, :half])
    return all(_are_the_same(other, first) for other in others) and _gap(first, alone) <= 5e-2


def reads_packed_rows(lm: PreTrainedModel, length: int) -> bool:
    """Whether packed rows of so many tokens are read exactly as each line alone: tried out on lines that long.

    No for models without explicit positions, with a state that runs on over a line's end (Qwen3-Next, LFM2), or with a
    window shorter than the rows that a mask of one's own takes away (Mistral).
    """
    return _reads(lm, length, length, is_tree=False)


def reads_trees(lm: PreTrainedModel, longest: int, columns: int) -> bool:
    """Whether rows of up to `longest` tokens are read exactly as alone on trees of so many columns
    (`prefix_trees.Tree`): tried out on rows as long, and on a row whose beginning is as far away as the tree is wide.

    No for the models that `reads_packed_rows` finds out, and for those with a window over columns, whatever it is
    called (GPT-Neo).
    """
    return _reads(lm, longest, 1 << columns.bit_length(), is_tree=True)  # few widths, so few trials


_TRIED: WeakKeyDictionary[PreTrainedModel, dict[tuple[bool, int, int], bool]] = WeakKeyDictionary()
"""What was found out of a model, by kind, longest row and columns; training does not change it."""


def _reads(lm: PreTrainedModel, longest: int, columns: int, *, is_tree: bool) -> bool:
    """Tried out, unless as much or more went right before, or as little or less went wrong."""
    longest, columns = max(longest, 2), max(columns, 2 * TRIED_ROW)
    if not takes_positions(lm) or (context_length(lm) or longest) < longest:
        return False
    tried = _TRIED.setdefault(lm, {})
    for (was_tree, at_length, at_columns), went_well in tried.items():
        more, less = at_length >= longest and at_columns >= columns, at_length <= longest and at_columns <= columns
        if was_tree == is_tree and (more if went_well else less):
            return went_well
    shared = min(TRIED_ROW, longest // 2) if is_tree else 0
    with eval_mode(lm):
        try:
            found = _reads_one(lm, longest) and _reads_last(lm, longest, columns, shared)
        except (ValueError, RuntimeError, IndexError):
            found = False
    tried[is_tree, longest, columns] = found
    return found


@torch.no_grad()
def _reads_one(lm: PreTrainedModel, length: int) -> bool:
    """Whether a single row is read under a mask of ours as without one."""
    ids = _some_ids(lm, length)
    is_real = torch.ones_like(ids, dtype=torch.bool)
    masked = hidden_states(lm, ids, is_real, ends=torch.full_like(ids, length))
    return _are_the_same(masked, hidden_states(lm, ids, is_real))


@torch.no_grad()
def _reads_last(lm: PreTrainedModel, longest: int, columns: int, shared: int) -> bool:
    """Whether the last of several rows, which begin with the same `shared` columns, is read as alone, and with the same
    bits whatever stands between."""
    last = min(TRIED_ROW, longest - shared)
    ends = [columns] * shared
    while (end := min(len(ends) + longest - shared, columns - last)) > len(ends):
        ends += [end] * (end - len(ends))
    ends += [columns] * last
    ids = _some_ids(lm, columns)
    other = torch.cat([ids[:, :shared], ids[:, shared:-last].flip(1), ids[:, -last:]], 1)
    is_real, where = torch.ones_like(ids, dtype=torch.bool), torch.tensor([ends], device=lm.device)
    among, among_others = (hidden_states(lm, x, is_real, ends=where)[:, -last:] for x in (ids, other))
    row = torch.cat([ids[:, :shared], ids[:, -last:]], 1)
    alone = hidden_states(lm, row, is_real[:, : row.shape[1]])[:, -last:]
    return torch.equal(among, among_others) and _are_the_same(among, alone)


def _some_ids(lm: PreTrainedModel, count: int) -> Int[Tensor, "1 T"]:
    tokens: int = lm.config.vocab_size
    return torch.arange(1, count + 1, device=lm.device)[None] % tokens


def _are_the_same(one: Float[Tensor, "1 T D"], other: Float[Tensor, "1 T D"]) -> bool:
    """Whether states differ by no more than rounding does."""
    return _gap(one, other) <= PACKED_TOLERANCE[other.dtype]


def _gap(one: Float[Tensor, "1 T D"], other: Float[Tensor, "1 T D"]) -> float:
    """Largest difference, over the largest state."""
    return float((one - other).abs().max() / other.abs().max())


def takes_positions(lm: PreTrainedModel) -> bool:
    """Whether the model can be told positions, which packed rows need."""
    return "position_ids" in _arguments(lm)


def _arguments(lm: PreTrainedModel) -> Collection[str]:
    """Names of what the model's forward takes."""
    return _parameters(type(lm.base_model).forward)


@cache
def _parameters(forward: Callable[..., object]) -> Collection[str]:
    """Looked up once: a model is read anew for every sampled token."""
    return inspect.signature(forward).parameters


def _additive(may_see: Bool[Tensor, "B T S"], dtype: torch.dtype) -> Float[Tensor, "B 1 T S"]:
    """An attention mask: each token attends to the columns that it may see."""
    mask = torch.zeros(may_see.shape, dtype=dtype, device=may_see.device)
    return mask.masked_fill(~may_see, torch.finfo(dtype).min)[:, None]
