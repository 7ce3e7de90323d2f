"""The paper's feedback: the reversed sigmoid of the parent's perplexity."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.recipe.settings import RewardConfig
from bambino.scoring.texts import score_texts
from bambino.scoring.perplexity import without_cut_word


def reversed_sigmoid(perplexity: float, alpha: float, beta: float, tau: float) -> float:
    """alpha / (1 + exp(beta * (perplexity - tau))): alpha / 2 at tau, toward 0 above it (paper, section 3)."""
    x = beta * (perplexity - tau)
    return alpha / (1.0 + math.exp(x)) if x < 700 else 0.0


class ParentPerplexity:
    """How natural the parent finds what the baby says: the reversed sigmoid of its perplexity.

    Silence (an utterance without text) has infinite perplexity and earns 0; scored with its prompt, as the paper's
    formula would have it, it would earn what the human prompt alone deserves.
    """

    def __init__(self, parent: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: RewardConfig) -> None:
        self.parent, self.tokenizer, self.config = parent, tokenizer, config
        self.log_perplexities: list[float] = []
        """The window that tau is calibrated on, oldest first."""
        self.heard = 0
        """Utterances heard so far."""
        self.calibrated_tau: float | None = None
        self.tokens_read = 0
        """Parent tokens read so far."""

    @property
    def tau(self) -> float:
        """The perplexity that earns alpha / 2."""
        tau = self.config.tau if self.config.tau is not None else self.calibrated_tau
        if tau is None:
            raise RuntimeError("tau is calibrated on utterances and none was heard yet")
        return tau

    @property
    def beta(self) -> float:
        times_tau = self.config.beta_times_tau
        return self.config.beta if times_tau is None else times_tau / self.tau

    def __call__(
        self,
        *,
        prompts: list[str],
        completions: list[str],
        texts: list[str] | None = None,
        has_ended: list[bool] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float]:
        texts = texts or [p + c for p, c in zip(prompts, completions, strict=True)]
        perplexities = self.perplexities(prompts, texts, has_ended or [True] * len(texts))
        if self.config.tau is None:
            self._calibrate(perplexities)
        if log_extra is not None:
            log_extra("parent_perplexity", perplexities)
        if self.config.tau is None and self.calibrated_tau is None:
            return [0.0] * len(texts)  # nothing but silence so far
        if log_metric is not None:
            log_metric("tau", self.tau)
        return [reversed_sigmoid(p, self.config.alpha, self.beta, self.tau) for p in perplexities]

    def perplexities(self, prompts: list[str], texts: list[str], has_ended: list[bool]) -> list[float]:
        """The parent's perplexity per parent token of each text, by the settings `scope` and `until`.

        Infinite where nothing was said after the prompt, or no token counts.
        """
        is_silent = [not text[len(prompt) :].strip() for prompt, text in zip(prompts, texts, strict=True)]
        if self.config.until == "last_word":
            texts = [
                text if ended else without_cut_word(prompt, text)
                for prompt, text, ended in zip(prompts, texts, has_ended, strict=True)
            ]
        count_from = [len(prompt) for prompt in prompts] if self.config.scope == "utterance" else None
        scores = score_texts(self.parent, self.tokenizer, texts, count_from=count_from)
        self.tokens_read += sum(score.tokens_read for score in scores)
        return [math.inf if silent else s.perplexity for silent, s in zip(is_silent, scores, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        names = ("log_perplexities", "heard", "calibrated_tau", "tokens_read")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.log_perplexities = list(state["log_perplexities"])
        self.heard, self.calibrated_tau = state["heard"], state["calibrated_tau"]
        self.tokens_read = state["tokens_read"]

    def _calibrate(self, perplexities: list[float]) -> None:
        freeze_after = self.config.tau_freeze_after
        if freeze_after is not None and self.heard >= freeze_after and self.calibrated_tau is not None:
            return
        self.heard += len(perplexities)
        finite = [math.log(p) for p in perplexities if math.isfinite(p)]
        self.log_perplexities = (self.log_perplexities + finite)[-self.config.tau_window :]
        if self.log_perplexities:
            self.calibrated_tau = math.exp(np.quantile(self.log_perplexities, self.config.tau_quantile))
