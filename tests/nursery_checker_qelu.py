"""A checker of Qelu sentences (all knobs turned) by rules and tables of its own; it shares nothing with the grammar.

It cuts the text into words, reads them from left to right and keeps the noun phrases that no verb has taken yet, as a
reader of a verb-final language must: a verb takes its object, in the case it governs, and its subject from the end of
them, a postposition takes its noun, `he` closes what describes the noun to come. Agreement, cases, concord, classifiers
are checked, and that nothing is left over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LATIN = "abdeghiklmnopqrstuvz"
OWN = "აბდეგჰიკლმნოპყრსტუვზ"

NOUNS = {
    "a": """kiva dute tenpa boza gima vume qata diva beruve tiripa terina zospura qilama genmumka pozida beva
        qolpa gugesa vuqane miboda qezaqa qiniqa geza telora pimude nate vuka moqa piba suga pekare qirbelda
        bupelda pugute lasonda zungeqa kasuga nomgelda goma gonguka gultuke kampuga kuvalga gaduda tiza
        tumka zoqa mesa neqa zakompa buda zonka koze suqa dota qelta tempa nondome kibera""",
    "u": """venevu povalu ketodu kugenku mirporu marpare tosilku mototu kudu pinke latu pebu lusopu ququvu qotu
        kebimgu muru zasu pinipu meniku sikapu nutidu zonoqu tinu dinpu nibu gotu luronu puke balkesu quvupu
        qeberu dolgu balbate nupu solgu ziromu zingu duzagu malu mintu zinunu memisu qobu naku lodu zutu
        pezu zurugu zanavu mirange mevomu""",
    "i": """nozi tari naqi ponivi vagompi leposi gudizi qure sinpi zulki tadali seqive kigi guvari vemdedi muqi
        kenabi tiqi vuli milgoki sedumi keqimpi kini kenupi durmulpi tutili paki kezoki dogute gilmenpi qumi
        posi love bimki loge luqopi tazopi""",
}
NAMES = ["marko", "zovia", "luka", "zulia", "palo", "sara", "mateo", "kiara", "petro", "lena", "tomaso", "maria"]
CONCORD = (
    """zen busiv pined nomp kerov mit duvab nok leg vezig davint vurem muzon lulger vaker kongeq pondod
        tezev surdulg qospez terab biv nenpaz kuz bing dakumk pikor pig vilog kiqat daver dalkib lib qismig
        vung lopor belgig qolamd tamop pugop pelur dabin vonek vupum qusvok bomaq qeqol vetop kutuq namgim
        zamir pelep gakag """
    + "zik vit pag son"
).split()
"""Adjectives, demonstratives and possessives."""
GOVERNED = {
    None: """tap kop mabek deziv sup pumk zor dumbom volt pemub muzik menom varik bogut loqed tes vagod lomom
        lidar tudim qusar lin zemt pudan keqot daleg keted zaret zuspod bobir suv sisud""",
    "acc": """sap gip bop zis voner ges qut qontub qorval dultumg lumub vopaz pimmemd masgod tuper pevuv silag
        qelbuk sop zerand noq zebot melut tusimt viril nimol kavol tipol norger bebolk nurip nolur vasgum
        kommen""",
    "dat": "zilt bol veg parker tepeb bit bam zusdel mirov zibim ganam zond lakank lokan namon tuld",
    "acc dat": "gampod ben tim veb dup sum tal",
    "say": "dom tib lap nes saq bet tav",
    "be": "sat dop",
}
PERSONS = {"om": (1, "sg"), "ok": (2, "sg"), "o": (3, "sg"), "orem": (1, "pl"), "orek": (2, "pl"), "ore": (3, "pl")}
CASES = {"": "nom", "n": "acc", "s": "dat", "t": "loc"}
POSTPOSITIONS = {"pur": "loc", "nomk": "loc", "beg": "loc", "sek": "loc", "dov": "loc"}
POSTPOSITIONS |= dict.fromkeys(("sir", "tak", "lut"), "dat")
CLASSIFIERS = {"dan": "a", "sold": "u", "vib": "i"}
PRONOUNS = {"nemo": (1, "sg"), "tive": (2, "sg"), "laga": (3, "sg"), "kuma": (1, "pl"), "pobe": (2, "pl")}
NUMERALS = ["gav", "lis", "qolt", "maz", "bang"]
OTHERS = (*["he", "ho", "qek", "gov", "miz", "bem", "nik", "ha", "buq", "zeld", "suz", "qar", "val", "molp"], *".,?!")


@dataclass(frozen=True)
class Phrase:
    """A noun phrase."""

    case: str
    person: int
    number: str
    kind: str
    """Its class; of a question word ?."""
    is_it: bool = False
    """Whether it is a pronoun of the third person."""


@dataclass(frozen=True)
class Verb:
    """A form of a verb."""

    governs: str | None
    person: int | None
    """None in the imperative."""
    number: str


@dataclass(frozen=True)
class Modifier:
    """A word that agrees with a noun."""

    kind: str
    number: str


Word = Phrase | Verb | Modifier | str


def _forms() -> dict[str, Word]:
    forms: dict[str, Word] = {word: word for word in (*OTHERS, *NUMERALS, *CLASSIFIERS, *POSTPOSITIONS)}
    for kind, listed in NOUNS.items():
        for noun in listed.split():
            for ending, case in CASES.items():
                forms[noun + ending] = Phrase(case, 3, "sg", kind)
                forms[noun + "re" + ending] = Phrase(case, 3, "pl", kind)
    for ending, case in CASES.items():
        forms.update({name + ending: Phrase(case, 3, "sg", "a") for name in NAMES})
        forms.update({word + ending: Phrase(case, *what, "a", word == "laga") for word, what in PRONOUNS.items()})
        forms["lagare" + ending] = Phrase(case, 3, "pl", "a", True)
        for kind in "ui":
            forms[f"lag{kind}{ending}"] = Phrase(case, 3, "sg", kind, True)
            forms[f"lag{kind}re{ending}"] = Phrase(case, 3, "pl", kind, True)
    forms |= {"mug": Phrase("nom", 3, "sg", "?"), "seren": Phrase("acc", 3, "sg", "?")}
    forms["seres"] = Phrase("dat", 3, "sg", "?")
    for stem in CONCORD:
        for kind in "aui":
            forms[stem + kind], forms[stem + kind + "re"] = Modifier(kind, "sg"), Modifier(kind, "pl")
    for governs, stems in GOVERNED.items():
        for stem in stems.split():
            forms.update({stem + ending: Verb(governs, *what) for ending, what in PERSONS.items()})
            forms[stem + "e"], forms[stem + "ere"] = Verb(governs, None, "sg"), Verb(governs, None, "pl")
    return forms


FORMS = _forms()
LONGEST = max(map(len, FORMS))


def cuts(text: str) -> list[tuple[str, ...]]:
    """All ways to cut a text without spaces into Qelu words."""
    ways: list[list[tuple[str, ...]]] = [[()], *([] for _ in text)]
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - LONGEST), end):
            if text[start:end] in FORMS:
                ways[end] += [(*way, text[start:end]) for way in ways[start]]
    return ways[-1]


@dataclass
class Report:
    """What was found wrong, and how much was read."""

    mistakes: list[str] = field(default_factory=list)
    noun_phrases: int = 0
    subjects: int = 0
    """Subjects whose verb was checked."""


class Qelu:
    """Reads one sentence."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words
        self.report = Report()
        self.waiting: list[Phrase] = []
        self.modifiers: list[Modifier] = []
        self.numeral = self.classifier = ""
        self.head: Verb | None = None
        """The verb of a relative clause whose subject is the noun to come."""
        self.topic: Phrase | None = None
        self.said: tuple[Phrase | None, Phrase | None, Verb] | None = None
        """Subject, object and verb of the clause before `miz` or `gov`."""

    def check(self) -> Report:
        """All checks."""
        for place, word in enumerate(self.words):
            read = FORMS[word]
            if isinstance(read, Modifier):
                self.modifiers.append(read)
            elif isinstance(read, Phrase):
                self._phrase(read)
            elif isinstance(read, Verb):
                self._verb(read, self._after(place))
            else:
                self._other(word)
        if self.waiting or self.modifiers or self.numeral or self.head:
            self._wrong(f"left over: {self.waiting} {self.modifiers} {self.numeral}")
        return self.report

    def _wrong(self, what: str) -> None:
        self.report.mistakes.append(what)

    def _after(self, place: int) -> str:
        """The word after a verb and its negation."""
        rest = [word for word in self.words[place + 1 :] if word != "qek"]
        return rest[0] if rest else ""

    def _phrase(self, phrase: Phrase) -> None:
        self.report.noun_phrases += 1
        for modifier in self.modifiers:
            if (modifier.kind, modifier.number) != (phrase.kind, phrase.number):
                self._wrong(f"{modifier} before {phrase}")
        if self.numeral and (self.classifier != phrase.kind or phrase.number != "sg"):
            self._wrong(f"{self.numeral} {self.classifier} before {phrase}")
        if self.head and self.head.number != phrase.number:
            self._wrong(f"{self.head} in a clause about {phrase}")
        is_resumed = self.topic is not None and phrase.is_it and phrase.case in ("acc", "dat")
        if self.topic and is_resumed and (self.topic.kind, self.topic.number) != (phrase.kind, phrase.number):
            self._wrong(f"{phrase} for {self.topic}")
        self.report.subjects += self.head is not None
        self.modifiers, self.numeral, self.classifier, self.head = [], "", "", None
        self.waiting.append(phrase)

    def _other(self, word: str) -> None:
        if word in NUMERALS:
            self.numeral = word
        elif word in CLASSIFIERS:
            self.classifier = CLASSIFIERS[word]
            if not self.numeral:
                self._wrong(f"{word} without a numeral")
        elif word in POSTPOSITIONS:
            self._take(POSTPOSITIONS[word])
        elif word == ",":
            self.topic = self._take("nom")
        elif word in "!" and self.words[0] == "ha":
            self._take("nom")

    def _take(self, case: str) -> Phrase | None:
        if self.waiting and self.waiting[-1].case == case:
            return self.waiting.pop()
        self._wrong(f"no {case} at the end of {self.waiting}")
        return None

    def _verb(self, verb: Verb, after: str) -> None:
        if after == "he":
            self._relative(verb)
            return
        if verb.governs == "say":
            self._say(verb)
            return
        taken = [self._take(case) for case in (verb.governs or "").split() if case in ("acc", "dat")]
        obj = taken[0] if taken else None
        if (verb.person is None) != (self.words[-1] == "!" and "bem" not in self.words):
            self._wrong(f"{verb} in a command or not in one")
        subject = self.waiting.pop() if self.waiting and self.waiting[-1].case == "nom" else None
        if after == "gov":
            self.said = subject, obj, verb
            return
        if self.said and "miz" in self.words:
            self._second(verb, obj)
            return
        self._agrees(verb, subject)
        self.said = subject, obj, verb

    def _relative(self, verb: Verb) -> None:
        """[object verb] he noun; [subject verb] he noun; [verb] he noun."""
        if verb.person != 3:
            self._wrong(f"{verb} in a relative clause")
        if verb.governs is None:
            self.head = verb
        elif self.waiting and self.waiting[-1].case == "nom":
            self._agrees(verb, self.waiting.pop())
        else:
            self._take(verb.governs)
            self.head = verb

    def _say(self, verb: Verb) -> None:
        """The clause before `gov` may lack its subject, or the speaker may be left unsaid."""
        assert self.said is not None
        subject, _, inner = self.said
        if self.waiting or subject is None:
            speaker = self.waiting.pop() if self.waiting else None
            self._agrees(inner, subject)
            self._agrees(verb, speaker)
        elif not _agree(inner, subject) and not _agree(verb, subject):
            self._wrong(f"{subject} is the subject neither of {inner} nor of {verb}")
        self.modifiers = []

    def _second(self, verb: Verb, it: Phrase | None) -> None:
        """The clause after `miz`: the same subject; the object of the first, as a pronoun."""
        assert self.said is not None
        _, first, before = self.said
        if (verb.person, verb.number) != (before.person, before.number):
            self._wrong(f"{verb} after {before}")
        if it and first and (it.kind, it.number) != (first.kind, first.number):
            self._wrong(f"{it} for {first}")

    def _agrees(self, verb: Verb, subject: Phrase | None) -> None:
        if verb.person is None:
            if subject:
                self._wrong(f"a command with {subject}")
            return
        if subject:
            self.report.subjects += 1
            if not _agree(verb, subject):
                self._wrong(f"{verb} with {subject}")
        kind, number = (subject.kind, subject.number) if subject else ("a", verb.number)
        if verb.governs == "be" and any((m.kind, m.number) != (kind, number) for m in self.modifiers):
            self._wrong(f"{self.modifiers} said of {subject}")
        self.modifiers = []


def _agree(verb: Verb, subject: Phrase) -> bool:
    return (verb.person, verb.number) == (subject.person, subject.number)


def check_qelu(text: str) -> Report:
    """Check a sentence of `qel` (own script, no spaces) or of `qel:order+morphology` (Latin, spaces)."""
    latin = text.translate(str.maketrans(OWN, LATIN))
    if " " in latin:
        found = [tuple(re.findall(r"[^\s.,?!]+|[.,?!]", latin))]
        found = [words for words in found if all(word in FORMS for word in words)]
    else:
        found = cuts(latin)
    if len(found) != 1:
        return Report([f"{len(found)} ways to read it"])
    return Qelu(found[0]).check()
