"""How phases act: what the baby is asked, and how each phase updates its weights; sections of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bambino.recipe.checks import AtLeastOne, Count, Decay, NotNegative, Positive, Settings, Share
from bambino.recipe.curricula import AtLeastOneOverTraining, at, largest


@dataclass(frozen=True)
class RolloutCurriculum(Settings):
    """What the baby is asked and how it answers, over training."""

    section: ClassVar[str] = "rollout"

    prompt_tokens: AtLeastOneOverTraining = 8
    """Length of a prompt: the first tokens of an L2 line, a BOS included. May change over training: {0: 12, 0.5: 4}."""
    max_new_tokens: AtLeastOneOverTraining = 16
    """Longest utterance, in baby tokens. May change over training: {0: 4, 0.5: 16} is 4 at first, 16 from half on."""
    temperature: Positive = 1.0
    """Sampling temperature; the policy that PPO improves is the tempered one."""
    top_k: AtLeastOne | None = None
    """Sample among the k likeliest tokens, with the log-probs of that truncated distribution; null: among all."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Sample among the fewest tokens that hold this probability, with the log-probs of that truncated distribution;
    null: among all."""

    @property
    def is_truncated(self) -> bool:
        return self.top_k is not None or self.top_p is not None

    def at(self, progress: float) -> RolloutConfig:
        """As it is when a share `progress` of the run is done."""
        prompt, longest = at(self.prompt_tokens, progress), at(self.max_new_tokens, progress)
        return RolloutConfig(prompt, longest, self.temperature, self.top_k, self.top_p)

    @property
    def largest(self) -> RolloutConfig:
        """With the longest prompts and utterances of the run: what evaluations use, the same at every age."""
        prompt, longest = largest(self.prompt_tokens), largest(self.max_new_tokens)
        return RolloutConfig(prompt, longest, self.temperature, self.top_k, self.top_p)


@dataclass(frozen=True)
class RolloutConfig(RolloutCurriculum):
    """What is asked and how it is answered at one time."""

    prompt_tokens: AtLeastOne = 8
    max_new_tokens: AtLeastOne = 16


@dataclass(frozen=True)
class PhaseConfig(Settings):
    """How one phase updates the weights."""

    learning_rate: Positive = 1.41e-5
    """Peak learning rate of this phase."""
    lr_scheduler_type: Literal["constant", "linear", "cosine"] = "constant"
    """From the peak, after warm-up: stay, or fall to min_lr_share over this phase's updates."""
    min_lr_share: Share = 0.0
    """What linear and cosine fall to, as a share of the peak: 0.1 leaves a tenth of it."""
    warmup_updates: Count = 0
    """Updates over which the learning rate rises linearly to its peak."""
    weight_decay: NotNegative = 0.0
    """Decoupled weight decay (AdamW)."""
    adam_beta1: Decay = 0.9
    """Decay of Adam's mean of gradients."""
    adam_beta2: Decay = 0.999
    """Decay of Adam's mean of squared gradients."""
    adam_epsilon: Positive = 1e-8
    """Adam's epsilon."""
    max_grad_norm: Positive | None = None
    """Clip the gradient to this L2 norm; null: do not."""


@dataclass(frozen=True)
class CLMConfig(PhaseConfig):
    """Exposure: next-token prediction on L2 text."""

    section: ClassVar[str] = "clm"


@dataclass(frozen=True)
class PPOConfig(PhaseConfig):
    """Feedback: proximal policy optimization on what the baby said."""

    section: ClassVar[str] = "ppo"

    epochs: AtLeastOne = 4
    """Passes over the batch of utterances."""
    minibatch_size: AtLeastOne | None = None
    """Utterances per update; null: the whole batch."""
    gamma: Share = 1.0
    """Discount of what comes later, per token."""
    lam: Share = 0.95
    """Lambda of generalized advantage estimation: 1 trusts what was earned, 0 what the value head expects."""
    cliprange: Positive = 0.2
    """Policy ratios are clipped to 1 +- this."""
    cliprange_value: Positive = 0.2
    """The value head's new values are clipped to its old ones +- this."""
    vf_coef: NotNegative = 0.1
    """Weight of the value loss."""
    entropy_coef: NotNegative = 0.0
    """Weight of the entropy bonus."""
    kl_coef: NotNegative = 0.2
    """Weight of the penalty per token, log pi - log pi_ref; with adaptive_kl, the weight it begins with."""
    adaptive_kl: bool = True
    """Move kl_coef so that the KL to the reference approaches kl_target."""
    kl_target: Positive = 6.0
    """The KL to the reference that adaptive_kl aims at, in nats per utterance."""
    kl_horizon: Positive = 10_000.0
    """Utterances over which adaptive_kl corrects kl_coef: more, slower."""
    ratio_threshold: Annotated[float, Field(gt=1)] = 10.0
    """Skip an update whose mean ratio of new to old probabilities exceeds this."""
    reference: Literal["initial", "phase_start", "ema", "none"] = "initial"
    """What the KL is measured against: the first baby (paper), the baby at the start of each ppo phase, a running mean
    of the baby, or nothing."""
    reference_decay: Share = 0.99
    """With reference ema: the share of itself that the running mean keeps at every step."""


@dataclass(frozen=True)
class ReinforceConfig(PhaseConfig):
    """Feedback without a critic: REINFORCE on what the baby said, judged against what else it said."""

    section: ClassVar[str] = "reinforce"

    group_size: AtLeastOne = 4
    """Utterances after each prompt; batch_size is divided by it, so 32 utterances of 4 have 8 prompts."""
    baseline: Literal["rloo", "grpo", "batch"] = "rloo"
    """What a reward is compared with. rloo: the mean of the other utterances after the same prompt. grpo: the mean of
    all of them, and divided by their standard deviation. batch: each kind's mean over the batch's tokens, and a token
    answers only for the span it lies in (for spans)."""
    epochs: AtLeastOne = 1
    """Updates on the batch of utterances, all of them in each."""
    cliprange: Positive = 0.2
    """With several epochs: policy ratios are clipped to 1 +- this."""
    loss_mean: Literal["tokens", "utterances"] = "tokens"
    """tokens: every token of the batch weighs the same (RLOO, Dr. GRPO). utterances: the mean over utterances of each
    one's mean (GRPO as published), in which the tokens of long utterances weigh less."""
    kl_coef: NotNegative = 0.0
    """Weight of the penalty log pi - log pi_ref: taken off an utterance's reward, or with baseline batch off each
    token's own."""
    ratio_threshold: Annotated[float, Field(gt=1)] = 10.0
    """Skip an update whose mean ratio of new to old probabilities exceeds this."""
    reference: Literal["initial", "phase_start", "ema", "none"] = "initial"
    """What the KL is measured against: the first baby, the baby at the start of each reinforce phase, a running mean of
    the baby, or nothing."""
    reference_decay: Share = 0.99
    """With reference ema: the share of itself that the running mean keeps at every step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        alone = "leaves an utterance nothing to be compared with. Use 2 or more, or reinforce.baseline batch."
        self.require(self.group_size > 1 or self.baseline == "batch", "group_size", alone)
        nothing = "has no reference to be measured against. Use 0, or a reinforce.reference other than none."
        self.require(self.kl_coef == 0 or self.reference != "none", "kl_coef", nothing)


@dataclass(frozen=True)
class RecastPhaseConfig(PhaseConfig):
    """Exposure to recasts: next-token prediction on what should have been said after a prompt."""

    section: ClassVar[str] = "recast"

    replay: bool = False
    """true: L1 lines and dreams are heard beside each batch of recasts too, by the same shares; false: beside clm."""


@dataclass(frozen=True)
class DistillConfig(PhaseConfig):
    """Learning from the parent's distributions over what the baby says."""

    section: ClassVar[str] = "distill"


@dataclass(frozen=True)
class PreferConfig(PhaseConfig):
    """Learning from preferences: a better and a worse text after a prompt."""

    section: ClassVar[str] = "prefer"

    loss: Literal["dpo", "simpo"] = "dpo"
    """dpo: the better text gains on the worse one, measured from the reference. simpo: it is likelier per token, by a
    margin; no reference."""
    beta: Positive | None = None
    """Steepness: of log-probs of whole texts under dpo, of log-probs per token under simpo; null: 0.1 or 2."""
    gamma: NotNegative = 1.0
    """The margin of simpo."""
    lm_weight: NotNegative = 1.0
    """Weight of the mean negative log-likelihood of the better texts' tokens beside it, so that both do not sink."""
    reference: Literal["initial", "phase_start", "ema"] = "initial"
    """What dpo measures from: the first baby, the baby at the start of each prefer phase, or a running mean of it."""
    reference_decay: Share = 0.99
    """With reference ema: the share of itself that the running mean keeps at every step."""

    @property
    def steepness(self) -> float:
        """beta, or what is usual for the loss."""
        return self.beta or {"dpo": 0.1, "simpo": 2.0}[self.loss]
