"""Seconds per step and peak memory of the recipe `paper` with random models of the paper's sizes.

    python benchmarks/paper_size.py [--steps 24] [--lines short|full] [--threads N]

Builds a 125 M parameter OPT baby (50 272 tokens) and a 124 M parameter GPT-2 parent (30 001 tokens) with tokenizers of
their own in a temporary folder, then runs the recipe on made-up lines: short (about 16 baby tokens) or full (128).
Weights are random, so only costs mean anything here. Prints medians over steps, and the peak resident memory.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import resource
import statistics
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, GPT2Config, OPTConfig, PreTrainedTokenizerFast
from transformers.utils import logging

from bambino import BambinoTrainer, load_recipe


def make_text(path: Path, lines: int, words: int) -> None:
    """Made-up lines of pronounceable words; every word is a token or two of the tokenizer trained on them."""
    rng = random.Random(0)
    syllables = [c + v for c in "bcdfglmnprstvz" for v in "aeiou"]
    lexicon = ["".join(rng.choices(syllables, k=rng.choice([1, 2, 3]))) for _ in range(5000)]
    path.write_text("\n".join(" ".join(rng.choices(lexicon, k=words)) for _ in range(lines)) + "\n")


def make_tokenizer(text: Path, vocab_size: int, special: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[special], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train([str(text)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=special, eos_token=special)


def make_models(folder: Path, text: Path) -> tuple[Path, Path]:
    """The paper's architectures: facebook/opt-125m's and gpt2-small-italian's sizes."""
    torch.manual_seed(0)
    baby, parent = folder / "baby", folder / "parent"
    opt = OPTConfig(vocab_size=50272, bos_token_id=0, eos_token_id=0, pad_token_id=1)
    AutoModelForCausalLM.from_config(opt).save_pretrained(baby)
    make_tokenizer(text, 6000, "</s>").save_pretrained(baby)
    gpt2 = GPT2Config(vocab_size=30001, bos_token_id=0, eos_token_id=0)
    AutoModelForCausalLM.from_config(gpt2).save_pretrained(parent)
    make_tokenizer(text, 5000, "<|endoftext|>").save_pretrained(parent)
    return baby, parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--lines", choices=["short", "full"], default="short")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "text.txt"
        make_text(text, lines=2000, words=11 if arguments.lines == "short" else 140)
        baby, parent = make_models(folder, text)
        settings = {
            "baby.model": baby,
            "parent.model": parent,
            "parent.must_know_l2": "false",
            "text.sources": f"[{text}]",
            "max_steps": arguments.steps,
            "output_dir": folder / "run",
            "evaluation.utterances": 0,
        }
        recipe = load_recipe("paper", [word for key, value in settings.items() for word in (f"--{key}", str(value))])
        rows: list[dict] = []
        BambinoTrainer(args=recipe, on_row=rows.append).train()
    report(arguments, [row for row in rows if row["kind"] == "step"])


def report(arguments: argparse.Namespace, steps: list[dict]) -> None:
    clm = [row["time/clm"] for row in steps if row["phase"] == "clm"]
    ppo = [row["time/rollout"] + row["time/reward"] + row["time/ppo"] for row in steps if row["phase"] == "ppo"]
    parts = {
        part: statistics.median(row[f"time/{part}"] for row in steps if row["phase"] == "ppo")
        for part in ("rollout", "reward", "ppo")
    }
    result = {
        "command": f"python benchmarks/paper_size.py --steps {arguments.steps} --lines {arguments.lines}"
        f" --threads {arguments.threads}",
        "machine": f"{platform.machine()}, torch {torch.__version__}, {arguments.threads} threads",
        "tokens_per_clm_step": steps[0]["total/clm_tokens"],
        "clm_step_seconds": {"median": statistics.median(clm), "min": min(clm), "max": max(clm), "n": len(clm)},
        "ppo_step_seconds": {"median": statistics.median(ppo), "min": min(ppo), "max": max(ppo), "n": len(ppo)},
        "ppo_parts_median_seconds": parts,
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
