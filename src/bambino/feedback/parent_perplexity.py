"""The paper's feedback: the reversed sigmoid of the parent's perplexity."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.feedback.answers import Scores
from bambino.recipe import curricula
from bambino.scoring.perplexity import perplexities

if TYPE_CHECKING:
    from bambino.feedback.settings import ParentPerplexityConfig

WINDOW = 512
"""Utterances that tau is calibrated on."""


class ParentPerplexity:
    """How natural the parent finds what the baby says.

    Silence (an utterance without text) has infinite perplexity and earns 0; scored with its prompt, as the paper's
    formula would have it, it would earn what the human prompt alone deserves.
    """

    def __init__(
        self, parent: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: ParentPerplexityConfig
    ) -> None:
        self.parent, self.tokenizer, self.config = parent, tokenizer, config
        self.log_perplexities: list[float] = []
        """The window that tau is calibrated on, oldest first."""
        self.progress = 0.0
        """Share of the run done at the last call, for a tau that changes over training."""

    @property
    def resolution(self) -> float:
        """A difference of rewards that says nothing."""
        return 1e-3 * self.config.alpha

    @property
    def tau(self) -> float | None:
        """The perplexity that earns alpha / 2; None: it is calibrated, and nothing was said yet."""
        if self.config.tau is not None:
            return curricula.at(self.config.tau, self.progress)
        if not self.log_perplexities:
            return None
        return math.exp(np.quantile(self.log_perplexities, 0.5))

    def __call__(
        self,
        *,
        prompts: list[str],
        completions: list[str],
        texts: list[str] | None = None,
        has_ended: list[bool] | None = None,
        log_extra: Callable[[str, list[Any]], None] = lambda column, values: None,
        log_metric: Callable[[str, float], None] = lambda name, value: None,
        read: Callable[[PreTrainedModel, int], None] = lambda lm, tokens: None,
        progress: float = 0.0,
        **_: Any,
    ) -> Scores:
        """The reward of each utterance, by TRL's signature (`feedback/rewards.py`)."""
        self.progress = progress
        texts = texts or [p + c for p, c in zip(prompts, completions, strict=True)]
        scope, until = self.config.scope, self.config.until
        ends = has_ended or [True] * len(texts)
        how = (self.parent, self.tokenizer, prompts, texts, ends)
        found = perplexities(*how, scope=scope, until=until, with_words=True)
        read(self.parent, found.tokens_read)
        for name, column in found.columns.items():
            log_extra(name, column)
        if self.config.tau is None:
            finite = [math.log(p) for p in found.values if math.isfinite(p)]
            self.log_perplexities = (self.log_perplexities + finite)[-WINDOW:]
        tau = self.tau
        if tau is None:
            return Scores([0.0] * len(texts))
        log_metric("tau", tau)
        beta = self.config.beta if self.config.beta_times_tau is None else self.config.beta_times_tau / tau
        return Scores([reversed_sigmoid(p, self.config.alpha, beta, tau) for p in found.values])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"log_perplexities": self.log_perplexities}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put it back."""
        self.log_perplexities = list(state["log_perplexities"])


def reversed_sigmoid(perplexity: float, alpha: float, beta: float, tau: float) -> float:
    """alpha / (1 + exp(beta * (perplexity - tau))): alpha / 2 at tau, toward 0 above it (paper, section 3)."""
    x = beta * (perplexity - tau)
    return alpha / (1.0 + math.exp(x)) if x < 700 else 0.0
