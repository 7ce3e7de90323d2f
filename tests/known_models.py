"""Models whose every probability is known, and models sharp enough that a wrong position or mask shows."""

from __future__ import annotations

import math
from typing import Any

import torch
from conftest import tiny_lm
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from bambino.speaking.speaker import Speaker


def bigram_lm(probs: torch.Tensor, context: int = 64) -> PreTrainedModel:
    """A Llama with p(next = j | last = i) = probs[i, j].

    Embeddings are one-hot, the layers add nothing, and the head undoes the norm's scale: logits are the log-probs.
    """
    size = len(probs)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size + size % 2,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=1,
        max_position_embeddings=context,
        bos_token_id=None,
        eos_token_id=None,
        tie_word_embeddings=False,
    )
    lm = LlamaForCausalLM(config).eval()
    norm_of_one_hot = math.sqrt(1 / config.hidden_size + config.rms_norm_eps)
    with torch.no_grad():
        lm.model.embed_tokens.weight.copy_(torch.eye(size, config.hidden_size))
        for layer in lm.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        lm.lm_head.weight.zero_()
        lm.lm_head.weight[:, :size] = probs.log().clamp(min=-1e4).T * norm_of_one_hot
    return lm


def unigram_lm(probs: list[float], context: int = 64) -> PreTrainedModel:
    """A model that gives every token the same probability everywhere."""
    return bigram_lm(torch.tensor(probs).expand(len(probs), -1), context)


def uniform_lm(family: str, vocab_size: int, context: int = 64) -> PreTrainedModel:
    """A model of a family with its LM head zeroed: every token has probability 1 / vocab_size."""
    lm = tiny_lm(family, vocab_size, context=context)
    with torch.no_grad():
        lm.get_output_embeddings().weight.zero_()
    return lm


def sharp_lm(family: str, vocab_size: int = 320, seed: int = 0, *, dropout: float = 0.0) -> PreTrainedModel:
    """A tiny model of a family with matrices five times as large: position and context matter to every token."""
    names = {"opt": ("dropout", "attention_dropout"), "gpt2": ("resid_pdrop", "embd_pdrop", "attn_pdrop")}
    names |= {"llama": ("attention_dropout",), "qwen2": ("attention_dropout",)}
    names |= {"gpt_neox": ("attention_dropout", "hidden_dropout")}
    # tiny_lm fixes OPT's dropout itself
    settings: dict[str, Any] = {name: dropout for name in names[family] if (family, name) != ("opt", "dropout")}
    lm = tiny_lm(family, vocab_size, seed, **settings)
    if family == "opt":
        for module in [lm.model.decoder, *lm.model.decoder.layers]:
            module.dropout = dropout
    with torch.no_grad():
        for parameter in lm.parameters():
            if parameter.dim() == 2:
                parameter.mul_(5)
    return lm


def word_tokenizer(*words: str, bos: str | None = "<s>", eos: str | None = None) -> PreTrainedTokenizerFast:
    """One token per whitespace-separated word; ids in the order given, BOS first, then EOS."""
    special = [token for token in (bos, eos) if token is not None]
    vocabulary = {word: i for i, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos)


def byte_speaker(says: str = "", seed: int = 0) -> tuple[Speaker, torch.Tensor]:
    """A speaker whose tokens are bytes and that knows of the one before, and p(next | last).

    No token begins with another, so a beginning has one cover, and F is the sum of its bytes' log-probs. It hardly
    says anything but the letters of `says`, where there are any.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(["</s>", *letters])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="</s>", eos_token="</s>")
    probs = torch.rand(len(fast), len(fast), generator=torch.Generator().manual_seed(seed)).add(0.01)
    if says:
        probs[:, [i for i in range(len(fast)) if i not in fast(says)["input_ids"]]] = 1e-8
    probs /= probs.sum(1, keepdim=True)
    return Speaker(bigram_lm(probs, context=128), fast), probs
