"""A trained baby for others: saved as AutoModelForCausalLM opens it, with a model card; uploaded to the hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi

from bambino.files import add_files
from bambino.phases.phase import Tools
from bambino.runs.account import account_of
from bambino.runs.directory import check_is_free_for_model
from bambino.runs.model_card import is_model_card, model_card
from bambino.training.parts import heard_and_answered
from bambino.training.state import RunState


class Publisher:
    """Writes the files of a model that is being trained."""

    def __init__(self, tools: Tools, state: RunState) -> None:
        self.args, self.tokenizer, self.state = tools.recipe, tools.tokenizer, state
        self.has_parent, self.made_of = tools.parent is not None, heard_and_answered(tools)

    def write(self, path: Path, beside: Path | None = None) -> None:
        """Model, tokenizer and card; no card where it would replace a README.md `beside` that is not ours."""
        self.state.published.save_pretrained(path)
        self.tokenizer.save_pretrained(path)
        if beside is None or not beside.exists() or is_model_card(beside):
            measured, at = self.state.last_evaluation, self.state.evaluated_at
            words = account_of(self.made_of, self.state.costs.totals)
            card = model_card(self.args, self.state.step, measured, at, words, has_parent=self.has_parent)
            (path / "README.md").write_text(card, encoding="utf-8")

    def save(self, output_dir: str | Path | None) -> Path:
        """Save into a folder of the user's (None: the run's own `model`); other files there stay."""
        path = Path(output_dir or Path(self.args.output_dir) / "model").expanduser()
        check_is_free_for_model(path, self.args.output_dir)
        add_files(path, lambda part: self.write(part, beside=path / "README.md"))
        return path

    def push(self, repo_id: str, *, private: bool, token: str | None) -> str:
        """Upload the run's saved model (saved now where there is none) and return its address."""
        folder = Path(self.args.output_dir) / "model"
        if not folder.is_dir():
            self.save(None)
        api = HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder))
