"""Seconds of Algorithm 1's steps done as the authors' release does them, in plain PyTorch and Transformers.

    python benchmarks/published_way.py [--size paper|tiny] [--repeats 3]

Random models of the paper's sizes. What is kept of the release, which is written for TRL 0.9-0.11:
clm pads every line to 128 tokens on the left, attends to pads and has them in the loss; ppo samples 4 prompts at a time
(eight `generate` calls) with dropout on, opens the parent from disk for every batch of rewards, reads the rewards'
texts 16 at a time padded together, runs the LM head at every position of model and reference, and takes 4 epochs; two
Adams; fp32. Its crashes are not kept. A cycle is 10 clm and 2 ppo steps.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from paper_size import make_models, make_text
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from bambino.losses.advantages import gae, whiten

BATCH, PROMPT, UTTERANCE, LENGTH = 32, 8, 16, 128


class PublishedWay:
    """The release's two steps."""

    def __init__(self, baby: Path, parent: Path, text: Path, device: str) -> None:
        self.device, self.parent = device, parent
        self.lm = AutoModelForCausalLM.from_pretrained(baby).to(device).train()
        self.reference = copy.deepcopy(self.lm).eval()
        self.value_head = nn.Linear(self.lm.config.word_embed_proj_dim, 1, device=device)
        self.tokenizer = AutoTokenizer.from_pretrained(baby, padding_side="left")
        self.tokenizer.pad_token = self.tokenizer.eos_token
        self.clm_adam = torch.optim.Adam(self.lm.parameters(), lr=1.41e-5)
        self.ppo_adam = torch.optim.Adam([*self.lm.parameters(), *self.value_head.parameters()], lr=1.41e-5)
        self.lines = text.read_text().splitlines()
        self.at = 0

    def batch(self) -> list[str]:
        self.at += BATCH
        return [self.lines[i % len(self.lines)] for i in range(self.at - BATCH, self.at)]

    def clm(self) -> None:
        """Next-token prediction on lines padded to 128 tokens, pads included."""
        ids = self.tokenizer(
            self.batch(), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        ).input_ids.to(self.device)
        logits = self.lm(input_ids=ids, use_cache=False).logits
        loss = nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten())
        self.clm_adam.zero_grad()
        loss.backward()
        self.clm_adam.step()
        loss.item()

    def ppo(self) -> None:
        """Sample, be rewarded, and four epochs."""
        prompts = self.tokenizer(self.batch(), truncation=True, max_length=PROMPT, padding=True, return_tensors="pt")
        ids = prompts.input_ids.to(self.device)
        sequences = torch.cat([self.said(part) for part in ids.split(4)])
        rewards = self.rewards(self.tokenizer.batch_decode(sequences))
        with torch.no_grad():
            before, values = self.read(self.lm, sequences)
            reference, _ = self.read(self.reference, sequences)
        per_token = -0.2 * (before - reference)
        per_token[:, -1] += torch.tensor(rewards, device=self.device)
        is_real = torch.ones_like(per_token, dtype=torch.bool)
        raw = gae(per_token, values, is_real, 1.0, 0.95)
        returns, advantages = raw + values, whiten(raw.flatten()).view_as(raw)
        for _ in range(4):
            now, here = self.read(self.lm, sequences)
            ratio = (now - before).exp()
            policy = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(0.8, 1.2)).mean()
            clipped = values + (here - values).clamp(-0.2, 0.2)
            value = 0.5 * torch.maximum((here - returns).square(), (clipped - returns).square()).mean()
            self.ppo_adam.zero_grad()
            (policy + 0.1 * value).backward()
            self.ppo_adam.step()
            ratio.mean().item()

    def said(self, prompts: Tensor) -> Tensor:
        """Prompts and 16 tokens after each, with dropout."""
        with torch.no_grad():
            return self.lm.generate(
                input_ids=prompts,
                attention_mask=torch.ones_like(prompts),
                do_sample=True,
                top_k=0,
                top_p=1.0,
                min_new_tokens=UTTERANCE,
                max_new_tokens=UTTERANCE,
                pad_token_id=self.tokenizer.eos_token_id,
            )

    @torch.no_grad()
    def rewards(self, texts: list[str]) -> list[float]:
        """A reversed sigmoid of the parent's perplexity, by a parent that is opened for this batch."""
        parent = AutoModelForCausalLM.from_pretrained(self.parent).to(self.device).eval()
        tokenizer = AutoTokenizer.from_pretrained(self.parent)
        tokenizer.pad_token = tokenizer.eos_token
        found = []
        for first in range(0, len(texts), 16):
            read = tokenizer(texts[first : first + 16], padding=True, return_tensors="pt").to(self.device)
            logits = parent(input_ids=read.input_ids, attention_mask=read.attention_mask).logits[:, :-1].float()
            loss = nn.functional.cross_entropy(logits.transpose(1, 2), read.input_ids[:, 1:], reduction="none")
            mask = read.attention_mask[:, 1:]
            found += ((loss * mask).sum(1) / mask.sum(1)).exp().tolist()
        return [5.0 / (1.0 + 2.718281828 ** min(50.0, 0.001 * (perplexity - 150.0))) for perplexity in found]

    def read(self, lm: nn.Module, sequences: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probs of the utterance's tokens and values before them; the LM head runs everywhere."""
        out = lm(input_ids=sequences, output_hidden_states=True, use_cache=False)
        log_probs = out.logits[:, :-1].float().log_softmax(-1).gather(2, sequences[:, 1:, None])[..., 0]
        values = self.value_head(out.hidden_states[-1].float())[:, :-1, 0]
        return log_probs[:, -UTTERANCE:], values[:, -UTTERANCE:]

    def seconds(self, repeats: int) -> dict[str, float]:
        """Medians of both steps, after one of each."""
        found = {name: statistics.median([*_times(step, repeats)][1:]) for name, step in self.steps.items()}
        return found | {"cycle": 10 * found["clm"] + 2 * found["ppo"]}

    @property
    def steps(self) -> dict[str, Callable[[], None]]:
        return {"clm": self.clm, "ppo": self.ppo}


def _times(step: Callable[[], None], repeats: int) -> Iterator[float]:
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        step()
        yield time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["paper", "tiny"], default="paper")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as name:
        text = Path(name) / "text.txt"
        make_text(text, lines=2000, words=11)
        baby, parent = make_models(Path(name), text, tiny=arguments.size == "tiny")
        print(json.dumps(PublishedWay(baby, parent, text, device).seconds(arguments.repeats), indent=1))


if __name__ == "__main__":
    main()
