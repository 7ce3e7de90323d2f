"""Prompts -> what the baby says: our own KV-cached sampler, and the text of it.

The policy that is sampled is the policy that is scored: dropout is off, the log-prob kept for a token is that of the
very distribution it was drawn from, and `log_policy` is the one definition of that distribution, used by the sampler
here and by the updates in `phases/ppo.py`. Randomness comes in as uniforms, one per utterance token, each row with its
own: how a batch is split changes nothing.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from weakref import WeakKeyDictionary, WeakSet

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from bambino.errors import ModelError
from bambino.models.opening import in_a_line
from bambino.randomness import uniforms
from bambino.recipe.phase_settings import RolloutConfig, RolloutCurriculum
from bambino.scoring.forward import context_length, eval_mode, hidden_states, lm_logits, logits_before
from bambino.speaking.decoding import decoded_tokens, fits_fixed_cache
from bambino.text.batches import TokenBatch, pad

LOG = logging.getLogger(__name__)

LAW_TOLERANCE = defaultdict(lambda: 1.0, {torch.float32: 1e-3})
"""Nats by which the log-prob of a sampled token may differ from a full forward's when a model is tried out, by dtype
(others: as bf16); see `phases/sampler_law.py`."""

_BY_GRAPHS: WeakSet[PreTrainedModel] = WeakSet()
"""Models that `speak_by_graphs` was told of."""

_IN_PLACE: WeakKeyDictionary[PreTrainedModel, bool] = WeakKeyDictionary()
"""Whether a model that was tried out says the same through a cache of fixed size."""

_SPEAK: WeakSet[PreTrainedModel] = WeakSet()
"""Models that were tried out; training does not change how they go on from what they have read."""


@dataclass(frozen=True)
class Rollout:
    """Prompts (left-padded) and the utterances that follow them (right-padded)."""

    prompts: TokenBatch
    """(B, P)."""
    utterance_ids: Int[Tensor, "B U"]
    is_real: Bool[Tensor, "B U"]
    """True on utterance tokens, an EOS that ends the utterance included."""
    log_probs: Float[Tensor, "B U"]
    """Column u: log p(token u | everything before it) under the distribution it was sampled from, in nats."""
    values: Float[Tensor, "B U"]
    """Column u: the value of the state before token u; 0 where no values were asked for."""
    has_ended: Bool[Tensor, " B"]
    """Whether the utterance ended by itself (EOS), not at the token limit."""
    support: Bool[Tensor, "B U V"] | None = None
    """Under top-k or top-p: the tokens that could be drawn. The updated policy is scored on the same support."""

    @property
    def sequences(self) -> TokenBatch:
        """Prompts and utterances as one batch, (B, P + U)."""
        return TokenBatch(
            torch.cat([self.prompts.input_ids, self.utterance_ids], 1),
            torch.cat([self.prompts.is_real, self.is_real], 1),
        )

    @property
    def is_target(self) -> Bool[Tensor, "B T"]:
        """True on the utterance tokens of `sequences`."""
        return torch.cat([torch.zeros_like(self.prompts.is_real), self.is_real], 1)

    @cached_property
    def places(self) -> Int[Tensor, " N"]:
        """Where the real utterance tokens stand, row by row; found once, since a GPU is waited for."""
        return self.is_real.flatten().nonzero()[:, 0]

    def of_tokens(self, values: Shaped[Tensor, "B U *rest"]) -> Shaped[Tensor, "N *rest"]:
        """What values are at the real utterance tokens, row by row."""
        return values.flatten(0, 1)[self.places]

    def in_places(self, values: Float[Tensor, " N"]) -> Float[Tensor, "B U"]:
        """Values of the real utterance tokens put where these stand; zero elsewhere."""
        return values.new_zeros(self.is_real.numel()).index_copy(0, self.places, values).view(self.is_real.shape)

    @property
    def tokens(self) -> Int[Tensor, " N"]:
        """The real utterance tokens, row by row."""
        return self.of_tokens(self.utterance_ids)

    def policy(self, logits: Float[Tensor, "N V"], temperature: float) -> Float[Tensor, "N V"]:
        """Log-probs of the policy before each real token, from a model's logits there, on the support sampled from."""
        return log_policy(logits, temperature, None if self.support is None else self.of_tokens(self.support))

    def cpu(self) -> Rollout:
        """The same on the CPU, without the support: what texts and credit are made of, row by row."""
        return Rollout(
            self.prompts.to("cpu"),
            self.utterance_ids.cpu(),
            self.is_real.cpu(),
            self.log_probs.cpu(),
            self.values.cpu(),
            self.has_ended.cpu(),
        )

    def rows(self, rows: Tensor | slice) -> Rollout:
        """Some of the utterances."""
        return Rollout(
            TokenBatch(self.prompts.input_ids[rows], self.prompts.is_real[rows]),
            self.utterance_ids[rows],
            self.is_real[rows],
            self.log_probs[rows],
            self.values[rows],
            self.has_ended[rows],
            None if self.support is None else self.support[rows],
        )


def log_policy(
    logits: Float[Tensor, "N V"], temperature: float, support: Bool[Tensor, "N V"] | None = None
) -> Float[Tensor, "N V"]:
    """Log-probs the baby acts by, in fp32: tempered, and renormalized over the support when there is one."""
    logits = logits.float() if temperature == 1.0 else logits.float() / temperature
    if support is not None:
        logits = logits.masked_fill(~support, float("-inf"))
    return logits.log_softmax(-1)


def truncated_support(log_probs: Float[Tensor, "B V"], top_k: int | None, top_p: float | None) -> Bool[Tensor, "B V"]:
    """Tokens that top-k and top-p leave: the k likeliest; then the fewest likeliest that together hold top_p."""
    ranked, order = log_probs.sort(dim=-1, descending=True, stable=True)
    keep = torch.ones_like(ranked, dtype=torch.bool)
    if top_k is not None:
        keep[:, top_k:] = False
    if top_p is not None:
        probs = ranked.masked_fill(~keep, float("-inf")).softmax(-1)
        keep &= probs.cumsum(-1) - probs < top_p
    return torch.zeros_like(keep).scatter(-1, order, keep)


def tokens_between_checks(device: torch.device) -> int:
    """Tokens sampled before it is asked whether all utterances have ended: a GPU has to be waited for to know."""
    return 1 if device.type == "cpu" else 8


def inverse_cdf(log_probs: Float[Tensor, "B V"], uniform: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """The token at which the cumulative probability first exceeds the uniform; never one of probability 0."""
    exact = _exact(log_probs.device)
    cdf = log_probs.to(exact).double().exp().cumsum(-1)
    token = torch.searchsorted(cdf, (uniform.to(exact) * cdf[:, -1])[:, None], right=True)[:, 0]
    return token.clamp(max=cdf.shape[1] - 1).to(log_probs.device)


def sample(
    lm: PreTrainedModel,
    prompts: TokenBatch,
    uniform: Float[Tensor, "B U"],
    config: RolloutCurriculum,
    eos: int | None,
    values_of: Callable[[Float[Tensor, "B D"]], Float[Tensor, " B"]] | None = None,
) -> Rollout:
    """Let a model speak: up to U tokens after each prompt, one forward per token, until all have said EOS.

    Args:
        prompts: padded on either side, at least one real token a row.
        uniform: number u of a row draws its token u.
        config: temperature and truncation; its lengths are not read.
        values_of: the value of a hidden state, such as `baby.values`.

    Raises:
        ModelError: the model cannot speak here (`check_speaks`).
    """
    check_speaks(lm)
    sampler = _sample_in_place if _speaks_in_place(lm) else _sample
    return sampler(lm, prompts, uniform, config, eos, values_of)


def check_speaks(lm: PreTrainedModel) -> None:
    """Refuse a model whose next token, sampled from its cache, does not depend on all that it has read.

    Tried out once for each model. Models with a state instead of a cache of keys and values (Mamba, RWKV) fail, and
    those without a cache or with one of their own (GPT-1, MiniMax).

    Raises:
        ModelError: naming the model.
    """
    if lm in _SPEAK:
        return
    try:
        gap = law_gap(lm)
        problem = f"its log-probs differ by {gap:.2g} nats from those of a full forward"
    except Exception as error:  # noqa: BLE001 - whatever a model raises that takes no cache
        gap, problem = math.inf, in_a_line(error)
    if not gap <= LAW_TOLERANCE[lm.dtype]:
        raise ModelError(
            f"{type(lm).__name__} ({lm.name_or_path or lm.config.model_type}) cannot speak here: going on token by "
            f"token from a cache of keys and values, {problem}. It can hear text and be measured by what it makes of "
            "text: schedule.cycle '{clm: 1}', evaluation.utterances 0; bambino evaluate --prompts 0. To let it speak, "
            "use a transformer such as GPT-2, OPT, Llama, Qwen or Gemma."
        )
    _SPEAK.add(lm)


def speak_by_graphs(lm: PreTrainedModel) -> None:
    """On a GPU let this model speak by CUDA graphs from now on, where it says the same by them."""
    _BY_GRAPHS.add(lm)


def _speaks_in_place(lm: PreTrainedModel) -> bool:
    """Whether the model may speak by graphs and says the same through a cache of fixed size: tried out once."""
    if lm not in _BY_GRAPHS or lm.device.type != "cuda":
        return False
    if lm not in _IN_PLACE:
        try:
            _IN_PLACE[lm] = fits_fixed_cache(lm) and law_gap(lm, _sample_in_place) <= LAW_TOLERANCE[lm.dtype]
        except Exception as error:  # noqa: BLE001 - whatever a model raises that takes no such cache
            LOG.info("%s speaks through a cache that grows: %s", type(lm).__name__, in_a_line(error))
            _IN_PLACE[lm] = False
    return _IN_PLACE[lm]


@torch.no_grad()
def law_gap(lm: PreTrainedModel, sampler: Callable[..., Rollout] | None = None) -> float:
    """Largest difference in nats between log-probs of tokens as they are sampled, after two prompts of unequal length,
    and those that one forward over prompts and tokens gives."""
    longest = min(16, context_length(lm) or 16)
    said = longest // 2
    rows = [[1 + i % (lm.config.vocab_size - 1) for i in range(n)] for n in (longest - said, max(1, said // 2))]
    prompts = pad(rows, 0, "left").to(lm.device)
    random = uniforms(len(rows), said, seed=0, stream="trial", step=0)
    with torch.autocast(lm.device.type, enabled=False), eval_mode(lm):
        found = (sampler or _sample)(lm, prompts, random, RolloutConfig(), None)
        log_probs = log_policy(logits_before(lm, found.sequences, found.is_target), 1.0)
    of_tokens = log_probs.gather(1, found.tokens[:, None])[:, 0]
    return float((of_tokens - found.of_tokens(found.log_probs)).abs().max())


@torch.no_grad()
def _sample(
    lm: PreTrainedModel,
    prompts: TokenBatch,
    uniform: Float[Tensor, "B U"],
    config: RolloutCurriculum,
    eos: int | None,
    values_of: Callable[[Float[Tensor, "B D"]], Float[Tensor, " B"]] | None = None,
) -> Rollout:
    prompts = _left_padded(prompts)
    uniform = uniform.to(_exact(prompts.input_ids.device))
    between = tokens_between_checks(prompts.input_ids.device)
    cache = DynamicCache(config=lm.config)
    ids, seen = prompts.input_ids, prompts.is_real
    is_speaking = torch.ones_like(seen[:, 0])
    columns: list[tuple[Tensor, ...]] = []
    supports: list[Tensor] = []
    with eval_mode(lm):
        for u in range(uniform.shape[1]):
            hidden = hidden_states(lm, ids, seen, cache=cache)[:, -1]
            token, log_probs, support = _drawn(lm, config, hidden, uniform[:, u])
            if support is not None:
                supports.append(support)
            token = torch.where(is_speaking, token, 0)
            values = log_probs.new_zeros(len(token)) if values_of is None else values_of(hidden)
            columns.append((token, is_speaking, log_probs, values))
            ids, seen = token[:, None], torch.cat([seen, is_speaking[:, None]], 1)
            if eos is None:
                continue
            is_speaking = is_speaking & (token != eos)
            if (u + 1) % between == 0 and not is_speaking.any():
                break
    tokens, is_real, kept, values = (torch.stack(column, 1) for column in zip(*columns, strict=True))
    return _rollout(prompts, tokens, is_real, kept, values, torch.stack(supports, 1) if supports else None, eos)


@torch.no_grad()
def _sample_in_place(
    lm: PreTrainedModel,
    prompts: TokenBatch,
    uniform: Float[Tensor, "B U"],
    config: RolloutCurriculum,
    eos: int | None,
    values_of: Callable[[Float[Tensor, "B D"]], Float[Tensor, " B"]] | None = None,
) -> Rollout:
    """As `_sample`, through a cache of fixed size."""
    prompts = _left_padded(prompts)
    uniform = uniform.to(_exact(prompts.input_ids.device))
    settings = (config.temperature, config.top_k, config.top_p)
    between = tokens_between_checks(prompts.input_ids.device)
    said = decoded_tokens(lm, prompts, uniform, partial(_drawn, lm, config), eos, between, settings)
    hidden, log_probs = said["hidden"], said["log_probs"]
    values = torch.zeros_like(log_probs) if values_of is None else values_of(hidden.flatten(0, 1)).view_as(log_probs)
    return _rollout(prompts, said["tokens"], said["is_real"], log_probs, values, said.get("support"), eos)


def _drawn(
    lm: PreTrainedModel, config: RolloutCurriculum, hidden: Float[Tensor, "B D"], uniform: Float[Tensor, " B"]
) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"], Bool[Tensor, "B V"] | None]:
    """A token after each hidden state, its log-prob, and under top-k or top-p the tokens that could be drawn."""
    log_probs, support = log_policy(lm_logits(lm, hidden), config.temperature), None
    if config.is_truncated:
        support = truncated_support(log_probs, config.top_k, config.top_p)
        log_probs = log_policy(log_probs, 1.0, support)
    token = inverse_cdf(log_probs, uniform)
    return token, log_probs.gather(1, token[:, None])[:, 0], support


def _rollout(
    prompts: TokenBatch,
    tokens: Int[Tensor, "B U"],
    is_real: Bool[Tensor, "B U"],
    log_probs: Float[Tensor, "B U"],
    values: Float[Tensor, "B U"],
    support: Bool[Tensor, "B U V"] | None,
    eos: int | None,
) -> Rollout:
    """Without the columns after the longest utterance; nothing shares memory with the arguments."""
    width = int(is_real.any(0).sum())
    tokens, is_real, log_probs, values = (
        column[:, :width].clone(memory_format=torch.contiguous_format)
        for column in (tokens, is_real, log_probs, values.float())
    )
    last = tokens.gather(1, is_real.sum(1, keepdim=True) - 1)[:, 0]
    return Rollout(
        prompts,
        tokens,
        is_real,
        torch.where(is_real, log_probs, 0.0),
        torch.where(is_real, values, 0.0),
        torch.zeros_like(is_real[:, 0]) if eos is None else last == eos,
        None if support is None else support[:, :width].clone(),
    )


def _exact(device: torch.device) -> torch.device:
    """Where float64 is to be had: not on MPS."""
    return torch.device("cpu") if device.type == "mps" else device


def _left_padded(batch: TokenBatch) -> TokenBatch:
    """The same rows with their pads moved to the left."""
    order = batch.is_real.int().argsort(dim=1, stable=True)
    return TokenBatch(batch.input_ids.gather(1, order), batch.is_real.gather(1, order))
