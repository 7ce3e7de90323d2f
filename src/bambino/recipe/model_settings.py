"""Settings of models: baby and parent, the shape of a new one, an average of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bambino.errors import RecipeError
from bambino.recipe.checks import AtLeastOne, AtLeastTwo, Count, Settings


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
class AveragingConfig(Settings):
    """A running mean of the baby's weights, which forgets less and is less noisy than the weights themselves."""

    section: ClassVar[str] = "averaging"

    decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of itself that the mean keeps at every step, whatever its phase; it begins as the first baby. null: no
    mean."""
    use: Literal["averaged", "raw"] = "averaged"
    """With a decay, which weights are evaluated and go to model/. Training goes on from the raw ones in any case."""
