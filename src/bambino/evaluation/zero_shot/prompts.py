"""Items and templates -> prompts: filled in, shortened to fit the context, and without content for calibration."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from bambino.errors import TextError
from bambino.evaluation.zero_shot.choices import Choice, choice_lengths
from bambino.evaluation.zero_shot.task_data import Item
from bambino.evaluation.zero_shot.task_definitions import FieldText, Task, Template, fields_of

CONTENT_FREE = ("N/A", "", "[MASK]")
"""The content-free items of Zhao et al. 2021."""


def filled(task: Task, template: Template, item: Item) -> Choice:
    """The question about an item."""
    return Choice(template.prompts[_variant(task, item)].format_map(item.fields), _options(template, item))


def premise_of(task: Task, template: Template, item: Item) -> Choice:
    """The item's options after the premise alone."""
    return Choice(template.premises[_variant(task, item)], _options(template, item))


def content_free(task: Task, template: Template, item: Item) -> list[Choice]:
    """The item's options after the prompt filled with each of CONTENT_FREE."""
    prompt = template.prompts[_variant(task, item)]
    fillings = [dict.fromkeys(fields_of(prompt), FieldText(text)) for text in CONTENT_FREE]
    return [Choice(prompt.format_map(filling), _options(template, item)) for filling in fillings]


def shortened(
    tokenizer: PreTrainedTokenizerBase, task: Task, template: Template, item: Item, longest: int
) -> tuple[Choice, int]:
    """The question without as many words at the beginning of its `cut` field as it takes to fit `longest` tokens.

    Returns:
        The question, and how many words went.

    Raises:
        TextError: it does not fit even without that field.
    """
    held = fields_of(template.prompts[_variant(task, item)])
    name = next(name for name in task.cut if name in held)
    words = item.fields[name].split()

    def without(dropped: int) -> Choice:
        fields = {**item.fields, name: FieldText(" ".join(words[dropped:]))}
        return filled(task, template, Item(fields, item.label, item.group, item.place))

    fewest, most = 0, len(words)
    while fewest < most:
        middle = (fewest + most) // 2
        if _length(tokenizer, without(middle)) <= longest:
            most = middle
        else:
            fewest = middle + 1
    choice = without(most)
    if (length := _length(tokenizer, choice)) > longest:
        raise TextError(
            f"{item.place}: even without its {name} the question has {length} tokens; the model reads {longest}."
        )
    return choice, most


def _length(tokenizer: PreTrainedTokenizerBase, choice: Choice) -> int:
    (length,) = choice_lengths(tokenizer, [choice])
    return length


def _options(template: Template, item: Item) -> tuple[str, ...]:
    return tuple(option.format_map(item.fields) for option in template.options.values())


def _variant(task: Task, item: Item) -> str:
    return "" if task.variant is None else str(item.fields[task.variant])
