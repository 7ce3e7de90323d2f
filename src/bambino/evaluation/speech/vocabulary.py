"""Whose words were said: L1's, L2's or nobody's; and whether words that are nobody's are spelled as L2 spells.

Two views of code-mixing. By look: the character model's verdict on each word, which also judges words it never saw. By
attestation: is the word form in the L2 corpus, only in the L1 corpus, or in neither (novel)? A large L2 corpus holds
many L1 words (quotations, names), so L1 speech is largely attested too: read `attested` beside `l2_words`. Human text
is not 100 % on either count, so a baby's numbers mean something only beside those of human ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bambino.analysis.statistics import bootstrap, ratio_of_sums
from bambino.evaluation.speech.generation import Said
from bambino.measures import Score
from bambino.text.language_id import LanguageIdentifier

PLAUSIBLE_ABOVE = 0.05
"""A novel word is spelled plausibly when it is above this quantile of the novel words that humans wrote."""
FEWEST_NOVEL = 20
"""Novel human words below which that quantile is not taken."""


def vocabulary(said: Sequence[Said], speaker: str, languages: LanguageIdentifier, task: str = "speech") -> list[Score]:
    """Shares of a speaker's words: l1_words, l2_words, unsure_words (by look; sum to 1), attested, l1_only, novel
    (by attestation; sum to 1). Over all words said, intervals over utterances; NaN when nothing was said.
    """
    counts: dict[str, list[int]] = {name: [] for name in ("l1_words", "l2_words", "unsure_words")}
    counts |= {name: [] for name in ("attested", "l1_only", "novel")}
    for one in said:
        looks = [languages.language(word) for word in one.words]
        for name, look in (("l1_words", "L1"), ("l2_words", "L2"), ("unsure_words", "unsure")):
            counts[name].append(looks.count(look))  # type: ignore[arg-type]
        found = [attestation(word, languages) for word in one.words]
        for name in ("attested", "l1_only", "novel"):
            counts[name].append(found.count(name))
    words = [len(one.words) for one in said]
    scores = []
    for name, hits in counts.items():
        share, interval = ratio_of_sums(hits, words)
        scores.append(Score(f"{task}/{name}/{speaker}", share, "share of words", sum(words), interval))
    return scores


def attestation(word: str, languages: LanguageIdentifier) -> str:
    """`attested` when the form is in the L2 corpus (in L1's as well or not), `l1_only`, or `novel`: in neither."""
    if word in languages.l2_words:
        return "attested"
    return "l1_only" if word in languages.l1_words else "novel"


def novel_words(words: Sequence[str], languages: LanguageIdentifier) -> list[str]:
    """The different words that neither corpus holds, in order."""
    return [word for word in dict.fromkeys(words) if attestation(word, languages) == "novel"]


def spelling(
    said: Sequence[Said], speaker: str, human_lines: Sequence[Said], languages: LanguageIdentifier, task: str = "speech"
) -> list[Score]:
    """How L2-like a speaker's novel words are spelled, beside the novel words of human lines; each word once.

    spelling: mean log-probability per character under the L2 corpus's word forms; no score where there is no such word.
    plausible_novel: share of the speaker's novel words above the PLAUSIBLE_ABOVE quantile of human ones, if there are
    FEWEST_NOVEL of these. About 95 % of human novel words are; many of them are names.
    """
    novel = {
        name: novel_words([word for one in those for word in one.words], languages)
        for name, those in ((speaker, said), ("human_lines", human_lines))
    }
    values = {name: [languages.l2_spelling.per_character(word) for word in words] for name, words in novel.items()}
    scores = [
        Score(f"{task}/spelling/{name}", float(np.mean(those)), "nats per character", len(those), bootstrap(those))
        for name, those in values.items()
        if those
    ]
    if values[speaker] and len(values["human_lines"]) >= FEWEST_NOVEL:
        bar = float(np.quantile(values["human_lines"], PLAUSIBLE_ABOVE))
        above = [float(value > bar) for value in values[speaker]]
        scores.append(
            Score(f"{task}/plausible_novel/{speaker}", float(np.mean(above)), "share", len(above), bootstrap(above))
        )
    return scores
