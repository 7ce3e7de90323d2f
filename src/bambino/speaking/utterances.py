"""What was said, as text: decoded once, without what the token limit cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    sequences = rollout.sequences.to("cpu")
    length = rollout.prompts.input_ids.shape[1]
    has_ended = rollout.has_ended.tolist()
    for ids, is_real, ended in zip(sequences.input_ids, sequences.is_real, has_ended, strict=True):
        text = decoded(tokenizer, ids[is_real].tolist(), is_whole=ended)
        prompt = _common_prefix(decoded(tokenizer, ids[:length][is_real[:length]].tolist(), is_whole=True), text)
        prompts.append(prompt)
        completions.append(text[len(prompt) :])
        texts.append(text)
    return Utterances(prompts, completions, texts, has_ended)


def decoded(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], *, is_whole: bool = False) -> str:
    """Token ids as text, special tokens left out; a character that the end cuts is trimmed unless the text is whole."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text if is_whole else without_cut_character(text)


def without_cut_character(text: str) -> str:
    """The text without the remains of a last UTF-8 character that was cut: at most three broken ones."""
    kept = text.rstrip("\ufffd")
    return kept if len(text) - len(kept) <= 3 else text[:-3]


def _common_prefix(one: str, other: str) -> str:
    """Decoding a prompt alone may end in a half character that is whole in the text."""
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return one[:length]
