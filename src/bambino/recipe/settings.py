"""The typed recipe: every setting of a run, its default, its unit and what it may be.

A recipe is a YAML file whose keys are the fields below (`file.py` reads it); defaults are the paper's. A wrong
value is refused here, before anything is loaded, with a `RecipeError` that names the key, the value and the way out.

`None` means off, everywhere.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from bambino.recipe.checks import _above_zero, _at_least, _require


@dataclass(frozen=True)
class ModelConfig:
    """A causal language model in Hugging Face format."""

    model: str | None = None
    """A local folder or a hub name, anything AutoModelForCausalLM opens. Safetensors only."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""


@dataclass(frozen=True)
class ParentConfig(ModelConfig):
    """The frozen parent: a causal LM of L2."""

    must_know_l2: bool = True
    """Refuse to start when the baby already models the L2 text better than the parent (are they swapped?)."""


@dataclass(frozen=True)
class TextConfig:
    """The L2 text the baby hears (clm) and the lines its prompts are cut from (ppo)."""

    sources: list[str] = field(default_factory=list)
    """Files (.txt: a text a line, .jsonl: an object a line) or folders of such files."""
    weights: list[float] | None = None
    """One number per source: how often each of its lines is heard per epoch (0.5: a different half each epoch)."""
    prompt_sources: list[str] | None = None
    """Where prompts come from, if not from `sources`."""
    single_stream: bool = False
    """True: prompts take their lines from the clm stream (the release). False: prompts have a stream of their own, so
    that every condition hears the same clm batches."""
    jsonl_field: str = "text"
    """The field of a .jsonl object that holds the text."""
    mode: Literal["lines", "packed"] = "lines"
    """lines: a line a row. packed: rows of exactly max_length tokens, several lines a row, no pads; attention does not
    cross lines."""
    max_length: int = 128
    """Longest row, in baby tokens. In `lines` mode longer lines are cut and counted."""
    min_chars: int = 26
    """Shorter lines are dropped and counted (the release keeps lines of more than 25 characters)."""
    append_eos: bool = True
    """Append EOS to lines that were not truncated; without it a baby never learns to stop."""
    prepend_bos: bool = True
    """Begin every row and prompt with BOS (EOS where the tokenizer has no BOS), also where the tokenizer does not."""
    heldout_every: int | None = 200
    """Hold out of training the lines whose sha256 is 0 modulo this number; evaluation uses exactly these."""
    max_lines: int | None = None
    """Keep this many lines, chosen once by the seed (the release: 32 x 18 000)."""
    max_words: int | None = None
    """Keep lines until they hold this many whitespace-separated words, chosen once by the seed."""

    def __post_init__(self) -> None:
        _at_least(2, text__max_length=self.max_length, text__heldout_every=self.heldout_every)
        _at_least(0, text__min_chars=self.min_chars)
        _at_least(1, text__max_lines=self.max_lines, text__max_words=self.max_words)
        if self.weights is not None:
            _require(
                len(self.weights) == len(self.sources),
                "text.weights",
                self.weights,
                f"has {len(self.weights)} numbers for {len(self.sources)} sources. Give one per source.",
            )
            _require(min(self.weights, default=1) > 0, "text.weights", self.weights, "must all be above 0.")


SIZES = {"1m": (128, 4, 4), "5m": (256, 6, 4), "14m": (384, 8, 6), "125m": (768, 12, 12)}
"""Name -> hidden size, layers, heads; named after the parameters they make (embeddings left out, but for 125m)."""


@dataclass(frozen=True)
class ShapeConfig:
    """The shape of a model that `bambino pretrain` raises from scratch; `bambino train` does not read it."""

    architecture: Literal["opt", "gpt2", "llama", "qwen2", "gpt_neox"] = "gpt2"
    """The family of the model."""
    size: Literal["1m", "5m", "14m", "125m"] = "5m"
    """Hidden size, layers and heads by name."""
    hidden_size: int | None = None
    """In place of the size's."""
    num_layers: int | None = None
    """In place of the size's."""
    num_heads: int | None = None
    """In place of the size's."""
    context: int = 256
    """Longest row the model can read, in tokens."""
    vocab_size: int = 8192
    """Tokens of the tokenizer that is trained on the text, special ones included."""

    def __post_init__(self) -> None:
        _at_least(1, shape__hidden_size=self.hidden_size, shape__num_layers=self.num_layers)
        _at_least(1, shape__num_heads=self.num_heads)
        _at_least(2, shape__context=self.context)
        _at_least(258, shape__vocab_size=self.vocab_size)
        width, heads = self.width, self.heads
        _require(width % heads == 0, "shape.num_heads", heads, f"does not divide the hidden size {width}.")

    @property
    def width(self) -> int:
        return self.hidden_size or SIZES[self.size][0]

    @property
    def layers(self) -> int:
        return self.num_layers or SIZES[self.size][1]

    @property
    def heads(self) -> int:
        return self.num_heads or SIZES[self.size][2]


@dataclass(frozen=True)
class ScheduleConfig:
    """Which phase each step belongs to."""

    cycle: dict[str, int] = field(default_factory=lambda: {"clm": 10, "ppo": 2})
    """Steps of each phase in a cycle, in order: {clm: 10, ppo: 2} again and again; {clm: 1} is exposure alone."""
    blocked: bool = False
    """The same numbers of steps, but all of the first phase first, then all of the next."""
    warmup: dict[str, int] = field(default_factory=dict)
    """Steps of phases before the first cycle, such as {clm: 300}."""

    def __post_init__(self) -> None:
        _require(
            bool(self.cycle), "schedule.cycle", self.cycle, "names no phase. Give steps, such as {clm: 10, ppo: 2}."
        )
        for phase, steps in self.cycle.items():
            _at_least(1, **{f"schedule__cycle__{phase}": steps})
        for phase, steps in self.warmup.items():
            _at_least(0, **{f"schedule__warmup__{phase}": steps})

    @property
    def phases(self) -> list[str]:
        """Names of all phases that have steps, in order."""
        return list(dict.fromkeys([*self.warmup, *self.cycle]))


@dataclass(frozen=True)
class PhaseConfig:
    """How one phase updates the weights."""

    learning_rate: float = 1.41e-5
    """Peak learning rate of this phase."""
    lr_scheduler_type: Literal["constant", "linear", "cosine"] = "constant"
    """From the peak, after warm-up: stay, or fall to zero over this phase's updates."""
    warmup_updates: int = 0
    """Updates over which the learning rate rises linearly to its peak."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW)."""
    adam_beta1: float = 0.9
    """Decay of Adam's mean of gradients."""
    adam_beta2: float = 0.999
    """Decay of Adam's mean of squared gradients."""
    adam_epsilon: float = 1e-8
    """Adam's epsilon."""
    max_grad_norm: float | None = None
    """Clip the gradient to this L2 norm."""

    def _check(self, section: str) -> None:
        for name in ("learning_rate", "adam_epsilon", "max_grad_norm"):
            _above_zero(**{f"{section}__{name}": getattr(self, name)})
        for name in ("warmup_updates", "weight_decay"):
            _at_least(0, **{f"{section}__{name}": getattr(self, name)})
        for name in ("adam_beta1", "adam_beta2"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"{section}.{name}", value, "must be at least 0 and below 1.")


@dataclass(frozen=True)
class CLMConfig(PhaseConfig):
    """Exposure: next-token prediction on L2 text."""

    def __post_init__(self) -> None:
        self._check("clm")


@dataclass(frozen=True)
class RolloutConfig:
    """What the baby is asked and how it answers."""

    prompt_tokens: int = 8
    """First tokens of an L2 line, a BOS included."""
    max_new_tokens: int = 16
    """Longest utterance, in baby tokens."""
    temperature: float = 1.0
    """Sampling temperature; the policy that PPO improves is the tempered one."""
    top_k: int | None = None
    """Sample among the k likeliest tokens. Log-probs are then those of the truncated distribution."""
    top_p: float | None = None
    """Sample from the smallest set of tokens that holds this probability. Log-probs likewise."""

    def __post_init__(self) -> None:
        _at_least(1, rollout__prompt_tokens=self.prompt_tokens, rollout__max_new_tokens=self.max_new_tokens)
        _at_least(1, rollout__top_k=self.top_k)
        _above_zero(rollout__temperature=self.temperature, rollout__top_p=self.top_p)
        _require(self.top_p is None or self.top_p <= 1, "rollout.top_p", self.top_p, "is a probability. Use at most 1.")

    @property
    def is_truncated(self) -> bool:
        return self.top_k is not None or self.top_p is not None


@dataclass(frozen=True)
class PPOConfig(PhaseConfig):
    """Feedback: proximal policy optimization on what the baby said."""

    epochs: int = 4
    """Passes over the batch of utterances."""
    minibatch_size: int | None = None
    """Utterances per update; None: the whole batch."""
    gamma: float = 1.0
    """Discount per token."""
    lam: float = 0.95
    """GAE's lambda."""
    cliprange: float = 0.2
    """Policy ratios are clipped to 1 +- this."""
    cliprange_value: float = 0.2
    """Values are clipped to the old value +- this."""
    vf_coef: float = 0.1
    """Weight of the value loss."""
    entropy_coef: float = 0.0
    """Weight of the entropy bonus."""
    kl_coef: float = 0.2
    """Weight of the per-token penalty log pi - log pi_ref (the first weight, when adaptive)."""
    adaptive_kl: bool = True
    """Move kl_coef so that the KL approaches kl_target."""
    kl_target: float = 6.0
    """Nats per utterance."""
    kl_horizon: float = 10_000.0
    """Utterances over which adaptation acts."""
    ratio_threshold: float = 10.0
    """Skip an update whose mean ratio exceeds this."""
    reference: Literal["initial", "phase_start", "ema", "none"] = "initial"
    """What the KL is measured against: the first baby (paper), the baby at the start of each ppo phase, a running mean
    of the baby, or nothing."""
    reference_decay: float = 0.99
    """The ema reference keeps this share of itself at every step."""

    def __post_init__(self) -> None:
        self._check("ppo")
        _above_zero(
            ppo__kl_target=self.kl_target,
            ppo__kl_horizon=self.kl_horizon,
            ppo__cliprange=self.cliprange,
            ppo__cliprange_value=self.cliprange_value,
        )
        _require(
            self.ratio_threshold > 1, "ppo.ratio_threshold", self.ratio_threshold, "must be above 1, a first update's."
        )
        _at_least(1, ppo__epochs=self.epochs, ppo__minibatch_size=self.minibatch_size)
        _at_least(0, ppo__kl_coef=self.kl_coef, ppo__vf_coef=self.vf_coef, ppo__entropy_coef=self.entropy_coef)
        for name, value in (("gamma", self.gamma), ("lam", self.lam), ("reference_decay", self.reference_decay)):
            _require(0 <= value <= 1, f"ppo.{name}", value, "must lie between 0 and 1.")


@dataclass(frozen=True)
class FeedbackConfig(ABC):
    """What every kind of feedback has. A kind's own settings derive from it, beside its function (`feedback/`)."""

    for_: str = "ppo"
    """The phase that learns from it (`for` in a recipe)."""
    weight: float = 1.0
    """What it is multiplied by before all kinds for a phase are added."""

    needs_parent: ClassVar[bool] = False

    @abstractmethod
    def make(self, parent: Any) -> Any:
        """The feedback itself, a function by TRL's signature (`feedback/rewards.py`).

        Args:
            parent: the parent, a `Speaker`, or None where the run has none.
        """


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured during training: at step 0, at every interval, at the end."""

    eval_steps: int | None = None
    """Steps between evaluations; None: only where asked for by .evaluate()."""
    texts: dict[str, list[str]] = field(default_factory=dict)
    """Bits per byte: a name (en, it) for each list of files or folders. Only held-out lines are scored."""
    split: Literal["all", "dev", "test"] = "all"
    """Which held-out lines: all, or one half of them by a second hash. Tune on dev, report on test."""
    max_lines: int = 200
    """At most so many lines of each text, the same ones every time."""
    pairs: dict[str, str] = field(default_factory=dict)
    """Minimal pairs: a name for each file (.jsonl with sentence_good and sentence_bad, .tsv) or data set of the Hugging
    Face hub with its configuration, like jumelet/multiblimp:ita."""
    max_pairs: int = 1000
    """At most so many pairs of each file, spread evenly over it."""
    tasks: list[str] = field(default_factory=list)
    """Zero-shot classification tasks, by the names that `bambino evaluate` uses (sentipolc, itacola, ...)."""
    data: str | None = None
    """The folder that holds the tasks' files; null: they come from the Hugging Face hub."""
    max_items: int = 200
    """At most so many items of each task, spread evenly over it."""
    utterances: int = 64
    """Fresh utterances, from held-out prompts, whose parent perplexity and repetition are measured; 0: none."""
    scope: Literal["whole", "utterance"] = "whole"
    """Parent perplexity of utterances: of prompt and utterance, or of the utterance alone, given the prompt."""
    until: Literal["cut", "last_word"] = "cut"
    """Parent perplexity of utterances: to the end of the text, or without a last word that the token limit cut."""

    def __post_init__(self) -> None:
        _at_least(1, evaluation__eval_steps=self.eval_steps)
        _at_least(1, evaluation__max_lines=self.max_lines, evaluation__max_pairs=self.max_pairs)
        _at_least(1, evaluation__max_items=self.max_items)
        _at_least(0, evaluation__utterances=self.utterances)


@dataclass(frozen=True)
class Recipe:
    """All settings of a run."""

    output_dir: str = "runs/bambino"
    """The run directory."""
    seed: int = 347
    """Seeds data order, sampling and dropout; each a stream of its own."""
    max_steps: int = 180_000
    """Steps of Algorithm 1; a step consumes one batch."""
    batch_size: int = 32
    """Lines (or packed rows) per step."""
    gradient_accumulation_steps: int = 1
    """Parts in which an update's batch is computed; saves memory, changes only rounding and what dropout draws."""
    mixed_precision: Literal["no", "bf16"] = "no"
    """bf16: forward passes under autocast; weights and optimizers stay fp32."""
    optimizers: Literal["separate", "shared"] = "separate"
    """separate: clm and ppo each have an Adam of their own over the same weights (release). shared: one Adam, with
    clm's betas, epsilon and weight decay."""
    save_steps: int = 500
    """Steps between checkpoints."""
    save_total_limit: int = 2
    """Checkpoints kept."""
    logging_steps: int = 10
    """Steps between lines on a console that is not a terminal. metrics.jsonl has every step."""
    baby: ModelConfig = field(default_factory=ModelConfig)
    """The baby: a causal LM pretrained on L1."""
    parent: ParentConfig = field(default_factory=ParentConfig)
    """The parent: a frozen causal LM of L2."""
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    """What `bambino pretrain` raises."""
    text: TextConfig = field(default_factory=TextConfig)
    """The L2 text."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """The alternation."""
    clm: CLMConfig = field(default_factory=CLMConfig)
    """The clm phase."""
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    """Prompts and utterances."""
    ppo: PPOConfig = field(default_factory=PPOConfig)
    """The ppo phase."""
    feedback: dict[str, FeedbackConfig] = field(default_factory=dict)
    """Kinds of feedback by name, each with its settings; empty: the parent's perplexity, for ppo."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """Evaluation inside training."""

    def __post_init__(self) -> None:
        _at_least(0, max_steps=self.max_steps, seed=self.seed)
        _at_least(1, batch_size=self.batch_size, gradient_accumulation_steps=self.gradient_accumulation_steps)
        _at_least(1, save_steps=self.save_steps, save_total_limit=self.save_total_limit)
        _at_least(1, logging_steps=self.logging_steps)
        self._require_divisor("ppo.minibatch_size", self.minibatch_size, "batch_size", self.batch_size)
        self._require_divisor(
            "gradient_accumulation_steps", self.gradient_accumulation_steps, "batch_size", self.batch_size
        )
        if self.uses_ppo:
            self._require_divisor(
                "gradient_accumulation_steps",
                self.gradient_accumulation_steps,
                "ppo.minibatch_size",
                self.minibatch_size,
            )

    @property
    def minibatch_size(self) -> int:
        """Utterances per ppo update."""
        return self.ppo.minibatch_size or self.batch_size

    @property
    def uses_ppo(self) -> bool:
        return "ppo" in self.schedule.phases

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def _require_divisor(key: str, value: int, of_key: str, of: int) -> None:
        divisors = ", ".join(str(d) for d in range(1, of + 1) if of % d == 0)
        _require(of % value == 0, key, value, f"does not divide {of_key} = {of}. Use one of {divisors}.")
