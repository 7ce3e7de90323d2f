"""One language of the nursery: sentences with their meanings, exact probabilities of any text, the true entropy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from bambino.errors import NurseryError
from bambino.nursery.concrete import Concrete, load_concrete
from bambino.nursery.knobs import read_language
from bambino.nursery.parser import ChartParser
from bambino.nursery.pcfg import compile_pcfg
from bambino.nursery.segmentation import Segmenter
from bambino.nursery.world import Meaning, World, load_world, seeded

PUNCTUATION = (".", ",", "?", "!")


@dataclass(frozen=True)
class Sentence:
    """One line of the nursery."""

    text: str
    meaning: Meaning
    surprisal: float
    """-ln P(text), in nats, over all meanings that are said so. The end costs nothing: . ? or ! always is the end."""


@dataclass(frozen=True)
class Entropy:
    """The true entropy of a language, estimated by the mean exact surprisal of a sample."""

    bits_per_byte: float
    """Bits of surprisal per UTF-8 byte of text; newlines are not counted as bytes."""
    standard_error: float
    """Of bits_per_byte (a ratio of means; delta method)."""
    nats_per_sentence: float
    bytes_per_sentence: float
    sentences: int
    """Sample size."""


@dataclass(frozen=True)
class Grammar:
    """A language of the nursery: `Grammar.load("it")`.

    Probabilities are those of the language as heard, in which held-out combinations of words do not occur (see
    `world.py`). With `held_out`, they may occur: the plain grammar, which also says every good sentence of a pair.
    """

    world: World
    concrete: Concrete
    held_out: bool = False

    @classmethod
    def load(cls, language: str, held_out: bool = False) -> Grammar:
        """The language `en`, `it` or `qel`; the latter with knobs, as in `qel:order` (see `knobs.py`).

        Raises:
            NurseryError: another language.
        """
        return _load(str(read_language(language)), held_out)

    @property
    def language(self) -> str:
        """Its name: `en`, `it`, `qel`, `qel:order`, ..."""
        return str(self.concrete.language)

    @property
    def code(self) -> str:
        """Its name without knobs. Chance depends on it, not on the knobs: settings say the same meanings alike."""
        return self.concrete.language.code

    @cached_property
    def parser(self) -> ChartParser:
        """The compiled grammar; made once, in about a second."""
        return ChartParser(compile_pcfg(self.world, self.concrete, self.held_out))

    @property
    def words(self) -> frozenset[str]:
        """Every word form and punctuation mark that some sentence holds; elided articles count as words."""
        return self.parser.grammar.words

    # ------------------------------------------------------------------------------------------------ sentences

    def sample(self, seed: int, n: int) -> list[Sentence]:
        """The first n sentences of a seed, with meaning and surprisal.

        The same seed gives the same meanings in every language, and the same sentences on every version of Python.
        """
        return [Sentence(text, meaning, -self.log_probability(text)) for text, meaning in self._stream(seed, n)]

    def texts(self, seed: int, n: int) -> Iterator[str]:
        """The texts of `sample(seed, n)`, some ten times faster."""
        return (text for text, _ in self._stream(seed, n))

    def say(self, meaning: Meaning, seed: int = 0) -> str:
        """A meaning in this language; where there are several ways, the seed chooses."""
        return self.join(self.concrete.linearise(meaning, seeded("say", self.code, seed)))

    def _stream(self, seed: int, n: int) -> Iterator[tuple[str, Meaning]]:
        meanings, words = seeded("meanings", seed), seeded("words", self.code, seed)
        for _ in range(n):
            meaning = self.world.sample(meanings, held_out=self.held_out)
            yield self.join(self.concrete.linearise(meaning, words)), meaning

    # -------------------------------------------------------------------------------------------- probabilities

    def log_probability(self, text: str) -> float:
        """ln P(the sentence is exactly this text), over all its derivations; -inf for what is not of the language."""
        words = self.split(text)
        return _log(self.parser.probability(words)) if self.join(words) == text else -math.inf

    def prefix_log_probability(self, text: str) -> float:
        """ln P(a sentence begins with this text, which may break off inside a word); -inf where none does.

        So it is 0 for the empty text, and never rises as the text grows.
        """
        if not text:
            return 0.0
        if self._segmenter:
            return _log(sum(self._begun(words, rest) for words, rest in self._segmenter.begun(text)))
        words = self.split(text)
        joined = self.join(words)
        if text == joined:
            return _log(self._begun(words[:-1], words[-1]))
        if text == joined + " " and words and not self._is_elided(words[-1]):
            return _log(sum(p for word, p in self.parser.next_words(words).items() if word not in PUNCTUATION))
        return -math.inf

    def _begun(self, words: tuple[str, ...], rest: str) -> float:
        """P(a sentence begins with these words and then one that begins with the rest)."""
        return sum(p for word, p in self.parser.next_words(words).items() if word.startswith(rest))

    def entropy(self, seed: int = 0, n: int = 2000) -> Entropy:
        """The language's true entropy, from n sampled sentences."""
        sample = self.sample(seed, n)
        bits = [sentence.surprisal / math.log(2) for sentence in sample]
        sizes = [len(sentence.text.encode("utf-8")) for sentence in sample]
        ratio, mean_size = sum(bits) / sum(sizes), sum(sizes) / n
        variance = sum((b - ratio * size) ** 2 for b, size in zip(bits, sizes, strict=True)) / max(n - 1, 1)
        error = math.sqrt(variance / n) / mean_size
        return Entropy(ratio, error, math.log(2) * sum(bits) / n, mean_size, n)

    # ------------------------------------------------------------------------------------------- words and text

    def split(self, text: str) -> tuple[str, ...]:
        """Text -> words and punctuation marks, elided articles apart where the language has them.

        Without spaces, what is no word of the language is left in as few pieces as can be.
        """
        if self._segmenter:
            return self._segmenter.split(text)
        pattern = r"[^\s.,?!']+'?|[.,?!]|'" if self.concrete.split_elided else r"[^\s.,?!]+|[.,?!]"
        return tuple(re.findall(pattern, text))

    def join(self, words: tuple[str, ...] | list[str]) -> str:
        """Words -> text: no space before punctuation nor after an elided article."""
        if self._segmenter:
            return "".join(words)
        pieces: list[str] = []
        for i, word in enumerate(words):
            if i > 0 and word not in PUNCTUATION and not self._is_elided(words[i - 1]):
                pieces.append(" ")
            pieces.append(word)
        return "".join(pieces)

    @cached_property
    def _segmenter(self) -> Segmenter | None:
        """What cuts texts into words; None where spaces do."""
        if self.concrete.is_spaced:
            return None
        segmenter = Segmenter(frozenset(self.concrete.words()) | frozenset(PUNCTUATION))
        rest = segmenter.ambiguous()
        if rest is not None:
            raise NurseryError(
                f"{self.language}: without spaces, texts with {rest!r} can be cut into words in two ways."
            )
        return segmenter

    def _is_elided(self, word: str) -> bool:
        return self.concrete.split_elided and word.endswith("'")


def aligned(seed: int, n: int, languages: tuple[str, str] = ("en", "it")) -> list[tuple[Sentence, Sentence]]:
    """n sentences of the same meanings in two languages: those of `sample(seed, n)` of both."""
    first, second = (Grammar.load(language).sample(seed, n) for language in languages)
    return list(zip(first, second, strict=True))


def write_text(path: Path, language: str, lines: int, seed: int) -> None:
    """Write a language's first `lines` sentences of a seed, one a line, UTF-8; makes the folder."""
    grammar = Grammar.load(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for text in grammar.texts(seed, lines):
            file.write(text + "\n")


@cache
def _load(language: str, held_out: bool) -> Grammar:
    """Compiled once per process: a second load costs nothing, and nothing of a grammar ever changes."""
    return Grammar(load_world(), load_concrete(language), held_out)


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
