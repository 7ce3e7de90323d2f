"""A trained baby for others: saved as AutoModelForCausalLM opens it, with a model card and its ledger; uploaded to the
hub. Under rules a datasheet lies beside it, and what the parent wrote for it.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from bambino.feedback.recasts import Recaster
from bambino.files import add_files
from bambino.phases.phase import Tools
from bambino.recipe.rules import LIMITS
from bambino.runs.account import RULES, account_of
from bambino.runs.datasheet import PARENT_TEXT, datasheet
from bambino.runs.directory import check_is_free_for_model
from bambino.runs.ledger import BASE, LEDGER, Ledger, as_json
from bambino.runs.model_card import IN_PYTHON, is_model_card, model_card
from bambino.runs.record import read_run
from bambino.training.budget import Budget, counted, shown
from bambino.training.parts import heard_and_answered
from bambino.training.state import RunState


class Publisher:
    """Writes the files of a model that is being trained."""

    def __init__(self, tools: Tools, state: RunState, budget: Budget) -> None:
        self.args, self.tokenizer, self.state = tools.recipe, tools.tokenizer, state
        self.tools, self.budget = tools, budget

    @cached_property
    def made_of(self) -> dict[str, Any]:
        """What the run is made of, as data.json says it."""
        return heard_and_answered(self.tools) | {BASE: self.budget.base}

    def write(self, path: Path, beside: Path | None = None) -> None:
        """Model, tokenizer, ledger and card; no card where it would replace a README.md `beside` that is not ours."""
        self.state.published.save_pretrained(path)
        self.tokenizer.save_pretrained(path)
        ledger = self.budget.ledger()
        (path / LEDGER).write_text(json.dumps(as_json(ledger), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if self.budget.rules is not None:
            (path / "DATASHEET.md").write_text(self._datasheet(ledger), encoding="utf-8")
        if beside is None or not beside.exists() or is_model_card(beside):
            measured, at = self.state.last_evaluation, self.state.evaluated_at
            words = account_of(self.made_of, self.state.costs.totals)
            has_parent = self.tools.parent is not None
            card = model_card(self.args, self.state.step, measured, at, words, has_parent=has_parent)
            (path / "README.md").write_text(card, encoding="utf-8")

    def publish(self, path: Path, beside: Path | None = None) -> None:
        """The same, and under rules what the parent wrote for the baby."""
        self.write(path, beside)
        if self.budget.rules is not None and (rows := self._parent_text()):
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (path / PARENT_TEXT).write_text(lines, encoding="utf-8")

    def save(self, output_dir: str | Path | None) -> Path:
        """Save into a folder of the user's (None: the run's own `model`); other files there stay."""
        path = Path(output_dir or Path(self.args.output_dir) / "model").expanduser()
        check_is_free_for_model(path, self.args.output_dir)
        add_files(path, lambda part: self.publish(part, beside=path / "README.md"))
        return path

    def push(self, repo_id: str, *, private: bool, token: str | None) -> str:
        """Upload the run's saved model (saved now where there is none) and return its address."""
        folder = Path(self.args.output_dir) / "model"
        if not folder.is_dir():
            self.save(None)
        api = HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder))

    def _datasheet(self, ledger: Ledger) -> str:
        rules = self.budget.rules
        assert rules is not None
        counts = {limit: shown(limit, counted(ledger, limit, rules.unit)) for limit in LIMITS}
        of_kinds = self.made_of["babylm"]
        kinds = {kind: RULES[of_kinds.get(kind, "not stated")] for kind in self.made_of["rewards"]}
        parent = self.args.parent.model or IN_PYTHON
        size = 0 if self.tools.parent is None else self.tools.parent.lm.num_parameters()
        return datasheet(rules, ledger, counts, f"{parent}, {size:,} parameters", kinds, self.budget.stopped)

    def _parent_text(self) -> list[dict[str, Any]]:
        """What the parent wrote in this run, each text once for each time that it was said."""
        by_people = {
            kind.phase
            for kind in self.tools.kinds
            if isinstance(kind.reward, Recaster) and kind.reward.written_by == "people"
        }
        rows = (
            read_run(self.args.output_dir).recasts if (Path(self.args.output_dir) / "utterances.jsonl").exists() else []
        )
        return [
            {"step": row["step"], "prompt": row["prompt"], "text": row["recast"]}
            for row in rows
            if row["recast"] and row["kind"] not in by_people
        ]
