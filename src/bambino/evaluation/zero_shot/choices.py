"""Log-likelihood of every option of a multiple choice, given its prompt.

Prompt and option are tokenized together and the tokens that end after the prompt count, so it does not matter where
a tokenizer puts the space between them. What several texts begin with (a prompt with its options, a sentence with the
questions about its words) is read once, see `bambino.text_scores.row_log_probs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.evaluation.joining import delimiter
from bambino.scoring.texts import require_tokens, score_texts
from bambino.text.tokens import encode


@dataclass(frozen=True)
class Choice:
    """A question with its possible answers."""

    prompt: str
    options: tuple[str, ...]

    @property
    def texts(self) -> list[str]:
        """The prompt with each of its options."""
        return [f"{self.prompt}{delimiter(self.prompt, option)}{option}" for option in self.options]


def choice_lengths(tokenizer: PreTrainedTokenizerBase, choices: Sequence[Choice]) -> list[int]:
    """Tokens of each prompt with the longest of its options, start token included."""
    lengths = (len(row) for row in encode(tokenizer, [text for choice in choices for text in choice.texts]))
    return [max(next(lengths) for _ in choice.options) for choice in choices]


def choice_log_probs(
    lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, choices: Sequence[Choice]
) -> list[list[float]]:
    """For each choice the log-probability of each option given the prompt: nats, summed over the tokens that count.

    Prompt and option must fit the model's context (`choice_lengths`).

    Raises:
        TextError: an option of which no token counts.
    """
    texts = [text for choice in choices for text in choice.texts]
    offsets = [len(choice.prompt) for choice in choices for _ in choice.options]
    found = score_texts(lm, tokenizer, texts, count_from=offsets)
    require_tokens(found, texts)
    scores = iter(found)
    return [[next(scores).log_prob for _ in choice.options] for choice in choices]
