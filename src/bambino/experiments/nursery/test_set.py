"""The demo's test set: sentences whose true entropy is known, minimal pairs, and prompts; the same for every model.

FOLDER/l1.txt, l2.txt                 sentences that no model was trained on by intent (another seed)
FOLDER/pairs-l1.jsonl, pairs-l2.jsonl minimal pairs of combinations of words that are never heard
FOLDER/prompts.txt                    L2 sentences; the baby goes on after their first tokens
FOLDER/truth.json                     role -> bits per byte of exactly these sentences under the grammar
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from transformers import PreTrainedTokenizerBase

from bambino.evaluation.fluency import BitsPerByte
from bambino.evaluation.minimal_pairs import MinimalPairs
from bambino.evaluation.pair_files import load_pair_set, load_pairs
from bambino.evaluation.speech.generation import longest_repeat
from bambino.experiments.nursery.designs import Design, part_seed
from bambino.measures import Measure, Score, TaskResult
from bambino.nursery import Grammar, write_pairs
from bambino.recipe.phase_settings import RolloutConfig
from bambino.scoring.perplexity import Perplexities, mean_log, perplexities
from bambino.speaking.speak import speak
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import Utterances
from bambino.text.tokens import encode

REPORTED, DEVELOPMENT = 2, 5
"""The first of the three parts (see `part_seed`) that a test set is drawn from."""


PROMPT_WORDS = 5
"""A sentence that prompts are cut from has as many words and marks or more."""


def write_test_set(folder: Path, design: Design, seed: int, part: int = REPORTED) -> None:
    """Write the test set's files."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}
    for role, language in design.languages.items():
        sentences = Grammar.load(language).sample(part_seed(seed, part), design.test_sentences)
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


def read_truth(test_set: Path) -> dict[str, float]:
    """Role -> true bits per byte of the test set's sentences."""
    truth: dict[str, float] = json.loads((test_set / "truth.json").read_text(encoding="utf-8"))
    return truth


def tokens_per_line(tokenizer: PreTrainedTokenizerBase, test_set: Path) -> float:
    """Mean tokens of the test set's L2 sentences, without BOS."""
    lines = (test_set / "l2.txt").read_text(encoding="utf-8").splitlines()
    return fmean(len(row) for row in encode(tokenizer, lines, with_start=False))


def measures_of_knowledge(test_set: Path, design: Design) -> list[Measure]:
    """Bits per byte and minimal pairs of both languages, named by role."""
    found: list[Measure] = []
    for role in design.languages:
        lines = (test_set / f"{role}.txt").read_text(encoding="utf-8").splitlines()
        found += [BitsPerByte(role, lines), MinimalPairs(role, load_pair_set(test_set / f"pairs-{role}.jsonl"))]
    return found


@dataclass(frozen=True)
class Knowledge:
    """What a model knows of a language."""

    excess: float
    """Bits per byte above the grammar's own, on the same sentences; 0 is perfect."""
    pairs: float
    """Share of minimal pairs that it gets right, mean over phenomena; chance is 1/2."""
    phenomena: dict[str, float]
    """The same by phenomenon, named without its language."""


def knowledge_of(results: Sequence[TaskResult], test_set: Path, design: Design) -> dict[str, Knowledge]:
    """Role -> what a model knows of that language, from the results of `measures_of_knowledge`."""
    values = {score.name: score.value for result in results for score in result.scores}
    found = {}
    for role, language in design.languages.items():
        uids = dict.fromkeys(pair.uid for pair in load_pairs(test_set / f"pairs-{role}.jsonl"))
        of_language = f"{language.partition(':')[0]}_"
        phenomena = {uid.removeprefix(of_language): values[f"pairs/{role}/{uid}"] for uid in uids}
        excess = values[f"bits_per_byte/{role}"] - read_truth(test_set)[role]
        found[role] = Knowledge(excess, fmean(phenomena.values()), phenomena)
    return found


class NurserySpeech:
    """What a baby says after the test set's prompts, and how that compares with the sentences the prompts are from.

    nursery_speech/perplexity        the parent's, exp of the mean log-perplexity per parent token, prompt included
    nursery_speech/human_perplexity  the same of the sentences that the prompts were cut from
    nursery_speech/repetition        words in the longest phrase that is said twice, mean over utterances
    nursery_speech/l2_words          share of the words said that are word forms of the nursery's L2; a word that was
                                     cut off does not count
    nursery_speech/grammatical       share of prompt + utterance that is a sentence of L2's grammar (words may combine
                                     in unheard ways)
    """

    name = "nursery_speech"

    def __init__(self, test_set: Path, l2: str, parent: Speaker, rollout: RolloutConfig, seed: int) -> None:
        """
        Args:
            parent: the one that was trained on everything, whoever answers the baby.
            seed: of the sampling; the same random numbers at every evaluation.
        """
        self.sentences = (test_set / "prompts.txt").read_text(encoding="utf-8").splitlines()
        self.heard, self.plain = Grammar.load(l2), Grammar.load(l2, held_out=True)
        self.parent, self.rollout, self.seed = parent, rollout, seed
        self.depends_on: dict[str, Any] = {"prompts": len(self.sentences), "seed": seed}

    def __call__(self, baby: Speaker) -> TaskResult:
        """Let the baby speak after each prompt."""
        rows = [row[: self.rollout.prompt_tokens] for row in encode(baby.tokenizer, self.sentences)]
        said = speak(baby, rows, self.rollout, seed=self.seed, stream="exam", batch_size=len(rows))
        utterances = zip(said.prompts, said.completions, said.has_ended, strict=True)
        words = [words_said(self.heard, *one) for one in utterances]
        total = sum(map(len, words))
        found = self._perplexities(said.prompts, said.texts, said.has_ended)
        human = self._perplexities(said.prompts, self.sentences, [True] * len(rows))
        values = {
            "perplexity": (math.exp(mean_log(found.values)), "perplexity"),
            "human_perplexity": (math.exp(mean_log(human.values)), "perplexity"),
            "repetition": (fmean(longest_repeat(" ".join(one)) for one in words), "words"),
            "l2_words": (sum(word in self.heard.words for one in words for word in one) / max(1, total), "share"),
            "grammatical": (
                fmean(self.plain.log_probability(text.strip()) > -math.inf for text in said.texts),
                "share",
            ),
        }
        scores = [Score(f"{self.name}/{what}", value, unit, len(rows)) for what, (value, unit) in values.items()]
        return TaskResult(self.name, scores, self.depends_on, said=_rows(said, found))

    def _perplexities(self, prompts: list[str], texts: list[str], has_ended: list[bool]) -> Perplexities:
        return perplexities(self.parent.lm, self.parent.tokenizer, prompts, texts, has_ended, with_words=True)


def _rows(said: Utterances, found: Perplexities) -> list[dict[str, Any]]:
    """For utterances.jsonl."""
    utterances = zip(said.prompts, said.completions, strict=True)
    return [{"prompt": p, "utterance": c} | found.row(i) for i, (p, c) in enumerate(utterances)]


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
