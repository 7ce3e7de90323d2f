"""Files -> kept lines with a report -> token rows -> padded batches."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import italian_lines, make_tokenizer, there
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from bambino.errors import TextError
from bambino.text.batches import TokenBatch, pad
from bambino.text.heldout import is_heldout, spread
from bambino.text.lines import Corpus, SourceReport, choose_lines, corpus_of, load_corpus, load_heldout
from bambino.text.sources import find_files
from bambino.text.tokens import TokenRows, encode, tokenize


def sha256(text: str) -> int:
    return int(hashlib.sha256(text.encode("utf-8")).hexdigest(), 16)


LINES = italian_lines(300, seed=5)


def write(path: Path, content: bytes | str) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def load(content: bytes | str, tmp_path: Path, name: str = "text.txt", **settings: Any) -> Corpus:
    """The corpus of one file, without a budget, its report filled in."""
    corpus = load_corpus([write(tmp_path / name, content)], **settings)
    return choose_lines(corpus, seed=0, max_lines=None, max_words=None)


# ---------------------------------------------------------------------------------------------------------- reading


def test_a_line_that_is_not_utf8_is_skipped_and_counted(tmp_path: Path) -> None:
    corpus = load(b"uno due\n\xff\xfe tre\nquattro\n", tmp_path)
    assert corpus.lines == ["uno due", "quattro"]
    report = corpus.reports[0]
    assert (report.lines, report.kept, report.words, report.dropped) == (3, 2, 3, {"not UTF-8": 1})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_utf16_file_is_refused_with_a_hint_at_its_encoding(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(TextError, match=r"text\.txt is .*another encoding.*Save it as UTF-8"):
        load("il gatto\nil cane\n".encode(encoding), tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    assert load(b"\xef\xbb\xbfuno\ndue\n", tmp_path).lines == ["uno", "due"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_as_on_unix_windows_or_old_macs(tmp_path: Path, end: bytes) -> None:
    corpus = load(end.join([b"uno", b"due", b"tre"]), tmp_path)
    assert (corpus.lines, corpus.reports[0].lines) == (["uno", "due", "tre"], 3)


def test_a_unicode_line_separator_or_form_feed_does_not_end_a_line(tmp_path: Path) -> None:
    assert load("uno\u2028due\x0ctre\n", tmp_path).lines == ["uno\u2028due\x0ctre"]


def test_lines_are_stripped_and_empty_ones_counted(tmp_path: Path) -> None:
    corpus = load("  uno \n\n \t\ndue\n", tmp_path)
    assert (corpus.lines, corpus.reports[0].dropped) == (["uno", "due"], {"empty": 2})


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"text\.txt is empty"):
        load("", tmp_path)


def test_a_file_without_a_usable_line_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"no usable line: 3 read, dropped .*'shorter than 9 characters': 2"):
        load("uno\n\ndue\n", tmp_path, min_chars=9)


def test_one_source_without_a_usable_line_is_refused_also_beside_a_good_one(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good.txt", "uno\n"), write(tmp_path / "bad.txt", "\n")
    with pytest.raises(TextError, match=r"bad\.txt has no usable line"):
        load_corpus([good, bad])


def test_no_source_at_all_is_refused_with_what_to_type() -> None:
    with pytest.raises(TextError, match=r"--text\.sources"):
        load_corpus([])


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"There is no text at .*nowhere\.txt"):
        load_corpus([str(tmp_path / "nowhere.txt")])


def test_a_folder_without_text_is_named(tmp_path: Path) -> None:
    write(tmp_path / "notes.md", "uno\n")
    with pytest.raises(TextError, match=r"holds no \.txt or \.jsonl file"):
        load_corpus([str(tmp_path)])


def test_json_that_no_parser_can_hold_is_counted_like_other_bad_json(tmp_path: Path) -> None:
    too_long, too_deep = '{"text": ' + "9" * 5_000 + "}", "[" * 100_000
    path = write(tmp_path / "a.jsonl", f'{too_long}\n{too_deep}\n{{"text": "tre"}}\n')
    corpus = load_corpus([path])
    assert corpus.lines == ["tre"]
    assert corpus.reports[0].dropped == {"no JSON object with a text in 'text'": 2}


def test_a_json_document_is_no_text_and_a_file_of_another_ending_is(tmp_path: Path) -> None:
    document = write(tmp_path / "corpus.JSON", '[{"text": "uno"}]')
    with pytest.raises(TextError, match=r"corpus\.JSON is a JSON document.*an object a line, in a \.jsonl file"):
        load_corpus([document])
    assert load_corpus([write(tmp_path / "notes.md", "uno\n")]).lines == ["uno"]


def test_a_folder_is_read_file_by_file_in_order_of_path(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path / "b" / "one.txt", b"\xef\xbb\xbfquattro\n")
    write(tmp_path / "a.txt", "uno\ndue\n")
    write(tmp_path / "a.jsonl", '{"text": "tre"}\n')
    write(tmp_path / "c.md", "no\n")
    assert [path.name for path in find_files(tmp_path)] == ["a.jsonl", "a.txt", "one.txt"]
    corpus = choose_lines(load_corpus([str(tmp_path)]), seed=0, max_lines=None, max_words=None)
    assert corpus.lines == ["tre", "uno", "due", "quattro"]
    assert (corpus.reports[0].lines, corpus.reports[0].kept) == (4, 4)


def test_a_jsonl_line_without_a_text_in_its_field_is_counted(tmp_path: Path) -> None:
    lines = ['{"text": "uno"}', '{"body": "x"}', "not json", '["text"]', '"text"', "3", "null", '{"text": 3}', ""]
    corpus = load("\n".join([*lines, '{"text": null}']) + "\n", tmp_path, "text.jsonl")
    assert corpus.lines == ["uno"]
    assert corpus.reports[0].lines == 10
    assert corpus.reports[0].dropped == {"no JSON object with a text in 'text'": 9}


def test_the_jsonl_field_is_a_setting(tmp_path: Path) -> None:
    corpus = load('{"text": "uno", "body": "due"}\n', tmp_path, "text.jsonl", jsonl_field="body")
    assert corpus.lines == ["due"]


def test_a_jsonl_file_without_the_field_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="no JSON object with a text in 'frase'"):
        load('{"text": "uno"}\n', tmp_path, "text.jsonl", jsonl_field="frase")


def test_a_newline_inside_a_json_text_becomes_a_space(tmp_path: Path) -> None:
    assert load('{"text": "uno\\ndue\\n"}\n', tmp_path, "text.jsonl").lines == ["uno due"]


def test_half_a_character_in_a_json_text_is_dropped_not_a_crash(tmp_path: Path) -> None:
    content = '{"text": "met\\u00e0 \\ud83d"}\n{"text": "intero \\ud83d\\ude00"}\n'
    corpus = load(content, tmp_path, "text.jsonl", heldout_every=1000)
    assert corpus.lines == ["intero 😀"]
    assert corpus.reports[0].dropped == {"holds half a character (a lone surrogate)": 1}
    source = str(tmp_path / "text.jsonl")
    assert load_heldout([source], heldout_every=None, max_lines=9) == ["intero 😀"]


def test_lines_shorter_than_min_chars_are_counted_in_characters_not_bytes(tmp_path: Path) -> None:
    # "perché" has 6 characters and 7 bytes.
    corpus = load("perché\nperciò!\n", tmp_path, min_chars=7)
    assert (corpus.lines, corpus.reports[0].dropped) == (["perciò!"], {"shorter than 7 characters": 1})


def test_the_manifest_names_the_bytes_that_were_read(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbfuno\r\n\xff\r\n"
    assert load(content, tmp_path).reports[0].sha256 == hashlib.sha256(content).hexdigest()


def test_texts_in_memory_are_counted_as_a_file_is() -> None:
    corpus = corpus_of(["uno\ndue", " tre ", "", "x", "\ud800y"], "mine", min_chars=2, heldout_every=1000)
    report = corpus.reports[0]
    assert corpus.lines == ["uno due", "tre"]
    assert report.lines == 5
    assert report.dropped == {
        "empty": 1,
        "shorter than 2 characters": 1,
        "holds half a character (a lone surrogate)": 1,
    }


def test_texts_in_memory_without_a_usable_one_are_refused() -> None:
    with pytest.raises(TextError, match="mine has no usable text: 1 read"):
        corpus_of([""], "mine")


# A text that no rule below holds out, bare or inside its JSON.
KEEPER = next(
    line for line in LINES if all(sha256(text) % n for text in (line, f'{{"text": "{line}"}}') for n in (2, 3, 4))
)


@given(
    lines=st.lists(st.one_of(st.text(max_size=12).map(lambda t: t.encode("utf-8", "replace")), st.binary(max_size=8))),
    min_chars=st.integers(0, 4),
    heldout_every=st.none() | st.integers(2, 4),
    max_lines=st.none() | st.integers(1, 5),
    is_jsonl=st.booleans(),
)
def test_every_line_read_is_either_kept_or_counted_as_dropped(
    lines: list[bytes], min_chars: int, heldout_every: int | None, max_lines: int | None, is_jsonl: bool
) -> None:
    lines = [line.replace(b"\n", b"").replace(b"\r", b"") for line in lines]
    keepers = [f'{{"text": "{KEEPER}"}}'.encode()] * (
        len(lines) + 1
    )  # a file whose lines are mostly no text is refused
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("text.jsonl" if is_jsonl else "text.txt")
        path.write_bytes(b"".join(line + b"\n" for line in [*keepers, *lines]))
        corpus = load_corpus([str(path)], min_chars=min_chars, heldout_every=heldout_every)
        corpus = choose_lines(corpus, seed=1, max_lines=max_lines, max_words=None)
    report = corpus.reports[0]
    assert report.lines == 2 * len(lines) + 1
    assert report.lines == report.kept + sum(report.dropped.values())
    assert report.kept == len(corpus.lines) == len(corpus.source_of)
    assert report.words == sum(len(line.split()) for line in corpus.lines)


# --------------------------------------------------------------------------------------------------------- held out


def test_a_line_is_held_out_when_its_sha256_is_0_modulo_n_and_is_never_trained_on(tmp_path: Path) -> None:
    expected = [line for line in LINES if sha256(line) % 7 == 0]
    path = write(tmp_path / "text.txt", "".join(f"  {line}\r\n" for line in LINES))
    corpus = choose_lines(load_corpus([path], heldout_every=7), seed=0, max_lines=None, max_words=None)
    assert len(expected) > 20
    assert load_heldout([path], heldout_every=7, max_lines=999) == expected
    assert corpus.lines == [line for line in LINES if line not in expected]
    assert corpus.reports[0].dropped == {"held out": len(expected)}


def test_a_line_is_held_out_wherever_it_stands(tmp_path: Path) -> None:
    held = next(line for line in LINES if sha256(line) % 7 == 0)
    as_json = write(tmp_path / "a.jsonl", json.dumps({"text": f"{held}\n"}) + "\n" + json.dumps({"text": "altro"}))
    as_text = write(tmp_path / "b.txt", f"\t{held} \naltro\n")
    assert is_heldout(f"\t{held} \n", 7)
    assert load_corpus([as_json, as_text], heldout_every=7).lines == ["altro", "altro"]
    assert corpus_of([held, "altro"], "mine", heldout_every=7).lines == ["altro"]


def test_dev_and_test_are_disjoint_halves_of_what_is_held_out_by_a_second_hash(tmp_path: Path) -> None:
    path = write(tmp_path / "text.txt", "\n".join(LINES))
    held, dev, test = (
        load_heldout([path], heldout_every=3, split=split, max_lines=999) for split in ("all", "dev", "test")
    )
    assert sorted(dev + test) == sorted(held)
    assert dev == [line for line in held if sha256(f"split:{line}") % 2 == 0]
    assert test == [line for line in held if sha256(f"split:{line}") % 2 == 1]
    assert len(dev) > 20
    assert len(test) > 20


def test_without_a_heldout_rule_evaluation_takes_all_lines_that_hold_text(tmp_path: Path) -> None:
    path = write(tmp_path / "text.txt", "uno\n\n \nd\0ue\ntre\n")
    assert load_heldout([path], heldout_every=None, max_lines=9) == ["uno", "tre"]


def test_a_text_without_a_held_out_line_is_refused_with_the_rule(tmp_path: Path) -> None:
    kept = [line for line in LINES if sha256(line) % 7 != 0]
    path = write(tmp_path / "text.txt", "\n".join(kept))
    with pytest.raises(TextError, match=r"no held-out line \(sha256 of the line modulo 7 is 0, split dev\)"):
        load_heldout([path], heldout_every=7, split="dev", max_lines=9)


def test_at_most_max_lines_are_held_out_spread_evenly() -> None:
    # Of 7 items 3: numbers 0 * 7 // 3 = 0, 7 // 3 = 2, 14 // 3 = 4.
    assert spread(list("abcdefg"), 3) == ["a", "c", "e"]
    assert spread(list("abc"), 3) == ["a", "b", "c"]
    assert spread(list("abc"), 9) == ["a", "b", "c"]


# ----------------------------------------------------------------------------------------------------------- budget


def words_corpus(*lines: str, source_of: list[int] | None = None) -> Corpus:
    sources = np.array(source_of or [0] * len(lines))
    return Corpus(
        list(lines), sources, [1.0] * (sources.max() + 1), [SourceReport(s) for s in "ab"[: sources.max() + 1]]
    )


def test_max_lines_keeps_so_many_lines_in_their_order() -> None:
    lines = [str(i) for i in range(50)]
    chosen = choose_lines(words_corpus(*lines), seed=3, max_lines=20, max_words=None)
    assert len(chosen.lines) == 20
    assert chosen.lines == sorted(chosen.lines, key=int)
    assert chosen.lines != lines[:20]
    assert chosen.reports[0].kept == 20
    assert chosen.reports[0].dropped == {"over the budget": 30}


def test_a_budget_beyond_the_text_keeps_everything() -> None:
    chosen = choose_lines(words_corpus("a", "b"), seed=3, max_lines=9, max_words=9)
    assert (chosen.lines, chosen.reports[0].dropped) == (["a", "b"], {})


def test_max_words_keeps_as_many_lines_as_fit() -> None:
    # 3 words a line: three lines are 9 words, a fourth would make 12.
    chosen = choose_lines(words_corpus(*["a b c"] * 8), seed=3, max_lines=None, max_words=11)
    assert chosen.reports[0].kept == 3
    assert chosen.reports[0].words == 9


def test_max_words_may_be_met_exactly() -> None:
    chosen = choose_lines(words_corpus(*["a b c"] * 8), seed=3, max_lines=None, max_words=12)
    assert chosen.reports[0].words == 12


def test_of_two_budgets_the_tighter_holds() -> None:
    assert len(choose_lines(words_corpus(*["a b"] * 8), seed=3, max_lines=2, max_words=10).lines) == 2
    assert len(choose_lines(words_corpus(*["a b"] * 8), seed=3, max_lines=5, max_words=6).lines) == 3


def test_a_budget_below_the_first_line_is_refused() -> None:
    with pytest.raises(TextError, match=r"text\.max_words = 2 is less than the first line's 3 words"):
        choose_lines(words_corpus("a b c", "d e f"), seed=0, max_lines=None, max_words=2)


def test_a_larger_budget_of_the_same_seed_keeps_what_a_smaller_one_keeps() -> None:
    lines = [str(i) for i in range(50)]
    small, large = (set(choose_lines(words_corpus(*lines), seed=3, max_lines=n, max_words=None).lines) for n in (9, 30))
    assert small < large


def test_what_is_kept_depends_on_the_seed() -> None:
    lines = [str(i) for i in range(50)]
    one, other = (choose_lines(words_corpus(*lines), seed=seed, max_lines=9, max_words=None).lines for seed in (1, 2))
    assert one != other


def test_a_budget_is_counted_per_source() -> None:
    corpus = words_corpus("a b", "c", "d e f", "g", source_of=[0, 0, 1, 1])
    chosen = choose_lines(corpus, seed=0, max_lines=3, max_words=None)
    for s, report in enumerate(chosen.reports):
        mine = [line for line, source in zip(chosen.lines, chosen.source_of, strict=True) if source == s]
        assert report.kept == len(mine)
        assert report.words == sum(len(line.split()) for line in mine)
        assert report.dropped.get("over the budget", 0) == 2 - len(mine)


# ------------------------------------------------------------------------------------------------------- tokenizing


def letters(
    *, bos: str | None = "<s>", eos: str | None = "</s>", pad: str | None = "<pad>", template: str | None = None
) -> PreTrainedTokenizerFast:
    """A tokenizer of single bytes; `template` says what it puts around a text ($A)."""
    tokenizer = make_tokenizer(bos=bos, eos=eos, pad=pad, vocab_size=1)
    if template is not None:
        special = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (bos, eos) if token is not None]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=special
        )
    return tokenizer


def tokens_of(
    line: str,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int | None = None,
    append_eos: bool = True,
    prepend_bos: bool = True,
) -> tuple[list[str], bool, SourceReport]:
    """A line's tokens by name, whether it was truncated, and the report."""
    corpus = words_corpus(line)
    rows = tokenize(corpus, tokenizer, max_length=max_length, append_eos=append_eos, prepend_bos=prepend_bos)
    return tokenizer.convert_ids_to_tokens(rows[0].tolist()), bool(rows.is_truncated[0]), corpus.reports[0]


@pytest.mark.parametrize("template", [None, "$A", "<s> $A", "$A </s>", "<s> $A </s>"])
def test_a_row_begins_with_one_bos_and_ends_without_eos_whatever_the_tokenizer_does(template: str | None) -> None:
    tokens, _, report = tokens_of("ciao", letters(template=template))
    assert tokens == ["<s>", "c", "i", "a", "o"]
    assert report.tokens == 6  # and the EOS that will follow


@pytest.mark.parametrize(("template", "expected"), [("$A", "ciao"), ("<s> $A", "<s>ciao"), ("<s> $A </s>", "<s>ciao")])
def test_without_prepend_bos_the_tokenizer_decides(template: str, expected: str) -> None:
    tokens, _, _ = tokens_of("ciao", letters(template=template), prepend_bos=False)
    assert "".join(tokens) == expected


@pytest.mark.parametrize("template", ["$A", "$A </s>", "</s> $A", "</s> $A </s>"])
def test_a_tokenizer_without_bos_begins_with_its_eos(template: str) -> None:
    assert tokens_of("ciao", letters(bos=None, template=template))[0] == ["</s>", "c", "i", "a", "o"]


@pytest.mark.parametrize("template", ["$A", "<e> $A", "$A <e>", "<e> $A <e>"])
def test_a_tokenizer_whose_bos_is_its_eos_begins_with_one(template: str) -> None:
    assert tokens_of("ciao", letters(bos="<e>", eos="<e>", template=template))[0] == ["<e>", "c", "i", "a", "o"]


def test_a_tokenizer_with_neither_bos_nor_eos_nor_pad_gives_the_bare_text() -> None:
    tokens, _, report = tokens_of("ciao", letters(bos=None, eos=None, pad=None), append_eos=False)
    assert tokens == ["c", "i", "a", "o"]
    assert report.tokens == 4


@pytest.mark.parametrize(
    ("line", "expected", "truncated", "trained_on"),
    [
        # With BOS and EOS, of at most 6 tokens 4 letters fit.
        ("abc", "<s>abc", False, 5),
        ("abcd", "<s>abcd", False, 6),  # max_length - 1 tokens: EOS fits exactly
        ("abcde", "<s>abcde", True, 6),  # max_length tokens: all stay, no EOS
        ("abcdefgh", "<s>abcde", True, 6),
    ],
)
def test_a_line_is_truncated_when_it_and_its_eos_do_not_fit(
    line: str, expected: str, truncated: bool, trained_on: int
) -> None:
    tokens, is_truncated, report = tokens_of(line, letters(), max_length=6)
    assert ("".join(tokens), is_truncated) == (expected, truncated)
    assert (report.tokens, report.truncated) == (trained_on, int(truncated))


@pytest.mark.parametrize(
    ("line", "expected", "truncated"), [("abcde", "<s>abcde", False), ("abcdef", "<s>abcde", True)]
)
def test_without_append_eos_a_line_of_max_length_is_whole(line: str, expected: str, truncated: bool) -> None:
    tokens, is_truncated, report = tokens_of(line, letters(), max_length=6, append_eos=False)
    assert ("".join(tokens), is_truncated, report.tokens) == (expected, truncated, 6)


def test_without_max_length_nothing_is_cut() -> None:
    tokens, is_truncated, report = tokens_of("abc" * 300, letters())
    assert (len(tokens), is_truncated, report.tokens) == (901, False, 902)


def test_tokens_are_counted_per_source() -> None:
    corpus = words_corpus("abc", "abcdefgh", "ab", source_of=[0, 1, 1])
    tokenize(corpus, letters(), max_length=6, append_eos=True, prepend_bos=True)
    # <s>abc</s> | <s>abcde and <s>ab</s>
    assert [(report.tokens, report.truncated) for report in corpus.reports] == [(5, 0), (10, 1)]


def test_rows_come_back_as_they_went_in() -> None:
    rows = TokenRows(np.array([1, 2, 3, 4]), np.array([0, 1, 4]), np.array([False, False]), np.array([1, 2]), None)
    assert len(rows) == 2
    assert [row.tolist() for row in (rows[0], rows[1])] == [[1], [2, 3, 4]]


# ---------------------------------------------------------------------------------------------------------- batches


def test_pads_stand_right_or_left_and_are_not_real() -> None:
    right, left = pad([[5, 6, 7], [8]], 9), pad([[5, 6, 7], [8]], 9, "left")
    assert right.input_ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert right.is_real.tolist() == [[True, True, True], [True, False, False]]
    assert left.input_ids.tolist() == [[5, 6, 7], [9, 9, 8]]
    assert left.is_real.tolist() == [[True, True, True], [False, False, True]]


def test_targets_are_real_tokens_after_a_real_token() -> None:
    assert pad([[5, 6, 7], [8]], 9).is_target.tolist() == [[False, True, True], [False, False, False]]
    assert pad([[5, 6, 7], [8, 9]], 9, "left").is_target.tolist() == [[False, True, True], [False, False, True]]


def test_a_pad_that_looks_like_a_token_is_no_target() -> None:
    # The release's mistake: pad = EOS, and the pads were learned. The real EOS (1) is a target, pads (1) are not.
    assert pad([[5, 6, 7, 1], [8, 1]], 1).is_target.tolist() == [[False, True, True, True], [False, True, False, False]]


def test_in_a_packed_row_the_first_token_of_a_line_is_no_target() -> None:
    documents = torch.tensor([[0, 0, 0, 1, 2, 2]])
    batch = TokenBatch(torch.arange(6)[None], torch.ones(1, 6, dtype=torch.bool), documents)
    assert batch.is_target.tolist() == [[False, True, True, False, False, True]]


def test_some_rows_of_a_batch_keep_their_masks_and_documents() -> None:
    documents = torch.tensor([[0, 0], [0, 1]])
    batch = TokenBatch(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[True, True], [True, False]]), documents)
    part = batch.rows(slice(1, 2))
    assert part.input_ids.tolist() == [[3, 4]]
    assert part.is_real.tolist() == [[True, False]]
    assert there(part.documents).tolist() == [[0, 1]]


def test_a_text_that_spells_a_special_token_is_read_as_characters() -> None:
    tokenizer = make_tokenizer()
    (row,) = encode(tokenizer, ["il gatto </s> e <pad>"])
    assert row.count(tokenizer.eos_token_id) == 1  # the start token
    assert tokenizer.pad_token_id not in row
    assert tokenizer.decode(row[1:]) == "il gatto </s> e <pad>"
