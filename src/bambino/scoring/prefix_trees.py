"""Token rows that begin alike, laid out so that what they share is read once.

A tree holds one column for each distinct prefix of its rows that some row continues (a last token predicts nothing, so
it needs no column), parents before children: a column's ancestors are the prefix it ends, and the columns below it come
right after it. Token k of a row is predicted at the column of its prefix of k tokens: an edge of the tree, shared by
all rows that begin with these k + 1 tokens, so equal rows get equal scores to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Tree:
    """Columns that are read as one row."""

    ids: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """First column after those below each column: a column is seen by itself and the columns up to its end."""


@dataclass(frozen=True)
class Forest:
    """The trees of some rows, and where each token of the rows is predicted."""

    trees: list[Tree]
    tree: np.ndarray
    """Tree of each edge; ascending."""
    column: np.ndarray
    """Column at which each edge's token is predicted."""
    token: np.ndarray
    edge_of: np.ndarray
    """Edge of each token of the rows, the rows one after the other; -1 for first tokens, which nothing predicts."""

    @property
    def columns(self) -> int:
        """What the model reads."""
        return sum(len(tree.ids) for tree in self.trees)

    @property
    def width(self) -> int:
        """Columns of the widest tree."""
        return max((len(tree.ids) for tree in self.trees), default=0)


def grow(rows: list[list[int]], width: int) -> Forest:
    """Trees of at most `width` columns (more where a single row is longer), rows in alphabetical order of their ids.

    A row that shares a quarter of that width with the one before may widen the tree to four times as much: reading so
    long a beginning again costs more than attention in a wider tree.
    """
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=int)])
    edge_of = np.full(starts[-1], -1)
    trees: list[Tree] = []
    tree_of: list[int] = []  # of each edge, as the next two
    column_of: list[int] = []
    token_of: list[int] = []
    last: list[int] = []
    columns: list[int] = []  # of last's prefixes
    path = [-1]  # edges of last's tokens
    for i in sorted(range(len(rows)), key=rows.__getitem__):
        row = rows[i]
        shared = common_prefix(last, row)
        kept = min(shared, len(columns))
        room = width if 4 * kept < width else 4 * width
        if not trees or (trees[-1].ids and len(trees[-1].ids) + len(row) - 1 - kept > room):
            _end(trees[-1:], columns)
            trees.append(Tree())
            shared = kept = 0
            columns = []
        ids, ends = trees[-1].ids, trees[-1].ends
        _end(trees[-1:], columns[kept:])
        columns = columns[:kept] + list(range(len(ids), len(ids) + len(row) - 1 - kept))
        ids.extend(row[kept:-1])
        ends.extend([0] * (len(row) - 1 - kept))
        first = max(shared, 1)
        path = path[:first] + list(range(len(token_of), len(token_of) + len(row) - first))
        tree_of += [len(trees) - 1] * (len(row) - first)
        column_of += columns[first - 1 :]
        token_of += row[first:]
        edge_of[starts[i] : starts[i + 1]] = path
        last = row
    _end(trees[-1:], columns)
    tree, column, token = (np.array(of, dtype=int) for of in (tree_of, column_of, token_of))
    return Forest(trees, tree, column, token, edge_of)


def common_prefix(one: list[int], other: list[int]) -> int:
    """How many tokens two rows share at their beginning."""
    for k, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return k
    return min(len(one), len(other))


def _end(trees: list[Tree], columns: list[int]) -> None:
    """Nothing more will be below these columns."""
    for tree in trees:
        for column in columns:
            tree.ends[column] = len(tree.ids)
