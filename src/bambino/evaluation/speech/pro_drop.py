"""How often Italian is spoken with an overt subject pronoun: Italian drops it, English does not, so a baby raised on
English may say too many, as English-Italian bilingual children do (Serratrice, Sorace and Paoli 2004).

The rule needs no parser. A *verb* is one of the finite verb forms below: frequent, and hardly anything else. It has an
*overt pronoun* when a subject pronoun stands before it, with nothing between but non, object clitics and stesso, and
no preposition (con lui) or article (il loro) before the pronoun. The rate is overt pronouns over verbs.

Limits: verbs outside the list, pronouns after the verb (lo dico io) or further away (io domani vado) are not seen, so
the rate is too low for everyone alike; noun subjects count as no pronoun, so texts about third persons have more
verbs without one; `c'è` is left out, as it never has one; whether a pronoun was called for (contrast, a new topic) is
not asked. Compare with human text of the same kind only: kinds of text differ widely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bambino.analysis.statistics import ratio_of_sums
from bambino.evaluation.speech.generation import Said
from bambino.measures import Score, TaskResult


def _forms(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRONOUNS = _forms("io tu lui lei noi voi loro egli ella essi esse")
FINITE = _forms(
    """
    sono è siamo siete ero eri era eravamo erano sarò sarà saranno sarebbe furono fosse fossero
    ho hai ha abbiamo avete hanno avevo avevi aveva avevamo avevano avrò avrà avrebbe avrei avesse ebbe
    faccio fai facciamo fanno facevo faceva facevano fece dico dici dice dicono disse dissi diceva dicevano
    vado vai va vanno andò andava andavano posso puoi può possiamo possono potevo poteva potevano potrebbe potrei
    voglio vuoi vuole vogliamo vogliono volevo voleva volevano vorrei vorrebbe
    devo devi deve dobbiamo devono dovevo doveva dovevano dovrebbe so sai sa sappiamo sapete sanno sapevo sapeva
    sto stai sta stiamo stanno stavo stava stavano vedo vedi vede vedono vedeva vide
    vengo vieni viene vengono venne veniva credo credi crede credeva penso pensi pensava
    """
)
BETWEEN = _forms(
    "non mi ti ci si vi lo la li le ne gli me te ce se ve glie l' m' t' c' s' v' n' stesso stessa stessi stesse"
)
"""What may stand between a subject pronoun and its verb."""
NO_SUBJECT_AFTER = _forms(
    """
    a di da in con su per tra fra verso contro senza secondo
    il la i le lo gli un una del della dei delle al alla ai alle dal dalla dai dalle nel nella nei nelle sul sulla sui
    sulle col coi quel quella quei quelle questo questa questi queste
    """
)
"""A pronoun after one of these is no subject."""
EXISTENTIAL = frozenset({"c'", "ci", "v'"})
"""Before è, era and the like: there is."""
TO_BE = _forms("è era erano sarà saranno sarebbe furono fosse fossero sono")


@dataclass(frozen=True)
class FiniteVerb:
    """A finite verb that could have a subject pronoun."""

    verb: str
    pronoun: str | None
    """The subject pronoun before it, or None."""


def finite_verbs(said: Said) -> list[FiniteVerb]:
    """The finite verbs of the list among the words said; a pronoun may stand in the prompt."""
    before = said.words_before
    words = before + said.words
    return [
        FiniteVerb(words[i], _pronoun_before(words, i))
        for i in range(len(before), len(words))
        if words[i] in FINITE and not (words[i] in TO_BE and i > 0 and words[i - 1] in EXISTENTIAL)
    ]


def overt_subjects(speakers: Mapping[str, Sequence[Said]]) -> TaskResult:
    """Overt pronouns per finite verb of the list, for each speaker, with intervals over texts.

    Args:
        speakers: such as baby and human, on the same prompts. Human lines are `Said("", line, True)`.

    Raises:
        ValueError: there is no speaker, or one without texts.
    """
    if not speakers or not all(speakers.values()):
        raise ValueError("overt_subjects needs at least one speaker, and a text of each.")
    scores = []
    for name, said in speakers.items():
        found = [finite_verbs(one) for one in said]
        overt = [sum(verb.pronoun is not None for verb in those) for those in found]
        count = [len(those) for those in found]
        share, interval = ratio_of_sums(overt, count)
        scores.append(Score(f"overt_subjects/{name}", share, "share of finite verbs", sum(count), interval))
    return TaskResult("overt_subjects", scores, {"finite_forms": len(FINITE), "pronouns": sorted(PRONOUNS)})


def _pronoun_before(words: list[str], i: int) -> str | None:
    """The subject pronoun of the finite verb words[i]."""
    at = i - 1
    while at >= 0 and words[at] in BETWEEN:
        at -= 1
    if at < 0 or words[at] not in PRONOUNS or (at > 0 and words[at - 1] in NO_SUBJECT_AFTER):
        return None
    return words[at]
