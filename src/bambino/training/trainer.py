"""Algorithm 1: the baby hears L2 (clm) and is answered by its parent (ppo), in alternation.

`BambinoTrainer.train` is the algorithm; what a step of each phase does is in `phases/`, what a run leaves behind in
`runs/`. A run is a pure function of its recipe: data order, sampling and dropout depend
on (seed, stream, step) only, so a run stopped anywhere and resumed ends in the same bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from accelerate import Accelerator
from huggingface_hub import HfApi
from transformers import PreTrainedTokenizerBase

from bambino.errors import RecipeError, RunDirectoryError, TrainingError
from bambino.evaluation.in_training import Evaluator
from bambino.feedback.parent_perplexity import ParentPerplexity
from bambino.feedback.rewards import Reward, ask, is_dead, reward_name
from bambino.files import add_files, finite, write_folder
from bambino.losses import ppo
from bambino.models.baby import Baby
from bambino.models.participants import ModelLike, check_parent, described, load_participants
from bambino.models.reference import Reference
from bambino.phases.clm import clm_step
from bambino.phases.learner import Learner
from bambino.phases.ppo import ppo_step
from bambino.phases.sampler_law import check_sampler
from bambino.phases.updates import Optimizers
from bambino.randomness import uniforms
from bambino.recipe.file import dump_recipe
from bambino.recipe.schedule import Schedule
from bambino.recipe.settings import Recipe
from bambino.runs import checkpoint
from bambino.runs.costs import forward_flops
from bambino.runs.directory import RunDirectory, check_is_free_for_model, holds_run
from bambino.runs.log import RunLog
from bambino.runs.model_card import is_model_card, model_card
from bambino.runs.provenance import check_same_run, environment, note_environment
from bambino.scoring.forward import reads_packed_rows
from bambino.speaking.rollout import Rollout, sample
from bambino.speaking.utterances import to_text
from bambino.text.batches import TokenBatch
from bambino.text.streams import Streams, build_streams
from bambino.training.state import RunState

Row = dict[str, Any]


class BambinoTrainer:
    """Raises a baby by Algorithm 1.

    Args:
        model: the baby: a model, a path or a hub name; None: args.baby.model.
        parent: likewise; may be missing where there is no ppo phase or `reward_funcs` are given.
        args: the recipe.
        train_dataset: L2 texts (strings, or rows with a text in args.text.jsonl_field); None: args.text.sources.
        processing_class: the baby's tokenizer; None: the one saved with the model.
        parent_processing_class: likewise for the parent.
        reward_funcs: one or several functions of TRL's signature, summed; None: `ParentPerplexity`.
        on_row: called with each row of metrics.jsonl, and with rows of kind "utterances" as the baby speaks.
    """

    def __init__(
        self,
        model: ModelLike = None,
        parent: ModelLike = None,
        args: Recipe | None = None,
        train_dataset: Iterable[Any] | None = None,
        *,
        processing_class: PreTrainedTokenizerBase | None = None,
        parent_processing_class: PreTrainedTokenizerBase | None = None,
        reward_funcs: Reward | list[Reward] | None = None,
        on_row: Callable[[Row], None] = lambda row: None,
    ) -> None:
        self.args = described(args or Recipe(), model, parent, has_dataset=train_dataset is not None)
        self.on_row = on_row
        self.stop_requested = False
        """Set it (from a signal handler, say) and training saves a checkpoint after the current step and returns; then
        it is False again."""
        self.schedule = Schedule(self.args.schedule, self.args.max_steps)
        self.accelerator = _accelerator(self.args)
        if self.accelerator.num_processes > 1:
            raise RecipeError("", "bambino trains in one process. Start it without torchrun or accelerate launch.")

        passed = model, processing_class, parent, parent_processing_class
        self.participants = load_participants(self.args, *passed, needs_parent=reward_funcs is None)
        lm, self.processing_class = self.participants.baby, self.participants.baby_tokenizer
        self.parent, self.parent_processing_class = self.participants.parent, self.participants.parent_tokenizer
        if self.parent is not None:
            self.parent.to(self.accelerator.device)
        texts = _texts(train_dataset, self.args.text.jsonl_field)
        self.streams: Streams = build_streams(self.args, self.processing_class, self.schedule, texts)
        self.reward_funcs = self._rewards(reward_funcs)
        self.evaluator = Evaluator(self.args, self.processing_class, self._listener(), texts)

        self.baby: Baby = self.accelerator.prepare(Baby(lm))
        self.optimizers = Optimizers(self.args, self.baby, self.schedule)
        can_pack = reads_packed_rows(lm, self.args.text.max_length)
        if self.args.text.mode == "packed" and not can_pack:
            raise RecipeError("text.mode", f"{type(lm).__name__} cannot keep packed lines apart. Use text.mode lines.")
        learner = Learner(self.args, self.baby, self.optimizers, self.accelerator, can_pack)
        no_reference = Reference("none", self.args.ppo.reference_decay, lm)
        self.state = RunState(learner, self.reward_funcs, self.args.ppo.kl_coef, no_reference)
        self._saved_step: int | None = None
        """The step whose checkpoint was read or written last."""

    @property
    def step(self) -> int:
        """Steps done."""
        return self.state.step

    @property
    def reference(self) -> Reference:
        """What the KL is measured against."""
        return self.state.reference

    # ------------------------------------------------------------------------------------------------- Algorithm 1

    def train(self, resume_from_checkpoint: bool | str | Path = False) -> Row:
        """Run Algorithm 1 to max_steps, from the start or from where the run in output_dir stopped.

        One trainer may be stopped, or interrupted once there is a checkpoint, and go on: the bits are those of a run
        never stopped.

        Returns:
            The last evaluation's metrics (empty when nothing was evaluated).
        """
        with self._run_directory(resume_from_checkpoint):
            while self.step < self.args.max_steps and not self.stop_requested:
                self._reseed()
                if self.schedule.phase(self.step) == "clm":
                    row = self._hear(self.streams.clm_batch(self.step))
                else:
                    if self.schedule.is_phase_start(self.step):
                        self.reference.begin_phase(self.baby.lm)
                    rollout = self._speak(self.streams.prompt_batch(self.step))
                    rewards, row = self._be_answered(rollout)
                    row |= self._learn_from(rollout, rewards)
                self.reference.end_step(self.baby.lm)
                self.state.step += 1
                self.log.step(self.schedule.phase(self.step - 1), row)
                self._evaluate_and_save_when_due()
        return self.state.last_evaluation

    def _hear(self, batch: TokenBatch) -> Row:
        """One clm update."""
        is_before_ppo = self.step + 1 < self.args.max_steps and self.schedule.phase(self.step + 1) == "ppo"
        with self.log.time("clm"):
            row = clm_step(
                self.state.learner, batch, self.schedule.count("clm", self.step), keep_gradient=is_before_ppo
            )
        tokens = int(batch.is_real.sum())
        self.state.totals["clm_tokens"] += tokens
        self.state.totals["flops"] += 3 * forward_flops(self.baby.lm, tokens, int(batch.is_target.sum()))
        return row

    def _speak(self, prompts: TokenBatch) -> Rollout:
        """The baby says something after each prompt."""
        config = self.args.rollout
        random = uniforms(
            self.args.batch_size, config.max_new_tokens, seed=self.args.seed, stream="sampling", step=self.step
        )
        with self.log.time("rollout"), self.accelerator.autocast():
            device = self.accelerator.device
            rollout = sample(self.baby, prompts.to(device), random, config, self.processing_class.eos_token_id)
        prompt_tokens, utterance_tokens = int(prompts.is_real.sum()), int(rollout.is_real.sum())
        self.state.totals["prompt_tokens"] += prompt_tokens
        self.state.totals["utterance_tokens"] += utterance_tokens
        self.state.totals["flops"] += forward_flops(self.baby.lm, prompt_tokens + utterance_tokens, utterance_tokens)
        return rollout

    def _be_answered(self, rollout: Rollout) -> tuple[torch.Tensor, Row]:
        """The parent's rewards, (B,), and what they say of the baby."""
        parents = [reward for reward in self.reward_funcs if isinstance(reward, ParentPerplexity)]
        read = [parent.tokens_read for parent in parents]
        with self.log.time("reward"):
            said = to_text(rollout, self.processing_class)
            feedback = ask(self.reward_funcs, said)
        for parent, before in zip(parents, read, strict=True):
            newly = parent.tokens_read - before
            self.state.totals["parent_tokens"] += newly
            self.state.totals["flops"] += forward_flops(parent.parent, newly, newly)
        rewards = feedback.scores
        scored = torch.tensor(rewards, dtype=torch.float32)
        if not scored.isfinite().all():
            raise TrainingError("a reward is not finite", {"texts": said.texts, "rewards": rewards})
        row = {
            **{f"ppo/{name}": value for name, value in feedback.metrics.items()},
            "ppo/reward": fmean(rewards),
            "ppo/reward_std": float(scored.std(correction=0)),
            "ppo/dead_reward": float(is_dead(rewards, self.reward_funcs, self.args.reward.alpha)),
            "ppo/ended": fmean(said.has_ended),
            "ppo/utterance_tokens": float(rollout.is_real.sum(1).float().mean()),
        }
        if self.args.ppo.missing_eos_penalty is not None:
            scored -= self.args.ppo.missing_eos_penalty * (~rollout.has_ended.cpu()).float()
        self.log.utterances("ppo", self.step + 1, said, {**feedback.columns, "reward": rewards})
        return scored.to(self.accelerator.device), row

    def _learn_from(self, rollout: Rollout, rewards: torch.Tensor) -> Row:
        """All ppo updates on one rollout."""
        row: Row = {}
        first_update = self.schedule.count("ppo", self.step) * self.optimizers.updates_per_step["ppo"]
        with self.log.time("ppo"):
            if self.schedule.count("ppo", self.step + 1) % self.args.schedule.ppo_steps == 0:
                row |= check_sampler(self.state.learner, rollout, self.reference)
            order = (self.args.seed, self.step)
            row |= ppo_step(
                self.state.learner, rollout, rewards, self.reference, self.state.kl_coef, first_update, order
            )
        config = self.args.ppo
        if config.adaptive_kl and "ppo/kl" in row:
            self.state.kl_coef = ppo.adapted_kl_coef(
                self.state.kl_coef, row["ppo/kl"], config.kl_target, config.kl_horizon, self.args.batch_size
            )
        tokens, targets = int(rollout.sequences.is_real.sum()), int(rollout.is_real.sum())
        has_reference = self.reference.lm is not None
        forwards = 3 * config.epochs + has_reference + ("ppo/sampler_gap" in row) * (1 + has_reference)
        forwards -= 2 * row["ppo/skipped_updates"] * self.args.minibatch_size / self.args.batch_size
        self.state.totals["flops"] += forwards * forward_flops(self.baby.lm, tokens, targets)
        return row

    # -------------------------------------------------------------------------------------- what HF users look for

    def evaluate(self) -> Row:
        """Measure the baby as it is now; see docs/metrics.md for the names."""
        return self.evaluator.evaluate(self.baby).metrics

    def save_model(self, output_dir: str | Path | None = None) -> None:
        """Save the baby as AutoModelForCausalLM opens it, its tokenizer and a model card; other files there stay."""
        path = Path(output_dir or Path(self.args.output_dir) / "model").expanduser()
        check_is_free_for_model(path, self.args.output_dir)
        add_files(path, lambda part: self._save_model_files(part, beside=path / "README.md"))

    def push_to_hub(self, repo_id: str, *, private: bool = True, token: str | None = None) -> str:
        """Upload the saved model (save_model first) and return its address."""
        folder = Path(self.args.output_dir) / "model"
        if not folder.is_dir():
            self.save_model()
        api = HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder))

    # -------------------------------------------------------------------------------------------- start and resume

    @contextmanager
    def _run_directory(self, resume: bool | str | Path) -> Iterator[None]:
        """Hold the run directory, begin or go on, and leave it whole whatever happens."""
        if not resume and holds_run(self.args.output_dir):
            raise RunDirectoryError(
                f"{self.args.output_dir} already holds a run. Go on with it: bambino train --resume "
                f"{self.args.output_dir} (in Python: train(resume_from_checkpoint=True)), or use another output_dir."
            )
        if resume and not holds_run(self.args.output_dir):
            raise RunDirectoryError(f"{self.args.output_dir} holds no run to resume.")
        if not resume and self.args.parent.must_know_l2:
            rows = self.streams.prompts.rows
            check_parent(self.participants, [rows[i].tolist() for i in range(min(64, len(rows)))])
        self.run = RunDirectory(self.args.output_dir)
        self.log = RunLog(self.run, self.state, self.on_row)
        (self.run.path / "failure.json").unlink(missing_ok=True)
        try:
            self._warn_of_settings()
            if resume:
                self._resume(None if resume is True else Path(resume))
            else:
                self._begin()
            yield
            self._save_checkpoint()
            if self.step >= self.args.max_steps:
                write_folder(self.run.model, self._save_model_files)
        except TrainingError as error:
            self._explain(error)
            raise
        finally:
            self.stop_requested = False
            self.run.close()

    def _begin(self) -> None:
        """Write what the run is made of; measure the baby before its first step."""
        if self.state.has_begun:
            raise RunDirectoryError(
                f"{self.run.path} holds no checkpoint to go on from, and this trainer's baby has already learned. "
                "Make a new BambinoTrainer to start again."
            )
        self.state.begin(self.run.reference)
        self.run.truncate_logs({"metrics": 0, "utterances": 0})
        here = {**environment(str(self.accelerator.device)), "resumed": []}
        self.run.describe(dump_recipe(self.args), self._manifest, here)
        if self.args.evaluation.eval_steps is not None:
            self._evaluate_and_log()

    def _resume(self, path: Path | None) -> None:
        """Take up the run from a checkpoint, the newest whole one by default; from the start when there is none."""
        check_same_run(self.run.path, self.args, self._manifest)
        found = checkpoint.load(path) if path else checkpoint.load_latest(self.run.checkpoints, self.log.warn)
        if found is None:
            self._begin()
            return
        self.state.restore(found, self.run.reference)
        self._saved_step = self.step
        checkpoint.delete_after(self.run.checkpoints, self.step)
        if changes := note_environment(self.run.path / "environment.json", str(self.accelerator.device), self.step):
            self.log.warn(
                f"The run goes on elsewhere ({'; '.join(changes)}): its bits may differ from a run never stopped."
            )
        for log in self.run.truncate_logs(found.state["log_offsets"]):
            self.log.warn(f"{log} has lost rows that it had at step {self.step}. The run goes on without them.")

    def _save_checkpoint(self) -> None:
        if self._saved_step == self.step:
            return
        with self.log.time("checkpoint"):
            numbers = {**self.state.numbers(), "log_offsets": self.run.log_offsets()}
            tensors, keep = self.state.tensors(), self.args.save_total_limit
            checkpoint.save(self.run.checkpoints, self.step, self._save_model_files, tensors, numbers, keep=keep)
        self._saved_step = self.step

    # --------------------------------------------------------------------------------------------- record and save

    def _evaluate_and_save_when_due(self) -> None:
        every = self.args.evaluation.eval_steps
        if every is not None and (self.step % every == 0 or self.step == self.args.max_steps):
            self._evaluate_and_log()
        if self.step % self.args.save_steps == 0 and self.step < self.args.max_steps:
            self._save_checkpoint()

    def _evaluate_and_log(self) -> None:
        with self.log.time("evaluation"):
            evaluation = self.evaluator.evaluate(self.baby)
        self.state.last_evaluation, self.state.evaluated_at = evaluation.metrics, self.step
        self.log.evaluation(evaluation)

    def _save_model_files(self, path: Path, beside: Path | None = None) -> None:
        """Model, tokenizer and card; no card where it would replace a README.md `beside` that is not ours."""
        self.baby.lm.save_pretrained(path)
        self.processing_class.save_pretrained(path)
        if beside is None or not beside.exists() or is_model_card(beside):
            measured, at = self.state.last_evaluation, self.state.evaluated_at
            card = model_card(self.args, self.step, measured, at, has_parent=self.parent is not None)
            (path / "README.md").write_text(card, encoding="utf-8")

    def _warn_of_settings(self) -> None:
        """What may be run but is perhaps not meant."""
        if self.args.evaluation.eval_steps is not None and (both := self.evaluator.trained_on()):
            self.log.warn(f"text.heldout_every is null, so these are evaluated on lines trained on: {', '.join(both)}.")
        if self.args.text.append_eos and self.processing_class.eos_token_id is None:
            self.log.warn(
                "The baby's tokenizer has no EOS, so text.append_eos does nothing: the baby cannot learn to stop."
            )

    def _explain(self, error: TrainingError) -> None:
        """Leave what explains a failure in failure.json and name it in the message."""
        path = self.run.path / "failure.json"
        phase = self.schedule.phase(self.step)
        content = {"step": self.step, "phase": phase, "error": str(error), **error.details}
        path.write_text(json.dumps(finite(content), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        error.args = (f"Stopped at step {self.step} ({phase}): {error}. What explains it is in {path}.",)

    # ------------------------------------------------------------------------------------------------------- parts

    @property
    def _manifest(self) -> dict[str, Any]:
        """What the run is made of, for data.json."""
        names = [reward_name(reward) for reward in self.reward_funcs]
        models, evaluation = self.participants.digests, self.evaluator.manifest
        return {**self.streams.manifest, **models, "evaluation": evaluation, "rewards": names}

    def _reseed(self) -> None:
        """The global generator (dropout) at each step is a function of (seed, step, process)."""
        words = f"{self.args.seed}/dropout/{self.step}/{self.accelerator.process_index}"
        torch.manual_seed(int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "little") >> 1)

    def _listener(self) -> ParentPerplexity | None:
        if self.parent is None:
            return None
        return ParentPerplexity(self.parent, self.parent_processing_class, self.args.reward)

    def _rewards(self, reward_funcs: Reward | list[Reward] | None) -> list[Reward]:
        if reward_funcs is None:
            feedback = self._listener()
            return [] if feedback is None else [feedback]
        return [reward_funcs] if callable(reward_funcs) else list(reward_funcs)


def _accelerator(recipe: Recipe) -> Accelerator:
    try:
        return Accelerator(mixed_precision=recipe.mixed_precision)
    except ValueError as error:
        problem = f"mixed_precision = {recipe.mixed_precision} cannot be had: {error}"
        way_out = "Accelerate has one precision per process; train with another one in a process of its own."
        raise RecipeError("mixed_precision", f"{problem} {way_out}") from None


def _texts(dataset: Iterable[Any] | None, field: str) -> list[str] | None:
    """Texts of a dataset whose rows are strings or mappings."""
    if dataset is None:
        return None
    return [row if isinstance(row, str) else row[field] for row in dataset]
