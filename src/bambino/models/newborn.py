"""A newborn: a tokenizer trained on the text, and a random model of a chosen shape."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Tokenizer,
)

from bambino.files import write_folder
from bambino.recipe.model_settings import ShapeConfig

BOS_EOS, PAD = "<|endoftext|>", "<pad>"


def make_newborn(shape: ShapeConfig, lines: Iterable[str], seed: int, folder: Path) -> None:
    """Save a tokenizer trained on the lines, and a random model of the shape."""
    tokenizer = train_tokenizer(lines, shape.vocab_size, shape.architecture)
    torch.manual_seed(seed)
    lm = AutoModelForCausalLM.from_config(model_config(shape, tokenizer))

    def save(part: Path) -> None:
        lm.save_pretrained(part)
        tokenizer.save_pretrained(part)

    write_folder(folder, save)


def train_tokenizer(texts: Iterable[str], vocab_size: int, architecture: str = "gpt2") -> PreTrainedTokenizerFast:
    """A byte-level BPE (no text is unknown to it); `<|endoftext|>` is BOS and EOS.

    For a Qwen 2 it divides text as Qwen 2 does: so AutoTokenizer will read it, whatever was saved.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if architecture == "qwen2":
        qwen = Qwen2Tokenizer().backend_tokenizer
        tokenizer.normalizer, tokenizer.pre_tokenizer = qwen.normalizer, qwen.pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS_EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text.strip() for text in texts), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS_EOS, eos_token=BOS_EOS, pad_token=PAD)


def model_config(shape: ShapeConfig, tokenizer: PreTrainedTokenizerFast) -> PreTrainedConfig:
    """The Hugging Face configuration of a shape; embeddings are tied, dropout is off."""
    tokens: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
    }
    sizes: dict[str, Any] = {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.context,
    }
    inner = 4 * shape.width
    if shape.architecture == "opt":
        return OPTConfig(**tokens, **sizes, ffn_dim=inner, word_embed_proj_dim=shape.width, dropout=0.0)
    if shape.architecture == "gpt2":
        dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        return GPT2Config(
            **tokens,
            n_embd=shape.width,
            n_layer=shape.layers,
            n_head=shape.heads,
            n_positions=shape.context,
            **dropout,
        )
    family = {"llama": LlamaConfig, "qwen2": Qwen2Config, "gpt_neox": GPTNeoXConfig}[shape.architecture]
    extra = {"num_key_value_heads": shape.heads} if family is Qwen2Config else {}
    return family(**tokens, **sizes, intermediate_size=inner, **extra)
