"""Continuations of the same prompts by baby, human and parent, none longer than so many of the baby's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.errors import TextError
from bambino.evaluation.speech.generation import Said
from bambino.recipe.phase_settings import RolloutConfig
from bambino.scoring.forward import context_length
from bambino.speaking.speak import speak
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import decoded
from bambino.text.heldout import spread
from bambino.text.tokens import encode

Scope = Literal["utterance", "whole"]
"""Which parent tokens count: the utterance's, given the prompt; those of prompt and utterance."""


@dataclass(frozen=True)
class SpeechSettings:
    """How the baby is made to speak."""

    prompts: int = 128
    """At most so many held-out lines, evenly spread."""
    short_lines: bool = False
    """Lines no longer than a prompt give prompts as well; else those are left out first."""
    with_start: bool = True
    """Whether prompts begin with the start token, whatever the tokenizer does."""
    prompt_tokens: int = 8
    """First baby tokens of a line, a start token included."""
    utterance_tokens: int = 16
    """Longest continuation, in baby tokens, of baby, human and parent alike."""
    temperature: float = 1.0
    """Of baby and parent."""
    top_k: int | None = None
    """Of baby and parent: sample among the k likeliest tokens."""
    top_p: float | None = None
    """Of baby and parent: sample from the smallest set of tokens that holds this probability."""
    parent_samples: int = 2
    """Continuations by the parent per prompt; at least two, for the parent's overlap with itself."""
    scopes: tuple[Scope, ...] = ("utterance", "whole")
    """Of the parent's perplexities."""
    until: Literal["cut", "last_word"] = "last_word"
    """Parent perplexity: to the end of the text, or without a last word that was cut by the limit."""
    batch_size: int = 32
    """Prompts sampled at a time; changes no number."""
    seed: int = 0
    """Of the sampling; the same for every model."""
    stream: str = "speech"
    """Of the baby's sampling, beside the seed."""

    def __post_init__(self) -> None:
        for name in ("prompts", "prompt_tokens", "utterance_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"speech: {name} = {getattr(self, name)} must be at least 1.")
        if self.parent_samples < 2:
            raise ValueError(f"speech: parent_samples = {self.parent_samples} must be at least 2.")

    @property
    def rollout(self) -> RolloutConfig:
        """How baby and parent sample."""
        return RolloutConfig(self.prompt_tokens, self.utterance_tokens, self.temperature, self.top_k, self.top_p)


def prompt_rows(tokenizer: PreTrainedTokenizerBase, lines: Sequence[str], settings: SpeechSettings) -> list[list[int]]:
    """Token rows of the lines that prompts are cut from.

    Raises:
        TextError: there is none.
    """
    if settings.short_lines:
        return encode(tokenizer, spread(list(lines), settings.prompts), with_start=settings.with_start)
    rows = encode(tokenizer, list(lines), with_start=settings.with_start)
    rows = [row for row in rows if len(row) > settings.prompt_tokens]
    if not rows:
        raise TextError(
            f"None of {len(lines)} held-out lines is longer than a prompt of {settings.prompt_tokens} tokens. "
            "Give longer lines or use a smaller prompt_tokens."
        )
    return spread(rows, settings.prompts)


def check_room(lm: PreTrainedModel, settings: SpeechSettings) -> None:
    """Raises ValueError where prompt and utterance are longer than the context."""
    needed, context = settings.prompt_tokens + settings.utterance_tokens, context_length(lm)
    if context is not None and needed > context:
        raise ValueError(
            f"speech: prompt_tokens + utterance_tokens = {needed} is more than the baby's context of {context} tokens."
        )


def cut_line(tokenizer: PreTrainedTokenizerBase, row: list[int], settings: SpeechSettings) -> Said:
    """A line as a continuation of its own first tokens, cut to the longest utterance."""
    end = row[: settings.prompt_tokens + settings.utterance_tokens]
    prompt = decoded(tokenizer, row[: settings.prompt_tokens])
    return Said(prompt, decoded(tokenizer, end), has_ended=len(end) == len(row))


def continuations(speaker: Speaker, prompts: list[list[int]], settings: SpeechSettings, stream: str) -> list[Said]:
    """One continuation per prompt, by numbers that depend on the seed and the stream only."""
    said = speak(speaker, prompts, settings.rollout, seed=settings.seed, stream=stream, batch_size=settings.batch_size)
    return [Said(*one) for one in zip(said.prompts, said.texts, said.has_ended, strict=True)]


def parent_says(baby: Speaker, parent: Speaker, human: list[Said], settings: SpeechSettings) -> list[list[Said]]:
    """For each of the parent's samples, its continuation of every prompt's text, cut by the baby's tokenizer.

    It speaks as many parent tokens; where the baby's tokens are the longer ones, what it says is the shorter.
    """
    texts = [one.prompt for one in human]
    rows = encode(parent.tokenizer, texts)
    samples = []
    for number in range(settings.parent_samples):
        spoken = continuations(parent, rows, settings, f"parent-{number}")
        whole = [Said(text, text + one.completion, one.has_ended) for text, one in zip(texts, spoken, strict=True)]
        samples.append([_shortened(baby.tokenizer, one, settings.utterance_tokens) for one in whole])
    return samples


def _shortened(tokenizer: PreTrainedTokenizerBase, said: Said, tokens: int) -> Said:
    """A continuation cut to so many tokens."""
    ends = tokenizer(said.completion, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    if len(ends) <= tokens:
        return said
    return Said(said.prompt, said.prompt + said.completion[: ends[tokens - 1][1]], has_ended=False)
