"""Recasts: which tokens are heard, what the baby learns of them, and that a resumed run hears the same."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import italian_lines, make_tokenizer, tiny_lm
from known_models import bigram_lm, sharp_lm, word_tokenizer

from bambino import BambinoTrainer, Recipe
from bambino.errors import RecipeError, TextError
from bambino.feedback.answers import Recasts
from bambino.feedback.edits import Edits
from bambino.feedback.recasts import Continuations
from bambino.feedback.text_settings import RecastConfig, RecastFileConfig
from bambino.feedback.written_recasts import WrittenByPeople
from bambino.phases.recasting import _whole_words, rows_of
from bambino.phases.recasts_ahead import RecastsAhead, block_size
from bambino.recipe.phase_settings import RolloutConfig
from bambino.recipe.text_settings import TextConfig
from bambino.scoring.forward import token_log_probs
from bambino.scoring.texts import score_texts
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import Utterances
from bambino.text.heldout import is_heldout

Make = Callable[..., Recipe]
ONLY_RECAST = ("--schedule.cycle", "{recast: 1}", "--feedback.recast.for", "recast")
WORDS = ("il", "gatto", "cane", "vede", "dorme", "qui", "sempre")


def always(*sentence: str, context: int = 64) -> Speaker:
    """A parent that says one sentence after whatever it hears, then EOS."""
    tokenizer = word_tokenizer(*WORDS, *sentence, eos="</s>")
    ids = [*tokenizer.convert_tokens_to_ids(list(sentence)), tokenizer.eos_token_id]
    probs = torch.zeros(len(tokenizer), len(tokenizer))
    probs[:, ids[0]] = 1.0
    for one, other in pairwise(ids):
        probs[one] = 0.0
        probs[one, other] = 1.0
    return Speaker(bigram_lm(probs, context), tokenizer)


def recasts_by(kind: Continuations, prompts: list[str], first: int = 0) -> Recasts:
    return kind.recasts(prompts, None, seed=1, stream="recast", first=first, read=lambda lm, tokens: None)


def rows(recipe: Recipe, file: str = "metrics.jsonl") -> list[dict[str, Any]]:
    lines = (Path(recipe.output_dir) / file).read_text(encoding="utf-8").splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if not k.startswith("time/") and k != "total/seconds"}
        for line in lines
    ]


# ------------------------------------------------------------------------------------------------ what the parent says


def test_the_parent_goes_on_from_each_prompt_until_it_ends() -> None:
    read: list[int] = []
    kind = Continuations(always("la", "luna"), RolloutConfig(max_new_tokens=5), 0.25)
    found = kind.recasts(
        ["il gatto", "qui"], None, seed=1, stream="recast", first=0, read=lambda lm, tokens: read.append(tokens)
    )
    assert found == Recasts(["il gatto", "qui"], [" la luna", " la luna"], [True, True])
    # BOS il gatto and BOS qui, then la luna EOS after each
    assert read == [3 + 2 + 2 * 3]


def test_a_last_word_that_the_limit_cut_is_left_out() -> None:
    kind = Continuations(always("la", "luna", "piena"), RolloutConfig(max_new_tokens=2), 0.25)
    assert recasts_by(kind, ["il gatto"]) == Recasts(["il gatto"], [" la"], [False])


def test_a_prompt_and_its_recast_stay_within_the_parents_context() -> None:
    kind = Continuations(always("la", "luna", "piena", context=5), RolloutConfig(max_new_tokens=48), 0.25)
    assert recasts_by(kind, ["il gatto"]).texts == [" la"]  # BOS il gatto, then la luna, of which luna may be cut
    longer = recasts_by(kind, ["il gatto", "il gatto vede qui"])
    assert longer == Recasts(["il gatto", "il gatto vede qui"], [" la", None], [False, False])


def test_what_the_parent_says_depends_on_the_place_in_the_stream_only() -> None:
    tokenizer = make_tokenizer()
    kind = Continuations(Speaker(tiny_lm("gpt2", len(tokenizer)), tokenizer), RolloutConfig(max_new_tokens=9), 0.25)
    prompts = ["il gatto", "il cane vede"]
    assert recasts_by(kind, prompts) == recasts_by(kind, prompts)
    assert recasts_by(kind, prompts) != recasts_by(kind, prompts, first=2)


def test_recasts_made_ahead_are_those_of_their_blocks_however_they_are_asked_for() -> None:
    tokenizer = make_tokenizer()
    kind = Continuations(Speaker(tiny_lm("gpt2", len(tokenizer)), tokenizer), RolloutConfig(max_new_tokens=9), 0.25)
    prompts = [f"il gatto {word}" for word in WORDS] * 4
    read: list[int] = []
    whole = [kind.recasts(prompts[a : a + 8], None, seed=1, stream="recast", first=a, read=count(read)) for a in (0, 8)]
    texts = [text for block in whole for text in block.texts]

    def asked(*parts: int) -> tuple[list[str | None], list[int]]:
        ahead = RecastsAhead(kind, lambda first, count: prompts[first : first + count], 8, 1, "recast")
        found: list[str | None] = []
        counted: list[int] = []
        for part in parts:
            found += ahead.of(len(found), part, count(counted)).texts
        return found, counted

    for parts in ((16,), (8, 8), (3, 3, 3, 7), (5, 11), (1,) * 16):
        found, counted = asked(*parts)
        assert found == texts
        assert sum(counted) == sum(read)
    ahead = RecastsAhead(kind, lambda first, count: prompts[first : first + count], 8, 1, "recast")
    assert ahead.of(6, 4, count([])).texts == texts[6:10]  # as a run that goes on asks first


def test_a_block_holds_whole_batches_and_no_more_logits_than_memory_has_room_for() -> None:
    assert block_size(32, 8192) == 512
    assert block_size(48, 100) == 480
    assert block_size(32, 262_144) == 32


def count(into: list[int]) -> Callable[[Any, int], None]:
    return lambda lm, tokens: into.append(tokens)


# -------------------------------------------------------------------------------------------------------------- edits


def said(*utterances: tuple[str, str], ended: bool = True) -> Utterances:
    prompts, completions = [prompt for prompt, _ in utterances], [after for _, after in utterances]
    texts = [prompt + after for prompt, after in utterances]
    return Utterances(prompts, completions, texts, [ended] * len(utterances))


def edited(parent: Speaker, utterances: Utterances, proposals: int = 4) -> Recasts:
    kind = Edits(parent, proposals, 0.25)
    options: dict[str, Any] = {"seed": 1, "stream": "recast", "first": 0, "read": lambda lm, tokens: None}
    return kind.recasts(utterances.prompts, utterances, **options)


def orderly() -> Speaker:
    """After il it says gatto (0.7) or cane (0.2), after those vede, after vede qui, then it ends; the rest is rare."""
    tokenizer = word_tokenizer(*WORDS, eos="</s>")  # <s> 0, </s> 1, il 2, gatto 3, cane 4, vede 5, dorme 6, qui 7
    probs = torch.full((len(tokenizer), len(tokenizer)), 1e-4)
    for one, other, p in ((0, 2, 1), (2, 3, 0.7), (2, 4, 0.2), (3, 5, 0.9), (4, 5, 0.9), (5, 7, 0.9), (7, 1, 1)):
        probs[one, other] = p
    return Speaker(bigram_lm(probs / probs.sum(1, keepdim=True)), tokenizer)


def test_the_worst_word_is_replaced_by_the_parents() -> None:
    # il qui vede qui: "qui" after il is rare, and so is vede after qui. Replaced, both are fine.
    found = edited(orderly(), said(("il", " qui vede qui"), ("il gatto", " dorme qui")))
    assert found.texts == [" gatto vede qui", " vede qui"]
    assert found.has_ended == [True, True]


def test_what_the_parent_finds_likeliest_stays_as_it_is() -> None:
    utterances = said(("il", " gatto vede qui"), ("il", ""), ("il", " gatto"))
    assert edited(orderly(), utterances).texts == [None, None, None]


def test_a_word_that_begins_in_the_prompt_stays_and_a_cut_one_is_left_out() -> None:
    utterances = said(("il ga", "tto vede sempre qu"), ended=False)
    kind, parent = Edits(orderly(), 1, 0.25), orderly()
    worst = kind._worst_words(utterances, lambda lm, tokens: None)
    assert [edit.text for edit in worst] == ["il gatto vede sempre"]
    assert [edit.text[edit.begin : edit.end] for edit in worst] == ["sempre"]
    assert edited(parent, utterances).texts == ["tto vede qui"]


@pytest.mark.parametrize("seed", range(3))
def test_an_edit_never_lowers_the_parents_probability_of_the_whole_text(seed: int) -> None:
    tokenizer = make_tokenizer()
    parent = Speaker(sharp_lm("gpt2", len(tokenizer), seed=seed), tokenizer)
    lines = [line.split(" ", 3) for line in italian_lines(12, seed=seed)]
    utterances = said(*((" ".join(words[:3]), f" {words[3]}") for words in lines))
    found = edited(parent, utterances, proposals=8)
    before = score_texts(parent.lm, tokenizer, utterances.texts)
    after = score_texts(
        parent.lm,
        tokenizer,
        [p + (t or c) for p, t, c in zip(found.prompts, found.texts, utterances.completions, strict=True)],
    )
    gains = [b.log_prob - a.log_prob for a, b in zip(before, after, strict=True)]
    assert min(gains) >= 0
    assert any(text is not None for text in found.texts)
    for text, completion in zip(found.texts, utterances.completions, strict=True):
        if text is not None:  # one word is another
            pairs = list(zip(text.split(), completion.split(), strict=True))
            assert sum(one != other for one, other in pairs) == 1


# --------------------------------------------------------------------------------------------------------- from people


def test_corrections_of_a_file_come_each_once_before_any_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    pairs = [("il gatto", "dorme"), ("il cane ", "vede"), ("", "qui"), ("il", " mare")]
    path.write_text("".join(json.dumps({"prompt": prompt, "recast": recast}) + "\n" for prompt, recast in pairs))
    kind = WrittenByPeople.read(str(path), 0.25)
    options: dict[str, Any] = {"seed": 1, "stream": "recast", "read": lambda lm, tokens: None}
    found = [kind.recasts(["?"] * 3, None, first=first, **options) for first in (0, 3, 6)]
    heard = [pair for one in found for pair in zip(one.prompts, one.texts, strict=True)]
    spaced = [("il gatto", " dorme"), ("il cane ", "vede"), ("", "qui"), ("il", " mare")]
    assert sorted(heard[:4]) == sorted(heard[4:8]) == sorted(spaced)
    assert all(all(one.has_ended) for one in found)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"prompt": "il"}', r"people\.jsonl, line 1: prompt = 'il', recast = None must be texts"),
        ('{"prompt": "il", "recast": " "}', "recast = ' ' must be texts"),
        ("il gatto", "no JSON object|not JSON"),
        ("", "holds no recast"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text(line)
    with pytest.raises(TextError, match=problem):
        RecastFileConfig(path=str(path)).make(None)
    with pytest.raises(TextError, match="cannot be read"):
        RecastFileConfig(path=str(tmp_path / "nowhere.jsonl")).make(None)
    with pytest.raises(RecipeError, match=r"needs a file: --feedback\.recast_file\.path"):
        RecastFileConfig().make(None)


# ------------------------------------------------------------------------------------------------- what the baby hears


def test_the_recasts_tokens_are_targets_and_the_prompts_are_not() -> None:
    tokenizer = word_tokenizer(*WORDS, eos="</s>")  # <s> 0, </s> 1, il 2, gatto 3, cane 4, vede 5, dorme 6, qui 7
    recasts = Recasts(
        ["il gatto", "il", "cane", "qui"], [" vede il cane", " gatto", None, ""], [False, True, True, True]
    )
    found = rows_of(recasts, tokenizer, TextConfig())
    assert found is not None
    # EOS where it ended, and where the parent finds that nothing is missing; no row where there is no recast
    assert found.batch.input_ids.tolist() == [[0, 2, 3, 5, 2, 4], [0, 2, 3, 1, 0, 0], [0, 7, 1, 0, 0, 0]]
    assert found.is_recast.int().tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0], [0, 0, 1, 0, 0, 0]]
    assert (found.targets, found.words) == (6, 4)  # vede il cane, gatto


def test_rows_are_cut_as_lines_are() -> None:
    tokenizer = word_tokenizer(*WORDS, eos="</s>")
    recasts = Recasts(["il", "il gatto vede"], [" gatto vede", " qui"], [True, True])
    found = rows_of(recasts, tokenizer, TextConfig(max_length=4, append_eos=True))
    assert found is not None
    assert found.batch.input_ids.tolist() == [[0, 2, 3, 5]]  # the other's prompt fills its row
    assert found.words == 2
    assert rows_of(Recasts(["il"], [None], [False]), tokenizer, TextConfig()) is None
    plain = rows_of(recasts, tokenizer, TextConfig(append_eos=False, prepend_bos=False))
    assert plain is not None
    assert plain.batch.input_ids.tolist() == [[2, 3, 5, 0], [2, 3, 5, 7]]
    assert plain.is_recast.int().tolist() == [[0, 1, 1, 0], [0, 0, 0, 1]]


def test_a_held_out_line_is_no_recast() -> None:
    tokenizer = word_tokenizer(*WORDS, eos="</s>")
    recasts = Recasts(["il"] * 3, [" gatto", " cane", " gatto dorme"], [True] * 3)
    wholes = [f"{prompt}{text}" for prompt, text in zip(recasts.prompts, recasts.texts, strict=True)]
    kept = [not is_heldout(whole, 2) for whole in wholes]
    assert True in kept
    assert False in kept
    found = rows_of(recasts, tokenizer, TextConfig(heldout_every=2))
    assert found is not None
    assert len(found.is_recast) == sum(kept)


def test_the_loss_is_the_mean_over_the_recasts_tokens() -> None:
    tokenizer, lm = make_tokenizer(), tiny_lm("llama")
    recasts = Recasts(["il gatto", "il cane vede"], [" dorme qui.", " il mare e"], [True, False])
    found = rows_of(recasts, tokenizer, TextConfig())
    assert found is not None
    term = found.term(weight=0.5, name="recast")
    logits = lm(input_ids=found.batch.input_ids).logits[:, :-1][found.is_recast[:, 1:]]
    loss = term.loss(logits, logits[:, 0], found.batch, slice(0, 2))["loss"]
    log_probs = token_log_probs(lm, found.batch, found.is_recast)
    assert float(loss.detach()) == pytest.approx(-float(log_probs.sum()) / found.targets, rel=1e-5)
    assert (term.weight, term.name) == (0.5, "recast")


# ------------------------------------------------------------------------------------------------------------ training


def lesson(make_recipe: Make, *settings: str) -> tuple[BambinoTrainer, Recipe]:
    """A baby of a few words, trained beside a parent that always says one sentence."""
    parent, tokenizer = always("la", "luna"), word_tokenizer("la", "luna", *WORDS, eos="</s>")
    lines = [f"il {one} {verb} {where}" for one in WORDS[1:3] for verb in WORDS[3:5] for where in WORDS[5:]]
    recipe = make_recipe(
        *(
            "--max_steps",
            "60",
            "--recast.learning_rate",
            "1e-2",
            "--clm.learning_rate",
            "1e-2",
            "--text.min_chars",
            "1",
        ),
        *("--rollout.prompt_tokens", "3", "--text.heldout_every", "null", *settings),
    )
    baby = tiny_lm("llama", len(tokenizer), seed=5)
    trainer = BambinoTrainer(
        baby, parent.lm, recipe, lines, processing_class=tokenizer, parent_processing_class=parent.tokenizer
    )
    return trainer, recipe


def probability(trainer: BambinoTrainer, prompt: str, after: str) -> float:
    """The baby's, of the words that come after a prompt and of EOS after them."""
    tokenizer = trainer.processing_class
    ids = [0, *tokenizer(prompt)["input_ids"], *tokenizer(after)["input_ids"], 1]
    logits = trainer.baby.lm(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    said = range(len(ids) - len(tokenizer(after)["input_ids"]) - 1, len(ids))
    return math.exp(sum(float(logits[i - 1, ids[i]].detach()) for i in said))


def test_a_parent_that_always_says_one_sentence_teaches_it(make_recipe: Make) -> None:
    trainer, recipe = lesson(make_recipe, *ONLY_RECAST)
    assert probability(trainer, "il gatto", "la luna") < 0.01
    trainer.train()
    assert probability(trainer, "il gatto", "la luna") > 0.95
    first = rows(recipe)[0]
    # four recasts of la luna EOS: three targets each, eight bytes each with the space before
    assert (first["recast/targets"], first["recast/bytes"], first["recast/ended"]) == (12, 8, 1.0)
    assert first["total/recast_tokens"] == 4 * 6  # BOS il gatto la luna EOS
    assert first["total/words_recast"] == first["total/words_written_by_parent"] == 4 * 2
    assert rows(recipe, "utterances.jsonl")[0]["recast"] == " la luna"


def test_recasts_beside_lines_are_learned_with_them(make_recipe: Make) -> None:
    settings = ("--schedule.cycle", "{clm: 1}", "--feedback.recast.for", "clm")
    trainer, recipe = lesson(make_recipe, *settings, "--feedback.recast.share", "0.5")
    trainer.train()
    # Half as many recasts as lines: after two words the baby says either.
    assert 0.05 < probability(trainer, "il gatto", "la luna") < 0.95
    first = rows(recipe)[0]
    assert first["clm/recast_loss"] > 0
    # four lines BOS and four words and EOS, two recasts
    assert (first["total/clm_tokens"], first["total/recast_tokens"]) == (4 * 6, 2 * 6)


def test_recasts_beside_lines_leave_the_lines_and_their_order_alone(make_recipe: Make) -> None:
    plain = make_recipe("--schedule.cycle", "{clm: 1}", output_dir="plain")
    beside = make_recipe("--schedule.cycle", "{clm: 1}", "--feedback.recast.for", "clm", output_dir="beside")
    for recipe in (plain, beside):
        BambinoTrainer(args=recipe).train()
    assert [row["clm/targets"] for row in rows(plain)] == [row["clm/targets"] for row in rows(beside)]
    assert rows(plain)[0]["clm/loss"] == pytest.approx(rows(beside)[0]["clm/loss"], abs=0.1)  # dropout draws differ


@pytest.mark.parametrize(
    "settings",
    [
        ("--schedule.cycle", "{clm: 1, recast: 2}", "--feedback.recast.for", "recast"),
        ("--schedule.cycle", "{clm: 1}", "--feedback.recast.for", "clm", "--feedback.recast.share", "0.4"),
        ("--schedule.cycle", "{clm: 1, recast: 2}", "--feedback.recast_edit.proposals", "2"),
    ],
    ids=["recast", "clm", "edit"],
)
def test_a_run_stopped_and_resumed_hears_the_same_recasts(make_recipe: Make, settings: tuple[str, ...]) -> None:
    whole, stopped = (make_recipe(*settings, "--save_steps", "2", output_dir=name) for name in ("whole", "stopped"))
    BambinoTrainer(args=whole).train()

    def stop(row: dict[str, Any]) -> None:
        first.stop_requested = row["kind"] == "step" and row["step"] == 4

    first = BambinoTrainer(args=stopped, on_row=stop)
    first.train()
    assert first.step == 4
    BambinoTrainer(args=stopped).train(resume_from_checkpoint=True)
    assert rows(stopped) == rows(whole)
    assert rows(stopped, "utterances.jsonl") == rows(whole, "utterances.jsonl")
    left, expected = (Path(run.output_dir) / "model" / "model.safetensors" for run in (stopped, whole))
    assert left.read_bytes() == expected.read_bytes()


def test_l1_beside_recasts_has_the_share_and_an_order_of_its_own(make_recipe: Make, text_file: Path) -> None:
    settings = ("--schedule.cycle", "{clm: 1, recast: 1}", "--feedback.recast.for", "recast", "--replay.share", "0.5")
    recipe = make_recipe(*settings, "--replay.sources", f"[{text_file}]", "--recast.replay", "true")
    trainer = BambinoTrainer(args=recipe)
    trainer.train()
    assert [row.get("recast/replay_loss", 0) > 0 for row in rows(recipe)] == [False, True] * 3
    # Two L1 lines beside each of three clm batches and of three batches of recasts.
    beside = trainer.tools.replay
    assert beside is not None
    other = beside.beside("recast", 3)
    first, second = ([stream.batch(nth) for nth in range(3)] for stream in (beside, other))
    heard = [batch for batch in (*first, *second) if batch is not None]
    assert [len(batch.input_ids) for batch in heard] == [2] * 6
    assert rows(recipe)[-1]["total/replay_tokens"] == sum(int(batch.is_real.sum()) for batch in heard)
    assert beside.lines.indices(0, 6) != other.lines.indices(0, 6)


# ------------------------------------------------------------------------------------------------------------ refusals


def test_recasts_are_for_recast_or_clm(make_recipe: Make) -> None:
    with pytest.raises(RecipeError, match=r"feedback\.recast\.for: expected one of 'recast', 'clm'"):
        make_recipe("--feedback.recast.for", "ppo")


def test_the_recast_phase_needs_recasts(make_recipe: Make) -> None:
    settings = ("--schedule.cycle", "{recast: 1}")
    with pytest.raises(RecipeError, match="learns from one kind of recasts"):
        BambinoTrainer(args=make_recipe(*settings))
    with pytest.raises(RecipeError, match="learns from one kind of recasts"):
        BambinoTrainer(
            args=make_recipe(*settings, "--feedback.repetition.for", "recast", "--feedback.recast.for", "recast")
        )
    with pytest.raises(RecipeError, match=r"feedback\.recast needs a parent"):
        RecastConfig().make(None)


@pytest.mark.parametrize(
    ("text", "longer", "kept"),
    [
        ("io ho cap", "io ho capito", "io ho"),
        ("io ho capito", "io ho capito che", "io ho capito"),
        ("io ho capito", "io ho capito,", "io ho capito"),
        ("io ho capito", "io ho capito", "io ho capito"),
        ("dov'", "dov'era", "dov'"),
        ("non", "nonno", "non"),
        ("我们今天", "我们今天去", "我们今天"),
    ],
)
def test_a_prompt_ends_with_a_word(text: str, longer: str, kept: str) -> None:
    assert _whole_words(text, longer) == kept
