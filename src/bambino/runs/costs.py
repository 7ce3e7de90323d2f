"""What a run costs: the one place that knows FLOPs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from bambino.text.words import count_words

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEARD = {"clm": "words_heard", "replay": "words_replayed", "dream": "words_dreamed", "recast": "words_recast"}
"""What is heard -> the total of its words, each time they are heard; of anything else, `words_WHAT`."""
WRITTEN = {
    "people": "words_of_prompts",
    "baby": "words_said",
    "first_baby": "words_self_written",
    "parent": "words_written_by_parent",
    "writer": "words_written_by_people",
}
"""Who wrote -> the total of their words, beside which `bytes_...` has their UTF-8 bytes: prompts from people's text;
what the baby said; what it had written of L1 before the run's first step (dreams); recasts, by the parent or by
people."""


class Costs:
    """Cumulated costs of a run, its words among them, and wall time by part since the last step's row."""

    def __init__(self) -> None:
        self.totals: dict[str, float] = defaultdict(float)
        """Words, tokens, flops and seconds since the run began, over all its resumptions."""
        self._times: dict[str, float] = defaultdict(float)

    def heard(
        self, lm: PreTrainedModel, tokens: int, targets: int, what: str = "clm", *, words: int | None = None
    ) -> None:
        """The baby learned from text: a forward and a backward over so many tokens, the LM head on `targets`.

        Args:
            what: names the totals: clm_tokens and words_heard are L2, replay_tokens and words_replayed L1, dream_tokens
                the first baby's own.
            words: that begin in these tokens; None: `heard_words` is told of them.
        """
        self.totals[f"{what}_tokens"] += tokens
        if words is not None:
            self.heard_words(what, words)
        self.computed(lm, tokens, targets, forwards=3)

    def heard_words(self, what: str, words: int) -> None:
        """So many words are heard, of text that `heard` counts the tokens of."""
        self.totals[HEARD.get(what, f"words_{what}")] += words

    def said(self, lm: PreTrainedModel, prompt_tokens: int, utterance_tokens: int) -> None:
        """The baby read prompts and said something after them."""
        self.totals["prompt_tokens"] += prompt_tokens
        self.totals["utterance_tokens"] += utterance_tokens
        self.computed(lm, prompt_tokens + utterance_tokens, utterance_tokens)

    def written(self, by: Literal["people", "baby", "first_baby", "parent", "writer"], texts: Iterable[str]) -> None:
        """Text that somebody wrote: prompts, utterances, dreams, recasts."""
        texts, name = list(texts), WRITTEN[by]
        self.totals[name] += sum(map(count_words, texts))
        self.totals[name.replace("words", "bytes", 1)] += sum(
            len(text.encode("utf-8", "surrogatepass")) for text in texts
        )

    def rewarded(self, scalars: int) -> None:
        """So many numbers were given for what the baby said."""
        self.totals["rewards"] += scalars

    def read(self, lm: PreTrainedModel, tokens: int) -> None:
        """The parent, or another model that answers, read so many tokens."""
        self.totals["parent_tokens"] += tokens
        self.totals["parent_flops"] += forward_flops(lm, tokens, tokens)
        self.computed(lm, tokens, tokens)

    def computed(self, lm: PreTrainedModel, tokens: int, targets: int, forwards: float = 1) -> None:
        """So many forwards over the same tokens; a backward counts as two."""
        self.totals["flops"] += forwards * forward_flops(lm, tokens, targets)

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """What happens inside is a part of the run."""
        begin = time.perf_counter()
        yield
        seconds = time.perf_counter() - begin
        self._times[part] += seconds
        self.totals["seconds"] += seconds

    def restore(self, totals: Mapping[str, float]) -> None:
        """Go on from a checkpoint's totals; what was timed since counts for nothing."""
        self.totals.clear()
        self.totals.update(totals)
        self._times.clear()

    def row(self) -> dict[str, float]:
        """time/PART since the last call, and total/NAME."""
        times = {f"time/{part}": seconds for part, seconds in self._times.items()}
        self._times.clear()
        return times | {f"total/{name}": total for name, total in self.totals.items()}


def forward_flops(lm: PreTrainedModel, tokens: int, targets: int) -> int:
    """Multiply-adds x 2 of a forward over so many tokens, the LM head on `targets` of them; attention scores left out.

    Training costs three times a forward (Kaplan et al. 2020, section 2.1).
    """
    embeddings = {id(p) for p in [*lm.get_input_embeddings().parameters(), *lm.get_output_embeddings().parameters()]}
    body: int = sum(p.numel() for p in lm.parameters() if id(p) not in embeddings)
    head: int = lm.get_output_embeddings().weight.numel()
    return 2 * body * tokens + 2 * head * targets
