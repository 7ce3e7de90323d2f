"""The knobs of Qelu: how far it is from English, one kind of distance at a time, and the names of all languages.

    script      latin | own         the same words in letters of the language's own, one for each Latin one
    spaces      yes | no            the same words with or without spaces; apart from script, because letters never seen
                                    and words to be found are different difficulties
    order       svo | sov           English order, prepositions, relative clause after the noun | the verb last,
                                    postpositions, everything that describes a noun before it
    morphology  isolating | full    words never change, particles | case, concord, verbs that agree, unsaid subjects

The world and the stems are the same for all settings. A knob is turned when it has the second value. As text, a
language is `en`, `it`, `qel` (all turned), `qel:order+morphology` (only these turned) or `qel:near` (none).
In a YAML, `language.order` is the value of a knob. One thing depends on two knobs: where the verb is last and words do
not change, a particle marks the object, since nothing else would tell it from the subject.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from itertools import combinations
from typing import Literal

from bambino.errors import NurseryError

FILES = {"en": "english.yaml", "it": "italian.yaml", "qel": "qelu.yaml"}


@dataclass(frozen=True)
class Qelu:
    """Qelu with its knobs set; `str()` is what `Grammar.load` and the command line take: `qel:script+order`."""

    script: Literal["latin", "own"] = "own"
    spaces: Literal["yes", "no"] = "no"
    order: Literal["svo", "sov"] = "sov"
    morphology: Literal["isolating", "full"] = "full"

    def __str__(self) -> str:
        turned = [knob for knob in KNOBS if getattr(self, knob) == getattr(FAR, knob)]
        if len(turned) == len(KNOBS):
            return "qel"
        return f"qel:{'+'.join(turned)}" if turned else "qel:near"


FAR = Qelu()
NEAR = Qelu("latin", "yes", "svo", "isolating")
KNOBS = tuple(field.name for field in fields(Qelu))
LANGUAGES = f"{', '.join(FILES)}, qel:near, or qel: with some of {', '.join(KNOBS)}, joined by +"
"""What there is, in words."""


@dataclass(frozen=True)
class Language:
    """A language's code, and its knobs where it has any."""

    code: str
    knobs: Qelu | None = None

    def __str__(self) -> str:
        return str(self.knobs or self.code)

    @property
    def settings(self) -> dict[str, str]:
        """Knob -> value."""
        return asdict(self.knobs) if self.knobs else {}


def languages() -> list[str]:
    """The names of all languages, in each of their settings."""
    some = [turned for n in range(1, len(KNOBS)) for turned in combinations(KNOBS, n)]
    return [*FILES, "qel:near", *(f"qel:{'+'.join(turned)}" for turned in some)]


def read_language(name: str) -> Language:
    """`qel:order` -> the language and its knobs.

    Raises:
        NurseryError: no such language or knob; the message says which there are.
    """
    code, colon, turned = name.partition(":")
    if code not in FILES:
        raise NurseryError(f"The nursery has no language {code!r}. It has: {LANGUAGES}.")
    if code != "qel":
        if colon:
            raise NurseryError(f"{name!r}: {code} has no knobs. There are: {LANGUAGES}.")
        return Language(code)
    if turned == "near":
        return Language(code, NEAR)
    wanted = turned.split("+") if colon else KNOBS
    unknown = [knob for knob in wanted if knob not in KNOBS]
    if unknown:
        raise NurseryError(f"{name!r}: qel has no knob {unknown[0]!r}. There are: {LANGUAGES}.")
    return Language(code, Qelu(**{knob: getattr(FAR if knob in wanted else NEAR, knob) for knob in KNOBS}))
