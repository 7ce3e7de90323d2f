"""Text that a model writes when nothing is before it: the control for recasts, which are text by the parent as well."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from bambino.errors import ModelError
from bambino.randomness import uniforms
from bambino.recipe.phase_settings import RolloutConfig
from bambino.scoring.forward import context_length
from bambino.speaking.rollout import sample
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import to_text
from bambino.text.batches import pad
from bambino.text.sieve import as_line
from bambino.text.tokens import start_token
from bambino.text.words import count_words

AT_ONCE = 64
"""Texts sampled together."""


def written(speaker: Speaker, config: RolloutConfig, *, seed: int) -> Iterator[str]:
    """Endless lines of a speaker's own, each sampled after the start token: a pure function of the arguments.

    A line that the token limit or the model's context cut loses its last word; what is empty then is left out.

    Raises:
        ModelError: its tokenizer has no token that begins a text, or it says nothing at all.
    """
    start, eos = start_token(speaker.tokenizer), speaker.tokenizer.eos_token_id
    if start is None:
        raise ModelError("The tokenizer has neither BOS nor EOS, so nothing begins a text. Use a model that has one.")
    prompts = pad([[start]] * AT_ONCE, 0).to(speaker.lm.device)
    context = context_length(speaker.lm)
    longest = config.max_new_tokens if context is None else min(config.max_new_tokens, context - 1)
    for nth in count():
        random = uniforms(AT_ONCE, longest, seed=seed, stream="written", step=nth)
        said = to_text(sample(speaker.lm, prompts, random, config, eos), speaker.tokenizer)
        ended = zip(said.completions, said.has_ended, strict=True)
        whole = [text if has_ended else text.rpartition(" ")[0] for text, has_ended in ended]
        lines = [as_line(text.replace("\r", "\n")) for text in whole]
        if not any(lines):
            raise ModelError(f"None of {AT_ONCE} texts holds a whole word. Allow more tokens, or use another model.")
        yield from filter(None, lines)


def up_to(lines: Iterator[str], *, max_lines: int | None = None, max_words: int | None = None) -> list[str]:
    """The first lines: so many, or as many as it takes to hold so many whitespace-separated words."""
    kept: list[str] = []
    words = 0
    while (max_lines is None or len(kept) < max_lines) and (max_words is None or words < max_words):
        kept.append(next(lines))
        words += count_words(kept[-1])
    return kept
