"""Dreams: what the first baby says when nothing is before it, so that L1 stays without L1 text.

They are its own samples after the start token, made once before the first step and stored with the run: on another
machine they might differ. Heard again later they are pseudo-patterns (Robins 1995), as replay is text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from bambino.errors import RecipeError, RunDirectoryError
from bambino.files import json_of, write_atomically
from bambino.randomness import uniforms
from bambino.recipe.phase_settings import RolloutConfig
from bambino.recipe.text_settings import DreamingConfig
from bambino.speaking.rollout import Rollout, sample
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import to_text
from bambino.text.batches import pad
from bambino.text.heldout import is_heldout
from bambino.text.replay import ReplayStream
from bambino.text.streams import LineStream
from bambino.text.tokens import TokenRows, start_token
from bambino.text.words import count_words

AT_ONCE = 64
"""Dreams sampled together."""


@dataclass(frozen=True)
class Dream:
    """One text of the first baby's."""

    text: str
    ids: list[int]
    """Its tokens as they were sampled, after the start token; without EOS."""
    has_ended: bool
    """Whether the baby ended it, not the token limit."""


@dataclass(frozen=True)
class Dreams:
    """All dreams of a run."""

    all: list[Dream]

    @property
    def words(self) -> int:
        """Whitespace-separated words that the baby wrote for itself."""
        return sum(count_words(dream.text) for dream in self.all)

    @property
    def tokens(self) -> int:
        """Tokens that were sampled, EOS included."""
        return sum(len(dream.ids) + dream.has_ended for dream in self.all)

    @property
    def manifest(self) -> dict[str, Any]:
        """What they are, for data.json."""
        ended = sum(dream.has_ended for dream in self.all)
        counts = {"texts": len(self.all), "ended": ended, "words": self.words, "tokens": self.tokens}
        return {**counts, "sha256": sha256(self._as_lines().encode("utf-8")).hexdigest()}

    def save(self, path: Path) -> None:
        """Write them, an object a line."""
        write_atomically(path, self._as_lines())

    def _as_lines(self) -> str:
        return "".join(f"{json.dumps(asdict(dream), ensure_ascii=True)}\n" for dream in self.all)


@dataclass(frozen=True)
class Dreaming:
    """Dreams, and what is heard of them."""

    dreams: Dreams
    heard: ReplayStream
    """What is heard of them at each step of exposure."""


def load_dreams(path: Path) -> Dreams:
    """The dreams of a run that goes on.

    Raises:
        RunDirectoryError: they are not there, or not as they were written.
    """
    try:
        return Dreams([Dream(**json_of(line)) for line in path.read_text(encoding="utf-8").splitlines()])
    except (OSError, ValueError, TypeError) as error:
        raise RunDirectoryError(f"{path} cannot be read, so this run cannot go on: {error}") from None


def dream(speaker: Speaker, config: DreamingConfig, *, seed: int) -> Dreams:
    """Texts of a speaker's own, a pure function of the arguments.

    Raises:
        RecipeError: its tokenizer has no token that begins a text.
    """
    start, eos = start_token(speaker.tokenizer), speaker.tokenizer.eos_token_id
    if start is None:
        problem = "The baby's tokenizer has neither BOS nor EOS, so nothing begins a dream."
        raise RecipeError("dreaming.share", f"{problem} Use replay, or a tokenizer with BOS.")
    how = RolloutConfig(
        prompt_tokens=1,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
    )
    random = uniforms(config.texts, config.max_new_tokens, seed=seed, stream="dreams", step=0)
    found: list[Dream] = []
    for part in random.split(AT_ONCE):
        prompts = pad([[start]] * len(part), 0).to(speaker.lm.device)
        found += _of(sample(speaker.lm, prompts, part, how, eos), speaker.tokenizer)
    return Dreams(found)


def dreaming_of(
    dreams: Dreams,
    config: DreamingConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int,
    batch_size: int,
    steps: int,
    heldout_every: int | None,
) -> Dreaming:
    """The dreams with what is heard of them: each from its start token, with EOS where the baby said it; never one that
    is a held-out line.

    Raises:
        RecipeError: every dream is a held-out line.
    """
    kept = [one for one in dreams.all if heldout_every is None or not is_heldout(one.text, heldout_every)]
    if not kept:
        problem = f"All {len(dreams.all)} dreams are held-out lines (text.heldout_every = {heldout_every})."
        raise RecipeError("dreaming.texts", f"{problem} Ask for more texts.")
    start = start_token(tokenizer)
    rows = [np.array([start, *one.ids], dtype=np.int32) for one in kept]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    ids, is_truncated = np.concatenate(rows), np.array([not one.has_ended for one in kept])
    tokens = TokenRows(ids, offsets, is_truncated, np.array([count_words(one.text) for one in kept]), begun=None)
    one_source = np.zeros(len(kept), dtype=np.int64)
    lines = LineStream(tokens, one_source, [1.0], seed, "dreams", tokenizer.eos_token_id)
    last = config.share if config.last_share is None else config.last_share
    heard = ReplayStream(lines, batch_size, config.share, last, steps, [dreams.manifest], config.first_baby)
    return Dreaming(dreams, heard)


def _of(rollout: Rollout, tokenizer: PreTrainedTokenizerBase) -> Iterator[Dream]:
    said = to_text(rollout, tokenizer)
    rows = zip(rollout.utterance_ids, rollout.is_real, said.completions, said.has_ended, strict=True)
    for ids, is_real, text, has_ended in rows:
        tokens = ids[is_real].tolist()
        yield Dream(text, tokens[:-1] if has_ended else tokens, has_ended)
