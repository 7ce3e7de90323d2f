"""Classification tasks as data: where the items are, what they are called there, and how a model is asked.

A task is a YAML file; those shipped lie in `tasks` beside this file, and a file of your own works just as well. Every
template words the question as a prompt and gives each label a text (its verbaliser); a model answers with the label
whose text it finds likeliest after the prompt. Prompt and option are joined by one space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import Any, Literal

import yaml

from bambino.errors import TaskError

TOKEN_FIELDS = ("sentence", "marked", "token")
"""What a token-tagging item offers to templates: its sentence, the sentence with the token in «», and the token."""


class FieldText(str):
    """A field's text inside a template. `{text:lower}` begins in lower case, `{text:unended}` has no final . ! or ?"""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        if spec == "lower":
            return self[:1].lower() + self[1:]
        if spec == "unended":
            return self.rstrip(" .!?")
        return super().__format__(spec)


@dataclass(frozen=True)
class Template:
    """One way to ask; texts may hold `{field}`."""

    prompts: Mapping[str, str]
    """Variant -> prompt; the only key is "" in tasks whose prompt does not depend on the item."""
    premises: Mapping[str, str]
    """Variant -> the end of the prompt that makes sense without an item: what PMI calibration conditions on."""
    options: Mapping[str, str]
    """Label -> text, in the task's order of labels."""


@dataclass(frozen=True)
class DataPlace:
    """Where items are kept and what their fields are called there."""

    source: str
    """A local file's name, or a data set's name on the hub."""
    split: str
    """The split that is evaluated. A local file whose items have no `split` is evaluated whole."""
    train_split: str | None
    """Where the majority class is counted; None: nowhere."""
    fields: Mapping[str, tuple[str, ...]]
    """Template field -> its names there; an item's first that exists is read."""
    label: tuple[str, ...]
    """Names of the label there, likewise; `a+b` joins two columns' values with a plus."""
    config: str | None = None
    """Hub only: the configuration."""
    revision: str | None = None
    """Hub only: branch or commit."""


@dataclass(frozen=True)
class Task:
    """A classification task."""

    name: str
    language: str
    kind: Literal["text", "tokens"]
    """`tokens`: items are lists of tokens and of labels, and each token is classified in its sentence."""
    citation: str
    labels: Mapping[str, tuple[str, ...]]
    """Label -> how data files write it."""
    cut: tuple[str, ...]
    """Fields cut from the left when a prompt is too long for the model; the first that the prompt holds is cut."""
    variant: str | None
    """The field whose value picks the prompt (XCOPA's question: cause or effect)."""
    ranked: str | None
    """Acceptability: the field whose probability alone should rank the last label's items above the others'."""
    local: DataPlace
    hub: DataPlace | None
    templates: tuple[Template, ...]


def task_names() -> list[str]:
    """The shipped tasks, sorted."""
    return sorted(Path(entry.name).stem for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def load_task(name: str | Path) -> Task:
    """A shipped task by its name, or one's own by the path of its YAML file.

    Raises:
        TaskError: no such task, or a definition that cannot work; the key is named.
    """
    if str(name).endswith(".yaml"):
        path = Path(name)
        if not path.is_file():
            raise TaskError(f"There is no task definition at {path}.")
        text = path.read_text(encoding="utf-8")
    elif str(name) in task_names():
        text = (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise TaskError(f"There is no task {name!r}. Shipped: {', '.join(task_names())}; or give a .yaml file's path.")
    try:
        raw = yaml.safe_load(text)
        task = _task(raw)
    except (KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise TaskError(f"{name}: {type(error).__name__}: {error}. Compare with a task that is shipped.") from None
    problem = _problem(task)
    if problem:
        raise TaskError(f"{name}: {problem}")
    return task


def _folder() -> Any:
    return resources.files("bambino.evaluation.zero_shot") / "tasks"


def _task(raw: dict[str, Any]) -> Task:
    raw = dict(raw)
    fields, label = {name: _names(spelled) for name, spelled in raw.pop("fields").items()}, _names(raw.pop("label"))
    labels = {str(name): _names(spelled) for name, spelled in raw.pop("labels").items()}
    hub = raw.pop("hub", None)
    task = Task(
        name=raw.pop("name"),
        language=raw.pop("language"),
        kind=raw.pop("kind", "text"),
        citation=raw.pop("citation"),
        labels=labels,
        cut=_names(raw.pop("cut")),
        variant=raw.pop("variant", None),
        ranked=raw.pop("ranked", None),
        local=_place(raw.pop("local"), fields, label),
        hub=None if hub is None else _place(hub, fields, label),
        templates=tuple(_template(template, list(labels)) for template in raw.pop("templates")),
    )
    if raw:
        raise KeyError(f"unknown key {', '.join(raw)}")
    return task


def _place(raw: dict[str, Any], fields: Mapping[str, tuple[str, ...]], label: tuple[str, ...]) -> DataPlace:
    raw = dict(raw)
    own = {name: _names(spelled) for name, spelled in raw.pop("fields", {}).items()}
    return DataPlace(
        source=raw.pop("source"),
        split=str(raw.pop("split")),
        train_split=raw.pop("train_split", None),
        fields={**fields, **own},
        label=_names(raw.pop("label")) if "label" in raw else label,
        **raw,
    )


def _template(raw: dict[str, Any], labels: Sequence[str]) -> Template:
    options = {str(label): str(text) for label, text in raw["options"].items()}
    if set(options) != set(labels):
        raise KeyError(f"options for {', '.join(options)}, but the labels are {', '.join(labels)}")
    return Template(_variants(raw["prompt"]), _variants(raw["premise"]), {label: options[label] for label in labels})


def _variants(raw: str | dict[str, str]) -> dict[str, str]:
    return {"": raw} if isinstance(raw, str) else {str(key): str(text) for key, text in raw.items()}


def _names(raw: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in raw) if isinstance(raw, list) else (str(raw),)


def _problem(task: Task) -> str:
    """What is wrong with a definition, in words; empty when nothing is."""
    if task.kind not in ("text", "tokens"):
        return f"kind is {task.kind!r}. Use text or tokens."
    if not task.templates:
        return "templates is empty. Give at least one."
    if len(task.labels) < 2:
        return "labels must name at least two."
    known = set(TOKEN_FIELDS if task.kind == "tokens" else task.local.fields)
    if task.ranked is not None and task.ranked not in known:
        return f"ranked is {task.ranked!r}; the fields are {', '.join(sorted(known))}."
    for number, template in enumerate(task.templates, start=1):
        where = f"template {number}"
        for text in (*template.prompts.values(), *template.options.values()):
            unknown = {name for _, name, _, _ in Formatter().parse(text) if name is not None} - known
            if unknown:
                return f"{where} asks for {{{', '.join(sorted(unknown))}}}; the fields are {', '.join(sorted(known))}."
        if len(set(template.options.values())) < len(template.options):
            return f"{where} gives two labels the same text, so nothing could tell them apart."
        if set(template.prompts) != set(template.premises) or (task.variant is None) != (set(template.prompts) == {""}):
            return f"{where}: prompt and premise must have one text for each value of the variant field."
        if any(text != text.rstrip() for text in template.prompts.values()):
            return f"{where}: a prompt must not end in a space: one is put between prompt and option."
    return ""
