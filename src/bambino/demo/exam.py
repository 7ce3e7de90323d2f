"""The demo's exam: sentences whose true entropy is known, minimal pairs, and prompts; the same for every model.

FOLDER/en.txt, it.txt                 sentences that no model was raised on by intent (another seed)
FOLDER/pairs-en.jsonl, pairs-it.jsonl minimal pairs of combinations of words that are never heard
FOLDER/prompts.txt                    Italian sentences; the baby goes on after their first tokens
FOLDER/truth.json                     language -> bits per byte of exactly these sentences under the grammar
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.config import Recipe
from bambino.demo.settings import LANGUAGES, Size, part_seed
from bambino.evaluation.generation import longest_repeat
from bambino.evaluation.in_training import mean_log
from bambino.evaluation.minimal_pairs import pair_scores
from bambino.evaluation.pair_files import load_pairs
from bambino.models import Baby
from bambino.nursery import Grammar, write_pairs
from bambino.rewards import ParentPerplexity
from bambino.rollout import sample, to_text, uniforms
from bambino.scoring import bits_per_byte
from bambino.text import encode, pad


def write_exam(folder: Path, size: Size, seed: int) -> None:
    """Write the exam's files."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}
    for language in LANGUAGES:
        sentences = Grammar.load(language).sample(part_seed(seed, 2), size.exam_sentences)
        lines = [sentence.text for sentence in sentences]
        (folder / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        bits = sum(sentence.surprisal for sentence in sentences) / math.log(2)
        truth[language] = bits / sum(len(line.encode("utf-8")) for line in lines)
        write_pairs(folder / f"pairs-{language}.jsonl", language, size.doublets, part_seed(seed, 3))
    prompts = [s for s in Grammar.load("it").texts(part_seed(seed, 4), 4 * size.prompts) if len(s) >= 20]
    (folder / "prompts.txt").write_text("\n".join(prompts[: size.prompts]) + "\n", encoding="utf-8")
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")


def read_truth(exam: Path) -> dict[str, float]:
    """Language -> true bits per byte of the exam's sentences."""
    return json.loads((exam / "truth.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Knowledge:
    """What a model knows of a language."""

    excess: float
    """Bits per byte above the grammar's own, on the same sentences; 0 is perfect."""
    pairs: float
    """Share of minimal pairs that it gets right; chance is 1/2."""
    phenomena: dict[str, float]
    """Likewise by phenomenon."""


def knowledge_of(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, exam: Path, language: str) -> Knowledge:
    """Give a model the exam of a language."""
    lines = (exam / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    pairs = load_pairs(exam / f"pairs-{language}.jsonl")
    by_phenomenon: dict[str, list[float]] = {}
    for pair, score in zip(pairs, pair_scores(lm, tokenizer, pairs), strict=True):
        by_phenomenon.setdefault(pair.uid, []).append(score)
    phenomena = {uid: fmean(scores) for uid, scores in by_phenomenon.items()}
    excess = bits_per_byte(lm, tokenizer, lines) - read_truth(exam)[language]
    return Knowledge(excess, fmean(phenomena.values()), phenomena)


@dataclass(frozen=True)
class Speech:
    """What a baby says after the exam's prompts, and how that compares with the sentences the prompts are from."""

    parent_perplexity: float
    """exp of the mean log-perplexity per parent token, prompt included."""
    human_perplexity: float
    """The same of the sentences that the prompts were cut from."""
    repetition: float
    """Words in the longest phrase that is said twice, mean over utterances."""
    italian_words: float
    """Share of the words said that are word forms of the nursery's Italian; a word that was cut off does not count."""
    grammatical: float
    """Share of prompt + utterance that is a sentence of the Italian grammar (words may combine in unheard ways)."""
    sayings: list[tuple[str, str]]
    """(prompt, utterance)."""


def listen(
    baby: Baby, tokenizer: PreTrainedTokenizerBase, parent: ParentPerplexity, recipe: Recipe, exam: Path
) -> Speech:
    """Let the baby speak after each prompt; the same random numbers every time."""
    sentences = (exam / "prompts.txt").read_text(encoding="utf-8").splitlines()
    config = recipe.rollout
    rows = [row[: config.prompt_tokens] for row in encode(tokenizer, sentences)]
    random = uniforms(len(rows), config.max_new_tokens, seed=recipe.seed, stream="exam", step=0)
    said = to_text(
        sample(baby, pad(rows, 0, "left").to(baby.lm.device), random, config, tokenizer.eos_token_id), tokenizer
    )
    whole = [True] * len(rows)
    words = [italian_words(*one) for one in zip(said.prompts, said.completions, said.has_ended, strict=True)]
    grammar = Grammar.load("it", held_out=True)
    return Speech(
        parent_perplexity=math.exp(mean_log(parent.perplexities(said.prompts, said.texts, said.has_ended))),
        human_perplexity=math.exp(mean_log(parent.perplexities(said.prompts, sentences, whole))),
        repetition=fmean(longest_repeat(text) for text in said.completions),
        italian_words=sum(known for known, _ in words) / max(1, sum(all_words for _, all_words in words)),
        grammatical=fmean(grammar.log_probability(text.strip()) > -math.inf for text in said.texts),
        sayings=list(zip(said.prompts, said.completions, strict=True)),
    )


def italian_words(prompt: str, utterance: str, has_ended: bool) -> tuple[int, int]:
    """(words of the nursery's Italian, all words) among those that the utterance ends; punctuation does not count."""
    grammar = Grammar.load("it")
    words = grammar.split(prompt + utterance)
    first = len(grammar.split(prompt))
    if prompt and not prompt[-1].isspace() and utterance[:1].isalpha():
        first -= 1  # the utterance goes on with the prompt's last word
    said = words[first:] if has_ended else words[first:-1]
    said = tuple(word for word in said if word[0].isalpha())
    return sum(word in grammar.words for word in said), len(said)
