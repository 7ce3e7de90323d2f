"""The smallest edit of what the baby said: one word, the parent's in place of the baby's worst."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bambino.feedback.answers import Recasts
from bambino.feedback.recasts import Continued, Read, continued
from bambino.recipe.phase_settings import RolloutConfig
from bambino.scoring.perplexity import without_cut_word
from bambino.scoring.texts import score_texts
from bambino.speaking.rollout import check_speaks
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import Utterances

WORD = re.compile(r"\S+")
LONGEST_WORD = 8
"""Parent tokens in which a proposal must be whole, the beginning of the next word included."""


@dataclass(frozen=True)
class Edit:
    """A word of what was said that may be replaced."""

    row: int
    """Which utterance."""
    text: str
    """Prompt and utterance, without a last word that the token limit cut."""
    begin: int
    end: int
    """The word is text[begin:end]."""

    @property
    def before(self) -> str:
        """The text up to the end of the word before."""
        return self.text[: self.begin].rstrip()

    def with_word(self, word: str) -> str:
        return self.text[: self.begin] + word + self.text[self.end :]


class Edits:
    """The word of lowest parent log-probability per byte is replaced by the best of the parent's proposals, and only
    where the whole text becomes likelier to it. A word that begins in the prompt stays.
    """

    needs_utterance = True
    written_by: Literal["parent", "people"] = "parent"

    def __init__(self, parent: Speaker, proposals: int, share: float) -> None:
        check_speaks(parent.lm)
        self.parent, self.proposals, self.share = parent, proposals, share

    def recasts(
        self, prompts: list[str], said: Utterances | None, *, seed: int, stream: str, first: int, read: Read
    ) -> Recasts:
        """What was said with its worst word replaced; None where no proposal makes it likelier."""
        assert said is not None, "edits are of what the baby said"
        worst = self._worst_words(said, read)
        befores = [edit.before for edit in worst for _ in range(self.proposals)]
        config = RolloutConfig(max_new_tokens=LONGEST_WORD)
        proposed = continued(self.parent, befores, config, seed=seed, stream=stream, step=first, read=read)
        words = [_first_word(one) for one in proposed]
        options = [
            [edit.with_word(word) for word in words[i * self.proposals : (i + 1) * self.proposals] if word is not None]
            for i, edit in enumerate(worst)
        ]
        compared = [text for edit, edited in zip(worst, options, strict=True) for text in (edit.text, *edited)]
        scores = iter(self._log_probs(compared, read))
        texts: list[str | None] = [None] * len(prompts)
        for edit, edited in zip(worst, options, strict=True):
            own, likeliest = next(scores), max(((next(scores), text) for text in edited), default=None)
            if likeliest is not None and likeliest[0] > own:
                texts[edit.row] = likeliest[1][len(prompts[edit.row]) :]
        return Recasts(prompts, texts, said.has_ended)

    def _worst_words(self, said: Utterances, read: Read) -> list[Edit]:
        """Of each utterance with a word of its own, the one of lowest log-probability per byte, given what precedes."""
        by_row: list[list[Edit]] = []
        for i, (prompt, text, ended) in enumerate(zip(said.prompts, said.texts, said.has_ended, strict=True)):
            whole = text if ended else without_cut_word(prompt, text)
            words = [word.span() for word in WORD.finditer(whole) if word.start() >= len(prompt)]
            by_row.append([Edit(i, whole, begin, end) for begin, end in words])
        every = [edit for edits in by_row for edit in edits]
        found = self._log_probs([*(edit.before for edit in every), *(edit.text[: edit.end] for edit in every)], read)
        befores, afters = found[: len(every)], found[len(every) :]
        per_byte = {
            edit: (after - before) / len(edit.text[len(edit.before) : edit.end].encode("utf-8"))
            for edit, before, after in zip(every, befores, afters, strict=True)
        }
        return [min(edits, key=per_byte.__getitem__) for edits in by_row if edits]

    def _log_probs(self, texts: list[str], read: Read) -> list[float]:
        """The parent's, of whole texts, in nats."""
        scores = score_texts(self.parent.lm, self.parent.tokenizer, texts)
        read(self.parent.lm, sum(score.tokens_read for score in scores))
        return [score.log_prob for score in scores]


def _first_word(proposed: Continued | None) -> str | None:
    """The word that a continuation begins with, if it is whole and no part of the word before."""
    if proposed is None or not proposed.text[:1].isspace():
        return None
    word = WORD.search(proposed.text)
    is_whole = word is not None and (proposed.has_ended or word.end() < len(proposed.text))
    return word.group() if word is not None and is_whole else None
