"""The phenomena that minimal pairs test, by language: which meanings, which mistake, how the twin differs."""

from __future__ import annotations

from bambino.nursery.frames import Frame, Path_, Shape, shape
from bambino.nursery.knobs import Language

DETERMINERS = "the a this that"


def _noun_phrase(determiners: str = DETERMINERS, nom: str | Shape = "plain described") -> Shape:
    """A determiner with a noun, in either number."""
    return shape("determined", number=shape("singular plural", evenly=True), determiner=determiners, nom=nom)


def _subject(np: Shape) -> Shape:
    return shape("subject", np=np)


def _simple(determined: Shape) -> Shape:
    return shape("simple", np=shape("determined_np", np=determined))


def _clause(subject: Shape, names: str = "intransitive transitive intransitive_at") -> Shape:
    return shape(names, polarity="positive", subject=subject)


def _sentence(clause: Shape, names: str = "statement") -> Shape:
    return shape(names, clause=clause)


CLAUSE: Path_ = ("clause",)
SUBJECT: Path_ = ("clause", "subject", "np", "np", "np")
"""The noun phrase in a subject without more."""
MODIFIED: Path_ = ("clause", "subject", "np", "np")
"""The noun phrase that something follows in the subject."""
OBJECT: Path_ = ("clause", "object", "np", "np", "np")
PLAIN_NOUN = _sentence(_clause(_subject(_simple(_noun_phrase(nom="plain")))))
THIS_NOUN = _sentence(_clause(_subject(_simple(_noun_phrase("this that", "plain")))))
DESCRIBED = _sentence(_clause(_subject(_simple(_noun_phrase(nom="described"))), "intransitive transitive property"))
DESCRIBED_OBJECT = _sentence(
    shape(
        "transitive",
        polarity="positive",
        subject=shape("subject subject_pronoun"),
        object=shape("object", np=_simple(_noun_phrase(nom="described"))),
    )
)
GROUND: Path_ = ("clause", "ground", "np")
AT_PLACE = _sentence(
    shape(
        "intransitive_at",
        polarity="positive",
        subject=_subject(_simple(_noun_phrase())),
        ground=shape("determined_np", np=_noun_phrase("the a that", "plain")),
    )
)
ANY_ADJECTIVE_SIDES = ((DESCRIBED, SUBJECT), (DESCRIBED_OBJECT, OBJECT))

NOUN_GENDER = [Frame(PLAIN_NOUN, SUBJECT, "determiner", "gender", "gender", (*SUBJECT, "nom", "noun"), CLAUSE)]
NOUN_NUMBER = [Frame(PLAIN_NOUN, SUBJECT, "determiner", "number", "number", (*SUBJECT, "number"), CLAUSE)]
ADJECTIVE_GENDER = [
    Frame(sort, (*path, "nom"), "adjective", "gender", "gender", (*path, "nom", "noun"), (*path, "nom"))
    for sort, path in ANY_ADJECTIVE_SIDES
]
ADJECTIVE_NUMBER = [
    Frame(sort, (*path, "nom"), "adjective", "number", "number", (*path, "number"), (*path, "nom"))
    for sort, path in ANY_ADJECTIVE_SIDES
]
VERB_NUMBER = [
    Frame(_sentence(_clause(_subject(_simple(_noun_phrase())))), CLAUSE, "verb", "number", "number",
          (*SUBJECT, "number"), CLAUSE)
]  # fmt: skip
PRONOUN = ("clause", "subject", "pronoun")
VERB_PERSON = [
    Frame(
        _sentence(
            shape(
                "transitive",
                polarity="positive",
                subject=shape("subject_pronoun", pronoun=shape("i you we you_all pronoun3", evenly=True)),
                object=shape("object", np=_simple(_noun_phrase(nom="described"))),
            )
        ),
        CLAUSE, "verb", "person", "person", PRONOUN, (*OBJECT, "nom"),
    )
]  # fmt: skip


def _across(np: Shape, attractor: Path_) -> Frame:
    """Subject-verb number with something between the two."""
    clause = _clause(_subject(np), "intransitive transitive intransitive_at")
    whole = ("clause", "subject", "np", *attractor)
    return Frame(_sentence(clause), CLAUSE, "verb", "number", "number", (*MODIFIED, "number"), CLAUSE, whole)


ATTRACTOR = [_across(shape("beside", np=_noun_phrase(), ground=_noun_phrase()), ("ground",))]
RELATIVE = [
    _across(shape("who_handles", np=_noun_phrase(), object=_noun_phrase()), ("object",)),
    _across(shape("whom", np=_noun_phrase(), subject=shape("determined_np", np=_noun_phrase())), ("subject",)),
]


def _onset(twin: str, determiners: str) -> list[Frame]:
    """The article before a noun that begins otherwise; as subject and after a preposition."""
    as_subject = _sentence(_clause(_subject(_simple(_noun_phrase(determiners, "plain")))))
    return [
        Frame(as_subject, SUBJECT, "determiner", "onset", twin, (*SUBJECT, "nom", "noun"), CLAUSE),
        Frame(AT_PLACE, GROUND, "determiner", "onset", twin, (*GROUND, "nom", "noun"), CLAUSE),
    ]


AN_OBJECT = [
    Frame(
        _sentence(
            shape(
                "transitive",
                polarity="positive",
                subject=_subject(_simple(_noun_phrase())),
                object=shape("object", np=_simple(_noun_phrase("a", "plain"))),
            )
        ),
        OBJECT, "determiner", "onset", "onset", (*OBJECT, "nom", "noun"), CLAUSE,
    )
]  # fmt: skip


def _clitic(feature: str, table: str) -> list[Frame]:
    """A clitic and what it stands for: topic (la mela, la mangio) and earlier clause (prende la mela e la mangia)."""
    phrase = shape("given", number=shape("singular plural", evenly=True))
    subject = _subject(_simple(_noun_phrase()))
    topic = shape("topic topic_question", topic=phrase, subject=subject)
    sequence = shape("sequence", subject=subject, object=_noun_phrase())
    end = ("number",) if feature == "number" else ("nom", "noun")
    return [
        Frame(topic, (), table, feature, feature, ("topic", *end), ()),
        Frame(sequence, (), table, feature, feature, ("object", *end), ()),
    ]


DO_AGREEMENT = [
    Frame(_sentence(_clause(_subject(_simple(_noun_phrase()))), "question"), CLAUSE, "do", "number", "number",
          (*SUBJECT, "number"), CLAUSE)
]  # fmt: skip
ONE_SUBJECT = shape("determined", number="singular", determiner=DETERMINERS)
DO_FORM = [
    Frame(_sentence(_clause(_subject(_simple(ONE_SUBJECT))), "question"), CLAUSE, "verb", "", "form", (), CLAUSE)
]

_OF_CODE: dict[str, dict[str, list[Frame]]] = {
    "it": {
        "determiner_noun_gender": NOUN_GENDER,
        "determiner_noun_number": NOUN_NUMBER,
        "noun_adjective_gender": ADJECTIVE_GENDER,
        "noun_adjective_number": ADJECTIVE_NUMBER,
        "subject_verb_number": VERB_NUMBER,
        "subject_verb_person": VERB_PERSON,
        "subject_verb_attractor": ATTRACTOR,
        "subject_verb_relative": RELATIVE,
        "article_allomorphy": _onset("onset", "the a that"),
        "elision": _onset("elision", "the a that"),
        "clitic_gender": _clitic("gender", "clitic"),
        "clitic_number": _clitic("number", "clitic"),
    },
    "en": {
        "determiner_noun_number": [
            Frame(THIS_NOUN, SUBJECT, "determiner", "number", "number", (*SUBJECT, "number"), CLAUSE)
        ],
        "subject_verb_number": VERB_NUMBER,
        "subject_verb_attractor": ATTRACTOR,
        "subject_verb_relative": RELATIVE,
        "article_allomorphy": [*_onset("onset", "a")[:1], *AN_OBJECT],
        "do_support_agreement": DO_AGREEMENT,
        "do_support_form": DO_FORM,
        "pronoun_number": _clitic("number", "it"),
    },
}  # fmt: skip


# Qelu: case, concord, classifiers; agreement with other distances, since the verb stands last.

PLAIN_SUBJECT = _subject(_simple(_noun_phrase()))


def _noun_class(subject: Shape, target: str) -> Frame:
    """The class of a noun at what stands before it, in the subject."""
    clause = _clause(_subject(_simple(subject)), "intransitive transitive")
    return Frame(_sentence(clause), SUBJECT, target, "class", "class", (*SUBJECT, "nom", "noun"), CLAUSE)


def _with_object(np: Shape) -> Shape:
    return _sentence(shape("transitive", polarity="positive", subject=PLAIN_SUBJECT, object=shape("object", np=np)))


def _over_object(np: Shape, attractor: Path_) -> Frame:
    """Subject-verb number with the object between the two."""
    path = ("clause", "object", "np", *attractor)
    return Frame(_with_object(np), CLAUSE, "verb", "number", "number", (*SUBJECT, "number"), CLAUSE, path)


CLASSIFIER = [
    _noun_class(shape("determined", number="singular", determiner="a", nom="plain"), "determiner"),
    _noun_class(shape("counted", nom="plain"), "classifier"),
]
DETERMINER_CLASS = [_noun_class(_noun_phrase("this that my your", "plain"), "determiner")]
DETERMINER_NUMBER = [
    Frame(
        _sentence(_clause(_subject(_simple(_noun_phrase("this that my your", "plain"))))),
        SUBJECT, "determiner", "number", "number", (*SUBJECT, "number"), CLAUSE,
    )
]  # fmt: skip
ADJECTIVE_CLASS = [
    Frame(sort, (*path, "nom"), "adjective", "class", "class", (*path, "nom", "noun"), (*path, "nom"))
    for sort, path in ANY_ADJECTIVE_SIDES
]
OBJECT_CASE = [
    Frame(_with_object(_simple(_noun_phrase())), CLAUSE, "object", "case", "case", (*CLAUSE, "verb"), CLAUSE)
]
GROUND_CASE = [Frame(AT_PLACE, CLAUSE, "ground", "case", "case", (*CLAUSE, "relation"), CLAUSE)]
VERB_NUMBER_NEAR = [
    Frame(_sentence(_clause(PLAIN_SUBJECT, "intransitive")), CLAUSE, "verb", "number", "number",
          (*SUBJECT, "number"), CLAUSE)
]  # fmt: skip
ATTRACTOR_OBJECT = [
    _over_object(_simple(_noun_phrase()), ("np", "np")),
    Frame(AT_PLACE, CLAUSE, "verb", "number", "number", (*SUBJECT, "number"), CLAUSE, GROUND),
]
RELATIVE_OBJECT = [
    _over_object(shape("who_handles", np=_noun_phrase(), object=_noun_phrase()), ("object",)),
    _over_object(
        shape("whom", np=_noun_phrase(), subject=shape("determined_np", np=_noun_phrase())), ("subject", "np")
    ),
]
EVER_QELU = {"classifier_noun": CLASSIFIER, "pronoun_number": _clitic("number", "it")}
INFLECTED_QELU = {
    "determiner_noun_class": DETERMINER_CLASS,
    "determiner_noun_number": DETERMINER_NUMBER,
    "noun_adjective_class": ADJECTIVE_CLASS,
    "noun_adjective_number": ADJECTIVE_NUMBER,
    "object_case": OBJECT_CASE,
    "adposition_case": GROUND_CASE,
    "subject_verb_person": VERB_PERSON,
    "pronoun_class": _clitic("class", "it"),
}
VERB_LAST = {
    "subject_verb_number": VERB_NUMBER_NEAR,
    "subject_verb_attractor": ATTRACTOR_OBJECT,
    "subject_verb_relative": RELATIVE_OBJECT,
}
VERB_SECOND = {
    "subject_verb_number": VERB_NUMBER,
    "subject_verb_attractor": ATTRACTOR,
    "subject_verb_relative": RELATIVE,
}


def phenomena(language: Language) -> dict[str, list[Frame]]:
    """What minimal pairs can test in a language, in the setting of its knobs: name -> frames, taken in turn."""
    if language.knobs is None:
        return _OF_CODE[language.code]
    if language.knobs.morphology == "isolating":
        return EVER_QELU
    return EVER_QELU | INFLECTED_QELU | (VERB_LAST if language.knobs.order == "sov" else VERB_SECOND)
