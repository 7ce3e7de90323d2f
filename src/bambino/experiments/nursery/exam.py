"""The demo's exam: sentences whose true entropy is known, minimal pairs, and prompts; the same for every model.

FOLDER/l1.txt, l2.txt                 sentences that no model was raised on by intent (another seed)
FOLDER/pairs-l1.jsonl, pairs-l2.jsonl minimal pairs of combinations of words that are never heard
FOLDER/prompts.txt                    L2 sentences; the baby goes on after their first tokens
FOLDER/truth.json                     role -> bits per byte of exactly these sentences under the grammar
"""

from __future__ import annotations

import json
import math
import unicodedata
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.evaluation.in_training import mean_log
from bambino.evaluation.minimal_pairs import pair_scores
from bambino.evaluation.pair_files import load_pairs
from bambino.evaluation.speech.generation import longest_repeat
from bambino.experiments.nursery.designs import Design, part_seed
from bambino.feedback.parent_perplexity import ParentPerplexity
from bambino.models.baby import Baby
from bambino.nursery import Grammar, write_pairs
from bambino.randomness import uniforms
from bambino.recipe.settings import Recipe
from bambino.scoring.texts import bits_per_byte
from bambino.speaking.rollout import sample
from bambino.speaking.utterances import to_text
from bambino.text.batches import pad
from bambino.text.tokens import encode

REPORTED, DEVELOPMENT = 2, 5
"""The first of the three parts (see `part_seed`) that an exam is drawn from."""


PROMPT_WORDS = 5
"""A sentence that prompts are cut from has as many words and marks or more."""


def write_exam(folder: Path, design: Design, seed: int, part: int = REPORTED) -> None:
    """Write the exam's files."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}
    for role, language in design.languages.items():
        sentences = Grammar.load(language).sample(part_seed(seed, part), design.exam_sentences)
        lines = [sentence.text for sentence in sentences]
        (folder / f"{role}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        bits = sum(sentence.surprisal for sentence in sentences) / math.log(2)
        truth[role] = bits / sum(len(line.encode("utf-8")) for line in lines)
        write_pairs(folder / f"pairs-{role}.jsonl", language, design.doublets, part_seed(seed, part + 1))
    grammar = Grammar.load(design.l2)
    texts = grammar.texts(part_seed(seed, part + 2), 100 * design.prompts)
    prompts = islice((text for text in texts if len(grammar.split(text)) >= PROMPT_WORDS), design.prompts)
    (folder / "prompts.txt").write_text("\n".join(prompts) + "\n", encoding="utf-8")
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")


def read_truth(exam: Path) -> dict[str, float]:
    """Role -> true bits per byte of the exam's sentences."""
    truth: dict[str, float] = json.loads((exam / "truth.json").read_text(encoding="utf-8"))
    return truth


def tokens_per_line(tokenizer: PreTrainedTokenizerBase, exam: Path) -> float:
    """Mean tokens of the exam's L2 sentences, without BOS."""
    lines = (exam / "l2.txt").read_text(encoding="utf-8").splitlines()
    return fmean(len(row) for row in encode(tokenizer, lines, with_start=False))


@dataclass(frozen=True)
class Knowledge:
    """What a model knows of a language."""

    excess: float
    """Bits per byte above the grammar's own, on the same sentences; 0 is perfect."""
    pairs: float
    """Share of minimal pairs that it gets right, mean over phenomena; chance is 1/2."""
    phenomena: dict[str, float]
    """Likewise by phenomenon, named without its language."""


def knowledge_of(
    lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, exam: Path, design: Design
) -> dict[str, Knowledge]:
    """Give a model the exam: role -> what it knows of that language."""
    found = {}
    for role, language in design.languages.items():
        lines = (exam / f"{role}.txt").read_text(encoding="utf-8").splitlines()
        pairs = load_pairs(exam / f"pairs-{role}.jsonl")
        by_phenomenon: dict[str, list[float]] = {}
        for pair, score in zip(pairs, pair_scores(lm, tokenizer, pairs), strict=True):
            by_phenomenon.setdefault(pair.uid.removeprefix(f"{language.partition(':')[0]}_"), []).append(score)
        phenomena = {name: fmean(scores) for name, scores in by_phenomenon.items()}
        excess = bits_per_byte(lm, tokenizer, lines) - read_truth(exam)[role]
        found[role] = Knowledge(excess, fmean(phenomena.values()), phenomena)
    return found


@dataclass(frozen=True)
class Speech:
    """What a baby says after the exam's prompts, and how that compares with the sentences the prompts are from."""

    parent_perplexity: float
    """exp of the mean log-perplexity per parent token, prompt included."""
    human_perplexity: float
    """The same of the sentences that the prompts were cut from."""
    repetition: float
    """Words in the longest phrase that is said twice, mean over utterances."""
    l2_words: float
    """Share of the words said that are word forms of the nursery's L2; a word that was cut off does not count."""
    grammatical: float
    """Share of prompt + utterance that is a sentence of L2's grammar (words may combine in unheard ways)."""
    sayings: list[tuple[str, str]]
    """(prompt, utterance)."""


def listen(
    baby: Baby, tokenizer: PreTrainedTokenizerBase, parent: ParentPerplexity, recipe: Recipe, exam: Path, l2: str
) -> Speech:
    """Let the baby speak after each prompt; the same random numbers every time."""
    sentences = (exam / "prompts.txt").read_text(encoding="utf-8").splitlines()
    config = recipe.rollout
    rows = [row[: config.prompt_tokens] for row in encode(tokenizer, sentences)]
    random = uniforms(len(rows), config.max_new_tokens, seed=recipe.seed, stream="exam", step=0)
    said = to_text(
        sample(baby, pad(rows, 0, "left").to(baby.lm.device), random, config, tokenizer.eos_token_id), tokenizer
    )
    heard, plain = Grammar.load(l2), Grammar.load(l2, held_out=True)
    utterances = zip(said.prompts, said.completions, said.has_ended, strict=True)
    words = [words_said(heard, *one) for one in utterances]
    forms, total = heard.words, sum(map(len, words))
    whole = [True] * len(rows)
    return Speech(
        parent_perplexity=math.exp(mean_log(parent.perplexities(said.prompts, said.texts, said.has_ended))),
        human_perplexity=math.exp(mean_log(parent.perplexities(said.prompts, sentences, whole))),
        repetition=fmean(longest_repeat(" ".join(one)) for one in words),
        l2_words=sum(word in forms for one in words for word in one) / max(1, total),
        grammatical=fmean(plain.log_probability(text.strip()) > -math.inf for text in said.texts),
        sayings=list(zip(said.prompts, said.completions, strict=True)),
    )


def words_said(grammar: Grammar, prompt: str, utterance: str, has_ended: bool) -> list[str]:
    """The words that the utterance ends, as the grammar splits them: also one that the prompt began, not one that the
    token limit may have cut. Punctuation marks are no words."""
    text, end = prompt + utterance, 0
    said: list[str] = []
    for word in grammar.split(text):
        end = text.index(word, end) + len(word)
        if end > len(prompt):
            said.append(word)
    kept = said if has_ended else said[:-1]
    return [word for word in kept if not all(unicodedata.category(character)[0] == "P" for character in word)]
