"""Classification tasks as data: where the items are, what they are called there, and how a model is asked.

A task is a YAML file; those shipped lie in `tasks` beside this file, and a file of your own works just as well. Every
template words the question as a prompt and gives each label a text (its verbaliser); a model answers with the label
whose text it finds likeliest after the prompt. Prompt and option are joined as `joining.py` joins texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import Any, Literal

from bambino.errors import TaskError, YamlError, shortened
from bambino.recipe.names import nearest
from bambino.recipe.plain_yaml import as_written, compose, text_of

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
    try:
        root = compose(_definition(name), str(name))
    except YamlError as error:
        raise TaskError(str(error)) from None
    try:
        task = _task(_Given("", None if root is None else as_written(root)))
        _check(task)
    except TaskError as error:
        raise TaskError(f"{name}: {error}") from None
    return task


def _definition(name: str | Path) -> str:
    """The YAML of a task."""
    if str(name).endswith(".yaml"):
        try:
            return text_of(name)
        except FileNotFoundError:
            raise TaskError(f"There is no task definition at {name}.") from None
    shipped = task_names()
    if str(name) in shipped:
        text: str = (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
        return text
    near = nearest(str(name), shipped)
    hint = f"Did you mean {near}? " if near else ""
    way_out = f"{hint}Shipped: {', '.join(shipped)}; or give a .yaml file's path."
    raise TaskError(f"There is no task {shortened(repr(str(name)))}. {way_out}")


def _folder() -> Any:
    return resources.files("bambino.evaluation.zero_shot") / "tasks"


class _Given:
    """A mapping of a definition, whose keys are taken one by one; the values are texts, as they are written."""

    def __init__(self, place: str, raw: Any) -> None:
        """
        Args:
            place: its dotted name and a dot; empty for the whole definition.
        """
        if not isinstance(raw, dict) or not raw:
            raise TaskError(f"{place.rstrip('.: ') or 'it'} must be a mapping. Compare with a task that is shipped.")
        self.place, self.rest = place, dict(raw)

    def take(self, key: str) -> Any:
        if key not in self.rest:
            raise TaskError(f"{self.place}{key} is missing. Compare with a task that is shipped.")
        return self.rest.pop(key)

    def mapping(self, key: str) -> _Given:
        return _Given(f"{self.place}{key}.", self.take(key))

    def text(self, key: str) -> str:
        """A text that says something."""
        value = self.take(key)
        if not isinstance(value, str) or not value.strip():
            raise TaskError(f"{self.place}{key} = {shortened(value)} must be a text.")
        return value

    def text_or_none(self, key: str) -> str | None:
        return self.text(key) if self.rest.get(key) is not None else self.rest.pop(key, None)

    def names(self, key: str) -> tuple[str, ...]:
        """A text or a list of some."""
        value = self.take(key)
        names = value if isinstance(value, list) else [value]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise TaskError(f"{self.place}{key} = {shortened(value)} must be a name, or a list of names.")
        return tuple(names)

    def texts(self) -> dict[str, str]:
        """All that is left, each a text."""
        return {key: self.text(key) for key in list(self.rest)}

    def all_names(self) -> dict[str, tuple[str, ...]]:
        """All that is left, each a name or a list of names."""
        return {key: self.names(key) for key in list(self.rest)}

    def end(self) -> None:
        """Refuse keys that nobody took."""
        if self.rest:
            raise TaskError(f"unknown key {self.place}{next(iter(self.rest))}. Compare with a task that is shipped.")


def _task(given: _Given) -> Task:
    fields, label = given.mapping("fields").all_names(), given.names("label")
    labels = given.mapping("labels").all_names()
    kind, hub = given.text_or_none("kind") or "text", given.rest.pop("hub", None)
    if kind not in ("text", "tokens"):
        raise TaskError(f"kind is {kind!r}. Use text or tokens.")
    templates = given.take("templates")
    if not isinstance(templates, list) or not templates:
        raise TaskError("templates is empty. Give a list of at least one.")
    task = Task(
        name=given.text("name"),
        language=given.text("language"),
        kind="tokens" if kind == "tokens" else "text",
        citation=given.text("citation"),
        labels=labels,
        cut=given.names("cut"),
        variant=given.text_or_none("variant"),
        ranked=given.text_or_none("ranked"),
        local=_place(given.mapping("local"), fields, label),
        hub=None if hub is None else _place(_Given("hub.", hub), fields, label),
        templates=tuple(
            _template(_Given(f"template {number}: ", raw), list(labels))
            for number, raw in enumerate(templates, start=1)
        ),
    )
    given.end()
    return task


def _place(given: _Given, fields: Mapping[str, tuple[str, ...]], label: tuple[str, ...]) -> DataPlace:
    own = given.mapping("fields").all_names() if "fields" in given.rest else {}
    place = DataPlace(
        source=given.text("source"),
        split=given.text("split"),
        train_split=given.text_or_none("train_split"),
        fields={**fields, **own},
        label=given.names("label") if "label" in given.rest else label,
        config=given.text_or_none("config"),
        revision=given.text_or_none("revision"),
    )
    given.end()
    return place


def _template(given: _Given, labels: Sequence[str]) -> Template:
    options = given.mapping("options").texts()
    if set(options) != set(labels):
        raise TaskError(f"{given.place}options for {', '.join(options)}, but the labels are {', '.join(labels)}.")
    prompts, premises = (_variants(given, key) for key in ("prompt", "premise"))
    given.end()
    return Template(prompts, premises, {label: options[label] for label in labels})


def _variants(given: _Given, key: str) -> dict[str, str]:
    return given.mapping(key).texts() if isinstance(given.rest.get(key), dict) else {"": given.text(key)}


def _check(task: Task) -> None:
    """Refuse a definition that cannot work.

    Raises:
        TaskError
    """
    if not re.fullmatch(r"[\w.-]+", task.name):
        raise TaskError(f"name = {shortened(task.name)} names scores and files. Use letters, digits and _ . - only.")
    if len(task.labels) < 2:
        raise TaskError("labels must name at least two.")
    spelled = [spelling for names in task.labels.values() for spelling in names]
    if twice := [spelling for spelling in spelled if spelled.count(spelling) > 1]:
        raise TaskError(f"labels: {twice[0]} stands for two of them.")
    known = set(TOKEN_FIELDS if task.kind == "tokens" else task.local.fields)
    for key, names in (("ranked", (task.ranked,)), ("variant", (task.variant,)), ("cut", task.cut)):
        if unknown := [name for name in names if name is not None and name not in known]:
            raise TaskError(f"{key} is {unknown[0]!r}; the fields are {', '.join(sorted(known))}.")
    for number, template in enumerate(task.templates, start=1):
        if problem := _problem(task, template, known):
            raise TaskError(f"template {number} {problem}")


def _problem(task: Task, template: Template, known: set[str]) -> str:
    """What is wrong with a template, in words; empty when nothing is."""
    prompts, premises, options = (
        list(texts.values()) for texts in (template.prompts, template.premises, template.options)
    )
    for text in (*prompts, *options):
        if problem := _wrong_field(text, known):
            return problem
    if len(set(options)) < len(options):
        return "gives two labels the same text, so nothing could tell them apart."
    if set(template.prompts) != set(template.premises) or (task.variant is None) != (set(template.prompts) == {""}):
        return "must have, in prompt and premise, one text for each value of the variant field."
    if spaced := next((text for text in (*prompts, *premises, *options) if text != text.rstrip()), None):
        return f"has {spaced!r}, which must not end in a space: one is put between prompt and option."
    if braced := next((text for text in premises if "{" in text or "}" in text), None):
        return f"has the premise {braced!r}. It stands without an item, so it has no braces."
    if bare := next((text for text in prompts if not set(fields_of(text)) & set(task.cut)), None):
        return f"has the prompt {bare!r}, which asks for none of {', '.join(task.cut)} (cut)."
    return ""


def _wrong_field(text: str, known: set[str]) -> str:
    """What is wrong with the braces of a text, in words; empty when nothing is."""
    try:
        asked = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(text) if name is not None]
    except ValueError as error:
        return f"has the text {text!r}, whose braces do not fit ({error}). Write {{field}}, and {{{{ for a brace."
    for name, spec, conversion in asked:
        if name not in known:
            return f"asks for {{{name}}}; the fields are {', '.join(sorted(known))}."
        if spec not in ("", "lower", "unended") or conversion:
            return f"asks for {{{name}}} in a form that there is not. Use {{{name}:lower}} or {{{name}:unended}}."
    return ""


def fields_of(text: str) -> list[str]:
    """The fields that a template's text asks for."""
    return [name for _, name, _, _ in Formatter().parse(text) if name is not None]
