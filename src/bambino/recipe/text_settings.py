"""Settings of text: what L2 the baby hears, and what of its first language beside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bambino.recipe import curricula
from bambino.recipe.checks import AtLeastOne, AtLeastTwo, Count, NotNegative, Positive, Settings, Share
from bambino.recipe.curricula import NotNegativeOverTraining
from bambino.recipe.rules import languages


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
