"""Fluency: bits per byte of held-out text, which does not depend on the tokenizer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from bambino.analysis.statistics import ratio_of_sums
from bambino.errors import TextError
from bambino.evaluation.model_description import describe_model
from bambino.measures import UNREAD, Score, TaskResult
from bambino.scoring.texts import require_tokens, score_texts
from bambino.speaking.speaker import Speaker
from bambino.text.unknown import Unknown, unknown_in


class BitsPerByte:
    """Total bits of some lines over their total UTF-8 bytes, with a bootstrap interval over lines.

    Chance is what a model scores that gives every token the same probability; it depends on the tokenizer.

    Each line is scored by itself after the start token; EOS is not scored. Lines longer than the context are read in
    windows that each begin with the start token (their number is in the settings). Where the tokenizer does not know
    more than a thousandth of the characters, the verdict says so and the settings have `unread`: a model that does not
    read everything has too few bits.
    """

    def __init__(self, text: str, lines: Sequence[str], about: Mapping[str, Any] | None = None) -> None:
        """
        Args:
            text: its name, such as `en`; the score is `bits_per_byte/en`.
            about: what else to say of the lines in the settings.

        Raises:
            TextError: there is no line, or an empty one.
        """
        if not lines:
            raise TextError(f"There are no {text} lines to measure bits per byte on.")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                raise TextError(
                    f"The {text} lines for bits per byte: line {number} of {len(lines)} is empty. Leave it out."
                )
        self.name, self.lines = f"bits_per_byte/{text}", list(lines)
        self.depends_on: dict[str, Any] = {
            "lines": len(lines),
            "sha256": hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest(),
            **(about or {}),
        }
        self._unknown: tuple[PreTrainedTokenizerBase, Unknown] | None = None
        """The tokenizer that read last, and what it does not know: the same at every evaluation of a run."""

    def __call__(self, baby: Speaker) -> TaskResult:
        """Measure a model as it is now.

        Raises:
            TextError: a line of which no token counts.
        """
        scores = score_texts(baby.lm, baby.tokenizer, self.lines)
        require_tokens(scores, self.lines)
        bits = [-score.log_prob / math.log(2) for score in scores]
        num_bytes = [float(score.num_bytes) for score in scores]
        tokens = sum(score.tokens for score in scores)
        value, interval = ratio_of_sums(bits, num_bytes)
        unknown = self._unknown_to(baby.tokenizer)
        settings = {
            **self.depends_on,
            "unknown_tokens": unknown.tokens,
            "bytes": int(sum(num_bytes)),
            "tokens": tokens,
            "windows": sum(score.tokens_read - score.tokens for score in scores),
            **describe_model(baby),
        }
        items = {self.name: [line * len(bits) / sum(num_bytes) for line in bits]}  # their mean is the score
        chance = tokens * math.log2(baby.lm.get_output_embeddings().weight.shape[0]) / sum(num_bytes)
        verdicts = ["worse than guessing tokens"] if interval is not None and interval.low > chance else []
        if not unknown.is_comparable:
            settings[UNREAD] = str(unknown)
            verdicts.append(f"too low, and not comparable with other tokenizers: {unknown}")
        score = Score(self.name, value, "bits per byte", len(bits), interval, chance)
        return TaskResult(self.name, [score], settings, "; ".join(verdicts), items)

    def _unknown_to(self, tokenizer: PreTrainedTokenizerBase) -> Unknown:
        if self._unknown is None or self._unknown[0] is not tokenizer:
            self._unknown = tokenizer, unknown_in(tokenizer, self.lines)
        return self._unknown[1]
