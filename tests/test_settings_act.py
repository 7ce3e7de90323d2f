"""Every setting acts: a tiny run with the setting changed differs from the run without, where it should.

A setting that is in `Recipe` and not in `CASES` fails; so does one whose change does nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.constants
import pytest
import torch
import transformers.dynamic_module_utils
from conftest import italian_lines, tiny_lm, with_own_code
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from bambino import BambinoTrainer
from bambino.cli.display import PlainDisplay
from bambino.errors import BambinoError
from bambino.evaluation.in_training import measures_of
from bambino.feedback.settings import KINDS
from bambino.recipe.checks import written
from bambino.recipe.names import Names
from bambino.recipe.settings import Recipe
from bambino.report.screen import Screen
from bambino.training.pretrain import newborn_trainer

NAMES = Names.of(Recipe, KINDS)
SETTINGS = list(NAMES.types)
SECTIONS = {name: cls for name, cls in NAMES.sections.items() if cls is not None}
"""Dotted name of a section, or of a kind of feedback -> its class."""


@dataclass
class Outcome:
    """What a run did and left behind."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    """Rows of metrics, without seconds."""
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    """The utterances of ppo and reinforce steps."""
    recasts: list[dict[str, Any]] = field(default_factory=list)
    """What the baby was told, in any phase."""
    said_when_evaluated: list[dict[str, Any]] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """Relative to the folder that output_dir is in."""
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    """Of baby and value head, at the end."""
    largest_forward: int = 0
    """Most rows in a forward that gradients go through."""
    last_layer: int = 0
    """How often the last layer was computed where gradients are wanted."""
    refusal: str = ""

    @property
    def fingerprint(self) -> str:
        """Of the weights' bits."""
        digest = hashlib.sha256()
        for name, tensor in self.weights.items():
            digest.update(name.encode() + tensor.numpy().tobytes())
        return digest.hexdigest()

    @property
    def phases(self) -> str:
        return "".join(row["phase"][0] for row in self.steps)

    @property
    def checkpoints(self) -> list[int]:
        """Steps of the checkpoints that are left."""
        return sorted({int(name.split("step-")[1][:7]) for name in self.files if "/checkpoints/step-" in name})

    def numbers(self, name: str) -> list[float]:
        """A metric over the steps that have it."""
        return [row[name] for row in self.steps if name in row]


def recipe_of(settings: dict[str, Any]) -> Recipe:
    """The recipe with these settings; a kind of feedback is there when a setting of it is given."""
    given: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS if not name.startswith("feedback.")}
    top: dict[str, Any] = {}
    for name, value in settings.items():
        section, _, last = name.rpartition(".")
        fields = given.setdefault(section, {}) if section else top
        fields["for_" if last == "for" else last] = value
    made: dict[str, Any] = {name: SECTIONS[name](**fields) for name, fields in given.items()}
    kinds = {name.removeprefix("feedback."): made.pop(name) for name in list(made) if name.startswith("feedback.")}
    return Recipe(**top, **made, feedback=kinds)


def run(settings: dict[str, Any], folder: Path) -> Outcome:
    """Train a tiny baby below an empty folder."""
    paths: dict[str, Any] = {
        name: str(folder / settings[name]) for name in ("output_dir", "text.cache") if name in settings
    }
    recipe = recipe_of({**settings, **paths})
    outcome, screen = Outcome(), io.StringIO()
    display = PlainDisplay(recipe, Screen(file=screen, width=200))
    kept = {
        "ppo": outcome.said,
        "reinforce": outcome.said,
        "recast": outcome.recasts,
        "evaluation": outcome.said_when_evaluated,
    }

    def take(row: dict[str, Any]) -> None:
        display(row)
        if row["kind"] == "utterances":
            for said in row["rows"]:
                kind = "recast" if "recast" in said else said["kind"]
                kept.get(kind, []).append(said)
        elif row["kind"] == "step":
            timed = {name for name in row if name.startswith("time/")} | {"total/seconds"}
            outcome.steps.append({name: value for name, value in row.items() if name not in timed})
        elif row["kind"] == "evaluation":
            outcome.evaluations.append(row)

    def measure(_: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch.is_grad_enabled():
            outcome.largest_forward = max(outcome.largest_forward, len(kwargs["input_ids"]))

    def count(*_: object) -> None:
        outcome.last_layer += torch.is_grad_enabled()

    try:
        from_scratch = recipe.baby.model is None
        trainer = newborn_trainer(recipe, on_row=take) if from_scratch else BambinoTrainer(args=recipe, on_row=take)
        trainer.measures += measures_of(recipe)
        trainer.baby.lm.base_model.register_forward_pre_hook(measure, with_kwargs=True)
        list(trainer.baby.lm.base_model.modules())[-1].register_forward_pre_hook(count)
        trainer.train()
    except BambinoError as error:
        outcome.refusal = str(error)
        return outcome
    outcome.console = screen.getvalue().splitlines()
    outcome.files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    outcome.weights = {name: tensor.detach().clone() for name, tensor in trainer.baby.state_dict().items()}
    return outcome


Look = Callable[[Outcome], Any]


@dataclass(frozen=True)
class Case:
    """Values of a setting (other than the default), and where each must show."""

    values: list[Any]
    look: Look
    """What of the run must differ between all values, the default included."""
    context: dict[str, Any] = field(default_factory=dict)
    """Other settings, without which this one has nothing to act on."""
    expected: list[Any] | None = None
    """What is seen with the default and with each value, worked out by hand."""


def weights(outcome: Outcome) -> str:
    return outcome.fingerprint


def rewards(outcome: Outcome) -> list[float]:
    return [said["reward"] for said in outcome.said]


def prompts(outcome: Outcome) -> list[str]:
    return [said["prompt"] for said in outcome.said]


def completions(outcome: Outcome) -> list[str]:
    return [said["utterance"] for said in outcome.said]


def kl_coefs(outcome: Outcome) -> list[float]:
    return [round(number, 9) for number in outcome.numbers("ppo/kl_coef")]


def tensors(outcome: Outcome) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the weights."""
    return [(name, tuple(tensor.shape)) for name, tensor in outcome.weights.items()]


def positions_and_tokens(outcome: Outcome) -> tuple[int, int]:
    """Positions and tokens that GPT-2 has embeddings for."""
    return len(outcome.weights["lm.transformer.wpe.weight"]), len(outcome.weights["lm.transformer.wte.weight"])


def metric(name: str) -> Look:
    return lambda outcome: outcome.numbers(name)


def evaluated(name: str) -> Look:
    return lambda outcome: [row.get(name) for row in outcome.evaluations]


asked = evaluated("eval/tasks/xcopa_it")

# Names in <> stand for paths that `places` makes.
BASE: dict[str, Any] = {
    "output_dir": "run",
    "baby.model": "<baby>",
    "parent.model": "<parent>",
    "parent.must_know_l2": False,
    "text.sources": ["<text>"],
    "text.heldout_every": 10,
    "text.max_length": 40,
    "batch_size": 4,
    "max_steps": 3,
    "schedule.cycle": {"clm": 2, "ppo": 1},
    "clm.learning_rate": 1e-3,
    "ppo.learning_rate": 1e-3,
    "reinforce.learning_rate": 1e-3,
    "rollout.prompt_tokens": 4,
    "rollout.max_new_tokens": 5,
    "evaluation.utterances": 0,
}
ONLY_CLM = {"schedule.cycle": {"clm": 1}, "max_steps": 3, "parent.model": None}
SIX = {"max_steps": 6}
"""Two ppo steps, where one does not show it."""
COMPARED = {
    "schedule.cycle": {"clm": 2, "reinforce": 1},
    "feedback.parent_perplexity.for": "reinforce",
}
"""With the reinforce phase in ppo's place."""
SPANS = {
    "schedule.cycle": {"clm": 2, "reinforce": 1},
    "reinforce.baseline": "batch",
    "feedback.parent_spans.weight": 1.0,
    "rollout.max_new_tokens": 12,
}
NEWBORN = ONLY_CLM | {
    "baby.model": None,
    "shape.size": "1m",
    "shape.context": 64,
    "shape.hidden_size": 32,
    "shape.num_layers": 1,
    "shape.num_heads": 2,
    "shape.vocab_size": 300,
}


STRICT, TRILINGUAL = "babylm-2026-strict", "babylm-2026-multilingual"
LIVED = {"max_steps": 1, "baby.words": 100}


def refused(outcome: Outcome) -> bool:
    return bool(outcome.refusal)


def without(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in names}


ANSWERED_CLM = without(ONLY_CLM, "parent.model")
DREAMING = {"dreaming.texts": 8, "dreaming.max_new_tokens": 6}
DREAMT = DREAMING | {"dreaming.share": 1.0}
EVALUATED = {"max_steps": 1, "evaluation.eval_steps": 1}
READ = EVALUATED | {"evaluation.texts": {"it": ["<text>"]}}
TESTED = EVALUATED | {"evaluation.pairs": {"pairs": "<pairs>"}}
SPOKEN = EVALUATED | {"evaluation.utterances": 3, "rollout.max_new_tokens": 12}
ASKED = EVALUATED | {"evaluation.tasks": ["xcopa_it"]}
LONG = {"feedback.length.for": "ppo"}
# A baby that has heard some L2 says its commonest words again and again.
WORDY = {"baby.model": "<trained baby>", "clm.learning_rate": 1e-2, "rollout.max_new_tokens": 24, "rollout.top_k": 3}
SPELLING = "feedback.language_identity"
SPELLED = {f"{SPELLING}.l1": ["<english>"], f"{SPELLING}.l2": ["<text>"]}
CLASSIFIED = {"feedback.acceptability.model": "<classifier>"}
LIKED = {"feedback.parent_log_perplexity.for": "ppo"}

RECAST = {"schedule.cycle": {"clm": 2, "recast": 1}, "feedback.recast.for": "recast"}
BRIEF = {"feedback.recast.max_new_tokens": 5}
RECAST_EDIT = {"schedule.cycle": {"recast": 1}, "feedback.recast_edit.for": "recast", "rollout.max_new_tokens": 12}
RECAST_FILE = {"schedule.cycle": {"recast": 1}, "max_steps": 1, "feedback.recast_file.for": "recast"}
FROM_FILES = [[], [" il mare"] * 4, [" il sole"] * 4]
"""What the baby is told; without a file the run is refused."""


def recast_cases(kind: str, setting: str, value: Any) -> dict[str, Case]:
    """The settings that all recasts have; a setting of its own names the kind."""
    section = f"feedback.{kind}"
    beside = ANSWERED_CLM | {f"{section}.for": "clm", f"{section}.{setting}": value, "rollout.max_new_tokens": 12}
    return {
        f"{section}.for": Case(["clm"], weights, without(beside, f"{section}.for") | {f"{section}.share": 2.0}),
        f"{section}.weight": Case([0.5], weights, beside | {f"{section}.share": 2.0}),
        f"{section}.share": Case([0.5], lambda o: len(o.recasts), beside, [3 * 1, 3 * 2]),
    }


BEST = {"schedule.cycle": {"prefer": 1}, "max_steps": 3, "feedback.best_of_k.k": 2}
BEST_OF_FOUR = {"feedback.best_of_k.for": "prefer"}
OVER = {"schedule.cycle": {"prefer": 1}, "max_steps": 3, "feedback.recast_over_utterance.for": "prefer"}


def preference_cases(kind: str, context: dict[str, Any]) -> dict[str, Case]:
    """The settings that all preferences have."""
    weight, phase = f"feedback.{kind}.weight", f"feedback.{kind}.for"
    return {
        weight: Case([0.5], weights, context),
        # What another phase learns from is no preference of this one's, which then has none.
        phase: Case(["clm"], lambda o: bool(o.refusal), without(context, phase) | {weight: 1.0}, [False, True]),
    }


def told(outcome: Outcome) -> list[str]:
    return [said["recast"] for said in outcome.recasts]


# Each place costs a look at what a parent that knows nothing finds as likely: all tokens.
SHORT = {"text.max_length": 12, "max_steps": 1, "batch_size": 2}
TARGETS = ANSWERED_CLM | SHORT | {"feedback.parent_targets.for": "clm"}
SAID_TARGETS = {
    "schedule.cycle": {"distill": 1},
    "max_steps": 3,
    "batch_size": 2,
    "rollout.max_new_tokens": 2,
    "feedback.said_targets.for": "distill",
}


def target_cases(kind: str, context: dict[str, Any], phase: str) -> dict[str, Case]:
    """The settings that both kinds of targets have; `share` mixes them with heard text."""
    name, heard = f"feedback.{kind}", without(TARGETS, "feedback.parent_targets.for") | {f"feedback.{kind}.for": "clm"}
    both = SHORT | {"schedule.cycle": {"clm": 1, "distill": 1}, "max_steps": 2, f"{name}.weight": 1.0}
    other = "said_targets" if kind == "parent_targets" else "parent_targets"
    both[f"feedback.{other}.for"] = "distill"
    return {
        f"{name}.for": Case(["clm"] if phase == "distill" else ["distill"], weights, both),
        f"{name}.weight": Case([2.0], weights, context | {f"{phase}.adam_epsilon": 1e-2}),
        f"{name}.share": Case([0.0, 1.0], weights, heard),
        f"{name}.divergence": Case(["reverse", "mixed"], metric(f"{phase}/targets_loss"), context),
        f"{name}.rule": Case(["cheap"], metric(f"{phase}/targets_dropped"), context),
        f"{name}.max_dropped": Case([0.001], metric(f"{phase}/targets_skipped"), context),
        f"{name}.top": Case([2], metric(f"{phase}/targets_loss"), context),
    }


def log_perplexities(outcome: Outcome) -> list[dict[str, float]]:
    """What the parent finds of what baby and human say, by the names it is written under."""
    return [{name: value for name, value in row.items() if "log_perplexity" in name} for row in outcome.evaluations]


def optimizer_cases(phase: str, context: dict[str, Any]) -> dict[str, Case]:
    """The settings that all phases have."""
    scheduled = context if context.get("schedule.cycle") == {phase: 1} else context | SIX
    return {
        f"{phase}.learning_rate": Case([2e-3], weights, context),
        f"{phase}.lr_scheduler_type": Case(["linear", "cosine"], metric(f"{phase}/learning_rate"), scheduled),
        f"{phase}.min_lr_share": Case(
            [0.5], metric(f"{phase}/learning_rate"), scheduled | {f"{phase}.lr_scheduler_type": "cosine"}
        ),
        f"{phase}.warmup_updates": Case([3], weights, context),
        f"{phase}.weight_decay": Case([0.1], weights, context),
        f"{phase}.adam_beta1": Case([0.5], weights, context),
        f"{phase}.adam_beta2": Case([0.9], weights, context),
        f"{phase}.adam_epsilon": Case([1e-3], weights, context),
        f"{phase}.max_grad_norm": Case([0.01], weights, context),
    }


def feedback_cases(kind: str, context: dict[str, Any]) -> dict[str, Case]:
    """The settings that all kinds of feedback have; each context names the kind without giving the setting."""
    weight, phase = f"feedback.{kind}.weight", f"feedback.{kind}.for"
    other = "missing_eos" if kind != "missing_eos" else "repetition"  # ppo keeps a kind
    context = context | {f"feedback.{other}.weight": 1.0}
    return {
        weight: Case([2.0], rewards, context | {phase: "ppo"}),
        # What another phase learns from is no reward of ppo's.
        phase: Case(["clm"], rewards, context | {weight: 1.0}),
    }


CASES: dict[str, Case] = {
    "output_dir": Case(["other"], lambda o: sorted({name.split("/")[0] for name in o.files}), {}, [["run"], ["other"]]),
    "seed": Case([1], weights),
    "max_steps": Case([0, 4], lambda o: o.phases, {}, ["ccp", "", "ccpc"]),
    # Ten lines in batches of four: three, five and two batches; after every second one a ppo step.
    "passes": Case(
        [1.0, 2.0, 0.5], lambda o: o.phases, SIX | {"text.max_lines": 10}, ["ccpccp", "ccpc", "ccpccpc", "ccp"]
    ),
    "batch_size": Case([2], lambda o: len(o.said), {}, [1 * 4, 1 * 2]),
    "gradient_accumulation_steps": Case([4], lambda o: o.largest_forward, {}, [4, 1]),
    "mixed_precision": Case(["bf16"], weights),
    "cuda_graphs": Case([True], lambda o: o.largest_forward, {"batch_size": 2, "ppo.minibatch_size": 2}, [2, 4]),
    # Two clm updates and four of ppo; each layer twice.
    "gradient_checkpointing": Case([True], lambda o: o.last_layer, {}, [2 + 4, 2 * (2 + 4)]),
    "torch_compile": Case([True], weights, {"baby.dropout": 0.0}),
    "optimizers": Case(["shared"], weights),
    "save_steps": Case(
        [4, 2], lambda o: o.checkpoints, ONLY_CLM | SIX | {"save_total_limit": 9}, [[6], [4, 6], [2, 4, 6]]
    ),
    "save_total_limit": Case(
        [1, 3], lambda o: o.checkpoints, ONLY_CLM | SIX | {"save_steps": 2}, [[4, 6], [6], [2, 4, 6]]
    ),
    "keep_every": Case(
        [2, 4],
        lambda o: o.checkpoints,
        ONLY_CLM | SIX | {"save_steps": 2, "save_total_limit": 1},
        [[6], [2, 4, 6], [4, 6]],
    ),
    "logging_steps": Case(
        # Every so many steps, and the last; the default is 10.
        [4, 2],
        lambda o: [line.split()[1] for line in o.console if line.startswith("step ")],
        ONLY_CLM | SIX,
        [["6/6"], ["4/6", "6/6"], ["2/6", "4/6", "6/6"]],
    ),
    "revisions": Case(
        [110, 26],  # the batch has more than 30 words and less than 56
        lambda o: [name.split("/")[-1] for name in o.files if "/revisions/" in name and name.count("/") == 2],
        LIVED,
        [[], ["chck_110"], ["chck_104", "chck_130"]],
    ),
    "rules": Case([STRICT], refused, {"max_steps": 1}, [False, True]),
    "baby.words": Case([100], metric("ledger/words_heard"), {"max_steps": 1}),
    "baby.words_heard": Case([300], metric("ledger/words_heard"), {"max_steps": 1, "baby.words": 100}),
    "parent.words": Case([50], refused, LIVED | {"rules": STRICT} | SPANS, [True, False]),
    "text.language": Case(["nld"], refused, LIVED | {"rules": TRILINGUAL}, [True, False]),
    "replay.language": Case(
        ["eng"],
        refused,
        LIVED | {"rules": TRILINGUAL, "text.language": "nld", "replay.sources": ["<english>"], "replay.share": 1.0},
        [True, False],
    ),
    "baby.model": Case(["<other baby>"], weights),
    "baby.revision": Case(["later"], weights, {"baby.model": "family/baby"}),
    "baby.random_weights": Case([True], weights),
    "baby.dropout": Case([0.0, 0.5], weights),
    "parent.model": Case(["<other parent>"], rewards),
    "parent.revision": Case(["later"], rewards, {"parent.model": "family/parent"}),
    "parent.must_know_l2": Case(
        # A parent that was never trained knows L2 less than a baby of its kind that was.
        [True],
        lambda o: o.refusal.split(" (")[0],
        {"baby.model": "<trained baby>", "parent.model": "<other baby>", "max_steps": 0},
        ["", "The baby already models the L2 text better"],
    ),
    "text.sources": Case([["<other text>"]], metric("clm/loss")),
    "text.weights": Case(
        [[1.0, 3.0], [1.0, {0: 0.0, 1: 1.0}]], metric("clm/loss"), {"text.sources": ["<text>", "<other text>"]}
    ),
    "text.prompt_sources": Case([["<other text>"]], prompts),
    "text.single_stream": Case([True], prompts),
    "text.jsonl_field": Case(["body"], metric("clm/loss"), {"text.sources": ["<jsonl>"]}),
    "text.order_by": Case(["n"], metric("clm/loss"), {"text.sources": ["<jsonl>"]}),
    "text.line_breaks": Case(["ends"], metric("clm/targets"), {"text.sources": ["<documents>"], "text.min_chars": 1}),
    "text.streaming": Case(
        # Of a data set that is streamed, `datasets` keeps no copy.
        [True],
        lambda o: any(name.endswith(".arrow") for name in o.files),
        {"text.sources": ["<data set>:all"]},
        [True, False],
    ),
    "text.cache": Case(["cache"], lambda o: any("made.json" in name for name in o.files), {}, [False, True]),
    "text.normalization": Case([None], metric("clm/loss"), {"text.sources": ["<decomposed>"]}),
    "text.mode": Case(["packed"], metric("clm/targets")),
    "text.max_length": Case([12], metric("clm/targets")),
    "text.min_chars": Case([80], metric("clm/targets")),
    "text.append_eos": Case([False], metric("clm/targets")),
    "text.prepend_bos": Case([False], metric("clm/targets")),
    "text.heldout_every": Case([None, 3], metric("clm/loss")),
    "text.max_lines": Case([25], metric("clm/loss")),
    "replay.sources": Case([["<text>"], ["<other text>"]], weights, {"replay.share": 1.0}),
    "replay.share": Case([0.5], metric("clm/replay_loss"), {"replay.sources": ["<other text>"]}),
    "replay.last_share": Case([0.0], weights, {"replay.sources": ["<other text>"], "replay.share": 0.5}),
    "replay.first_baby": Case([0.5], weights, {"replay.sources": ["<other text>"], "replay.share": 1.0}),
    "dreaming.first_baby": Case([0.5], weights, DREAMT),
    "dreaming.share": Case([0.5], metric("clm/dream_loss"), DREAMING),
    "dreaming.last_share": Case([0.0], metric("total/dream_tokens"), DREAMT),
    "dreaming.texts": Case([2], metric("total/words_self_written"), without(DREAMT, "dreaming.texts")),
    "dreaming.max_new_tokens": Case(
        [3], metric("total/words_self_written"), without(DREAMT, "dreaming.max_new_tokens")
    ),
    "dreaming.temperature": Case([0.1], metric("clm/dream_loss"), DREAMT),
    "dreaming.top_p": Case([0.1], metric("clm/dream_loss"), DREAMT),
    "text.max_words": Case([250], metric("clm/loss")),
    "schedule.cycle": Case(
        [{"clm": 1, "ppo": 1}, {"ppo": 2, "clm": 2}, {"clm": 1}, {"ppo": 1}],
        lambda o: o.phases,
        SIX,
        ["ccpccp", "cpcpcp", "ppccpp", "cccccc", "pppppp"],
    ),
    "schedule.blocked": Case([True], lambda o: o.phases, SIX, ["ccpccp", "ccccpp"]),
    "schedule.warmup": Case([{"clm": 1}, {"ppo": 2}], lambda o: o.phases, SIX, ["ccpccp", "cccpcc", "ppccpc"]),
    "shape.architecture": Case(["opt", "llama", "qwen2", "gpt_neox"], tensors, NEWBORN),
    "shape.size": Case(["1m"], tensors, without(NEWBORN, "shape.size", "shape.hidden_size")),
    "shape.hidden_size": Case([32, 64], tensors, without(NEWBORN, "shape.hidden_size")),
    "shape.num_layers": Case([1, 2], tensors, without(NEWBORN, "shape.num_layers")),
    # Heads have no weights of their own.
    "shape.num_heads": Case([2, 8], weights, without(NEWBORN, "shape.num_heads")),
    "shape.context": Case([48], positions_and_tokens, without(NEWBORN, "shape.context"), [(256, 300), (48, 300)]),
    "shape.vocab_size": Case([280], lambda o: positions_and_tokens(o)[1], without(NEWBORN, "shape.vocab_size")),
    **optimizer_cases("clm", ONLY_CLM),
    "averaging.decay": Case([0.5, 0.9], metric("averaging/distance")),
    "averaging.use": Case(["raw"], evaluated("eval/bits_per_byte/it"), READ | {"averaging.decay": 0.5}),
    "rollout.prompt_tokens": Case([3, {0.0: 4, 0.8: 2}], prompts),
    "rollout.max_new_tokens": Case([3, {0.0: 5, 0.8: 2}], completions),
    "rollout.temperature": Case([0.5, 2.0], completions),
    "rollout.top_k": Case([1, 3], completions),
    "rollout.top_p": Case([0.1, 0.5], completions),
    **optimizer_cases("ppo", {}),
    "ppo.epochs": Case([1, 2], weights),
    "ppo.minibatch_size": Case([1, 2], weights),
    "ppo.gamma": Case([0.5], weights),
    "ppo.lam": Case([0.5], weights),
    "ppo.cliprange": Case([0.001], weights),
    "ppo.cliprange_value": Case([0.001], weights),
    "ppo.vf_coef": Case([0.5], weights),
    "ppo.entropy_coef": Case([0.1], weights),
    "ppo.kl_coef": Case([0.5], weights),
    # The first ppo step's KL lies between 0.01 and 6 nats, more than 20 % from either target: after it the error is cut
    # to -0.2 or 0.2, and kl_coef becomes 0.2 * (1 -+ 0.2 * 4 / 10000), or 0.2 * (1 - 0.2 * 4 / 10).
    "ppo.adaptive_kl": Case([False], kl_coefs, SIX, [[0.2, 0.199984], [0.2, 0.2]]),
    "ppo.kl_target": Case([0.001], kl_coefs, SIX, [[0.2, 0.199984], [0.2, 0.200016]]),
    "ppo.kl_horizon": Case([10.0], kl_coefs, SIX, [[0.2, 0.199984], [0.2, 0.184]]),
    "ppo.ratio_threshold": Case([1.001], metric("ppo/skipped_updates"), {"ppo.learning_rate": 0.05}),
    "ppo.reference": Case(["phase_start", "ema", "none"], metric("ppo/kl")),
    "ppo.reference_decay": Case([0.5], metric("ppo/kl"), {"ppo.reference": "ema"}),
    **optimizer_cases("reinforce", COMPARED | {"reinforce.epochs": 2}),
    "reinforce.group_size": Case([2], prompts, COMPARED),
    "reinforce.baseline": Case(["grpo", "batch"], weights, COMPARED),
    "reinforce.epochs": Case([2], weights, COMPARED),
    "reinforce.cliprange": Case([0.001], weights, COMPARED | {"reinforce.epochs": 2}),
    # Among 960 random words of 320 there are EOS, so lengths differ.
    "reinforce.loss_mean": Case(["utterances"], weights, COMPARED | {"rollout.max_new_tokens": 30, "batch_size": 32}),
    "reinforce.kl_coef": Case([0.5], weights, COMPARED),
    "reinforce.ratio_threshold": Case(
        [1.001],
        metric("reinforce/skipped_updates"),
        COMPARED | {"reinforce.epochs": 4, "reinforce.learning_rate": 0.05},
    ),
    "reinforce.reference": Case(["phase_start", "ema", "none"], metric("reinforce/kl"), COMPARED),
    "reinforce.reference_decay": Case([0.5], metric("reinforce/kl"), COMPARED | {"reinforce.reference": "ema"}),
    "feedback.parent_spans.weight": Case(
        [2.0], rewards, without(SPANS, "feedback.parent_spans.weight") | {"feedback.parent_spans.unit": "word"}
    ),
    "feedback.parent_spans.for": Case(["ppo"], rewards, SPANS | {"feedback.repetition.for": "reinforce"}),
    "feedback.parent_spans.unit": Case(["token"], rewards, SPANS),
    "feedback.parent_spans.clip": Case([0.01], rewards, SPANS),
    **feedback_cases("parent_perplexity", {}),
    "feedback.parent_perplexity.alpha": Case([1.0], rewards),
    "feedback.parent_perplexity.beta": Case([0.01], rewards),
    "feedback.parent_perplexity.beta_times_tau": Case([3.0], rewards),
    "feedback.parent_perplexity.tau": Case([300.0, None, {0.0: 150.0, 1.0: 300.0}], rewards),
    "feedback.parent_perplexity.scope": Case(["utterance"], rewards),
    "feedback.parent_perplexity.until": Case(["last_word"], rewards, SIX | {"rollout.max_new_tokens": 12}),
    **feedback_cases("repetition", SIX | {"rollout.max_new_tokens": 12}),
    **feedback_cases("missing_eos", {}),
    **optimizer_cases("recast", RECAST | {"schedule.cycle": {"recast": 1}, "max_steps": 3, **BRIEF}),
    "recast.replay": Case([True], weights, RECAST | BRIEF | {"replay.sources": ["<other text>"], "replay.share": 0.5}),
    **recast_cases("recast", "max_new_tokens", 12),
    "feedback.recast.max_new_tokens": Case([3], told, RECAST),
    "feedback.recast.temperature": Case([0.5], told, RECAST),
    "feedback.recast.top_k": Case([1], told, RECAST),
    "feedback.recast.top_p": Case([0.1], told, RECAST),
    **recast_cases("recast_edit", "proposals", 8),
    "feedback.recast_edit.proposals": Case([1], told, RECAST_EDIT),
    **recast_cases("recast_file", "path", "<recasts>"),
    "feedback.recast_file.path": Case(["<recasts>", "<other recasts>"], told, RECAST_FILE, FROM_FILES),
    **optimizer_cases("prefer", BEST),
    "prefer.loss": Case(["simpo"], weights, BEST),
    "prefer.beta": Case([0.5], weights, BEST),
    "prefer.gamma": Case([0.5], weights, BEST | {"prefer.loss": "simpo"}),
    "prefer.lm_weight": Case([0.0], weights, BEST),
    "prefer.reference": Case(["phase_start", "ema"], weights, BEST | {"schedule.cycle": {"clm": 1, "prefer": 1}}),
    "prefer.reference_decay": Case([0.5], weights, BEST | {"prefer.reference": "ema"}),
    **preference_cases("best_of_k", BEST),
    "feedback.best_of_k.k": Case([2], metric("prefer/pairs"), without(BEST, "feedback.best_of_k.k") | BEST_OF_FOUR),
    **preference_cases("recast_over_utterance", OVER),
    "feedback.recast_over_utterance.max_new_tokens": Case([3], told, OVER),
    "feedback.recast_over_utterance.temperature": Case([0.5], told, OVER),
    **feedback_cases("parent_log_perplexity", {}),
    "feedback.parent_log_perplexity.relative": Case([True], rewards, LIKED),
    "feedback.parent_log_perplexity.standardised": Case([True], rewards, LIKED),
    "feedback.parent_log_perplexity.scope": Case(["utterance"], rewards, LIKED),
    "feedback.parent_log_perplexity.until": Case(["last_word"], rewards, LIKED | SIX | {"rollout.max_new_tokens": 12}),
    **feedback_cases("length", {}),
    "feedback.length.shortest": Case([5], rewards, LONG),
    "feedback.length.longest": Case([3], rewards, LONG | {"feedback.length.unit": "bytes"}),
    "feedback.length.unit": Case(["bytes"], rewards, LONG),
    **feedback_cases("language_identity", SPELLED),
    "feedback.language_identity.l1": Case([["<text>"], ["<other text>"]], rewards, without(SPELLED, f"{SPELLING}.l1")),
    "feedback.language_identity.l2": Case([["<text>"], ["<english>"]], rewards, without(SPELLED, f"{SPELLING}.l2")),
    **feedback_cases("exploitation_penalty", WORDY),
    "feedback.exploitation_penalty.ngram": Case([1], rewards, WORDY | {"feedback.exploitation_penalty.for": "ppo"}),
    **feedback_cases("acceptability", CLASSIFIED),
    "feedback.acceptability.model": Case(["<classifier>"], rewards, {"feedback.acceptability.for": "ppo"}),
    "feedback.acceptability.label": Case(["bad"], rewards, CLASSIFIED),
    "feedback.acceptability.output": Case(["logit"], rewards, CLASSIFIED),
    "feedback.acceptability.scope": Case(["utterance"], rewards, CLASSIFIED),
    **feedback_cases("relatedness", {"feedback.relatedness.model": "<encoder>"}),
    "feedback.relatedness.model": Case(["<encoder>"], rewards, {"feedback.relatedness.for": "ppo"}),
    **feedback_cases("constant", {}),
    "feedback.constant.value": Case([2.0], lambda o: set(rewards(o)), {"feedback.constant.for": "ppo"}, [{1.0}, {2.0}]),
    **feedback_cases("random", {}),
    **target_cases("parent_targets", TARGETS, "clm"),
    **target_cases("said_targets", SAID_TARGETS | {"max_steps": 1}, "distill"),
    **optimizer_cases("distill", SAID_TARGETS),
    "evaluation.eval_steps": Case(
        [3, 4], lambda o: [row["step"] for row in o.evaluations], ONLY_CLM | SIX, [[], [0, 3, 6], [0, 4, 6]]
    ),
    "evaluation.texts": Case([{"it": ["<text>"]}], evaluated("eval/bits_per_byte/it"), EVALUATED),
    "evaluation.split": Case(["dev", "test"], evaluated("eval/bits_per_byte/it"), READ),
    "evaluation.max_lines": Case([3], evaluated("eval/bits_per_byte/it"), READ),
    "evaluation.pairs": Case([{"pairs": "<pairs>"}], evaluated("eval/pairs/pairs"), EVALUATED, [[None] * 2, [0.5] * 2]),
    # Of the two pairs the first is right, the second is wrong (see `places`).
    "evaluation.max_pairs": Case([1], evaluated("eval/pairs/pairs"), TESTED, [[0.5, 0.5], [1.0, 1.0]]),
    # The first and third of the four items are right, see `places`; two of four evenly spread are just these.
    "evaluation.tasks": Case(
        [["xcopa_it"]], asked, EVALUATED | {"evaluation.data": "<tests>"}, [[None] * 2, [0.5] * 2]
    ),
    # Without data the task comes from the hub, which cannot be reached: the run is refused.
    "evaluation.data": Case(["<tests>", "<other tests>"], asked, ASKED, [[], [0.5] * 2, [1.0] * 2]),
    "evaluation.max_items": Case([2], asked, ASKED | {"evaluation.data": "<tests>"}, [[0.5] * 2, [1.0] * 2]),
    "evaluation.utterances": Case([3], lambda o: len(o.said_when_evaluated), EVALUATED, [0, 2 * 3]),
    "evaluation.scope": Case(["utterance"], log_perplexities, SPOKEN),
    "evaluation.until": Case(["last_word"], log_perplexities, SPOKEN),
}


SEQUENCES = "AutoModelForSequenceClassification"


def trust_case(setting: str, context: dict[str, Any]) -> dict[str, Case]:
    """A model that brings Python of its own is refused, unless the setting allows it."""
    return {setting: Case([True], lambda o: bool(o.refusal), {"max_steps": 3} | context, [True, False])}


CASES |= trust_case("baby.trust_remote_code", ONLY_CLM | {"baby.model": "<own baby>"})
CASES |= trust_case("parent.trust_remote_code", {"parent.model": "<own parent>"})
for grader, model in (("acceptability", "<own classifier>"), ("relatedness", "<own encoder>")):
    settings = {f"feedback.{grader}.model": model, f"feedback.{grader}.for": "ppo"}
    CASES |= trust_case(f"feedback.{grader}.trust_remote_code", settings)

EVERY_STEP = READ | ONLY_CLM | {"evaluation.eval_steps": 1, "clm.learning_rate": 0.3}
"""A baby that first learns and then is ruined, measured at every step."""
CASES |= {
    "early_stopping.metric": Case(["bits_per_byte/it"], evaluated("best/step"), READ),
    "early_stopping.patience": Case(
        [1, 2],
        lambda o: len(o.steps),
        without(EVERY_STEP, "max_steps") | {"max_steps": 6, "early_stopping.metric": "bits_per_byte/it"},
    ),
    "early_stopping.keep_best": Case([False], weights, EVERY_STEP | {"early_stopping.metric": "bits_per_byte/it"}),
}


def alarms(outcome: Outcome) -> list[str]:
    return [line.split(": ")[1] for line in outcome.console if line.startswith("alarm: ")]


TEN = {"schedule.cycle": {"ppo": 1}, "max_steps": 10, "ppo.learning_rate": 1e-2}
ALIKE = TEN | {"feedback.constant.for": "ppo"}
CASES |= {
    "alarms.stop": Case([["dead_reward"]], lambda o: o.refusal[:25], ALIKE, ["", "Stopped at step 10: alarm"]),
    "alarms.kl": Case([1e-6], alarms, TEN, [[], ["kl"]]),
    "alarms.dead_reward": Case([None], alarms, ALIKE, [["dead_reward"], []]),
    "alarms.entropy": Case([100.0], alarms, TEN, [[], ["entropy"]]),
    "alarms.repetition": Case([0.99], alarms, SPOKEN | WORDY | {"max_steps": 1}, [[], ["repetition"]]),
    "alarms.forgetting": Case([1e-3], alarms, EVERY_STEP, [[], ["forgetting"]]),
    "alarms.plateau": Case([1], alarms, EVERY_STEP, [[], ["plateau"]]),
    "alarms.unknown": Case([None], alarms, ONLY_CLM | {"baby.model": "<baby of one word>"}, [["unknown"], []]),
}


# ------------------------------------------------------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def places(
    tmp_path_factory: pytest.TempPathFactory,
    baby_folder: Path,
    parent_folder: Path,
    classifier_folder: Path,
    encoder_folder: Path,
) -> dict[str, str]:
    """What the names in <> stand for."""
    folder = tmp_path_factory.mktemp("places")
    for name, like, lm in (
        ("other baby", baby_folder, tiny_lm("opt", seed=11)),
        ("other parent", parent_folder, tiny_lm("gpt2", 400, seed=12)),
        ("llama baby", baby_folder, tiny_lm("llama", seed=13)),
    ):
        shutil.copytree(like, folder / name)
        lm.save_pretrained(folder / name)
    (folder / "italian.txt").write_text("\n".join(italian_lines(50, seed=3)), encoding="utf-8")
    others = [line.replace("il ", "quel ") for line in italian_lines(80, seed=8)]
    (folder / "other.txt").write_text("\n".join(others))
    english = [line.replace("il ", "the ").replace("vede", "sees") for line in italian_lines(80, seed=6)]
    (folder / "english.txt").write_text("\n".join(english))
    accented = "\n".join(f"perch\u00e9 {line}" for line in italian_lines(80, seed=8))
    (folder / "decomposed.txt").write_text(unicodedata.normalize("NFD", accented), encoding="utf-8")
    bodies = zip(italian_lines(80, seed=9), others, strict=True)
    rows = [{"text": one, "body": other, "n": n} for n, (one, other) in enumerate(bodies)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    documents = [{"text": "\n".join(others[first : first + 4])} for first in range(0, 80, 4)]
    (folder / "documents.jsonl").write_text("\n".join(map(json.dumps, documents)))
    (folder / "data set").mkdir()
    shutil.copy(folder / "rows.jsonl", folder / "data set")
    card = "---\nconfigs:\n- config_name: all\n  data_files: rows.jsonl\n---\n"
    (folder / "data set" / "README.md").write_text(card)
    # Any model finds a word likelier than two whole sentences.
    short, long = "il", " ".join(others[:2])
    pairs = [{"sentence_good": short, "sentence_bad": long}, {"sentence_good": long, "sentence_bad": short}]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    # Likewise any model chooses the short ending: of these four items the first and third are right.
    one, two = "pane", "pane pane"
    choices = [(one, two, 0), (one, two, 1), (two, one, 1), (two, one, 0)]
    for name, chosen in (("tests", choices), ("other tests", choices[::2])):
        (folder / name).mkdir()
        endings = [{"choice1": first, "choice2": second, "label": label} for first, second, label in chosen]
        items = [{"premise": "sole", "question": "effect"} | ending for ending in endings]
        (folder / name / "xcopa_validation.jsonl").write_text("\n".join(map(json.dumps, items)))
    one_word = Tokenizer(WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "il": 3}, unk_token="<unk>"))
    one_word.pre_tokenizer = Whitespace()
    special = {"bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    for saved in (PreTrainedTokenizerFast(tokenizer_object=one_word, **special), tiny_lm("opt", seed=1)):
        saved.save_pretrained(folder / "baby of one word")
    for name, words in (("recasts", "il mare"), ("other recasts", "il sole")):
        (folder / f"{name}.jsonl").write_text(json.dumps({"prompt": "guarda", "recast": words}))
    for name, like, config, model, opener in (
        ("baby", baby_folder, "OPTConfig", "OPTForCausalLM", "AutoModelForCausalLM"),
        ("parent", parent_folder, "GPT2Config", "GPT2LMHeadModel", "AutoModelForCausalLM"),
        ("classifier", classifier_folder, "BertConfig", "BertForSequenceClassification", SEQUENCES),
        ("encoder", encoder_folder, "BertConfig", "BertModel", "AutoModel"),
    ):
        with_own_code(like, folder / f"own_{name}", config, model, opener)
    return {
        "<own baby>": str(folder / "own_baby"),
        "<own parent>": str(folder / "own_parent"),
        "<own classifier>": str(folder / "own_classifier"),
        "<own encoder>": str(folder / "own_encoder"),
        "<recasts>": str(folder / "recasts.jsonl"),
        "<other recasts>": str(folder / "other recasts.jsonl"),
        "<tests>": str(folder / "tests"),
        "<other tests>": str(folder / "other tests"),
        "<baby>": str(baby_folder),
        "<baby of one word>": str(folder / "baby of one word"),
        "<parent>": str(parent_folder),
        "<classifier>": str(classifier_folder),
        "<encoder>": str(encoder_folder),
        "<english>": str(folder / "english.txt"),
        "<text>": str(folder / "italian.txt"),
        "<other baby>": str(folder / "other baby"),
        "<other parent>": str(folder / "other parent"),
        "<llama baby>": str(folder / "llama baby"),
        "<other text>": str(folder / "other.txt"),
        "<decomposed>": str(folder / "decomposed.txt"),
        "<jsonl>": str(folder / "rows.jsonl"),
        "<documents>": str(folder / "documents.jsonl"),
        "<data set>:all": str(folder / "data set:all"),
        "<pairs>": str(folder / "pairs.jsonl"),
    }


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, places: dict[str, str]) -> Path:
    """A hub cache that holds family/baby and family/parent, each with a branch main and a branch later."""
    cache = tmp_path_factory.mktemp("hub")
    for role in ("baby", "parent"):
        repository = cache / f"models--family--{role}"
        (repository / "refs").mkdir(parents=True)
        for branch, commit, source in (("main", "a" * 40, f"<{role}>"), ("later", "b" * 40, f"<other {role}>")):
            (repository / "refs" / branch).write_text(commit)
            shutil.copytree(places[source], repository / "snapshots" / commit)
    return cache


def filled(value: Any, places: dict[str, str]) -> Any:
    """The value with its names in <> replaced."""
    if isinstance(value, str):
        return places.get(value, value)
    if isinstance(value, list):
        return [filled(item, places) for item in value]
    return {key: filled(item, places) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, places: dict[str, str], hub: Path
) -> Callable[[dict[str, Any]], Outcome]:
    """runs(settings): the outcome of BASE with these settings; each recipe is run once."""
    done: dict[str, Outcome] = {}

    def outcome_of(settings: dict[str, Any]) -> Outcome:
        all_settings = filled(BASE | settings, places)
        recipe = repr(recipe_of(all_settings))
        if recipe not in done:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub))
                patch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(hub / "modules"))
                folder = tmp_path_factory.mktemp("run")
                patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "datasets")
                done[recipe] = run(all_settings, folder)
        return done[recipe]

    return outcome_of


@pytest.fixture(scope="module", autouse=True)
def _trained_baby(
    places: dict[str, str], runs: Callable[[dict[str, Any]], Outcome], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A baby that has heard some L2, for the check of the parent."""
    folder = tmp_path_factory.mktemp("trained")
    run(filled(BASE | ONLY_CLM | {"max_steps": 20}, places), folder)
    places["<trained baby>"] = str(folder / "run" / "model")


# ------------------------------------------------------------------------------------------------------------ tests


def test_the_same_recipe_gives_the_same_run_to_the_last_bit(
    runs: Callable[[dict[str, Any]], Outcome], places: dict[str, str], tmp_path: Path
) -> None:
    one, other = runs({}), run(filled(BASE, places), tmp_path)
    assert (one.fingerprint, one.steps, one.said, one.files) == (
        other.fingerprint,
        other.steps,
        other.said,
        other.files,
    )


def test_every_case_is_a_setting() -> None:
    assert set(CASES) <= set(SETTINGS)


SLOW = {"torch_compile": [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]}
"""Setting -> marks of its test: a compiler is called."""


@pytest.mark.parametrize("setting", [pytest.param(name, marks=SLOW.get(name, [])) for name in SETTINGS])
def test_a_setting_acts(setting: str, runs: Callable[[dict[str, Any]], Outcome]) -> None:
    assert setting in CASES, f"{setting} is in Recipe but not in CASES: show by a run what it does"
    case = CASES[setting]
    default = next(value for name, value in _defaults() if name == setting)
    assert setting not in case.context
    assert BASE.get(setting, default) not in case.values
    seen = [case.look(runs(case.context))]
    seen += [case.look(runs({**case.context, setting: value})) for value in case.values]
    assert all(one != other for i, one in enumerate(seen) for other in seen[:i]), seen
    if case.expected is not None:
        assert seen == case.expected


def _defaults() -> list[tuple[str, Any]]:
    recipe = Recipe()
    tops = [(name, getattr(recipe, name)) for name in SETTINGS if "." not in name]
    sections: dict[str, Any] = {name: make() for name, make in SECTIONS.items()}
    return tops + [(f"{s}.{written(k)}", v) for s, c in sections.items() for k, v in dataclasses.asdict(c).items()]


def is_feedback_after_exposure(setting: str) -> bool:
    """Whether the setting's runs hear two batches before any feedback; targets and recasts may stand beside the first
    already, and preferences come alone."""
    if not setting.startswith(("ppo.", "reinforce.", "feedback.")) or setting not in CASES or "targets" in setting:
        return False
    cycle = CASES[setting].context.get("schedule.cycle", BASE["schedule.cycle"])
    return "clm" in cycle and cycle != {"clm": 1}


@pytest.mark.parametrize("setting", [name for name in SETTINGS if is_feedback_after_exposure(name)])
def test_a_ppo_setting_leaves_what_came_before_feedback_alone(
    setting: str, runs: Callable[[dict[str, Any]], Outcome]
) -> None:
    # Two clm steps, then the first four utterances.
    case = CASES[setting]
    base = runs(case.context)
    for value in case.values:
        changed = runs({**case.context, setting: value})
        if base.refusal:  # a kind without the model or the text that it needs
            continue
        assert changed.steps[:2] == base.steps[:2]
        # Of two utterances after a prompt instead of four, two are after the first prompt.
        alike = 2 if setting == "reinforce.group_size" else 4
        assert completions(changed)[:alike] == completions(base)[:alike]


@pytest.mark.parametrize(
    "settings",
    [
        {"save_steps": 2, "save_total_limit": 9},
        {"save_steps": 2, "save_total_limit": 1},
        {"logging_steps": 2},
        {"output_dir": "other"},
        {"text.cache": "cache"},
        {
            "evaluation.eval_steps": 1,
            "evaluation.utterances": 3,
            "evaluation.texts": {"it": ["<text>"]},
            "evaluation.pairs": {"pairs": "<pairs>"},
        },
    ],
    ids=lambda settings: "-".join(settings),
)
def test_saving_logging_and_evaluating_change_no_bit_of_the_baby_nor_of_its_metrics(
    settings: dict[str, Any], runs: Callable[[dict[str, Any]], Outcome]
) -> None:
    base, changed = runs({}), runs(settings)
    assert (changed.fingerprint, changed.said) == (base.fingerprint, base.said)
    assert changed.steps == base.steps


def test_computing_a_batch_in_parts_changes_the_weights_by_rounding_only(
    runs: Callable[[dict[str, Any]], Outcome],
) -> None:
    # A Llama, which has no dropout. Adam's epsilon is large so that rounding in a gradient of about 0 stays small.
    settings = {"baby.model": "<llama baby>", "clm.adam_epsilon": 1e-3, "ppo.adam_epsilon": 1e-3}
    whole, parts = runs(settings), runs({**settings, "gradient_accumulation_steps": 4})
    assert (whole.largest_forward, parts.largest_forward) == (4, 1)
    assert completions(parts) == completions(whole)
    for name, tensor in whole.weights.items():
        torch.testing.assert_close(parts.weights[name], tensor, msg=partial("{}: {}".format, name))


def test_a_shared_optimizer_takes_its_betas_from_clm_and_each_phases_learning_rate(
    runs: Callable[[dict[str, Any]], Outcome],
) -> None:
    shared = {"optimizers": "shared"}
    base = runs(shared).fingerprint
    betas_and_more = {"adam_beta1": 0.5, "adam_beta2": 0.9, "adam_epsilon": 1e-3, "weight_decay": 0.1}
    assert runs({**shared, **{f"ppo.{name}": value for name, value in betas_and_more.items()}}).fingerprint == base
    for name, value in betas_and_more.items():
        assert runs({**shared, f"clm.{name}": value}).fingerprint != base
    assert runs({**shared, "ppo.learning_rate": 2e-3}).fingerprint != base
