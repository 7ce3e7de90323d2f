"""The order of what the baby hears: a pure function of (seed, stream, epoch) and a position."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import italian_lines, make_tokenizer, there
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from bambino.errors import RecipeError, TextError
from bambino.randomness import permutation
from bambino.recipe.schedule import Place, Schedule
from bambino.recipe.settings import ScheduleConfig
from bambino.recipe.text_settings import TextConfig
from bambino.text.streams import LineStream, PackedStream, Streams, build_streams
from bambino.text.tokens import TokenRows

EOS = 1


def token_rows(rows: list[list[int]], truncated: list[bool] | None = None) -> TokenRows:
    lengths = [len(row) for row in rows]
    return TokenRows(
        np.concatenate(rows).astype(np.int32),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.array(truncated or [False] * len(rows)),
        np.array(lengths),
        np.ones(sum(lengths), dtype=np.int16),
    )


def stream(
    rows: list[list[int]] | int,
    *,
    truncated: list[bool] | None = None,
    source_of: list[int] | None = None,
    weights: list[float] | None = None,
    seed: int = 0,
    name: str = "clm",
    eos: int | None = EOS,
) -> LineStream:
    """A stream of these rows; a number n stands for n one-token lines."""
    rows = [[100 + i] for i in range(rows)] if isinstance(rows, int) else rows
    sources = np.array(source_of or [0] * len(rows))
    return LineStream(token_rows(rows, truncated), sources, weights or [1.0], seed, name, eos)


# ------------------------------------------------------------------------------------------------------------ order


def test_the_order_of_an_epoch_is_what_it_always_was() -> None:
    # Resuming, and every result so far, rests on these: they must not move with NumPy or with us.
    assert permutation(10, 347, "clm", 0).tolist() == [6, 3, 5, 0, 1, 7, 9, 4, 2, 8]
    assert permutation(10, 347, "clm", 1).tolist() == [1, 0, 8, 5, 9, 3, 7, 6, 2, 4]
    assert permutation(10, 347, "prompts", 0).tolist() == [9, 0, 7, 2, 4, 5, 8, 3, 1, 6]
    digest = hashlib.sha256(permutation(100_000, 347, "clm", 0).astype("<i8").tobytes()).hexdigest()
    assert digest == "15de026d5b9f03b9f6f72739d34163389b3722abfe74dbc0178fef24f183703c"


@given(st.integers(0, 60), st.integers(0, 2**40), st.text(max_size=9), st.integers(0, 9))
def test_a_permutation_holds_every_number_once(n: int, seed: int, name: str, epoch: int) -> None:
    assert sorted(permutation(n, seed, name, epoch).tolist()) == list(range(n))


def test_seed_stream_and_epoch_each_change_the_order() -> None:
    base = permutation(50, 0, "clm", 0).tolist()
    for other in ((1, "clm", 0), (0, "prompts", 0), (0, "clm", 1)):
        assert permutation(50, *other).tolist() != base


def test_every_epoch_hears_every_line_once_in_another_order() -> None:
    lines = stream(23)
    epochs = [lines.indices(23 * epoch, 23) for epoch in range(4)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(23))] * 4
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_order_does_not_depend_on_what_was_asked_for_before() -> None:
    used, fresh = stream(10), stream(10)
    for first in (95, 3, 40, 0):
        used.indices(first, 7)
    assert used.indices(12, 30) == fresh.indices(12, 30)


def test_neither_the_order_of_numpy_nor_of_torch_is_touched() -> None:
    np.random.seed(0)
    torch.manual_seed(0)
    expected = (np.random.rand(), torch.rand(1).item())
    np.random.seed(0)
    torch.manual_seed(0)
    stream(30).batch(0, 40)
    assert (np.random.rand(), torch.rand(1).item()) == expected


@given(st.integers(0, 70), st.lists(st.integers(1, 25), min_size=1, max_size=8))
def test_a_batch_is_the_same_however_it_is_split_even_across_epochs(first: int, counts: list[int]) -> None:
    lines = stream(11, source_of=[0] * 7 + [1] * 4, weights=[1.0, 1.5])
    parts, position = [], first
    for count in counts:
        parts += lines.batch(position, count).input_ids.tolist()
        position += count
    assert parts == lines.batch(first, sum(counts)).input_ids.tolist()


# ---------------------------------------------------------------------------------------------------------- weights


def heard(lines: LineStream, epoch: int) -> Counter[int]:
    """How often each line is heard in an epoch."""
    return Counter(lines.indices(epoch * lines.epoch_size, lines.epoch_size))


def test_a_source_of_weight_2_is_heard_twice_an_epoch() -> None:
    lines = stream(5, source_of=[0, 0, 0, 1, 1], weights=[1.0, 2.0])
    assert lines.epoch_size == 3 + 2 * 2
    for epoch in range(3):
        assert heard(lines, epoch) == {0: 1, 1: 1, 2: 1, 3: 2, 4: 2}


def test_a_source_of_weight_one_half_is_heard_in_two_halves() -> None:
    lines = stream(11, source_of=[0] + [1] * 10, weights=[1.0, 0.5])
    first, second, third = (heard(lines, epoch) for epoch in range(3))
    assert lines.epoch_size == 1 + 5
    assert first + second == Counter({0: 2} | dict.fromkeys(range(1, 11), 1))
    assert third == first


def test_a_source_of_weight_one_and_a_half_adds_a_different_half_each_epoch() -> None:
    lines = stream(10, weights=[1.5])
    first, second = (heard(lines, epoch) for epoch in range(2))
    assert lines.epoch_size == 15
    assert sorted(first.values()) == [1] * 5 + [2] * 5
    assert first + second == Counter(dict.fromkeys(range(10), 3))


def test_an_odd_number_of_lines_at_weight_one_half_is_covered_in_three_epochs() -> None:
    # Half of 5 is 2.5, heard as 2: lines 0-1, 2-3, 4-0 of the source's own order.
    lines = stream(5, weights=[0.5])
    total = heard(lines, 0) + heard(lines, 1) + heard(lines, 2)
    assert lines.epoch_size == 2
    assert sorted(total.values()) == [1, 1, 1, 1, 2]


def test_weights_that_leave_no_line_are_refused() -> None:
    with pytest.raises(TextError, match=r"text\.weights = \[0\.1\] leave no line in an epoch"):
        stream(3, weights=[0.1])


# ------------------------------------------------------------------------------------------------- lines and prompts


def test_eos_ends_whole_lines_only() -> None:
    lines = stream([[5, 6], [7, 8, 9]], truncated=[False, True])
    assert [lines.row(0), lines.row(1)] == [[5, 6, EOS], [7, 8, 9]]
    assert stream([[5, 6]], eos=None).row(0) == [5, 6]


def test_a_batch_is_padded_on_the_right_and_pads_are_not_real() -> None:
    lines = stream([[5, 6], [7, 8, 9, 10]])
    batch = lines.batch(0, 2)
    rows = {tuple(ids): real for ids, real in zip(batch.input_ids.tolist(), batch.is_real.tolist(), strict=True)}
    assert rows == {(5, 6, EOS, 0, 0): [True] * 3 + [False] * 2, (7, 8, 9, 10, EOS): [True] * 5}


def test_a_prompt_is_the_first_tokens_of_a_line_never_eos() -> None:
    lines = stream([[5, 6], [7, 8, 9, 10]])
    batch = lines.prompts(0, 2, 3)
    rows = {tuple(ids): real for ids, real in zip(batch.input_ids.tolist(), batch.is_real.tolist(), strict=True)}
    assert rows == {(0, 5, 6): [False, True, True], (7, 8, 9): [True] * 3}


# ----------------------------------------------------------------------------------------------------------- packed


def test_packed_rows_are_the_lines_end_to_end_and_only_the_tail_is_lost() -> None:
    rows = [list(range(10 * i, 10 * i + n)) for i, n in enumerate([3, 7, 1, 5, 4], start=1)]
    lines = stream(rows)
    packed = PackedStream(lines, 4)
    # 20 tokens and 5 EOS are 25: 6 rows of 4 and a tail of 1.
    assert packed.rows_in(0) == 6
    for epoch in range(3):
        batch = packed.batch(6 * epoch, 6)
        whole = [token for i in lines.epoch_order(epoch) for token in [*rows[i], EOS]]
        assert batch.input_ids.shape == (6, 4)
        assert batch.is_real.all()
        assert batch.input_ids.flatten().tolist() == whole[:24]


def test_a_packed_row_knows_where_its_lines_begin() -> None:
    rows = [[10, 11, 12], [20, 21], [30]]
    packed = PackedStream(stream(rows), 9)
    batch = packed.batch(0, 1)
    ids, documents = batch.input_ids[0].tolist(), there(batch.documents)[0].tolist()
    lines: dict[int, list[int]] = {}
    for token, document in zip(ids, documents, strict=True):
        lines.setdefault(document, []).append(token)
    assert sorted(lines.values()) == [[10, 11, 12, EOS], [20, 21, EOS], [30, EOS]]
    # The first token of each of the three lines is predicted from nothing.
    assert [token for token, wanted in zip(ids, batch.is_target[0], strict=True) if not wanted] == [
        line[0] for line in lines.values()
    ]


def test_packed_batches_are_the_same_however_they_are_split() -> None:
    rows = [[i] * n for i, n in enumerate([3, 7, 1, 5, 4], start=10)]
    packed = PackedStream(stream(rows), 4)
    whole = packed.batch(3, 11)
    parts = [PackedStream(stream(rows), 4).batch(3 + i, 1) for i in range(11)]
    assert torch.equal(whole.input_ids, torch.cat([part.input_ids for part in parts]))
    assert torch.equal(there(whole.documents), torch.cat([there(part.documents) for part in parts]))


def test_packed_rows_stay_exact_where_fractional_weights_make_epochs_of_different_length() -> None:
    # Half of these two lines is one line an epoch: 7 tokens with EOS, or 3.
    lines = stream([[10] * 6, [20, 21]], weights=[0.5])
    packed = PackedStream(lines, 3)
    for item in range(12):
        batch = packed.batch(item, 1)
        assert batch.input_ids.shape == (1, 3)
        assert batch.is_real.all()


def test_an_epoch_that_does_not_fill_a_packed_row_is_refused() -> None:
    with pytest.raises(TextError, match=r"An epoch of 6 tokens does not fill one row of text\.max_length = 7"):
        PackedStream(stream([[5, 6], [7, 8]]), 7)


# --------------------------------------------------------------------------------------------- streams of a recipe


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture
def build(text_file: Path, tokenizer: PreTrainedTokenizerFast) -> Callable[..., Streams]:
    """build(text={...}, ...): the streams of a run of batches of 4."""

    def build_from(
        *, text: dict[str, Any] | None = None, prompt_tokens: int = 4, dataset: list[str] | None = None
    ) -> Streams:
        config = TextConfig(**{"sources": [str(text_file)], "heldout_every": 10, "max_length": 40, **(text or {})})
        return build_streams(config, tokenizer, seed=347, batch_size=4, prompt_tokens=prompt_tokens, dataset=dataset)

    return build_from


def places(max_steps: int, **schedule: Any) -> list[Place]:
    """All steps of a run in a cycle of 2 clm, 1 ppo."""
    config = ScheduleConfig(**{"cycle": {"clm": 2, "ppo": 1}, **schedule})
    return [Schedule(config, max_steps).at(step) for step in range(max_steps)]


def first_of(phase: str) -> Place:
    """The first step of a run of one phase."""
    return places(1, cycle={phase: 1})[0]


def conditions(phase: str, alone: int) -> dict[str, list[Place]]:
    """The steps of a phase in three runs: of that phase alone, of the cycle, of the cycle in blocks (18 steps each)."""
    runs = {
        "alone": places(alone, cycle={phase: 1}),
        "cycle": places(18),
        "blocked": places(18, blocked=True),
    }
    return {name: [at for at in run if at.phase == phase] for name, run in runs.items()}


@pytest.mark.parametrize("mode", ["lines", "packed"])
def test_every_condition_hears_the_same_clm_batches_in_the_same_order(build: Callable[..., Streams], mode: str) -> None:
    heard_by = {}
    for name, steps in conditions("clm", 12).items():  # 2 clm in 3 steps: 12 of 18
        streams = build(text={"mode": mode})
        heard_by[name] = [streams.clm_batch(at).input_ids.tolist() for at in steps]
    assert len(heard_by["alone"]) == 12
    assert heard_by["alone"] == heard_by["cycle"] == heard_by["blocked"]


def test_every_condition_is_asked_the_same_prompts_in_the_same_order(build: Callable[..., Streams]) -> None:
    asked = {}
    for name, steps in conditions("ppo", 6).items():
        streams = build()
        asked[name] = [streams.prompt_batch("ppo", at).input_ids.tolist() for at in steps]
    assert len(asked["alone"]) == 6
    assert asked["alone"] == asked["cycle"] == asked["blocked"]


def test_another_phase_in_the_cycle_moves_neither_what_is_heard_nor_what_is_asked(
    build: Callable[..., Streams],
) -> None:
    streams = build()
    two, three = places(18), places(24, cycle={"clm": 2, "talk": 1, "ppo": 1})
    for phase, count in (("clm", 12), ("ppo", 6)):
        batches = [
            [
                (streams.clm_batch(at) if phase == "clm" else streams.prompt_batch(phase, at)).input_ids.tolist()
                for at in run
                if at.phase == phase
            ]
            for run in (two, three)
        ]
        assert len(batches[0]) == count
        assert batches[0] == batches[1]


def test_every_speaking_phase_is_asked_the_same_lines_in_an_order_of_its_own(build: Callable[..., Streams]) -> None:
    streams = build()
    own = {phase: streams.prompts(phase) for phase in ("ppo", "talk", "recast")}
    # ppo's order is that of every run so far
    assert {phase: lines.name for phase, lines in own.items()} == {
        "ppo": "prompts",
        "talk": "prompts/talk",
        "recast": "prompts/recast",
    }
    orders = [lines.indices(0, lines.epoch_size) for lines in own.values()]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(orders[2])
    for phase in own:
        batch = streams.prompt_batch(phase, first_of(phase))
        expected = own[phase].prompts(0, 4, 4)
        assert torch.equal(batch.input_ids, expected.input_ids)
    assert not torch.equal(
        streams.prompt_batch("ppo", first_of("ppo")).input_ids, streams.prompt_batch("talk", first_of("ppo")).input_ids
    )


def test_a_step_may_ask_fewer_prompts_several_times_and_leaves_none_out(build: Callable[..., Streams]) -> None:
    # batches of 4: two prompts twice, then the next two
    for is_single in (False, True):
        streams, steps = build(text={"single_stream": is_single}), places(3, cycle={"talk": 1})
        asked = [streams.prompt_batch("talk", at, copies=2).input_ids for at in steps[:2]]
        begins = 4 if is_single else 2  # the clm stream goes on by a batch a step
        for batch, first in zip(asked, (0, begins), strict=True):
            expected = streams.prompts("talk").prompts(first, 2, 4).input_ids
            assert torch.equal(batch[::2], expected)
            assert torch.equal(batch[1::2], expected)


def test_a_steps_batch_does_not_depend_on_the_steps_before_it(build: Callable[..., Streams]) -> None:
    walked, fresh, run = build(), build(), places(400)
    for at in run[::7]:
        walked.clm_batch(at)
        walked.prompt_batch("ppo", at)
        walked.prompt_batch("talk", at)
    assert (run[201].phase, run[203].phase) == ("clm", "ppo")
    assert torch.equal(walked.clm_batch(run[201]).input_ids, fresh.clm_batch(run[201]).input_ids)
    asked = [streams.prompt_batch("ppo", run[203]).input_ids for streams in (walked, fresh)]
    assert torch.equal(*asked)


def test_a_single_stream_gives_each_step_the_next_batch_whatever_its_phase(build: Callable[..., Streams]) -> None:
    streams = build(text={"single_stream": True})
    for at in places(12, cycle={"clm": 2, "talk": 1, "ppo": 1}):
        assert isinstance(streams.clm, LineStream)
        numbers = streams.clm.indices(4 * at.step, 4)
        rows = [streams.clm.row(i) for i in numbers]
        if at.phase == "clm":
            batch = streams.clm_batch(at)
            assert [ids[real].tolist() for ids, real in zip(batch.input_ids, batch.is_real, strict=True)] == rows
        else:
            assert streams.prompt_batch(at.phase, at).input_ids.tolist() == [row[:4] for row in rows]


def test_prompts_have_an_order_of_their_own(build: Callable[..., Streams]) -> None:
    streams = build()
    assert isinstance(streams.clm, LineStream)
    prompts = streams.prompts("ppo")
    assert prompts.indices(0, 50) != streams.clm.indices(0, 50)
    assert sorted(prompts.indices(0, prompts.epoch_size)) == list(range(len(prompts.rows)))


def test_prompts_begin_with_bos_and_hold_no_eos_at_their_end(
    build: Callable[..., Streams], tokenizer: PreTrainedTokenizerFast
) -> None:
    # The lines are longer than 4 tokens; BOS is the tokenizer's </s>, which is also its EOS.
    batch = build().prompt_batch("ppo", first_of("ppo"))
    assert batch.input_ids.shape == (4, 4)
    assert batch.input_ids[:, 0].tolist() == [tokenizer.bos_token_id] * 4
    assert (batch.input_ids[:, 1:] != tokenizer.eos_token_id).all()


def test_prompts_of_lines_shorter_than_a_prompt_are_whole_lines_without_eos(
    build: Callable[..., Streams], tokenizer: PreTrainedTokenizerFast
) -> None:
    streams = build(text={"min_chars": 1, "heldout_every": None}, prompt_tokens=9, dataset=["a", "b", "c", "d"])
    batch = streams.prompt_batch("ppo", first_of("ppo"))
    assert batch.input_ids.shape == (4, 2)
    assert sorted(tokenizer.convert_ids_to_tokens(batch.input_ids[:, 1].tolist())) == ["a", "b", "c", "d"]


def test_prompt_sources_are_read_beside_the_text(
    build: Callable[..., Streams], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(f"quando viene la zia numero {i} a casa" for i in range(20)) + "\n")
    streams = build(text={"prompt_sources": [str(path)], "heldout_every": None})
    said = tokenizer.batch_decode(streams.prompt_batch("ppo", first_of("ppo")).input_ids, skip_special_tokens=True)
    assert all("quando viene la zia".startswith(text) and text for text in said)
    assert [report["path"] for report in streams.manifest["prompts"]] == [str(path)]
    assert streams.manifest["prompts"][0]["kept"] == 20


def test_the_manifest_counts_what_the_streams_hold(build: Callable[..., Streams], text_file: Path) -> None:
    streams = build(text={"max_lines": 100, "max_length": 20})
    (report,) = streams.manifest["clm"]
    assert isinstance(streams.clm, LineStream)
    rows = [streams.clm.row(i) for i in range(100)]
    assert report["path"] == str(text_file)
    assert report["sha256"] == hashlib.sha256(text_file.read_bytes()).hexdigest()
    assert report["lines"] == 120
    assert report["kept"] == 100
    assert set(report["dropped"]) == {"held out", "over the budget"}
    assert sum(report["dropped"].values()) == 20
    assert report["tokens"] == sum(len(row) for row in rows)
    assert report["truncated"] == sum(row[-1] != EOS for row in rows) > 0


def test_a_packed_text_is_not_truncated(build: Callable[..., Streams]) -> None:
    streams = build(text={"mode": "packed", "max_length": 20})
    assert isinstance(streams.clm, PackedStream)
    assert max(len(streams.clm.lines.rows[i]) for i in range(100)) > 20
    assert streams.clm_batch(first_of("clm")).input_ids.shape == (4, 20)
    assert max(len(streams.prompts("ppo").rows[i]) for i in range(100)) == 20


def test_no_held_out_line_is_in_any_stream(build: Callable[..., Streams], tokenizer: PreTrainedTokenizerFast) -> None:
    streams = build(text={"max_length": 256})
    for lines in (streams.clm, streams.prompts("ppo"), streams.prompts("talk")):
        assert isinstance(lines, LineStream)
        texts = tokenizer.batch_decode([lines.rows[i].tolist() for i in range(len(lines.rows))], True)
        assert set(texts) < set(italian_lines(120, seed=3))
        assert all(int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10 for text in texts)


@pytest.mark.parametrize("text", [{"mode": "packed"}, {"prompt_sources": ["prompts.txt"]}], ids=["packed", "prompts"])
def test_a_single_stream_excludes_packing_and_prompts_from_elsewhere(
    build: Callable[..., Streams], text: dict[str, Any]
) -> None:
    with pytest.raises(RecipeError, match=r"text\.single_stream cuts prompts from the lines of the clm stream"):
        build(text={"single_stream": True, **text})


def test_under_a_fractional_weight_packed_epochs_hold_each_its_own_lines() -> None:
    # weight 0.5: epoch 0 hears one of the lines (2 or 6 tokens), epoch 1 the other; rows of 2 tokens: 1 + 3 rows in all
    lines = stream([[5, 6], [7, 8, 9, 10, 11, 12]], weights=[0.5], eos=None)
    packed = PackedStream(lines, 2)
    assert sorted([packed.rows_in(0), packed.rows_in(1)]) == [1, 3]
    assert sorted(packed.batch(0, 4).input_ids.flatten().tolist()) == [5, 6, 7, 8, 9, 10, 11, 12]
