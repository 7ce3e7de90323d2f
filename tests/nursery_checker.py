"""A checker of nursery sentences by rules and tables of its own: it shares nothing with the grammars it checks.

It reads noun phrases from left to right and reports what it finds wrong: an article that does not suit the next sound,
a determiner or adjective of another gender or number than its noun, a verb of another number than its subject. What it
cannot read it leaves alone and says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise


def words(text: str) -> set[str]:
    """The words of a list."""
    return set(text.split())


ITALIAN_NOUNS = {
    "f": """bambina/e mamma/e nonna/e maestra/e amica/amiche zia/e signora/e regina/e attrice/i mucca/mucche
    anatra/e pecora/e scimmia/e volpe/i zebra/e oca/oche rana/e gallina/e tartaruga/tartarughe
    farfalla/e ape/i aquila/e mela/e torta/e banana/e arancia/arance pizza/e pera/e carota/e fragola/e
    patata/e cipolla/e caramella/e oliva/e pesca/pesche zucca/zucche palla/e bambola/e macchinina/e
    bicicletta/e barca/barche scarpa/e camicia/camicie sciarpa/e giacca/giacche gonna/e pantofola/e
    uniforme/i sedia/e lampada/e pianta/e panca/panche porta/e scatola/e finestra/e borsa/e lettera/e
    valigia/valigie casa/e cucina/e stanza/e scuola/e stalla/e città/città""",
    "m": """bambino/i papà/papà nonno/i zio/zii amico/amici dottore/i maestro/i scolaro/i signore/i cuoco/cuochi
    gnomo/i re/re uomo/uomini pompiere/i studente/i cane/i gatto/i uccello/i cavallo/i topo/i
    coniglio/conigli scoiattolo/i elefante/i orso/i pesce/i asino/i lupo/i leone/i maiale/i struzzo/i
    biscotto/i gelato/i panino/i pomodoro/i fungo/funghi ananas/ananas gnocco/gnocchi trenino/i
    orsacchiotto/i palloncino/i aereo/i aquilone/i puzzle/puzzle tamburo/i monopattino/i robot/robot
    camion/camion anello/i xilofono/i cappello/i calzino/i vestito/i stivale/i guanto/i cappotto/i
    grembiule/i scialle/i tavolo/i letto/i albero/i fiore/i divano/i specchio/specchi orologio/orologi
    sasso/i sgabello/i tappeto/i cuscino/i libro/i zaino/i ombrello/i armadio/armadi cassetto/i regalo/i
    scrigno/i giardino/i parco/parchi bosco/boschi zoo/zoo castello/i albergo/alberghi negozio/negozi
    ospedale/i stadio/stadi""",
}
ITALIAN_NAMES = dict.fromkeys(words("Marco Luca Paolo Matteo Pietro Tommaso"), "m") | dict.fromkeys(
    words("Sofia Giulia Sara Chiara Elena Maria"), "f"
)
# adjectives by stem: four endings (plural of -co, -go with h), two endings, none
FOUR = words("""piccol ross stanc ner bianc affamat vecch arrabbiat brav giall sporc pulit buff morbid tranquill alt
    cald fredd legger rott stran lent grig malat curios lung bagnat matur delizios coraggios asciutt
    rotond brutt costos scur calm fresc nuov""")
TWO = words("grand felic trist verd dolc pesant veloc gentil fort elegant giovan")
INVARIANT = ("blu", "rosa")
# determiners, by gender and number
DETERMINERS = {
    ("m", "sg"): "il lo un uno questo quel quello del dello al allo sul sullo nel nello mio tuo",
    ("f", "sg"): "la una un' questa quella della alla sulla nella mia tua",
    ("?", "sg"): "l' dell' all' sull' nell' quell'",
    ("m", "pl"): "i gli dei degli questi quei quegli ai agli sui sugli nei negli miei tuoi molti",
    ("f", "pl"): "le delle queste quelle alle sulle nelle mie tue molte",
    ("?", "pl"): "due tre quattro",
}
VOWEL, IMPURE = "aeiouàèéìòù", re.compile(r"s[^aeiou]|z|gn|ps|x|y")
BEFORE_PLAIN = words("il del al sul nel i dei ai sui nei quel quei bel bei")
BEFORE_IMPURE = words("lo dello allo sullo nello uno quello bello buono")
BEFORE_IMPURE_OR_VOWEL = words("gli degli agli sugli negli quegli begli")
FEMININE_BEFORE_CONSONANT = words("la della alla sulla nella quella una")
CLITIC_AND_VERB = {(clitic, verb) for clitic in ("lo", "li", "le") for verb in ("porta", "cucina")}
PREPOSITIONS = words("vicino davanti accanto sotto dietro a su in di")


def _nouns() -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for gender, listed in ITALIAN_NOUNS.items():
        for entry in listed.split():
            one, many = entry.split("/")
            plural = one[:-1] + many if len(many) == 1 else many
            found.setdefault(one, set()).add((gender, "sg"))
            found.setdefault(plural, set()).add((gender, "pl"))
    return found


def _adjectives() -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {word: {(g, n) for g in "mf" for n in ("sg", "pl")} for word in INVARIANT}
    for stem in FOUR:
        hard = stem + "h" if stem[-1] in "cg" and stem not in ("grig", "vecch") else stem
        soft = stem + "i" if stem in ("grig", "vecch") else stem
        for form, agreement in ((soft + "o", ("m", "sg")), (soft + "a", ("f", "sg")), (hard + "i", ("m", "pl"))):
            found.setdefault(form, set()).add(agreement)
        found.setdefault((soft if soft != stem else hard) + "e", set()).add(("f", "pl"))
    for stem in TWO:
        found[stem + "e"], found[stem + "i"] = {("m", "sg"), ("f", "sg")}, {("m", "pl"), ("f", "pl")}
    for words, kind in (("bel bell' bello", ("m", "sg")),
                        ("bella bell'", ("f", "sg")), ("bei begli belli", ("m", "pl")),
                        ("belle", ("f", "pl")), ("buon buono", ("m", "sg")), ("buona", ("f", "sg")),
                        ("buoni", ("m", "pl")), ("buone", ("f", "pl"))):  # fmt: skip
        for word in words.split():
            found.setdefault(word, set()).add(kind)
    return found


NOUNS, ADJECTIVES = _nouns(), _adjectives()
GENDER_NUMBER = {word: kind for kind, words in DETERMINERS.items() for word in words.split()}


@dataclass
class Report:
    """What was found wrong, and how much was read."""

    mistakes: list[str] = field(default_factory=list)
    noun_phrases: int = 0
    subjects: int = 0
    """Subjects whose verb was checked."""


def _kinds(word: str) -> set[tuple[str, str]]:
    gender, number = GENDER_NUMBER[word]
    return {(g, number) for g in ("mf" if gender == "?" else gender)}


class Italian:
    """Reads one Italian sentence."""

    def __init__(self, text: str) -> None:
        self.words = re.findall(r"[^\s.,?!']+'?|[.,?!]", text)
        self.report = Report()

    def check(self) -> Report:
        """All checks."""
        self._articles()
        i = 0
        while i < len(self.words):
            read = self._noun_phrase(i)
            i = read[1] if read else i + 1
        self._subject(0)
        for i, word in enumerate(self.words):
            if word == "che" and i > 0 and self.words[i - 1] in SAYING:
                self._subject(i + 1)
        return self.report

    def _articles(self) -> None:
        for word, following in pairwise(self.words):
            vowel, impure = following[0].lower() in VOWEL, bool(IMPURE.match(following.lower()))
            is_clitic = (word, following) in CLITIC_AND_VERB or not (
                following in NOUNS or following in ADJECTIVES or following in GENDER_NUMBER
            )
            if is_clitic or following in ITALIAN_NAMES:
                continue
            wrong = (
                (word in BEFORE_PLAIN and (vowel or impure))
                or (word in ("un", "buon") and impure)
                or (word in BEFORE_IMPURE and not impure)
                or (word in BEFORE_IMPURE_OR_VOWEL and not (impure or vowel))
                or (word in FEMININE_BEFORE_CONSONANT and vowel)
                or (word.endswith("'") and not vowel)
            )
            if wrong:
                self.report.mistakes.append(f"{word} before {following}")

    def _noun_phrase(self, i: int) -> tuple[set[tuple[str, str]], int] | None:
        """(gender and number, next place) of the noun phrase that starts at i, if one does."""
        start = i
        if tuple(self.words[i : i + 2]) in CLITIC_AND_VERB:
            return None
        if i < len(self.words) and self.words[i] in ITALIAN_NAMES:
            return {(ITALIAN_NAMES[self.words[i]], "sg")}, i + 1
        kinds = {(g, n) for g in "mf" for n in ("sg", "pl")}
        found = False
        while i < len(self.words) and (self.words[i] in GENDER_NUMBER or (i > start and not found)):
            word = self.words[i]
            if word in NOUNS:
                kinds &= NOUNS[word]
                found = True
            elif word in ADJECTIVES:
                kinds &= ADJECTIVES[word]
            elif word in GENDER_NUMBER:
                kinds &= _kinds(word)
            else:
                return None
            i += 1
            if found:
                break
        if not found:
            return None
        while i < len(self.words) and self.words[i] in ADJECTIVES:
            kinds &= ADJECTIVES[self.words[i]]
            i += 1
        self.report.noun_phrases += 1
        if not kinds:
            self.report.mistakes.append(f"no agreement in: {' '.join(self.words[start:i])}")
        return kinds, i

    def _subject(self, i: int) -> None:
        """Check the verb of the noun phrase at i, over a place or a relative clause after it."""
        if i >= len(self.words) or (self.words[0] in ("c'", "ci", "che", "dov'", "dove") and i == 0):
            return
        read = self._quiet(i)
        if read is None or not read[0]:
            return
        kinds, i = read
        i = self._skip_place(i)
        if i < len(self.words) and self.words[i] == "che":
            after = self._relative(i + 1, kinds)
            if after is None:
                return
            i = after
        self._agree(kinds, i)

    def _quiet(self, i: int) -> tuple[set[tuple[str, str]], int] | None:
        before = self.report
        self.report = Report()
        read = self._noun_phrase(i)
        self.report = before
        return read

    def _skip_place(self, i: int) -> int:
        j = i
        while j < len(self.words) and self.words[j] in PREPOSITIONS:
            j += 1
        fused = (
            j < len(self.words)
            and self.words[j] in GENDER_NUMBER
            and self.words[j][:2] in ("su", "ne", "al", "ai", "ag")
        )
        if j == i and not fused:
            return i
        read = self._quiet(j)
        return read[1] if read else i

    def _relative(self, i: int, kinds: set[tuple[str, str]]) -> int | None:
        """The place after a relative clause: `che guarda il cane`, `che dorme`, `che i cani guardano`."""
        inner = self._quiet(i)
        if inner:
            self._agree(inner[0], inner[1])
            return inner[1] + 1
        self._agree(kinds, i)
        read = self._quiet(i + 1)
        return read[1] if read else i + 1

    def _agree(self, kinds: set[tuple[str, str]], i: int) -> None:
        """The verb at i is of the third person and of the subject's number; an adjective after essere agrees too."""
        while i < len(self.words) and self.words[i] in ("non", "lo", "la", "li", "le"):
            i += 1
        if i >= len(self.words) or not self.words[i].isalpha():
            return
        verb, numbers = self.words[i], {number for _, number in kinds}
        number = "pl" if verb.endswith("no") else "sg" if verb[-1] in "aeèà" else "neither"
        self.report.subjects += 1
        if number not in numbers:
            self.report.mistakes.append(f"{verb} is {number}, its subject {sorted(numbers)}")
        if verb in ("è", "sono"):
            said = i + 2 if self.words[i + 1] == "più" else i + 1
            if self.words[said] in ADJECTIVES and not (kinds & ADJECTIVES[self.words[said]]):
                self.report.mistakes.append(f"{verb} {self.words[said]}: the subject is {sorted(kinds)}")


SAYING = words("""dico dici dice diciamo dite dicono so sai sa sappiamo sapete sanno vedo vedi vede vediamo vedete
    vedono sento senti sente sentiamo sentite sentono ricordo ricordi ricorda ricordiamo ricordate
    ricordano ripeto ripeti ripete ripetiamo ripetete ripetono scrivo scrivi scrive scriviamo scrivete
    scrivono""")


def check_italian(text: str) -> Report:
    """Check one Italian sentence."""
    return Italian(text).check()


# ---------------------------------------------------------------------------------------------------------- English

ENGLISH_PLURALS = {
    "men": "man", "gentlemen": "gentleman", "firemen": "fireman", "mice": "mouse", "geese": "goose",
    "wolves": "wolf", "scarves": "scarf",
}  # fmt: skip
SAME = ("sheep", "fish")
ENGLISH_NOUNS = words(
    """girl boy mother father grandmother grandfather teacher uncle friend aunt doctor pupil lady ladies
    gentleman cook gnome queen king man fireman actress actresses student dog cat bird horse mouse
    rabbit cow squirrel elephant duck bear monkey fox foxes zebra donkey goose frog wolf lion hen turtle
    pig butterfly butterflies bee eagle ostrich ostriches apple cookie cake banana orange pizza cream
    pear carrot sandwich sandwiches strawberry strawberries potato potatoes tomato tomatoes onion
    mushroom candy candies olive peach peaches pumpkin pineapple dumpling ball doll car train teddy
    teddies balloon airplane kite puzzle drum scooter bicycle boat robot truck ring xylophone shoe hat
    shirt sock dress dresses boot scarf jacket glove skirt coat slipper apron uniform shawl table chair
    bed tree flower lamp sofa mirror clock stone stool plant carpet bench benches pillow book door box
    boxes window bag backpack umbrella letter wardrobe suitcase drawer gift chest garden house park
    kitchen room wood school stable zoo castle city cities hotel shop hospital stadium"""
)
ENGLISH_ADJECTIVES = words(
    """small big beautiful red happy good tired new sad black white hungry old blue angry green yellow
    dirty clean funny soft sweet quiet tall warm pink cold heavy light broken strange slow fast grey
    sick curious kind long wet strong ripe delicious brave elegant young dry round ugly expensive dark
    calm fresh"""
)
SINGULAR, PLURAL = {"a", "an", "this", "that"}, {"some", "any", "these", "those", "two", "three", "four", "many"}
EITHER = {"the", "my", "your"}
ENGLISH_NAMES = set(ITALIAN_NAMES)
ENGLISH_PLACES = ("in front of", "next to", "near", "under", "behind", "in", "on")


def _english_number(noun: str) -> set[str]:
    if noun in SAME:
        return {"sg", "pl"}
    if noun in ENGLISH_PLURALS:
        return {"pl"}
    return {"sg"} if not noun.endswith("s") or noun.endswith("ss") else {"pl"}


def check_english(text: str) -> Report:
    """Check one English sentence: a/an, determiner and noun, subject and verb."""
    said, report = re.findall(r"[^\s.,?!]+|[.,?!]", text), Report()
    for word, following in pairwise(said):
        vowel = following[0] in "aeiou" and following not in ("uniform", "uniforms")
        if (word == "an" and not vowel) or (word == "a" and vowel):
            report.mistakes.append(f"{word} before {following}")
    for i in range(len(said)):
        if said[i] in SINGULAR | PLURAL:
            read = _english_phrase(said, i)
            is_relative = said[i] == "that" and i > 0 and read and read[0] == set()  # the dog that cooks: a verb
            if read and not is_relative:
                report.noun_phrases += 1
                if not read[0]:
                    report.mistakes.append(f"no agreement in: {' '.join(said[i : read[1]])}")
    question = said[0] in DO_AND_BE
    read = _english_phrase(said, 1 if question else 0)
    if read and question:
        report.subjects += 1
        if DO_AND_BE[said[0]] not in read[0]:
            report.mistakes.append(f"{said[0]} with a subject that is {sorted(read[0])}")
        if said[0].startswith("do") and read[1] < len(said) and re.fullmatch(r"\w+[^s]s", said[read[1]]):
            report.mistakes.append(f"{said[0]} ... {said[read[1]]}")
    elif read:
        _english_verb(said, read, report)
    return report


DO_AND_BE = {"does": "sg", "doesn't": "sg", "is": "sg", "isn't": "sg"} | dict.fromkeys(
    ("do", "don't", "are", "aren't"), "pl"
)


def _english_phrase(said: list[str], i: int) -> tuple[set[str], int] | None:
    if said[i] in ENGLISH_NAMES:
        return {"sg"}, i + 1
    if said[i] not in SINGULAR | PLURAL | EITHER:
        return None
    numbers = {"sg", "pl"} if said[i] in EITHER else {"sg"} if said[i] in SINGULAR else {"pl"}
    i += 1
    while i < len(said) and said[i] in ENGLISH_ADJECTIVES:
        i += 1
    if i < len(said) and said[i] == "ice":
        i += 1
    if i >= len(said) or not (
        said[i] in ENGLISH_NOUNS or said[i][:-1] in ENGLISH_NOUNS or said[i] in ENGLISH_PLURALS or said[i] in SAME
    ):
        return None
    return numbers & _english_number(said[i]), i + 1


def _english_verb(said: list[str], read: tuple[set[str], int], report: Report) -> None:
    numbers, i = read
    rest = " ".join(said[i:])
    for place in ENGLISH_PLACES:
        if rest.startswith(place + " "):
            inner = _english_phrase(said, i + len(place.split()))
            if not inner:
                return
            i = inner[1]
            break
    if said[i] == "that":
        inner = _english_phrase(said, i + 1)
        if not inner:
            report.subjects += 1
            _agrees(said[i + 1], numbers, report)
            after = i + 3 if said[i + 2] in ("at", "for", "out") else i + 2
            inner = _english_phrase(said, after)
            i = inner[1] if inner else after
        else:
            _agrees(said[inner[1]], inner[0], report)
            i = inner[1] + 2 if said[inner[1] + 1] in ("at", "for") else inner[1] + 1
    report.subjects += 1
    _agrees(said[i], numbers, report)


def _agrees(verb: str, numbers: set[str], report: Report) -> None:
    if not re.fullmatch(r"[a-z']+", verb):
        report.subjects -= 1
        return
    bare = verb.removesuffix("n't")
    number = "pl" if bare in ("are", "do", "have") else "sg" if bare.endswith("s") and not bare.endswith("ss") else "pl"
    if number not in numbers:
        report.mistakes.append(f"{verb} is {number}, its subject {sorted(numbers)}")
