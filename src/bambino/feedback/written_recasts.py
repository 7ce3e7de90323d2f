"""Recasts that people wrote: a file of prompts with what should follow each."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bambino.errors import TextError
from bambino.feedback.answers import Recasts
from bambino.feedback.recasts import Read
from bambino.randomness import permutation
from bambino.speaking.utterances import Utterances
from bambino.text.json_lines import objects_of


class WrittenByPeople:
    """The recasts of a file, each once before any comes again; its own prompts stand in place of the run's."""

    needs_utterance = False
    written_by: Literal["parent", "people"] = "people"

    def __init__(self, pairs: list[tuple[str, str]], share: float) -> None:
        self.pairs, self.share = pairs, share

    @classmethod
    def read(cls, path: str, share: float) -> WrittenByPeople:
        """Open a file of objects with `prompt` and `recast`; a space goes between the two where neither has one.

        Raises:
            TextError: the file or one of its lines cannot be used.
        """
        way_out = 'Each line must be like {"prompt": "Il gatto", "recast": "dorme sul divano."}'
        try:
            found = list(objects_of(Path(path).expanduser(), way_out))
        except OSError as error:
            raise TextError(f"feedback.recast_file.path = {path} cannot be read: {error.strerror}.") from None
        pairs = []
        for where, row in found:
            prompt, recast = row.get("prompt"), row.get("recast")
            if not isinstance(prompt, str) or not isinstance(recast, str) or not recast.strip():
                raise TextError(f"{where}: prompt = {prompt!r}, recast = {recast!r} must be texts. {way_out}")
            is_apart = not prompt or prompt[-1].isspace() or recast[0].isspace()
            pairs.append((prompt, recast if is_apart else f" {recast}"))
        if not pairs:
            raise TextError(f"feedback.recast_file.path = {path} holds no recast. {way_out}")
        return cls(pairs, share)

    def recasts(
        self, prompts: list[str], said: Utterances | None, *, seed: int, stream: str, first: int, read: Read
    ) -> Recasts:
        """The next recasts, as many as there are prompts."""
        size = len(self.pairs)
        places = [divmod(place, size) for place in range(first, first + len(prompts))]
        orders = {epoch: permutation(size, seed, stream, epoch) for epoch in {epoch for epoch, _ in places}}
        chosen = [self.pairs[orders[epoch][place]] for epoch, place in places]
        return Recasts([prompt for prompt, _ in chosen], [recast for _, recast in chosen], [True] * len(chosen))
