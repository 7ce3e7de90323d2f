"""Rewards of one's own: a number an utterance, and a number a piece of it.

    bambino train real-small --code examples/own_reward.py ...

A reward is a function by TRL's signature: `f(prompts, completions, **kwargs)`. It gives a number per utterance, or
`Spans`: judgements of pieces of its text, named by their bytes, which reach the baby's own tokens, whoever tokenizes.
"""

from __future__ import annotations

from bambino import Spans


def questions(prompts, completions, **_):
    """One for an utterance that asks."""
    return [float("?" in completion) for completion in completions]


def vowels_at_the_end(prompts, completions, **_):
    """Italian words end in vowels: +1 for each word that does, -1 for each that does not, where it was said."""
    return Spans([[(first, end, value) for first, end, value in words_of(completion)] for completion in completions])


def words_of(text: str):
    """(first byte, end byte, value) of each whitespace-separated word."""
    end = 0
    for word in text.split():
        first = text.index(word, end)
        end = first + len(word)
        value = 1.0 if word.rstrip(".,;:!?").casefold()[-1:] in set("aeiouàèéìòù") else -1.0
        yield len(text[:first].encode()), len(text[:end].encode()), value


REWARDS = [questions, vowels_at_the_end]
"""What `bambino train --code examples/own_reward.py` takes from here."""
