"""The reward audit: texts made worse by hand, and a whole audit of tiny models by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import italian_lines, make_tokenizer
from known_models import word_tokenizer

from bambino import Recipe, load_recipe
from bambino.cli.main import main
from bambino.errors import RecipeError, TextError
from bambino.evaluation.pair_files import Pair
from bambino.experiments.audit import AuditPlan, Material, audit, audit_kind, made_kinds, spoken, together, unmoved
from bambino.experiments.audit_texts import (
    SHARES,
    Continuation,
    continuation,
    corrupted,
    made_worse,
    members,
    said,
)
from bambino.feedback.rewards import Kind
from bambino.feedback.settings import KINDS
from bambino.speaking.speaker import open_speaker
from bambino.speaking.utterances import Utterances
from bambino.text.tokens import encode


def words_after(prompt: str, *words: str) -> Continuation:
    return Continuation(prompt, "", words)


# ---------------------------------------------------------------------------------------------------------- the texts


def test_a_continuation_has_whole_words_and_what_finishes_the_word_that_the_prompt_begins() -> None:
    tokenizer = make_tokenizer()
    line = "il gatto vede il cane ogni mattina presto."
    row = encode(tokenizer, [line])[0]
    for prompt_tokens in range(2, 5):
        for tokens in range(3, 12):
            found = continuation(tokenizer, row, prompt_tokens, tokens)
            text = found.prompt + found.text
            assert line.startswith(text)
            rest = line[len(text) :]
            assert not found.words or rest == "" or rest.startswith(" ")  # no word is cut
            assert (found.begun == "") == (line[len(found.prompt)] == " ")


def test_a_line_that_ends_within_the_limit_keeps_its_last_word() -> None:
    tokenizer = word_tokenizer("il", "gatto", "vede")
    row = encode(tokenizer, ["il gatto vede"])[0]
    assert continuation(tokenizer, row, 2, 9) == words_after("il", "gatto", "vede")


def test_worse_texts_have_the_same_prompt_and_as_many_words() -> None:
    human = [words_after("a", "b", "c", "d", "e"), Continuation("a x", "yz", ("u", "v", "w"))]
    worse = made_worse(human, ["one two", "one two three four five", "six seven eight nine"], seed=1)
    assert list(worse) == ["human", "shuffled", "repeated", "other"]
    assert [sorted(one.words) for one in worse["shuffled"]] == [sorted(one.words) for one in human]
    assert [one.text for one in worse["repeated"]] == [" b b b b", "yz u u u"]
    assert [one.text for one in worse["other"]] == [" one two three four", " six seven eight"]
    for name in worse:
        assert [one.prompt for one in worse[name]] == ["a", "a x"]
        assert [len(one.words) for one in worse[name]] == [4, 3]
    assert "other" not in made_worse(human, [], seed=1)
    assert made_worse(human, [], seed=1)["shuffled"] != made_worse(human, [], seed=2)["shuffled"]
    with pytest.raises(TextError, match="No line of the other language has 4 words"):
        made_worse(human, ["one two three"], seed=1)


def test_what_is_corrupted_at_a_share_is_corrupted_at_a_larger_one() -> None:
    words = tuple(f"w{i}" for i in range(400))
    found = corrupted([words_after("p", *words)], seed=3)
    assert list(found) == ["shuffled", "replaced"]
    for how, by_share in found.items():
        assert by_share[0.0][0].words == words, how
        changed = {
            share: {i for i, (old, new) in enumerate(zip(words, by_share[share][0].words, strict=True)) if old != new}
            for share in SHARES
        }
        assert changed[0.1] < changed[0.25] < changed[0.5]
        # a deviation of 400 picks at one half is 10
        assert len(changed[0.5]) == pytest.approx(200, abs=40)
    assert sorted(found["shuffled"][0.5][0].words) == sorted(words)
    assert set(found["replaced"][0.5][0].words) <= set(words)


def test_texts_are_graded_as_if_the_baby_had_said_and_ended_them() -> None:
    assert said([Continuation("il ga", "tto", ("vede",))]) == Utterances(
        ["il ga"], ["tto vede"], ["il gatto vede"], [True]
    )


def test_what_a_pair_gives_is_the_prompt_of_both() -> None:
    good, bad = members([Pair("il gatto vede", "il gatto vedono", "", given=8), Pair("sì", "no", "")])
    assert good == Utterances(["il gatto", ""], [" vede", "sì"], ["il gatto vede", "sì"], [True, True])
    assert bad == Utterances(["il gatto", ""], [" vedono", "no"], ["il gatto vedono", "no"], [True, True])


def test_batches_together_are_one() -> None:
    one, other = Utterances(["a"], ["b"], ["ab"], [True]), Utterances(["c"], ["d"], ["cd"], [False])
    assert together(one, other) == Utterances(["a", "c"], ["b", "d"], ["ab", "cd"], [True, False])


# ------------------------------------------------------------------------------------------------------------- a kind


def letters(*, completions: list[str], **_: Any) -> list[float]:
    return [float(len(text)) for text in completions]


def graded_lengths() -> Any:
    """An audit of a reward that only counts letters."""
    utterances = [said([words_after("p", "a" * n, "b") for n in batch]) for batch in ((1, 2, 3), (4, 4, 4))]
    human = [words_after("p", "aa", "b", "cc"), words_after("p", "dd", "ee", "f")]
    material = Material(
        utterances,
        {"longer": members([Pair("abc", "ab", ""), Pair("a", "ab", ""), Pair("ab", "cd", "")])},
        made_worse(human, ["long longer longest"], seed=0),
        {"replaced": {0.0: human, 0.5: [words_after("p", "aa"), words_after("p")]}},
    )
    return audit_kind(Kind("letters", letters), material, seed=0)


def test_a_reward_that_counts_letters_is_found_out() -> None:
    found = graded_lengths()
    assert found.pairs["longer"].value == 0.5  # longer, shorter, as long
    assert found.preferences["human", "shuffled"].value == 0.5
    # human 8 and 8; repeated " aa aa aa" and " dd dd dd": 9 and 9
    assert found.preferences["human", "repeated"].value == 0.0
    assert (found.bytes_correlation, found.distinct) == (pytest.approx(1.0), 4 / 6)
    # 4, 5, 6, then three times 7: the second batch is dead
    assert found.dead_batches == 0.5
    assert found.batch_spread == pytest.approx(((2 / 3) ** 0.5 + 0) / 2)
    assert found.corruption["replaced"] == {0.0: 8.0, 0.5: 1.5}
    assert found.falls("replaced")


def test_what_a_reward_learns_from_made_up_texts_is_forgotten(make_recipe: Callable[..., Recipe]) -> None:
    kinds = "{parent_log_perplexity: {standardised: true}}"
    recipe = make_recipe("--feedback", kinds)
    (kind,) = made_kinds(recipe)
    reward: Any = kind.reward
    reward(prompts=["il"], completions=[" gatto"])
    before = list(reward.window)
    with unmoved(reward):
        reward(prompts=["il"] * 2, completions=[" cane", " pane"])
        assert len(reward.window) == 3
    assert reward.window == before


def test_the_baby_speaks_to_the_prompts_of_its_first_steps(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe()
    baby = open_speaker(recipe.baby, "baby")
    batches = spoken(recipe, baby, 6)
    assert [len(batch.texts) for batch in batches] == [4, 2]
    assert spoken(recipe, baby, 6) == batches
    assert len({text for batch in batches for text in batch.completions}) == 6


# ---------------------------------------------------------------------------------------------------- the command line


def test_an_audit_leaves_a_table_numbers_and_a_figure(
    make_recipe: Callable[..., Recipe], tmp_path: Path, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe()
    pairs, other = tmp_path / "order.jsonl", tmp_path / "english.txt"
    pairs.write_text('{"sentence_good": "il gatto vede", "sentence_bad": "gatto il vede"}\n' * 8)
    other.write_text("\n".join(f"{line} and {line}" for line in italian_lines(200, seed=5)))
    words = ["audit", "--baby.model", str(recipe.baby.model), "--parent.model", str(recipe.parent.model)]
    words += ["--text.sources", f"[{text_file}]", "--text.heldout_every", "10", "--batch_size", "4"]
    words += ["--rollout.prompt_tokens", "4", "--pairs", str(pairs), "--other_text", str(other)]
    words += ["--lines", "8", "--utterances", "12", "--to", str(tmp_path / "found")]
    assert main([*words, "--feedback", "{parent_perplexity: {}, repetition: {}}"]) == 0
    screen = capsys.readouterr().out
    assert "human over shuffled" in screen
    found = json.loads((tmp_path / "found" / "audit.json").read_text("utf-8"))
    assert list(found) == ["parent_perplexity", "repetition"]
    # one word again and again is what repetition is against, and in made-up Italian few continuations repeat a word
    assert found["repetition"]["preferences"]["human over repeated"]["value"] == 1.0
    assert found["repetition"]["pairs"]["order"]["value"] == 0.5
    assert found["repetition"]["corruption"]["shuffled"].keys() == {"0.0", "0.1", "0.25", "0.5"}
    table = (tmp_path / "found" / "audit.md").read_text("utf-8").splitlines()
    assert [line.count("|") for line in table] == [table[0].count("|")] * 4
    assert {path.name for path in (tmp_path / "found").iterdir()} == {
        "audit.json",
        "audit.md",
        "audit.png",
        "audit.svg",
    }


def test_a_count_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--utterances", "0"]) == 2
    assert "'0' is no count" in capsys.readouterr().err


def test_kinds_that_grade_no_texts_are_left_out(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe("--feedback", "{recast: {}, parent_spans: {}, random: {}}", "--rollout.max_new_tokens", "16")
    audits, left_out = audit(recipe, AuditPlan(lines=4, utterances=4))
    assert [one.name for one in audits] == ["random"]
    assert left_out["recast"] == "it grades no texts"
    assert "not any text" in left_out["parent_spans"]
    with pytest.raises(RecipeError, match=r"No kind of feedback can be audited. recast: it grades no texts"):
        audit(replace(recipe, feedback={"recast": recipe.feedback["recast"]}), AuditPlan(lines=4, utterances=4))


def test_the_baby_that_speaks_has_random_weights_where_the_recipe_says_so(make_recipe: Callable[..., Recipe]) -> None:
    recipe, plan = make_recipe("--rollout.max_new_tokens", "16"), AuditPlan(lines=4, utterances=4)
    random = replace(recipe, baby=replace(recipe.baby, random_weights=True))
    (usual,), (other,), (again,) = (audit(one, plan)[0] for one in (recipe, random, random))
    assert other == again != usual


def test_kinds_that_are_named_are_audited_whatever_phase_they_are_for(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe()
    named = load_recipe(None, ["--feedback", "{repetition: {for: clm}, random: {weight: 3}}"], kinds=KINDS)
    assert [(kind.name, kind.phase, kind.weight) for kind in made_kinds(named)] == [
        ("repetition", "clm", 1.0),
        ("random", "ppo", 1.0),
    ]
    assert [kind.name for kind in made_kinds(recipe)] == ["parent_perplexity"]
