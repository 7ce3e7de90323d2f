"""Causal LMs and their tokenizers: open and check.

Any Hugging Face causal LM serves whose logits are its output embeddings applied to its base model's last hidden state;
that is checked when it is loaded. Known scales and soft caps of logits are applied, as in Gemma 2; a model that does
more is refused.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from pathlib import Path
from typing import Literal

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from bambino.errors import ModelError, shortened
from bambino.models.opening import check_files, check_finite, in_a_line, opening
from bambino.models.revisions import revision_in
from bambino.recipe.model_settings import ModelConfig
from bambino.scoring.forward import eval_mode, logits_before, reads_from_left_to_right
from bambino.text.batches import TokenBatch

GENERIC_TOKENIZERS = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Names, old and new, of the class that reads tokenizer.json as it is."""


HEAD_TOLERANCE = defaultdict(lambda: 1e-2, {torch.float32: 1e-4})
"""Share of the largest logit by which ours may differ from the model's own, by dtype (others: as bf16)."""


def load_lm(config: ModelConfig, role: Literal["baby", "parent"]) -> PreTrainedModel:
    """Load a causal LM in fp32 and check that it can be used.

    Raises:
        ModelError: it is missing, is no causal LM, has no whole safetensors, brings Python of its own that no setting
            allows, has weights that are no numbers, or changes its logits after the LM head.
    """
    source = source_of(config, role)
    name = f"{role}.model = {source}"
    way_out = "Give a folder with config.json and safetensors, or a hub name (which needs a network or a filled cache)."
    with opening(name, "cannot be opened as a causal LM", way_out):
        _check_files(config, role)
        lm, report = AutoModelForCausalLM.from_pretrained(
            source,
            revision=config.revision or "main",
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=config.trust_remote_code,
            output_loading_info=True,
        )
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"{name} lacks {len(missing)} weights of a {type(lm).__name__} ({missing[0]}, ...); "
            "they would be random. Is it a causal LM, saved whole?"
        )
    check_lm(lm, role)
    return lm


def load_tokenizer(
    config: ModelConfig, role: Literal["baby", "parent"], lm: PreTrainedModel
) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer as it was saved and check that the model has a row for each of its ids.

    AutoTokenizer overrules the generic class for some families (a saved byte-level BPE beside a Qwen 2 becomes a
    Qwen2Tokenizer, with other ids), so where tokenizer_config.json names the generic class, that one opens it.
    """
    source, revision = source_of(config, role), config.revision or "main"
    name = f"{role}.model = {source}"
    with opening(name, "has no tokenizer that opens", "Save the right one beside the model: tokenizer.json."):
        _check_files(config, role)
        named = get_tokenizer_config(source, revision=revision).get("tokenizer_class")
        opener = PreTrainedTokenizerFast if named in GENERIC_TOKENIZERS else AutoTokenizer
        tokenizer: PreTrainedTokenizerBase = opener.from_pretrained(
            source, revision=revision, trust_remote_code=config.trust_remote_code
        )
        if not tokenizer.get_vocab().keys() - tokenizer.get_added_vocab().keys():
            # what Transformers makes up for a folder without tokenizer files
            raise ModelError(f"{name} has no tokenizer. Save it beside the model: tokenizer.json.")
        tokenizer("")
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
            f"{role}.model: the tokenizer has ids up to {highest}, the model rows for {rows} only. If tokens were "
            f"added to it, give the model rows for them: lm.resize_token_embeddings({highest + 1}), and save it again. "
            "Else they do not belong together; save the right tokenizer beside the model."
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


def check_lm(lm: PreTrainedModel, role: str) -> None:
    """Refuse a model that cannot be read: weights that are no numbers, no LM head, or logits that `lm_logits` does not
    make of its last hidden states.

    Raises:
        ModelError: naming what is wrong.
    """
    check_finite(lm, f"{role}.model = {lm.name_or_path}" if lm.name_or_path else f"{role}.model")
    check_head(lm, role)


def check_head(lm: PreTrainedModel, role: str) -> None:
    """Refuse a model that is not read token by token from left to right, or whose logits are not what `lm_logits` makes
    of its last hidden states."""
    try:
        gap = head_gap(lm)
        with eval_mode(lm):
            is_causal = reads_from_left_to_right(lm)
    except Exception as error:  # noqa: BLE001 - whatever a model that is no causal LM raises when read like one
        raise ModelError(
            f"{role}.model: a {type(lm).__name__} cannot be read as a causal LM ({in_a_line(error)}). OPT, GPT-2, "
            "Llama, Qwen, Gemma and GPT-NeoX style models work."
        ) from None
    if not math.isfinite(gap):
        raise ModelError(f"{role}.model: a {type(lm).__name__} gives logits that are no numbers. Is it damaged?")
    if not is_causal:
        raise ModelError(
            f"{role}.model: a {type(lm).__name__} does not read from left to right: what follows changes what it makes "
            "of what was before. Use a causal LM."
        )
    if gap > HEAD_TOLERANCE[lm.dtype]:
        raise ModelError(
            f"{role}.model: {type(lm).__name__} does more between its last hidden states and its logits than an LM "
            "head and a known scale or soft cap. OPT, GPT-2, Llama, Qwen, Gemma and GPT-NeoX style models work."
        )


def is_on_hub(name: str) -> bool:
    """Whether a name can only be one on the hub: no path that exists, and not written like a path."""
    path = os.path.expanduser(name)
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1
    is_below_a_folder = "/" in name and os.path.isdir(os.path.dirname(path))
    return not looks_local and not is_below_a_folder and not os.path.exists(path)


def _check_files(config: ModelConfig, role: str) -> None:
    source = source_of(config, role)
    check_files(
        source,
        f"{role}.model = {source}",
        f"{role}.trust_remote_code",
        revision=config.revision,
        trust_remote_code=config.trust_remote_code,
    )


def source_of(config: ModelConfig, role: str) -> str:
    """A folder with a config.json, or a name on the hub; names that no file system takes are no folders. A revision of
    a folder is a folder too, one of `revisions` in its run directory.

    Raises:
        ModelError: none is given, there is no such folder or revision, or it holds no model.
    """
    if config.model is None:
        raise ModelError(f"{role}.model is not given. Use a local folder or a hub name: --{role}.model PATH")
    if is_on_hub(config.model):
        return config.model
    name, path = shortened(f"{role}.model = {config.model}"), os.path.expanduser(config.model)
    if os.path.isfile(path):
        raise ModelError(f"{name}: there is no such folder, but a file. Give the folder that holds it.")
    if not os.path.isdir(path):
        raise ModelError(f"{name}: there is no such folder.")
    if config.revision is not None:
        path = str(revision_in(Path(path), config.revision, name))
    if not os.path.isfile(os.path.join(path, "config.json")):
        raise ModelError(f"{name} is a folder without config.json, not a Hugging Face model.")
    return str(Path(path))
