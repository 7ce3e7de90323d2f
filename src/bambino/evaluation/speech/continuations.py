"""Continuations of the same prompts by baby, human and parent, none longer than so many of the baby's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.errors import TextError
from bambino.evaluation.speech.generation import Said
from bambino.models.baby import Baby
from bambino.randomness import uniforms
from bambino.recipe.settings import RolloutConfig
from bambino.scoring.forward import context_length
from bambino.speaking.rollout import sample
from bambino.speaking.utterances import to_text, without_cut_character
from bambino.text.batches import pad
from bambino.text.heldout import spread
from bambino.text.tokens import encode


@dataclass(frozen=True)
class SpeechSettings:
    """How the baby is made to speak."""

    prompts: int = 128
    """At most so many held-out lines, evenly spread, that are longer than a prompt."""
    prompt_tokens: int = 8
    """First baby tokens of a line, a start token included."""
    utterance_tokens: int = 16
    """Longest continuation, in baby tokens, of baby, human and parent alike."""
    temperature: float = 1.0
    """Of baby and parent."""
    parent_samples: int = 2
    """Continuations by the parent per prompt; at least two, for the parent's overlap with itself."""
    until: Literal["cut", "last_word"] = "last_word"
    """Parent perplexity: to the end of the text, or without a last word that was cut by the limit."""
    batch_size: int = 32
    """Prompts sampled at a time; changes no number."""
    seed: int = 0
    """Of the sampling; the same for every model."""

    def __post_init__(self) -> None:
        for name in ("prompts", "prompt_tokens", "utterance_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"speech: {name} = {getattr(self, name)} must be at least 1.")
        if self.parent_samples < 2:
            raise ValueError(f"speech: parent_samples = {self.parent_samples} must be at least 2.")

    @property
    def rollout(self) -> RolloutConfig:
        return RolloutConfig(
            prompt_tokens=self.prompt_tokens, max_new_tokens=self.utterance_tokens, temperature=self.temperature
        )


@dataclass(frozen=True)
class Speaker:
    """A causal LM with its tokenizer."""

    lm: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def prompt_rows(tokenizer: PreTrainedTokenizerBase, lines: Sequence[str], settings: SpeechSettings) -> list[list[int]]:
    """Token rows of the lines that prompts are cut from."""
    rows = [row for row in encode(tokenizer, list(lines)) if len(row) > settings.prompt_tokens]
    if not rows:
        raise TextError(
            f"None of {len(lines)} held-out lines is longer than a prompt of {settings.prompt_tokens} tokens. "
            "Give longer lines or use a smaller prompt_tokens."
        )
    return spread(rows, settings.prompts)


def check_room(lm: PreTrainedModel, settings: SpeechSettings) -> None:
    needed, context = settings.prompt_tokens + settings.utterance_tokens, context_length(lm)
    if context is not None and needed > context:
        raise ValueError(
            f"speech: prompt_tokens + utterance_tokens = {needed} is more than the baby's context of {context} tokens."
        )


def cut_line(tokenizer: PreTrainedTokenizerBase, row: list[int], settings: SpeechSettings) -> Said:
    """A line as a continuation of its own first tokens, cut to the longest utterance."""
    end = row[: settings.prompt_tokens + settings.utterance_tokens]
    return Said(
        _decode(tokenizer, row[: settings.prompt_tokens]), _decode(tokenizer, end), has_ended=len(end) == len(row)
    )


def sample_continuations(
    speaker: Speaker, prompts: list[list[int]], settings: SpeechSettings, stream: str
) -> list[Said]:
    """One continuation per prompt, by numbers that depend on the seed and the stream only."""
    lm = speaker.lm
    random = uniforms(len(prompts), settings.utterance_tokens, seed=settings.seed, stream=stream, step=0)
    with torch.random.fork_rng([lm.device] if lm.device.type == "cuda" else []):
        voice = Baby(lm).train(lm.training)  # making its value head draws random numbers
    said = []
    for first in range(0, len(prompts), settings.batch_size):
        part = slice(first, first + settings.batch_size)
        batch = pad(prompts[part], 0, "left").to(lm.device)
        rollout = sample(voice, batch, random[part], settings.rollout, speaker.tokenizer.eos_token_id)
        texts = to_text(rollout, speaker.tokenizer)
        said += [Said(*one) for one in zip(texts.prompts, texts.texts, texts.has_ended, strict=True)]
    return said


def parent_says(baby: Speaker, parent: Speaker, human: list[Said], settings: SpeechSettings) -> list[list[Said]]:
    """For each of the parent's samples, its continuation of every prompt's text, cut by the baby's tokenizer.

    It speaks as many parent tokens; where the baby's tokens are the longer ones, what it says is the shorter.
    """
    texts = [one.prompt for one in human]
    rows = encode(parent.tokenizer, texts)
    samples = []
    for number in range(settings.parent_samples):
        spoken = sample_continuations(parent, rows, settings, f"parent-{number}")
        whole = [Said(text, text + one.completion, one.has_ended) for text, one in zip(texts, spoken, strict=True)]
        samples.append([_shortened(baby.tokenizer, one, settings.utterance_tokens) for one in whole])
    return samples


def _shortened(tokenizer: PreTrainedTokenizerBase, said: Said, tokens: int) -> Said:
    """A continuation cut to so many tokens."""
    ends = tokenizer(said.completion, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    if len(ends) <= tokens:
        return said
    return Said(said.prompt, said.prompt + said.completion[: ends[tokens - 1][1]], has_ended=False)


def _decode(tokenizer: PreTrainedTokenizerBase, row: list[int]) -> str:
    return without_cut_character(tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False))
