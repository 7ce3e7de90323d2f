"""Cases: whole files, some of their values exchanged, then some of their bytes damaged."""

from __future__ import annotations

import copy
import json
from typing import Any

import yaml
from hypothesis import strategies as st


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes half a character as a question mark: libyaml refuses it."""


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_str(text.encode("utf-8", "replace").decode()))

ODD_TEXTS = [
    "",
    " ",
    "\0",
    "\ud800",
    "gatto\0",
    "gatto\ud800",
    "\x1b]0;title\x07",
    "{",
    "{0}",
    "{a.b}",
    "%s",
    "null",
    "1e999",
    "a" * 3000,
    "\u202e",
    "中文",
    "../x",
]
ODD_NUMBERS = [0, 1, -1, 2, 0.5, -0.0, 1e308, -1e308, 10**30, 2**31, float("inf"), float("-inf"), float("nan")]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(ODD_NUMBERS),
    st.integers(-1000, 1000),
    st.floats(),
    st.sampled_from(ODD_TEXTS),
    st.text(max_size=8),
    st.sampled_from([[], {}, [[]], [None], {"": None}, ["a", 1], {"a": {"b": 1}}, [{}], "2026-11-27", [0.5] * 3]),
)
"""A value that is rarely what is wanted."""


@st.composite
def edited(draw: st.DrawFn, tree: Any, most: int = 3) -> Any:
    """A tree of lists and mappings with some of its parts exchanged, left out, doubled or called otherwise."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, most]))):
        _edit(draw, tree)
    return tree


def _edit(draw: st.DrawFn, tree: Any) -> None:
    """One change, at a place that is found by going down at random."""
    while isinstance(tree, dict | list) and tree:
        key = draw(st.sampled_from(list(tree) if isinstance(tree, dict) else range(len(tree))))
        if isinstance(tree[key], dict | list) and tree[key] and draw(st.integers(0, 3)):
            tree = tree[key]
            continue
        what = draw(st.sampled_from([*["exchange"] * 5, "remove", "add", "double"]))
        if what == "remove":
            del tree[key]
        elif what == "exchange":
            tree[key] = copy.deepcopy(draw(_like(tree[key]) if draw(st.booleans()) else ODD))
        elif isinstance(tree, dict):
            tree[draw(st.one_of(st.text(max_size=6), st.sampled_from(list(tree))))] = (
                tree[key] if what == "double" else copy.deepcopy(draw(ODD))
            )
        else:
            tree.append(tree[key] if what == "double" else copy.deepcopy(draw(ODD)))
        return


def _like(value: Any) -> st.SearchStrategy[Any]:
    """Odd values of the kind that stands there."""
    if isinstance(value, str):
        return st.sampled_from(ODD_TEXTS)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return st.sampled_from(ODD_NUMBERS) if is_number else ODD


@st.composite
def damaged(draw: st.DrawFn, content: bytes, most: int = 4) -> bytes:
    """Bytes with bits flipped, pieces cut out, doubled or put in, or the end missing."""
    found = bytearray(content)
    for _ in range(draw(st.integers(0, most))):
        place = draw(st.integers(0, max(0, len(found) - 1)))
        what = draw(st.sampled_from(["flip", "put", "cut", "double", "end"]))
        if what == "flip" and found:
            found[place] ^= 1 << draw(st.integers(0, 7))
        elif what == "put":
            found[place:place] = draw(st.one_of(st.binary(max_size=6), st.sampled_from(PIECES)))
        elif what == "end":
            del found[place:]
        else:
            piece = found[place : place + draw(st.integers(1, 40))]
            found[place : place + len(piece)] = piece * 2 if what == "double" else b""
    return bytes(found)


PIECES = [
    b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\r", b"\x85", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\\ud800", b"\t", b"\n\n",
    b"{", b"}", b"[" * 3000, b"{" * 60, b": ", b"- ", b"'", b'"', b"|\n", b"#", b"~", b"\n---\n", b"%YAML 9.9\n",
    b"&a [", b"*a", b"<<: *a\n", b"!!python/object/apply:os.system [true]",
    b"0o17", b"1:30", b"1_0", b".inf", b"NaN", b"1e999", b"9" * 5000,
]  # fmt: skip


@st.composite
def json_file(draw: st.DrawFn, tree: Any) -> bytes:
    """An edited tree as a JSON file, sometimes damaged."""
    made = json.dumps(draw(edited(tree)), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return draw(damaged(made)) if draw(st.integers(0, 3)) == 0 else made


@st.composite
def json_lines(draw: st.DrawFn, rows: list[Any]) -> bytes:
    """Edited rows as a JSON lines file, sometimes damaged."""
    made = draw(edited(rows)) or []
    lines = [json.dumps(row, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass") for row in made]
    content = b"\n".join(lines) + b"\n"
    return draw(damaged(content)) if draw(st.booleans()) else content


@st.composite
def yaml_file(draw: st.DrawFn, tree: Any) -> bytes:
    """An edited tree as a YAML file, in blocks or as JSON, sometimes damaged."""
    tree, is_json = draw(edited(tree)), draw(st.integers(0, 3)) == 0
    text = json.dumps(tree) if is_json else yaml.dump(tree, Dumper=_Dumper, allow_unicode=True, sort_keys=False)
    made = text.encode()
    return draw(damaged(made)) if draw(st.integers(0, 2)) == 0 else made
