"""Rows that begin alike, read as trees: laid out by hand, and scored like rows read alone."""

import numpy as np
import pytest
import torch
from conftest import FAMILIES, tiny_lm
from hypothesis import given
from hypothesis import strategies as st
from known_models import sharp_lm
from transformers import AutoModelForCausalLM, BloomConfig, PreTrainedModel

from bambino.scoring import forward as scoring
from bambino.scoring import texts as text_scores
from bambino.scoring.prefix_trees import Tree, common_prefix, grow
from bambino.scoring.texts import row_log_probs

ROWS = [[1, 20, 30, 40], [1, 20, 35], [1, 20, 30, 40], [1], [1, 20, 30], [1, 20, 30, 41, 50]]


def plain_log_probs(lm: PreTrainedModel, row: list[int]) -> list[float]:
    """Zero, then log p of tokens 1, 2, ... of one row, by the model's own forward."""
    with torch.no_grad():
        logits = lm(input_ids=torch.tensor([row])).logits[0]
    return [0.0, *logits.log_softmax(-1)[torch.arange(len(row) - 1), torch.tensor(row[1:], dtype=torch.long)].tolist()]


def test_a_tree_by_hand() -> None:
    forest = grow(ROWS, width=10)
    # sorted: 1 | 1 20 30 | 1 20 30 40 (twice) | 1 20 30 41 50 | 1 20 35
    # columns, each a prefix that goes on: 0: 1, 1: 1 20, 2: 1 20 30, 3: 1 20 30 41
    assert forest.trees == [Tree(ids=[1, 20, 30, 41], ends=[4, 4, 4, 4])]
    # edges: 20 at 0, 30 at 1, 40 at 2, 41 at 2, 50 at 3, 35 at 1
    assert forest.column.tolist() == [0, 1, 2, 2, 3, 1]
    assert forest.token.tolist() == [20, 30, 40, 41, 50, 35]
    expected = [[-1, 0, 1, 2], [-1, 0, 5], [-1, 0, 1, 2], [-1], [-1, 0, 1], [-1, 0, 1, 3, 4]]
    assert forest.edge_of.tolist() == [edge for row in expected for edge in row]


def test_branches_do_not_see_each_other_and_a_full_tree_is_followed_by_another() -> None:
    rows = [[1, 2, 3, 4, 9], [1, 2, 5, 6, 9], [1, 7, 8, 9]]
    # 1 2 3 4 (9) and 5 6 (9) below 2, then 7 8 (9) below 1: 3 and 4 end at 4; 2, 5 and 6 at 6
    assert grow(rows, width=8).trees == [Tree([1, 2, 3, 4, 5, 6, 7, 8], [8, 6, 4, 4, 6, 6, 8, 8])]
    # of six columns the last row, which shares one with the row before, needs a tree of its own, with its whole prefix
    assert grow(rows, width=6).trees == [Tree([1, 2, 3, 4, 5, 6], [6, 6, 4, 4, 6, 6]), Tree([1, 7, 8], [3, 3, 3])]
    # a row that is longer than the width is not cut
    assert [tree.ids for tree in grow(rows, width=1).trees] == [[1, 2, 3, 4], [1, 2, 5, 6], [1, 7, 8]]


def test_rows_that_share_a_quarter_of_the_width_widen_the_tree_to_four_times_as_much() -> None:
    sharing_two = [[1, 2, k, 9] for k in range(3, 8)]  # two columns for all, and one each
    sharing_one = [[2, k, 9] for k in range(3, 8)]
    assert [len(tree.ids) for tree in grow(sharing_two, width=5).trees] == [7]  # 4 * 2 >= 5
    assert [len(tree.ids) for tree in grow(sharing_one, width=5).trees] == [5, 2]  # 4 * 1 < 5
    assert [len(tree.ids) for tree in grow(sharing_one, width=4).trees] == [6]
    assert [len(tree.ids) for tree in grow(sharing_two, width=1).trees] == [4, 4, 3]


def test_rows_of_one_token_predict_nothing() -> None:
    forest = grow([[3], [3], [1]], width=8)
    assert (forest.columns, len(forest.token), forest.edge_of.tolist()) == (0, 0, [-1, -1, -1])
    assert row_log_probs(tiny_lm("opt"), [[3], [3], [1]]).tolist() == [0, 0, 0]
    assert [tree.ids for tree in grow([[0], [1, 2, 3]], width=1).trees] == [[1, 2]]  # no tree stays empty


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=12),
    st.integers(1, 12),
)
def test_following_the_ancestors_of_an_edge_spells_the_row(rows: list[list[int]], width: int) -> None:
    forest = grow(rows, width)
    edges = iter(forest.edge_of)
    for row in rows:
        assert next(edges) == -1
        for k in range(1, len(row)):
            edge = next(edges)
            tree, column = forest.trees[forest.tree[edge]], forest.column[edge]
            ancestors = [tree.ids[c] for c in range(column + 1) if tree.ends[c] > column]
            assert [*ancestors, forest.token[edge]] == row[: k + 1]
    assert (np.diff(forest.tree) >= 0).all()
    assert all(len(tree.ids) <= max(4 * width, *map(len, rows)) for tree in forest.trees)


@pytest.mark.parametrize(
    ("one", "other", "expected"), [([], [1], 0), ([1], [2], 0), ([1, 2], [1, 3], 1), ([1, 2], [1, 2, 3], 2)]
)
def test_common_prefix(one: list[int], other: list[int], expected: int) -> None:
    assert common_prefix(one, other) == common_prefix(other, one) == expected


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("columns", "tokens"), [(96, 4096), (5, 12), (4, 1)])
def test_rows_on_trees_score_as_if_each_were_read_alone(
    family: str, columns: int, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_scores, "TREE_COLUMNS", columns)
    monkeypatch.setattr(text_scores, "TOKENS_PER_FORWARD", tokens)
    monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", 2 * 320)
    monkeypatch.setattr(text_scores, "token_log_probs", None)  # the way of rows that share nothing is not taken
    lm = sharp_lm(family)
    scores = row_log_probs(lm, ROWS)
    expected = [x for row in ROWS for x in plain_log_probs(lm, row)]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    assert (scores[:4] == scores[7:11]).all()  # equal rows: to the last bit


def test_rows_that_share_little_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_scores, "_log_probs_on_trees", None)
    lm, rows = sharp_lm("opt"), [[1, 20, 30, 40, 2], [1, 50, 60, 8, 9, 3], [1, 7]]
    expected = [x for row in rows for x in plain_log_probs(lm, row)]
    np.testing.assert_allclose(row_log_probs(lm, rows), expected, rtol=0, atol=1e-5)


def test_a_model_without_positions_reads_rows_one_by_one() -> None:
    config = BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=2)
    lm = AutoModelForCausalLM.from_config(config).eval()
    expected = [x for row in ROWS for x in plain_log_probs(lm, row)]
    np.testing.assert_allclose(row_log_probs(lm, ROWS), expected, rtol=0, atol=1e-5)


def test_a_tree_needs_a_model_that_takes_positions() -> None:
    lm = AutoModelForCausalLM.from_config(BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=2))
    ids = torch.zeros(1, 4, dtype=torch.long)
    with pytest.raises(ValueError, match="takes no position_ids"):
        scoring.hidden_states(lm, ids, ids == 0, ends=ids + 4)


def test_scores_need_no_memory_for_all_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, sizes = tiny_lm("gpt2"), []
    head = lm.get_output_embeddings()
    handle = head.register_forward_hook(lambda module, inputs, output: sizes.append(output.numel()))
    monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", 3 * 320 + 1)
    row_log_probs(lm, ROWS * 4)
    handle.remove()
    assert max(size for size in sizes) <= 3 * 320


@pytest.mark.parametrize("rows", [ROWS * 3, [[1, k, k + 1, k + 2] for k in range(2, 40)]])
def test_several_threads_read_what_one_reads(rows: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_scores, "TREE_COLUMNS", 4)
    monkeypatch.setattr(text_scores, "TOKENS_PER_FORWARD", 8)
    lm, threads = sharp_lm("llama"), torch.get_num_threads()
    alone = row_log_probs(lm, rows)
    try:
        torch.set_num_threads(3)
        np.testing.assert_allclose(row_log_probs(lm, rows), alone, rtol=0, atol=1e-5)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_what_goes_wrong_in_a_thread_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_scores, "TOKENS_PER_FORWARD", 8)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(IndexError):
            row_log_probs(tiny_lm("opt"), [[1, 2, 3], [1, 999, 3], [1, 4, 5], [1, 6, 7]])
    finally:
        torch.set_num_threads(threads)
