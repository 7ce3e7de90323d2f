"""The typed recipe: every setting of a run, its default, its unit and what it may be.

A recipe is a YAML file whose keys are the fields below (`file.py` reads it); defaults are the paper's. A wrong
value is refused here, before anything is loaded, with a `RecipeError` that names the key, the value and the way out.

None (`null` in a recipe and on the command line) means off, everywhere.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from bambino.errors import RecipeError
from bambino.recipe.alarm_settings import AlarmsConfig
from bambino.recipe.checks import AtLeastOne, Count, Settings
from bambino.recipe.curricula import NumberOverTraining
from bambino.recipe.metrics import direction_of
from bambino.recipe.model_settings import AveragingConfig, BabyConfig, ParentConfig, ShapeConfig
from bambino.recipe.phase_settings import (
    CLMConfig,
    DistillConfig,
    PPOConfig,
    PreferConfig,
    RecastPhaseConfig,
    ReinforceConfig,
    RolloutCurriculum,
)
from bambino.recipe.rules import NONE, rule_names
from bambino.recipe.text_settings import DreamingConfig, ReplayConfig, TextConfig


@dataclass(frozen=True)
class ScheduleConfig(Settings):
    """Which phase each step belongs to."""

    section: ClassVar[str] = "schedule"

    cycle: dict[str, AtLeastOne] = field(default_factory=lambda: {"clm": 10, "ppo": 2})
    """Steps of each phase in a cycle, in order: {clm: 10, ppo: 2} again and again; {clm: 1} is exposure alone."""
    blocked: bool = False
    """true: each phase has as many steps as the cycles would give it, but all of the first phase come first, then all
    of the next."""
    warmup: dict[str, Count] = field(default_factory=dict)
    """Steps of phases before the first cycle, such as {clm: 300}."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(bool(self.cycle), "cycle", "names no phase. Give steps, such as {clm: 10, ppo: 2}.")

    @property
    def phases(self) -> list[str]:
        """Names of all phases that have steps, in order."""
        return list(dict.fromkeys([*(name for name, steps in self.warmup.items() if steps), *self.cycle]))


BabyLMRule = Literal["allowed", "parent_words_count", "text_counts", "not stated"]
"""Whether BabyLM's rules (arXiv 2502.10645) let a kind of feedback into a budget of words. allowed: numbers may come
from outside, and nothing of them counts. parent_words_count: what comes back shows the parent's distributions, so all
words that the parent was raised on count. text_counts: allowed, and the words written for the baby count."""


@dataclass(frozen=True)
class FeedbackConfig(Settings):
    """What every kind of feedback has. A kind's own settings derive from it, beside its function (`feedback/`)."""

    for_: str = "ppo"
    """The phase that learns from this kind of feedback; the key is `for` in a recipe."""
    weight: NumberOverTraining = 1.0
    """What this kind's rewards are multiplied by before those of all kinds are added up. May change over training:
    {0.2: 0, 0.4: 1} is 0 until a fifth of the run, then rises to 1."""

    needs_parent: ClassVar[bool] = False
    babylm: ClassVar[BabyLMRule] = "not stated"

    @abstractmethod
    def make(self, parent: Any) -> Any:
        """The feedback itself, a function by TRL's signature (`feedback/rewards.py`).

        Args:
            parent: the parent, a `Speaker`, or None where the run has none.
        """


@dataclass(frozen=True)
class EvaluationConfig(Settings):
    """What is measured during training: at step 0, at every interval, at the end."""

    section: ClassVar[str] = "evaluation"

    eval_steps: AtLeastOne | None = None
    """Steps between evaluations, the first before step 1; null: none but those that trainer.evaluate() asks for."""
    texts: dict[str, list[str]] = field(default_factory=dict)
    """Bits per byte: a name (en, it) for each list of files or folders. Only held-out lines are scored."""
    split: Literal["all", "dev", "test"] = "all"
    """Which held-out lines: all, or one half of them by a second hash. Tune on dev, report on test."""
    max_lines: AtLeastOne = 200
    """At most so many lines of each text, the same ones every time."""
    pairs: dict[str, str] = field(default_factory=dict)
    """Minimal pairs: a name for each file (.jsonl with sentence_good and sentence_bad, .tsv) or data set of the Hugging
    Face hub with its configuration, like jumelet/multiblimp:ita."""
    max_pairs: AtLeastOne = 1000
    """At most so many pairs of each file, spread evenly over it."""
    tasks: list[str] = field(default_factory=list)
    """Zero-shot classification tasks, by the names that `bambino evaluate` uses (sentipolc, itacola, ...)."""
    data: str | None = None
    """The folder that holds the tasks' files; null: they come from the Hugging Face hub."""
    max_items: AtLeastOne = 200
    """At most so many items of each task, spread evenly over it."""
    utterances: Count = 64
    """Fresh utterances, from held-out prompts, whose parent perplexity and repetition are measured; 0: none."""
    scope: Literal["whole", "utterance"] = "whole"
    """Parent perplexity of utterances: of prompt and utterance, or of the utterance alone, given the prompt."""
    until: Literal["cut", "last_word"] = "cut"
    """Parent perplexity of utterances: to the end of the text, or without a last word that the token limit cut."""


@dataclass(frozen=True)
class EarlyStoppingConfig(Settings):
    """Which evaluation counts: the last, or the best on text of its own, the dev half of the held-out lines."""

    section: ClassVar[str] = "early_stopping"

    metric: str | None = None
    """What evaluations are compared by, as in their rows without eval/: bits_per_byte/it (always of the dev half, also
    where evaluation.split is another), pairs/NAME, tasks/NAME. Lower is better for bits_per_byte and
    speech/log_perplexity, higher for pairs and tasks; null: the last evaluation counts."""
    patience: AtLeastOne | None = None
    """Stop after so many evaluations in a row that are not better than the best before; null: do not stop."""
    keep_best: bool = True
    """At the end take the baby's weights back to those of the best evaluation: `model/` holds them; false: the last."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric is not None:
            known = "Use bits_per_byte/NAME, pairs/NAME, tasks/NAME or speech/log_perplexity/baby."
            self.require(direction_of(self.metric) is not None, "metric", f"has no better direction. {known}")
        way_out = "has nothing to wait for. Give early_stopping.metric, such as bits_per_byte/it."
        self.require(self.patience is None or self.metric is not None, "patience", way_out)


@dataclass(frozen=True)
class Recipe(Settings):
    """All settings of a run."""

    output_dir: str = "runs/bambino"
    """The run directory."""
    seed: Count = 347
    """Seeds data order, sampling and dropout; each a stream of its own."""
    max_steps: Count = 180_000
    """Steps of Algorithm 1; a step consumes one batch."""
    passes: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """How often the baby hears its text; where given it counts, and max_steps does not. The run has
    ceil(lines * passes / batch_size) clm steps, and the other phases' steps that the cycle puts between and after them;
    where the cycle has no clm, so many steps in all, of the lines that prompts are cut from. null: max_steps counts."""
    batch_size: AtLeastOne = 32
    """Lines (or packed rows) per step."""
    gradient_accumulation_steps: AtLeastOne = 1
    """Parts in which an update's batch is computed; saves memory, changes only rounding and what dropout draws."""
    mixed_precision: Literal["no", "bf16"] = "no"
    """bf16: forward passes under autocast; weights and optimizers stay fp32."""
    gradient_checkpointing: bool = False
    """true: what the baby's layers computed is computed again for the gradient, not kept: less memory, more time,
    the same numbers."""
    torch_compile: bool = False
    """true: the baby's layers learn by kernels that torch.compile makes of them, which takes a compiler, and minutes at
    the start; it changes rounding and what dropout draws."""
    cuda_graphs: bool = False
    """true: on a GPU the baby's layers learn, and baby and parent speak, by CUDA graphs, one for each shape of batch
    (padded to few), compared with the plain way first; takes the memory of one more gradient. Not yet run on a GPU."""
    optimizers: Literal["separate", "shared"] = "separate"
    """separate: clm and ppo each have an Adam of their own over the same weights (release). shared: one Adam, with
    clm's betas, epsilon and weight decay."""
    save_steps: AtLeastOne = 500
    """Steps between checkpoints."""
    save_total_limit: AtLeastOne = 2
    """Newest checkpoints kept."""
    keep_every: AtLeastOne | None = None
    """Keep the checkpoints whose step is a multiple of this as well; itself a multiple of save_steps; null: none."""
    revisions: AtLeastOne | None = None
    """Keep the baby as it was when it had heard so many words in its whole life, and 2 to 10, 20 to 100, 200 to 1000
    times as many, in the run's folder `revisions`; null: none, but under rules 1 000 000."""
    rules: str = NONE
    """Rules of a competition that the run keeps: none, babylm-2026-strict-small, babylm-2026-strict,
    babylm-2026-multilingual. What they forbid is refused, and the run ends before a budget is passed."""
    logging_steps: AtLeastOne = 10
    """Steps between lines on a console that is not a terminal. metrics.jsonl has every step."""
    baby: BabyConfig = field(default_factory=BabyConfig)
    """The baby: a causal LM pretrained on L1."""
    parent: ParentConfig = field(default_factory=ParentConfig)
    """The parent: a frozen causal LM of L2."""
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    """The model that `bambino pretrain` raises from scratch; `bambino train` does not read it."""
    text: TextConfig = field(default_factory=TextConfig)
    """The L2 text that the baby hears (clm) and that its prompts are cut from (ppo)."""
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    """L1 text beside it."""
    dreaming: DreamingConfig = field(default_factory=DreamingConfig)
    """The first baby's own texts beside it."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Which phase each step belongs to."""
    clm: CLMConfig = field(default_factory=CLMConfig)
    """Exposure: next-token prediction on L2 text."""
    averaging: AveragingConfig = field(default_factory=AveragingConfig)
    """A running mean of the baby's weights."""
    rollout: RolloutCurriculum = field(default_factory=RolloutCurriculum)
    """What the baby is asked and how it answers: prompts and utterances."""
    ppo: PPOConfig = field(default_factory=PPOConfig)
    """Learning from feedback: proximal policy optimization on what the baby said."""
    reinforce: ReinforceConfig = field(default_factory=ReinforceConfig)
    """Learning from feedback without a critic: REINFORCE on groups of utterances (RLOO, GRPO), or on spans."""
    recast: RecastPhaseConfig = field(default_factory=RecastPhaseConfig)
    """Exposure to recasts: next-token prediction on what should have been said after a prompt."""
    distill: DistillConfig = field(default_factory=DistillConfig)
    """Learning from the parent's distributions over what the baby says, token by token."""
    prefer: PreferConfig = field(default_factory=PreferConfig)
    """Learning from preferences: a better and a worse text after a prompt."""
    feedback: dict[str, FeedbackConfig] = field(default_factory=dict)
    """What comes back for what the baby said: kinds by name, each with its settings. Where none is named it is
    parent_perplexity, for ppo; where some are named, it is those."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """What is measured during training: at step 0, at every interval, at the end."""
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    """Which evaluation counts: the last, or the best; and when the run is over before its last step."""
    alarms: AlarmsConfig = field(default_factory=AlarmsConfig)
    """What is told when the run goes wrong, and what stops it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_early_stopping()
        self.require(self.rules in rule_names(), "rules", f"is none. Use one of {', '.join(rule_names())}.")
        passes = "change over training, so there is no pass over the text. Give max_steps in place of passes."
        self.text.require(self.passes is None or not self.text.mixture_changes, "weights", passes)
        uncounted = f"change over training, and rules = {self.rules} counts passes over a text. Use constant weights."
        self.text.require(self.rules == NONE or not self.text.mixture_changes, "weights", uncounted)
        every, saves = self.keep_every, self.save_steps
        way_out = f"is no multiple of save_steps = {saves}, so no checkpoint would be made then."
        self.require(every is None or every % saves == 0, "keep_every", way_out)
        eager = not (self.gradient_checkpointing or self.torch_compile)
        way_out = "captures layers as they are. Leave out gradient_checkpointing and torch_compile."
        self.require(eager or not self.cuda_graphs, "cuda_graphs", way_out)
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
        if "reinforce" in self.schedule.phases:
            group = self.reinforce.group_size
            self._require_divisor("reinforce.group_size", group, "batch_size", self.batch_size)

    @property
    def minibatch_size(self) -> int:
        """Utterances per ppo update."""
        return self.ppo.minibatch_size or self.batch_size

    @property
    def uses_ppo(self) -> bool:
        return "ppo" in self.schedule.phases

    @property
    def stopping_metric(self) -> str | None:
        """What early stopping goes by: of bits per byte, those of the dev half of the held-out lines."""
        metric = self.early_stopping.metric
        is_of_text = metric is not None and metric.startswith("bits_per_byte/")
        return f"{metric}/dev" if is_of_text and self.evaluation.split != "dev" else metric

    def _check_early_stopping(self) -> None:
        """What early stopping goes by is measured."""
        if self.early_stopping.metric is None:
            return
        group, _, name = self.early_stopping.metric.partition("/")
        measured = {"bits_per_byte": "texts", "pairs": "pairs", "tasks": "tasks"}
        if self.evaluation.eval_steps is None:
            way_out = "needs evaluations. Give evaluation.eval_steps."
            self.early_stopping.require(False, "metric", way_out)
        if group in measured:
            names = getattr(self.evaluation, measured[group])
            there = f"is not measured: evaluation.{measured[group]} names {', '.join(names) or 'none'}."
            self.early_stopping.require(name in names, "metric", there)

    @staticmethod
    def _require_divisor(key: str, value: int, of_key: str, of: int) -> None:
        if of % value:
            divisors = ", ".join(str(d) for d in range(1, min(of, 1000) + 1) if of % d == 0)
            raise RecipeError(key, f"{key} = {value} does not divide {of_key} = {of}. Use one of {divisors}.")
