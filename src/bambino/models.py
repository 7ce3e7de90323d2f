"""The baby (a causal LM with a value head), the reference it is held to, the parent: build, load, check.

Any Hugging Face causal LM serves whose logits are its output embeddings applied to its base model's last hidden state;
that is checked when it is loaded. Known scales and soft caps of logits are applied, as in Gemma 2; a model that does
more is refused.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from bambino.config import ModelConfig
from bambino.scoring import eval_mode, lm_logits, logits_before, states_before
from bambino.text import TokenBatch

GENERIC_TOKENIZERS = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Names, old and new, of the class that reads tokenizer.json as it is."""


HEAD_TOLERANCE = defaultdict(lambda: 1e-2, {torch.float32: 1e-4})
"""Share of the largest logit by which ours may differ from the model's own, by dtype (others: as bf16)."""


class ModelError(ValueError):
    """A model that cannot be used; the message names the setting, the path and the way out."""


class Baby(nn.Module):
    """A causal LM with a value head: linear on the last hidden state, zero at first."""

    def __init__(self, lm: PreTrainedModel) -> None:
        super().__init__()
        self.lm = lm
        width = lm.get_output_embeddings().in_features
        self.value_head = nn.Linear(width, 1, device=lm.device, dtype=lm.dtype)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def values(self, hidden: Float[Tensor, "... D"]) -> Float[Tensor, " ..."]:
        """The value of the state after reading up to a hidden state."""
        return self.value_head(hidden).squeeze(-1)

    def forward(
        self, batch: TokenBatch, is_target: Bool[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "N V"], Float[Tensor, " N"]]:
        """Logits and values of the states before the N target tokens, row by row."""
        states = states_before(self.lm, batch, is_target)
        return lm_logits(self.lm, states), self.values(states).float()


class Reference:
    """The frozen policy that the KL is measured against.

    initial: the first baby. phase_start: the baby as it was when the current ppo phase began. ema: a running mean of
    the baby, `decay` of itself kept at every step. none: `lm` is None and nothing is measured.
    """

    def __init__(
        self, kind: Literal["initial", "phase_start", "ema", "none"], decay: float, lm: PreTrainedModel
    ) -> None:
        self.kind, self.decay = kind, decay
        self.lm: PreTrainedModel | None = None if kind == "none" else frozen(copy.deepcopy(lm))

    def moving_weights(self) -> dict[str, Tensor]:
        """What checkpoints must hold: the weights of a reference that moves, nothing of one that does not."""
        return dict(self.lm.named_parameters()) if self.lm is not None and self.kind in ("phase_start", "ema") else {}

    @torch.no_grad()
    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take over weights, by parameter name."""
        assert self.lm is not None, "a reference of kind none has no weights"
        copy_weights(self.lm, weights)

    @torch.no_grad()
    def begin_phase(self, lm: PreTrainedModel) -> None:
        """A ppo phase begins."""
        if self.kind == "phase_start":
            self._follow(lm, keep=0.0)

    @torch.no_grad()
    def end_step(self, lm: PreTrainedModel) -> None:
        if self.kind == "ema":
            self._follow(lm, keep=self.decay)

    def _follow(self, lm: PreTrainedModel, keep: float) -> None:
        assert self.lm is not None
        for mine, its in zip(self.lm.parameters(), lm.parameters(), strict=True):
            mine.copy_(its) if keep == 0.0 else mine.lerp_(its, 1.0 - keep)


@torch.no_grad()
def copy_weights(lm: PreTrainedModel, weights: dict[str, Tensor]) -> None:
    """Copy weights into a model's parameters, by name; every parameter must be there."""
    for name, parameter in lm.named_parameters():
        parameter.copy_(weights[name])


def frozen(lm: PreTrainedModel) -> PreTrainedModel:
    """The model in eval mode, its weights out of every gradient."""
    return lm.eval().requires_grad_(False)


def forward_flops(lm: PreTrainedModel, tokens: int, targets: int) -> int:
    """Multiply-adds x 2 of a forward over so many tokens, the LM head on `targets` of them; attention scores left out.

    Training costs three times a forward (Kaplan et al. 2020, section 2.1).
    """
    embeddings = {id(p) for p in [*lm.get_input_embeddings().parameters(), *lm.get_output_embeddings().parameters()]}
    body = sum(p.numel() for p in lm.parameters() if id(p) not in embeddings)
    return 2 * body * tokens + 2 * lm.get_output_embeddings().weight.numel() * targets


def weights_sha256(lm: PreTrainedModel) -> str:
    """Of the names and numbers of all weights, wherever they were opened from; about a second per GB."""
    digest = hashlib.sha256()
    for name, parameter in lm.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def tokenizer_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """Of all that decides which ids a text has."""
    content = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else tokenizer.get_vocab()
    for set_by_calls in ("truncation", "padding"):
        content.pop(set_by_calls, None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_lm(config: ModelConfig, role: Literal["baby", "parent"]) -> PreTrainedModel:
    """Load a causal LM in fp32 and check that it can be used.

    Raises:
        ModelError: it is missing, is no causal LM, has no whole safetensors, or changes its logits after the LM head.
    """
    source = _source(config, role)
    try:
        lm, report = AutoModelForCausalLM.from_pretrained(
            source,
            revision=config.revision or "main",
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{role}.model = {source} cannot be opened as a causal LM: {_first_line(error)} "
            "Give a folder with config.json and safetensors, or a hub name (which needs a network or a filled cache)."
        ) from None
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"{role}.model = {source} lacks {len(missing)} weights of a {type(lm).__name__} ({missing[0]}, ...); "
            "they would be random. Is it a causal LM, saved whole?"
        )
    check_head(lm, role)
    return lm


def load_tokenizer(
    config: ModelConfig, role: Literal["baby", "parent"], lm: PreTrainedModel
) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer as it was saved and check that the model has a row for each of its ids.

    AutoTokenizer overrules the generic class for some families (a saved byte-level BPE beside a Qwen 2 becomes a
    Qwen2Tokenizer, with other ids), so where tokenizer_config.json names the generic class, that one opens it.
    """
    source, revision = _source(config, role), config.revision or "main"
    try:
        named = get_tokenizer_config(source, revision=revision).get("tokenizer_class")
        opener = PreTrainedTokenizerFast if named in GENERIC_TOKENIZERS else AutoTokenizer
        tokenizer: PreTrainedTokenizerBase = opener.from_pretrained(source, revision=revision)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{role}.model = {source} has no tokenizer that opens: {_first_line(error)}") from None
    if not tokenizer.get_vocab().keys() - tokenizer.get_added_vocab().keys():
        # what Transformers makes up for a folder without tokenizer files
        raise ModelError(f"{role}.model = {source} has no tokenizer. Save it beside the model: tokenizer.json.")
    check_tokenizer(tokenizer, lm, role)
    return tokenizer


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, lm: PreTrainedModel, role: str) -> None:
    rows = lm.get_input_embeddings().num_embeddings
    highest = max(tokenizer.get_vocab().values())
    if highest >= rows:
        raise ModelError(
            f"{role}.model: the tokenizer has ids up to {highest}, the model rows for {rows} only. "
            "They do not belong together; save the right tokenizer beside the model."
        )


def head_gap(lm: PreTrainedModel) -> float:
    """Largest difference between the model's own logits and what `lm_logits` makes of its last hidden states, over the
    largest of its logits. Both read the same columns: another number of columns alone moves real models by 2e-5.
    """
    ids = torch.arange(4, device=lm.device)[None] % lm.config.vocab_size
    batch = TokenBatch(ids, torch.ones_like(ids, dtype=torch.bool))
    with eval_mode(lm), torch.no_grad():
        ours = logits_before(lm, batch, batch.is_target).float()
        theirs = lm(input_ids=ids[:, :-1]).logits[0].float()
    return float((ours - theirs).abs().max() / theirs.abs().max())


def check_head(lm: PreTrainedModel, role: str) -> None:
    """Refuse a model whose logits are not what `lm_logits` makes of its last hidden states."""
    gap = head_gap(lm)
    if gap > HEAD_TOLERANCE[lm.dtype]:
        raise ModelError(
            f"{role}.model: {type(lm).__name__} does more between its last hidden states and its logits than an LM "
            "head and a known scale or soft cap. OPT, GPT-2, Llama, Qwen, Gemma and GPT-NeoX style models work."
        )


def is_on_hub(name: str) -> bool:
    """Whether a name can only be one on the hub: no path that exists, and not written like a path."""
    path = Path(name).expanduser()
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1 or ("/" in name and path.parent.is_dir())
    return not looks_local and not path.exists()


def _source(config: ModelConfig, role: str) -> str:
    if config.model is None:
        raise ModelError(f"{role}.model is not given. Use a local folder or a hub name: --{role}.model PATH")
    if is_on_hub(config.model):
        return config.model
    path = Path(config.model).expanduser()
    if not path.is_dir():
        raise ModelError(f"{role}.model = {config.model}: there is no such folder.")
    if not (path / "config.json").is_file():
        raise ModelError(f"{role}.model = {config.model} is a folder without config.json, not a Hugging Face model.")
    return str(path)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
