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
from bambino.recipe import curricula
from bambino.recipe.alarm_settings import AlarmsConfig
from bambino.recipe.checks import AtLeastOne, AtLeastTwo, Count, NotNegative, Positive, Settings, Share
from bambino.recipe.curricula import NotNegativeOverTraining, NumberOverTraining
from bambino.recipe.metrics import direction_of
from bambino.recipe.phase_settings import (
    CLMConfig,
    DistillConfig,
    PPOConfig,
    PreferConfig,
    RecastPhaseConfig,
    ReinforceConfig,
    RolloutCurriculum,
)
from bambino.recipe.rules import NONE, languages, rule_names


@dataclass(frozen=True)
class ModelConfig(Settings):
    """A causal language model in Hugging Face format."""

    model: str | None = None
    """A local folder or a hub name, anything AutoModelForCausalLM opens. Safetensors only."""
    revision: str | None = None
    """Branch, tag or commit on the hub; of a run directory, or of the model in one, a revision that it kept, such as
    chck_2M (`revisions`)."""
    trust_remote_code: bool = False
    """Run the Python that comes with the model (auto_map in its config.json), with all your rights; false: refuse it.
    """


@dataclass(frozen=True)
class BabyConfig(ModelConfig):
    """The baby: a causal LM pretrained on L1."""

    section: ClassVar[str] = "baby"

    random_weights: bool = False
    """true: random weights, by the run's seed, in place of the model's; its shape and its tokenizer stay. So what a
    first language is worth can be seen: a baby of the same kind that has none."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Probability of every dropout of the model, in cross-entropy terms (clm); PPO, utterances and scores are without.
    model/ keeps what its config said; null: the model's own."""
    words: Count | None = None
    """Words of the texts it was raised on before, for the ledger, counted as English ones; null: its folder says it
    (ledger.json), or the run directory that it lies in."""
    words_heard: Count | None = None
    """With baby.words: words it had heard of them, repetitions included; null: each once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        way_out = "needs the words of the texts themselves. Give baby.words too."
        self.require(self.words_heard is None or self.words is not None, "words_heard", way_out)


@dataclass(frozen=True)
class ParentConfig(ModelConfig):
    """The frozen parent: a causal LM of L2."""

    section: ClassVar[str] = "parent"

    must_know_l2: bool = True
    """Refuse to start when the baby already models the L2 text better than the parent (are they swapped?)."""
    words: Count | None = None
    """Words of the texts it was raised on, for the ledger, counted as English ones; null: its folder says it
    (ledger.json), or the run directory that it lies in."""


@dataclass(frozen=True)
class TextConfig(Settings):
    """The L2 text the baby hears (clm) and the lines its prompts are cut from (ppo)."""

    section: ClassVar[str] = "text"

    sources: list[str] = field(default_factory=list)
    """Files of L2 text (.txt: a text a line, .jsonl: an object a line, .csv, .tsv and .parquet: a row a text; also
    compressed, .gz, .bz2, .zst), folders of such files, or data sets of the Hugging Face hub (OWNER/NAME,
    OWNER/NAME:CONFIGURATION, OWNER/NAME:CONFIGURATION:SPLIT). Of a folder files of one kind are read, links are
    followed, names that begin with a dot passed over. What was read and left out goes to the console and data.json."""
    weights: list[NotNegativeOverTraining] | None = None
    """One number per source: how often each of its lines is heard per epoch (0.5: a different half each epoch); null:
    once. May change over training: [1, {0: 0, 0.5: 1}] brings the second source in during the first half; prompts are
    then cut from all sources by their mean weights."""
    prompt_sources: list[str] | None = None
    """Files or folders that prompts come from; null: text.sources."""
    single_stream: bool = False
    """true: prompts take their lines from the clm stream (the release). false: prompts have a stream of their own, so
    that every condition hears the same clm batches."""
    language: str | None = None
    """ISO 639-3 code of L2 (ita, nld, zho), by which the ledger turns bytes into English equivalents; null: not said.
    """
    jsonl_field: str = "text"
    """The field of a .jsonl object, or column of a table or data set, that holds the text."""
    order_by: str | None = None
    """A field or column with numbers, such as age-estimate of BabyBabelLM: lines are heard from the smallest to the
    largest, epoch by epoch; in a text the first number counts (3 of 3-5), lines without one come last; null: they are
    shuffled."""
    line_breaks: Literal["spaces", "ends"] = "spaces"
    """What a line break in a text of a .jsonl object, a table or a data set is. spaces: a space, so that a text is a
    line. ends: the end of a line, as suits whole documents."""
    streaming: bool = False
    """Read data sets of the hub as they come, without the copy that `datasets` keeps on disk; text.cache spares reading
    them again. Such a data set is known by its version, others by their content."""
    cache: str | None = None
    """A folder that keeps lines and tokens on disk, mapped into memory, for text that is larger than memory or slow to
    tokenize; later runs of the same text, tokenizer and settings find them there. null: all is in memory, made at each
    start."""
    normalization: Literal["NFC"] | None = "NFC"
    """The Unicode form that lines are brought to, also those of replay and of evaluation: an accented letter is one
    character (macOS writes two). Tests are always read so. null: lines stay as they are written."""
    mode: Literal["lines", "packed"] = "lines"
    """lines: a line a row. packed: rows of exactly max_length tokens, several lines a row, no pads; attention does not
    cross lines."""
    max_length: AtLeastTwo = 128
    """Longest row, in baby tokens. In `lines` mode longer lines are cut and counted."""
    min_chars: Count = 26
    """Shorter lines are dropped and counted (the release keeps lines of more than 25 characters)."""
    append_eos: bool = True
    """Append EOS to lines that were not truncated; without it a baby never learns to stop."""
    prepend_bos: bool = True
    """Begin every row and prompt with BOS (EOS where the tokenizer has no BOS), also where the tokenizer does not."""
    heldout_every: AtLeastTwo | None = 200
    """Hold out of training the lines whose sha256 is 0 modulo this number; evaluation uses exactly these; null:
    none."""
    max_lines: AtLeastOne | None = None
    """Keep this many lines, chosen once by the seed (the release: 32 x 18 000); null: all."""
    max_words: AtLeastOne | None = None
    """Keep lines until they hold this many whitespace-separated words, chosen once by the seed; null: all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_language(self, self.language)
        if self.weights is not None:
            numbers = f"has {len(self.weights)} numbers for {len(self.sources)} sources. Give one per source."
            self.require(len(self.weights) == len(self.sources), "weights", numbers)
            self._check_mixture()
        here = "is empty, and would stand for the folder that you are in. Give a path, or null."
        self.require(self.cache is None or bool(self.cache.strip()), "cache", here)

    @property
    def mixture_changes(self) -> bool:
        """Whether some source's weight is another later on."""
        return any(isinstance(weight, dict) for weight in self.weights or [])

    def _check_mixture(self) -> None:
        weights = self.weights or []
        knots = {0.0}.union(*(weight for weight in weights if isinstance(weight, dict)))
        silent = [knot for knot in sorted(knots) if not any(curricula.at(weight, knot) for weight in weights)]
        there = f"leave no source where {silent[0]} of the run is done. Raise one there." if silent else ""
        self.require(not silent, "weights", there)
        way_out = "change over training, so text.order_by has no epoch to sort. Leave one of the two out."
        self.require(not self.mixture_changes or self.order_by is None, "weights", way_out)


@dataclass(frozen=True)
class ReplayConfig(Settings):
    """L1 text that the baby hears beside L2, so that it keeps its first language."""

    section: ClassVar[str] = "replay"

    sources: list[str] = field(default_factory=list)
    """Files or folders of L1 text, as in text.sources; held-out lines stay out of it."""
    share: NotNegative = 0.0
    """L1 lines beside each L2 line of a clm step: 0.25 adds 8 lines to 32. 0: no replay."""
    language: str | None = None
    """ISO 639-3 code of L1, as text.language; dreams are of it too. null: not said."""
    last_share: NotNegative | None = None
    """The share at the last clm step, reached linearly; null: it stays as it is."""
    first_baby: Share = 0.0
    """How much of what the baby learns from these lines is what the first baby expects of them, by forward KL, in place
    of their own tokens. 0: the tokens alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_language(self, self.language)


def _check_language(section: Settings, language: str | None) -> None:
    """Its byte premium is known."""
    way_out = f"has no byte premium here. Use one of {', '.join(languages())}, or leave it out."
    section.require(language is None or language in languages(), "language", way_out)


@dataclass(frozen=True)
class DreamingConfig(Settings):
    """The first baby's own texts, heard beside L2, so that it keeps its first language without a text of it."""

    section: ClassVar[str] = "dreaming"

    share: NotNegative = 0.0
    """Dreams beside each L2 line of a clm step, as replay.share: 0.25 adds 8 to 32. 0: no dreaming."""
    last_share: NotNegative | None = None
    """The share at the last clm step, reached linearly; null: it stays as it is."""
    first_baby: Share = 0.0
    """How much of what the baby learns from dreams is what the first baby expects of them, as replay.first_baby."""
    texts: AtLeastOne = 1000
    """Dreams that the first baby samples after BOS, once, before the first step; they are heard again and again."""
    max_new_tokens: AtLeastOne = 64
    """Longest dream, in baby tokens."""
    temperature: Positive = 1.0
    """Sampling temperature of dreams."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Sample dreams among the fewest tokens that hold this probability; null: among all."""

    @property
    def is_on(self) -> bool:
        return self.share > 0 or bool(self.last_share)


SIZES = {"1m": (128, 4, 4), "5m": (256, 6, 4), "14m": (384, 8, 6), "125m": (768, 12, 12)}
"""Name -> hidden size, layers, heads; named after the parameters they make (embeddings left out, but for 125m)."""


@dataclass(frozen=True)
class ShapeConfig(Settings):
    """The shape of a model that `bambino pretrain` raises from scratch; `bambino train` does not read it."""

    section: ClassVar[str] = "shape"

    architecture: Literal["opt", "gpt2", "llama", "qwen2", "gpt_neox"] = "gpt2"
    """The family of the model."""
    size: Literal["1m", "5m", "14m", "125m"] = "5m"
    """Hidden size, layers and heads by name: 1m (128, 4, 4), 5m (256, 6, 4), 14m (384, 8, 6), 125m (768, 12, 12)."""
    hidden_size: AtLeastOne | None = None
    """Width of the model's hidden states; null: as `size` says."""
    num_layers: AtLeastOne | None = None
    """Number of transformer layers; null: as `size` says."""
    num_heads: AtLeastOne | None = None
    """Attention heads per layer; they divide the hidden size; null: as `size` says."""
    context: AtLeastTwo = 256
    """Longest row the model can read, in tokens."""
    vocab_size: Annotated[int, Field(ge=258)] = 8192
    """Tokens of the tokenizer that is trained on the text, special ones included."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            way_out = f"does not divide the hidden size {self.width}."
            raise RecipeError("shape.num_heads", f"shape.num_heads = {self.heads} {way_out}")

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


@dataclass(frozen=True)
class AveragingConfig(Settings):
    """A running mean of the baby's weights, which forgets less and is less noisy than the weights themselves."""

    section: ClassVar[str] = "averaging"

    decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of itself that the mean keeps at every step, whatever its phase; it begins as the first baby. null: no
    mean."""
    use: Literal["averaged", "raw"] = "averaged"
    """With a decay, which weights are evaluated and go to model/. Training goes on from the raw ones in any case."""


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
    """true: what the baby's layers computed is computed again for the gradient, not kept: less memory, a third more
    time, the same numbers."""
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
