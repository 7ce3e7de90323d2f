"""Causal LMs and their tokenizers: open and check.

Any Hugging Face causal LM serves whose logits are its output embeddings applied to its base model's last hidden state;
that is checked when it is loaded. Known scales and soft caps of logits are applied, as in Gemma 2; a model that does
more is refused.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from bambino.errors import ModelError
from bambino.recipe.settings import ModelConfig
from bambino.scoring.forward import eval_mode, logits_before
from bambino.text.batches import TokenBatch

GENERIC_TOKENIZERS = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Names, old and new, of the class that reads tokenizer.json as it is."""


HEAD_TOLERANCE = defaultdict(lambda: 1e-2, {torch.float32: 1e-4})
"""Share of the largest logit by which ours may differ from the model's own, by dtype (others: as bf16)."""


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
    """Refuse a tokenizer that has ids beyond the model's embeddings.

    Raises:
        ModelError: naming the highest id and the rows there are.
    """
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
