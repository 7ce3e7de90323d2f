"""The one loop from prompts to what is said: random numbers, pads on the left, sampling, decoding."""

from __future__ import annotations

from itertools import chain

from bambino.randomness import uniforms
from bambino.recipe.phase_settings import RolloutConfig
from bambino.speaking.rollout import sample
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import Utterances, to_text
from bambino.text.batches import pad


def speak(
    speaker: Speaker,
    prompts: list[list[int]],
    config: RolloutConfig,
    *,
    seed: int,
    stream: str,
    step: int = 0,
    batch_size: int = 32,
) -> Utterances:
    """One utterance after each prompt, by random numbers that depend on seed, stream and step only.

    Args:
        prompts: token ids, with the start token where one is wanted; `config.prompt_tokens` does not cut them.
        batch_size: prompts sampled at a time; changes nothing but memory and rounding.
    """
    lm, tokenizer = speaker.lm, speaker.tokenizer
    random = uniforms(len(prompts), config.max_new_tokens, seed=seed, stream=stream, step=step)
    parts = []
    for first in range(0, len(prompts), batch_size):
        rows = slice(first, first + batch_size)
        batch = pad(prompts[rows], 0, "left").to(lm.device)
        parts.append(to_text(sample(lm, batch, random[rows], config, tokenizer.eos_token_id), tokenizer))
    return Utterances(
        list(chain.from_iterable(part.prompts for part in parts)),
        list(chain.from_iterable(part.completions for part in parts)),
        list(chain.from_iterable(part.texts for part in parts)),
        list(chain.from_iterable(part.has_ended for part in parts)),
    )
