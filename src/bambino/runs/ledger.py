"""The ledger: what a baby heard, said and was told over its whole life, its first language included.

It lies beside every model that a run saves (ledger.json), so that whoever goes on from that model goes on counting.
Each amount is told in words and in English equivalents (`recipe/rules.py`); those are None where a language is not
said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal

from bambino.errors import RunDirectoryError
from bambino.files import json_of
from bambino.recipe.rules import bytes_of_english, equivalents
from bambino.runs.costs import HEARD, WRITTEN

LEDGER = "ledger.json"
"""The file beside a model."""
BASE = "ledger"
"""The part of data.json that a run's ledger is made of, with its costs."""
FORMAT = 1


@dataclass(frozen=True)
class Amount:
    """So much text."""

    words: float = 0.0
    equivalents: float | None = 0.0
    """The same in English equivalents; None: not known."""

    def __add__(self, other: Amount) -> Amount:
        is_known = self.equivalents is not None and other.equivalents is not None
        return Amount(self.words + other.words, self.equivalents + other.equivalents if is_known else None)  # type: ignore[operator]

    def scaled(self, words: float) -> Amount:
        """So many words of the same kind."""
        if self.equivalents is None or words == 0:
            return Amount(words, None if words else 0.0)
        return Amount(words, self.equivalents * words / self.words if self.words else None)

    def counted(self, unit: Literal["words", "equivalents"]) -> float:
        """In a unit that is known."""
        assert unit == "words" or self.equivalents is not None, "no language is said"
        return self.words if unit == "words" else float(self.equivalents or 0.0)

    @staticmethod
    def of(words: float, size: float | None, language: str | None) -> Amount:
        """Words of a language that are so many UTF-8 bytes."""
        is_known = words == 0 or (size is not None and language is not None)
        return Amount(words, equivalents(size or 0.0, language or "eng") if is_known else None)


@dataclass(frozen=True)
class HeardText:
    """A text that people wrote: how much it is, and how much of it was heard."""

    id: str
    """Equal where texts are the same: sha256 of the source, and how lines were chosen of it where not all were."""
    path: str
    language: str | None
    """Its ISO 639-3 code; None: not said."""
    size: Amount
    audible: float
    """Words that can be heard: those that begin within text.max_length."""
    heard: float = 0.0
    """Words of it that were heard, repetitions included."""
    share: float = 1.0
    """What part of what a run hears of this and other texts is of this one."""

    @property
    def passes(self) -> float:
        """How often each of its words was heard, on average."""
        return self.heard / max(1.0, self.audible)


@dataclass(frozen=True)
class Ledger:
    """What a baby heard, said and was told."""

    texts: list[HeardText] = field(default_factory=list)
    beside: Amount = field(default_factory=Amount)
    """Heard of other things than these texts: dreams, recasts, what phases of one's own hear; repetitions included."""
    said: Amount = field(default_factory=Amount)
    self_written: Amount = field(default_factory=Amount)
    """Dreams."""
    told: Amount = field(default_factory=Amount)
    """What was written for it: recasts, by the parent or by people."""
    rewards: float = 0.0
    """Scalar rewards given."""
    parent: list[HeardText] | None = None
    """Texts that the parent was raised on; None: not known, or none."""
    shown: bool = False
    """Whether it saw distributions of the parent."""
    is_whole: bool = True
    """False: what it heard before is not known, so all this is what is known of its life."""

    @property
    def heard(self) -> Amount:
        """All that was heard, repetitions included."""
        return total([*(text.size.scaled(text.heard) for text in self.texts), self.beside])

    @property
    def text(self) -> Amount:
        """All text there was for it, each once: people's, what a parent that it saw through was raised on, what was
        written for it."""
        seen = [*self.texts, *((self.parent or []) if self.shown else [])]
        return total([*(text.size for text in union(seen)), self.told])

    @property
    def passes(self) -> float:
        """Over the text that was heard most often."""
        return max((text.passes for text in self.texts), default=0.0)

    @property
    def written(self) -> Amount:
        """All that it said and wrote itself."""
        return self.said + self.self_written

    def __add__(self, later: Ledger) -> Ledger:
        """The same life, some time later."""
        parents = [ledger.parent for ledger in (self, later) if ledger.shown] or [later.parent or self.parent]
        return Ledger(
            union([*self.texts, *later.texts]),
            self.beside + later.beside,
            self.said + later.said,
            self.self_written + later.self_written,
            self.told + later.told,
            self.rewards + later.rewards,
            None if None in parents else union([text for texts in parents for text in texts or []]),
            self.shown or later.shown,
            self.is_whole and later.is_whole,
        )


def total(amounts: Iterable[Amount]) -> Amount:
    """Their sum."""
    return reduce(Amount.__add__, amounts, Amount())


def union(texts: Iterable[HeardText]) -> list[HeardText]:
    """Each text once, with all that was heard of it."""
    found: dict[str, HeardText] = {}
    for text in texts:
        same = found.get(text.id, text)
        largest = max(same, text, key=lambda one: one.size.words)
        heard = text.heard + (found[text.id].heard if text.id in found else 0.0)
        found[text.id] = replace(largest, heard=heard)
    return list(found.values())


def stated(words: float, heard: float, key: str) -> Ledger:
    """A life that a setting states: English words, heard so often."""
    size = Amount.of(words, bytes_of_english(words), "eng")
    return Ledger([HeardText(f"{key} = {words:g}", f"stated by {key}", "eng", size, words, heard)])


def texts_of(
    sources: Sequence[Mapping[str, Any]],
    sizes: Sequence[float | None],
    language: str | None,
    weights: Sequence[float] | None = None,
    choice: str = "",
) -> list[HeardText]:
    """Sources as texts of which nothing was heard yet.

    Args:
        sources: a part of data.json.
        sizes: UTF-8 bytes of the kept lines of each; None: not counted.
        choice: what the lines of a budget were chosen by.
    """
    audible = [source["words"] - source["words_cut"] for source in sources]
    spoken = [weight * words for weight, words in zip(weights or [1.0] * len(audible), audible, strict=True)]
    return [
        HeardText(
            source["sha256"] + (f"/{choice}" if "over the budget" in source["dropped"] else ""),
            source["path"],
            language,
            Amount.of(source["words"], size, language),
            words,
            share=part / max(1.0, sum(spoken)),
        )
        for source, size, words, part in zip(sources, sizes, audible, spoken, strict=True)
    ]


def run_ledger(data: Mapping[str, Any], totals: Mapping[str, float]) -> Ledger:
    """The ledger of a baby in a run: what it was before, and what happened since.

    Args:
        data: data.json, or of it what was heard and the part BASE.
        totals: costs of the run so far (`total/NAME` without `total/`).
    """
    base = data.get(BASE) or _unsaid(data)
    texts = {part: [_text(one) for one in those] for part, those in base["texts"].items()}
    l2 = total(text.size for text in texts.get("clm", []))
    parts = {part: totals.get(HEARD[part], 0.0) for part in texts if part in HEARD}
    heard = [replace(t, heard=parts.get(part, 0.0) * t.share) for part, those in texts.items() for t in those]
    written = {who: _written(totals, who, base["languages"]) for who in ("baby", "first_baby", "parent", "writer")}
    told = written["parent"] + written["writer"]
    kinds = {HEARD["dream"]: written["first_baby"], HEARD["recast"]: told}
    others = [name for name in totals if name.startswith("words_") and name not in WRITTEN.values()]
    beside = [kinds.get(name, l2).scaled(totals[name]) for name in others if name not in map(HEARD.get, parts)]
    now = Ledger(
        heard,
        total(beside),
        written["baby"],
        written["first_baby"],
        told,
        totals.get("rewards", 0.0),
        None if base["parent"] is None else [_text(one) for one in base["parent"]],
        base["shown"],
    )
    before = Ledger(is_whole=False) if base["before"] is None else ledger_from(base["before"])
    return before + now


def _written(totals: Mapping[str, float], who: str, languages: Mapping[str, str | None]) -> Amount:
    """What somebody wrote: of L1 where it is the first baby's."""
    name = WRITTEN[who]
    language = languages.get("replay" if who == "first_baby" else "clm")
    return Amount.of(totals.get(name, 0.0), totals.get(name.replace("words", "bytes", 1)), language)


def _unsaid(data: Mapping[str, Any]) -> dict[str, Any]:
    """The part BASE of a run that was begun before there was one."""
    parts = {part: data.get(part) or [] for part in ("clm", "replay", "prompts")}
    texts = {part: [asdict(t) for t in texts_of(those, [None] * len(those), None)] for part, those in parts.items()}
    return {"texts": texts, "languages": {}, "before": None, "parent": None, "shown": False}


def ledger_from(content: Mapping[str, Any]) -> Ledger:
    """What `as_json` wrote."""
    amounts = {name: Amount(**content[name]) for name in ("beside", "said", "self_written", "told")}
    parent = content["parent"]
    return Ledger(
        [_text(one) for one in content["texts"]],
        **amounts,
        rewards=float(content["rewards"]),
        parent=None if parent is None else [_text(one) for one in parent],
        shown=bool(content["shown"]),
        is_whole=bool(content["is_whole"]),
    )


def as_json(ledger: Ledger) -> dict[str, Any]:
    """For ledger.json: all there is, and the sums for a reader."""
    sums = {"heard": asdict(ledger.heard), "text": asdict(ledger.text), "passes": ledger.passes}
    return {"format": FORMAT, "sums": sums, **asdict(ledger)}


def read_ledger(path: Path) -> Ledger:
    """The ledger of a file.

    Raises:
        RunDirectoryError: it is none.
    """
    try:
        return ledger_from(json_of(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        way_out = "Put it back, or remove it and state the words: baby.words, parent.words."
        raise RunDirectoryError(f"{path} is no ledger ({type(error).__name__}: {error}). {way_out}") from None


def _text(content: Mapping[str, Any]) -> HeardText:
    return HeardText(**{**content, "size": Amount(**content["size"])})
