"""Both phases once more, slow and obvious, written from the formulas: Python loops over utterances and tokens, one
unpadded sequence at a time through Hugging Face's own forward, in double precision.
"""

from __future__ import annotations

import copy
import math
import statistics
from typing import Any

import torch
from conftest import there
from torch import Tensor
from transformers import PreTrainedModel

from bambino.models.reference import Reference
from bambino.phases.learner import Learner
from bambino.speaking.rollout import Rollout


def flat(rows: list[list[Any]]) -> list[Any]:
    return [item for row in rows for item in row]


class Slow:
    """PPO on a list of utterances in Python loops, in double precision."""

    def __init__(
        self, learner: Learner, rollout: Rollout, rewards: list[float], reference: Reference, kl_coef: float
    ) -> None:
        self.config, self.rollout = learner.recipe.ppo, learner.recipe.rollout
        self.baby = copy.deepcopy(learner.baby).double().eval()
        prompts = rollout.prompts
        self.prompts = [prompts.input_ids[i][prompts.is_real[i]].tolist() for i in range(len(rewards))]
        self.said = [rollout.utterance_ids[i][rollout.is_real[i]].tolist() for i in range(len(rewards))]
        with torch.no_grad():
            self._remember(copy.deepcopy(there(reference.lm)).double().eval(), rewards, kl_coef)

    def read(self, lm: PreTrainedModel, i: int) -> tuple[list[Tensor], list[Tensor]]:
        """Logits before each token of utterance i, and hidden states; the model sees ids and nothing else."""
        ids = torch.tensor([self.prompts[i] + self.said[i]])
        logits, hidden = lm(input_ids=ids).logits[0], lm.base_model(input_ids=ids).last_hidden_state[0]
        before = range(len(self.prompts[i]) - 1, ids.shape[1] - 1)
        return [logits[t] / self.rollout.temperature for t in before], [hidden[t] for t in before]

    def policy(self, logits: Tensor, allowed: list[int]) -> Tensor:
        """Log-probs over the allowed tokens."""
        total = sum((logits[j].exp() for j in allowed), torch.zeros((), dtype=logits.dtype))
        return torch.stack([logits[j] - total.log() for j in allowed])

    def value(self, hidden: Tensor) -> Tensor:
        head = self.baby.value_head
        return (head.weight[0] * hidden).sum() + head.bias[0]

    def _remember(self, reference: PreTrainedModel, rewards: list[float], kl_coef: float) -> None:
        """Old log-probs and values, the reference's log-probs; from them advantages and returns."""
        config = self.config
        self.allowed, self.old, self.old_values, self.ref = [], [], [], []
        for i, tokens in enumerate(self.said):
            logits, hidden = self.read(self.baby.lm, i)
            ref_logits, _ = self.read(reference, i)
            self.allowed.append([x.argsort(descending=True)[: self.rollout.top_k].tolist() for x in logits])
            at = [allowed.index(token) for allowed, token in zip(self.allowed[i], tokens, strict=True)]
            self.old.append([float(self.policy(x, a)[k]) for x, a, k in zip(logits, self.allowed[i], at, strict=True)])
            self.ref.append(
                [float(self.policy(x, a)[k]) for x, a, k in zip(ref_logits, self.allowed[i], at, strict=True)]
            )
            self.old_values.append([float(self.value(h)) for h in hidden])
        raw, self.returns = [], []
        for i, tokens in enumerate(self.said):
            n, values = len(tokens), [*self.old_values[i], 0.0]
            reward = [-kl_coef * (self.old[i][u] - self.ref[i][u]) for u in range(n)]
            reward[-1] += rewards[i]
            delta = [reward[u] + config.gamma * values[u + 1] - values[u] for u in range(n)]
            raw.append([sum((config.gamma * config.lam) ** (k - u) * delta[k] for k in range(u, n)) for u in range(n)])
            self.returns.append([raw[i][u] + values[u] for u in range(n)])
        every = flat(raw)
        mean, deviation = statistics.fmean(every), math.sqrt(statistics.variance(every) + 1e-8)
        self.advantages = [[(a - mean) / deviation for a in row] for row in raw]

    def loss(self, weights: dict[str, Tensor], of_utterances: list[int]) -> Tensor:
        """The loss of one minibatch at these weights; afterwards the gradient is in `self.baby`."""
        config = self.config
        with torch.no_grad():
            for name, parameter in self.baby.named_parameters():
                parameter.copy_(weights[name])
        self.baby.zero_grad()
        losses = []
        for i in of_utterances:
            logits, hidden = self.read(self.baby.lm, i)
            for u, token in enumerate(self.said[i]):
                log_probs = self.policy(logits[u], self.allowed[i][u])
                ratio = (log_probs[self.allowed[i][u].index(token)] - self.old[i][u]).exp()
                advantage, low, high = self.advantages[i][u], 1 - config.cliprange, 1 + config.cliprange
                if (advantage > 0 and ratio > high) or (advantage < 0 and ratio < low):
                    policy = torch.tensor(-advantage * (high if advantage > 0 else low))
                else:
                    policy = -advantage * ratio
                value, old_value, wanted = self.value(hidden[u]), self.old_values[i][u], self.returns[i][u]
                step = min(max(value.item() - old_value, -config.cliprange_value), config.cliprange_value)
                error, clipped_error = value - wanted, old_value + step - wanted
                worse = torch.tensor(clipped_error) if abs(clipped_error) > abs(error) else error
                value_loss = 0.5 * worse**2
                entropy = -(log_probs.exp() * log_probs).sum()
                losses.append(policy + config.vf_coef * value_loss - config.entropy_coef * entropy)
        loss = sum(losses, torch.zeros((), dtype=losses[0].dtype)) / len(losses)
        loss.backward()
        return loss.detach()


def slow_clm(learner: Learner, lines: list[list[int]]) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradient: minus the mean log-prob of every token but each line's first, one line at a time."""
    lm = copy.deepcopy(learner.baby.lm).double().eval()
    losses = []
    for ids in lines:
        log_probs = lm(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        losses += [-log_probs[t - 1, ids[t]] for t in range(1, len(ids))]
    loss = sum(losses, torch.zeros((), dtype=losses[0].dtype)) / len(losses)
    loss.backward()
    return loss.item(), gradient_of(lm)


def gradient_of(module: torch.nn.Module) -> dict[str, Tensor]:
    """In double precision, zeros where there is none."""
    return {
        n: torch.zeros_like(p).double() if p.grad is None else p.grad.double() for n, p in module.named_parameters()
    }
