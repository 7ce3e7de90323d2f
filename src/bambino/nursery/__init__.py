"""The nursery: a small world, written by us, told in three languages whose sentences have known probabilities.

One set of meanings (`world.yaml`: people, animals, food, toys, clothes, things, places; what they do, what they are
like, where they are) is drawn from a weighted abstract grammar and said in child-directed English or Italian, or in
Qelu, which we invented (`english.yaml`, `italian.yaml`, `qelu.yaml`): statements, questions, commands, negation,
relative clauses, "says that", topics with clitics, comparisons; agreement in gender, number and person; allomorphy and
elision of articles; dropped subjects. Qelu has another script, no spaces, the verb last, cases and noun classes; each
of these distances from English is a knob (`knobs.py`). Each language is compiled into a probabilistic grammar, so the
probability of any text, and with it the true entropy of the language, is known exactly.

    grammar = Grammar.load("it")
    grammar.sample(seed=1, n=3)                            sentences with meaning and surprisal (nats)
    grammar.log_probability("il gatto dorme.")             ln P; -inf for what is not Italian of this world
    grammar.prefix_log_probability("il gatto dor")         ln P(a sentence begins so)
    grammar.entropy(seed=1, n=2000)                        true bits per byte, with standard error
    aligned(seed=1, n=3)                                   sentences of the same meanings in two languages
    minimal_pairs("it", seed=1, doublets=100)              by phenomenon, counterbalanced, of combinations never heard
    Grammar.load("qel:order")                              Qelu with one distance; "qel" has all, "qel:near" none
    write_text(Path("it.txt"), "it", lines=100_000, seed=1)

Sentences begin in lower case and end with . ? or !; names and "I" are capitalised; elided articles are attached.
The text of a seed never changes: only `random.Random(int).random()` and sha256 are used, and a test holds checksums.
It makes text and knows nothing of training.
"""

from __future__ import annotations

from bambino.errors import NurseryError
from bambino.nursery.grammar import Entropy, Grammar, Sentence, aligned, write_text
from bambino.nursery.knobs import LANGUAGES, Qelu, languages
from bambino.nursery.pairs import MinimalPair, minimal_pairs, write_pairs
from bambino.nursery.world import Meaning

__all__ = [
    "LANGUAGES",
    "Entropy",
    "Grammar",
    "Meaning",
    "MinimalPair",
    "NurseryError",
    "Qelu",
    "Sentence",
    "aligned",
    "languages",
    "minimal_pairs",
    "write_pairs",
    "write_text",
]
