"""What was said, as text: decoded once, without what the token limit cut."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from bambino.speaking.rollout import Rollout


@dataclass(frozen=True)
class Utterances:
    """A rollout as text, in TRL's terms: prompts[i] + completions[i] == texts[i]."""

    prompts: list[str]
    completions: list[str]
    texts: list[str]
    """One decode of prompt and utterance together, special tokens left out."""
    has_ended: list[bool]


def to_text(rollout: Rollout, tokenizer: PreTrainedTokenizerBase) -> Utterances:
    """Decode prompt and utterance together; a UTF-8 character that the token limit cut is trimmed, not punished."""
    prompts, completions, texts = [], [], []
    sequences = rollout.sequences
    length = rollout.prompts.input_ids.shape[1]
    has_ended = rollout.has_ended.tolist()
    for ids, is_real, ended in zip(sequences.input_ids, sequences.is_real, has_ended, strict=True):
        text = _decode(tokenizer, ids[is_real])
        if not ended:
            text = without_cut_character(text)
        prompt = _common_prefix(_decode(tokenizer, ids[:length][is_real[:length]]), text)
        prompts.append(prompt)
        completions.append(text[len(prompt) :])
        texts.append(text)
    return Utterances(prompts, completions, texts, has_ended)


def without_cut_character(text: str) -> str:
    """The text without the remains of a last UTF-8 character that was cut: at most three broken ones."""
    kept = text.rstrip("\ufffd")
    return kept if len(text) - len(kept) <= 3 else text[:-3]


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Tensor) -> str:
    return tokenizer.decode(ids.tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def _common_prefix(one: str, other: str) -> str:
    """Decoding a prompt alone may end in a half character that is whole in the text."""
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return one[:length]
