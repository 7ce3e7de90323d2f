"""Seconds per step and peak memory of the recipe `paper` with random models of the paper's sizes.

    python benchmarks/paper_size.py [--steps 24] [--lines short|full] [--threads N] [--mixed_precision no|bf16]
                                    [--cycle '{clm: 10, ppo: 2}'] [--set feedback.KIND.SETTING=VALUE ...]

Builds a 125 M parameter OPT baby (50 272 tokens) and a 124 M parameter GPT-2 parent (30 001 tokens) with tokenizers of
their own in a temporary folder, then runs the recipe on made-up lines: short (about 16 baby tokens) or full (128).
Weights are random, so only costs mean anything here. Prints, for each phase of the cycle, the median seconds of a step
and of its parts, after the first step of each; the machine's rate of matrix products; and the peak memory: resident,
and on a GPU the device's.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, GPT2Config, OPTConfig, PreTrainedTokenizerFast
from transformers.utils import logging

from bambino import BambinoTrainer, load_recipe
from bambino.feedback.settings import KINDS


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


def make_models(folder: Path, text: Path, *, tiny: bool = False) -> tuple[Path, Path]:
    """The paper's architectures: facebook/opt-125m's and gpt2-small-italian's sizes; `tiny`: to try a script out."""
    torch.manual_seed(0)
    baby, parent = folder / "baby", folder / "parent"
    opt = OPTConfig(vocab_size=50272, bos_token_id=0, eos_token_id=0, pad_token_id=1)
    gpt2 = GPT2Config(vocab_size=30001, bos_token_id=0, eos_token_id=0)
    if tiny:
        opt.update({"vocab_size": 6000, "hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 64})
        opt.update({"num_attention_heads": 2, "num_hidden_layers": 2})
        gpt2.update({"vocab_size": 5000, "n_embd": 32, "n_head": 2, "n_layer": 2})
    AutoModelForCausalLM.from_config(opt).save_pretrained(baby)
    make_tokenizer(text, 6000, "</s>").save_pretrained(baby)
    AutoModelForCausalLM.from_config(gpt2).save_pretrained(parent)
    make_tokenizer(text, 5000, "<|endoftext|>").save_pretrained(parent)
    return baby, parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--lines", choices=["short", "full"], default="short")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--mixed_precision", choices=["no", "bf16"], default="no")
    parser.add_argument("--cycle", default="{clm: 10, ppo: 2}")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
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
            "mixed_precision": arguments.mixed_precision,
            "schedule.cycle": arguments.cycle,
        } | dict(word.split("=", 1) for word in arguments.settings)
        words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
        recipe = load_recipe("paper", words, kinds=KINDS)
        rows: list[dict] = []
        BambinoTrainer(args=recipe, on_row=rows.append).train()
    report(arguments, [row for row in rows if row["kind"] == "step"])


def report(arguments: argparse.Namespace, steps: list[dict]) -> None:
    on_gpu = torch.cuda.is_available()
    by_phase = {}
    for phase in dict.fromkeys(row["phase"] for row in steps):
        rows = [row for row in steps if row["phase"] == phase][1:]
        parts = [{key: row[key] for key in row if key.startswith("time/")} for row in rows]
        whole = [sum(part.values()) for part in parts]
        by_phase[phase] = {
            "n": len(whole),
            "median": statistics.median(whole),
            "min": min(whole),
            "max": max(whole),
            "parts": {key: statistics.median(part.get(key, 0.0) for part in parts) for key in parts[0]},
        }
    result = {
        "command": "python benchmarks/paper_size.py " + " ".join(sys.argv[1:]),
        "machine": torch.cuda.get_device_name() if on_gpu else f"{platform.machine()}, {arguments.threads} threads",
        "torch": torch.__version__,
        "gflop_per_second": round(rate("cuda" if on_gpu else "cpu", arguments.mixed_precision) / 1e9),
        "tokens_per_clm_step": next((row["total/clm_tokens"] for row in steps if "total/clm_tokens" in row), 0),
        "seconds": by_phase,
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "peak_device_memory_gib": torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None,
    }
    print(json.dumps(result, indent=1))


def rate(device: str, precision: str, shape: tuple[int, int, int] = (2048, 768, 3072)) -> float:
    """Floating-point operations per second of a matrix product, of a step's shape: 2048 rows through 768 to 3072."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    rows, width, columns = shape
    one, other = (torch.randn(*of, device=device, dtype=dtype) for of in ((rows, width), (width, columns)))
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        for _ in range(10):
            one @ other
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return 10 * 2 * rows * width * columns / statistics.median(times)


if __name__ == "__main__":
    main()
