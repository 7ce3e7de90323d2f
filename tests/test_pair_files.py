"""Files of minimal pairs: what each form means, and what is refused with its line."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bambino.errors import TextError
from bambino.evaluation.pair_files import Pair, load_pair_set, load_pairs, load_terms

GOOD_LINE = {"sentence_good": "il gatto", "sentence_bad": "la gatto", "UID": "agreement"}


def write_lines(path: Path, *items: Any) -> Path:
    path.write_text("\n".join(item if isinstance(item, str) else json.dumps(item) for item in items), encoding="utf-8")
    return path


def test_pairs_are_read_in_order_with_their_paradigm_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    other = {"sentence_good": "perché è", "sentence_bad": "è perché", "field": "syntax", "linguistics_term": "order"}
    assert load_pairs(write_lines(tmp_path / "pairs.jsonl", GOOD_LINE, "", "  ", other)) == [
        Pair("il gatto", "la gatto", "agreement"),
        Pair("perché è", "è perché", "", term="order", field="syntax"),
    ]


def test_a_prefix_is_context_with_one_space_after_it(tmp_path: Path) -> None:
    lines = [{"prefix": prefix, "good_form": "è", "bad_form": "sono", "UID": "n"} for prefix in ("Lui", "Lui  ")]
    pair = Pair("Lui è", "Lui sono", "n", given=3)
    assert load_pairs(write_lines(tmp_path / "pairs.jsonl", *lines)) == [pair, pair]
    # a line that has both forms is read as prefix and form
    both = {**lines[0], "sentence_good": "Lui è", "sentence_bad": "Lui sono"}
    assert load_pairs(write_lines(tmp_path / "both.jsonl", both)) == [pair]


JOINED = [
    ("Ho visto l'", "amico", "amici"),
    ("Vengo dall’", "amica", "amiche"),  # noqa: RUF001
    ("Era un'", "amica", "amico"),
    ("La mano dell'", "uomo", "uomini"),
    ("Che bell'", "idea", "idee"),
    ("Jusqu'", "ici", "là"),
    ("O'", "Neill", "x"),
    ("a well-", "known", "know"),
    ("il cane (", "nero", "nera"),
    ("¿", "Quién", "Qué"),
    ("«", "Ciao", "Cio"),
    ("那个", "男孩", "女孩"),
    ("我有3", "个", "本"),
    ("เขา", "กิน", "ดื่ม"),
    ("ねこが", "いる", "ある"),
    ("是吗，", "好", "a"),  # noqa: RUF001
]
APART = [
    ("Lui", "è", "sono"),
    ("Dammi un po'", "di", "da"),
    ("Va'", "via", "vie"),
    ("The dogs'", "tails", "tail"),
    ("He said 'yes'", "is", "are"),
    ("uno -", "due", "tre"),
    ("(sì)", "è", "sono"),
    ("»Hallo«", "ist", "sind"),
    ("나는", "간다", "가"),
]


@pytest.mark.parametrize(("prefix", "good", "bad"), JOINED)
def test_nothing_stands_where_no_space_is_written(prefix: str, good: str, bad: str, tmp_path: Path) -> None:
    line = {"prefix": prefix, "good_form": good, "bad_form": bad}
    (pair,) = load_pairs(write_lines(tmp_path / "pairs.jsonl", line))
    assert pair == Pair(prefix + good, prefix + bad, "", given=len(prefix))


@pytest.mark.parametrize(("prefix", "good", "bad"), APART)
def test_a_space_stands_where_one_is_written(prefix: str, good: str, bad: str, tmp_path: Path) -> None:
    line = {"prefix": prefix, "good_form": good, "bad_form": bad}
    (pair,) = load_pairs(write_lines(tmp_path / "pairs.jsonl", line))
    assert pair == Pair(f"{prefix} {good}", f"{prefix} {bad}", "", given=len(prefix))


def test_white_space_around_a_text_is_no_part_of_it(tmp_path: Path) -> None:
    line = {"sentence_good": "I bambini\nmangiano. ", "sentence_bad": "\tI bambini mangia.\n", "UID": " n "}
    form = {"prefix": " Ho visto l' ", "good_form": " amico\u00a0", "bad_form": "amici\n"}
    assert load_pairs(write_lines(tmp_path / "pairs.jsonl", line, form)) == [
        Pair("I bambini mangiano.", "I bambini mangia.", "n"),
        Pair("Ho visto l'amico", "Ho visto l'amici", "", given=11),
    ]


def test_after_an_empty_prefix_the_form_is_a_sentence(tmp_path: Path) -> None:
    lines = [{"prefix": prefix, "good_form": "Piove", "bad_form": "Piovono"} for prefix in ("", "  ", "Oggi")]
    assert load_pairs(write_lines(tmp_path / "pairs.jsonl", *lines)) == [
        *[Pair("Piove", "Piovono", "")] * 2,
        Pair("Oggi Piove", "Oggi Piovono", "", given=4),
    ]


@pytest.mark.parametrize(
    ("length", "problem"), [(200_000, ""), (1 << 23, r"pairs\.tsv, line 2: longer than 4,000,000")]
)
def test_a_row_may_be_long_but_not_the_whole_file(tmp_path: Path, length: int, problem: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("sen\twrong_sen\nil\t" + "a" * length + "\n", encoding="utf-8")
    with pytest.raises(TextError, match=problem) if problem else nullcontext():
        assert len(load_pairs(path)[0].bad) == length


def test_zhoblimp_and_multiblimp_name_a_phenomenon(tmp_path: Path) -> None:
    zho = {"UID": "BA_drop", "phenomenon": "BA", "sentence_good": "你把", "sentence_bad": "把你", "pairID": 0}
    assert load_pairs(write_lines(tmp_path / "zho.jsonl", zho)) == [Pair("你把", "把你", "BA_drop", term="BA")]
    multi = Pair("il gatto", "la gatto", "SV-#", term="SV-#")
    line = {"sen": "il gatto", "wrong_sen": "la gatto", "phenomenon": "SV-#"}
    assert load_pairs(write_lines(tmp_path / "multi.jsonl", line)) == [multi]
    table = ["\tsen\twrong_sen\tphenomenon", "0\til gatto\tla gatto\tSV-#", '1\t"il ""gatto"""\tla gatto\tSV-#']
    assert load_pairs(write_lines(tmp_path / "multi.tsv", *table)) == [
        multi,
        Pair('il "gatto"', "la gatto", "SV-#", term="SV-#"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD_LINE).encode())
    assert load_pairs(path) == [Pair("il gatto", "la gatto", "agreement")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON"),
        ("il gatto", "not JSON"),
        ('["il gatto", "la gatto"]', "no JSON object"),
        ("3", "no JSON object"),
        ('{"sentence_good": "il gatto"}', "no sentence_bad"),
        ('{"sentence_bad": "il gatto"}', "no sentence_good"),
        ('{"sen": "il gatto"}', "no wrong_sen"),
        ('{"good_form": "il", "bad_form": "la"}', "no prefix"),
        ('{"prefix": "il", "good_form": "gatto"}', "no bad_form"),
        ('{"prefix": null, "good_form": "gatto", "bad_form": "gatti"}', "prefix = None must be a non-empty string"),
        (
            '{"prefix": "il", "good_form": "gatto", "bad_form": "gatti", "UID": "shortest"}',
            "'shortest' has the name of",
        ),
        ('{"sentence_good": "a", "sentence_bad": "b", "UID": "\\ud800"}', "names scores and files"),
        (json.dumps({"sen": "a", "wrong_sen": "b", "field": "x" * 200}), "field = 'xxxx"),
        ('{"sentence_good": "a", "sentence_bad": "b", "UID": "log_prob_bad"}', "'log_prob_bad' has the name of"),
        ('{"sentence_good": "a", "sentence_bad": "b", "UID": "field:syntax"}', "'field:syntax' has the name of"),
        ('{"sentence_good": "a", "sentence_bad": "b", "phenomenon": "term:order"}', "Rename it"),
        ('{"sentence_good": "il gatto", "sentence_bad": ""}', "sentence_bad = '' must be a non-empty string"),
        ('{"sentence_good": " ", "sentence_bad": "la gatto"}', "must be a non-empty string"),
        ('{"sentence_good": 3, "sentence_bad": "la gatto"}', "sentence_good = 3 must be"),
        ('{"sentence_good": null, "sentence_bad": "la gatto"}', "must be a non-empty string"),
        ('{"sentence_good": "\\ud83d", "sentence_bad": "la gatto"}', "half a character"),
        ('{"sentence_good": "il\\u0000", "sentence_bad": "la gatto"}', "NUL"),
    ],
)
def test_a_line_that_is_no_pair_is_named(line: str, problem: str, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", GOOD_LINE, "", line)
    with pytest.raises(TextError) as caught:
        load_pairs(path)
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert problem in str(caught.value)


def test_mixed_encodings_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(json.dumps(GOOD_LINE).encode() + b'\n{"sentence_good": "\xe8", "sentence_bad": "e"}\n')
    with pytest.raises(TextError, match=r"pairs\.jsonl, line 2: not UTF-8 .*Save the whole file as UTF-8"):
        load_pairs(path)


def test_a_missing_and_an_empty_file_of_pairs(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"There are no minimal pairs at .*nowhere\.jsonl"):
        load_pair_set(tmp_path / "nowhere.jsonl")
    with pytest.raises(TextError, match=r"There are no minimal pairs at data/nowhere\.jsonl"):
        load_pair_set("data/nowhere.jsonl")
    with pytest.raises(TextError, match=r"empty\.jsonl holds no pair"):
        load_pairs(write_lines(tmp_path / "empty.jsonl", "", ""))


def test_terms_and_fields_come_from_a_second_file(tmp_path: Path) -> None:
    pairs = write_lines(tmp_path / "pairs.jsonl", GOOD_LINE, {**GOOD_LINE, "UID": "other", "field": "own"})
    terms = write_lines(tmp_path / "terms.jsonl", {"UID": "agreement", "term": "determiner", "field": "morphology"})
    assert load_terms(terms) == {"agreement": ("determiner", "morphology")}
    data = load_pair_set(pairs, [terms])
    assert [(pair.term, pair.field) for pair in data.pairs] == [("determiner", "morphology"), ("", "own")]
    assert data.source == str(pairs)
    # sha256sum of the bytes
    assert data.sha256 == __import__("hashlib").sha256(pairs.read_bytes()).hexdigest()


def test_a_line_without_a_term_is_named(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "terms.jsonl", {"UID": "agreement", "field": "morphology"})
    with pytest.raises(TextError, match=r"terms\.jsonl, line 1: no term\. Each line must be"):
        load_terms(path)
    with pytest.raises(TextError, match="There is no file of terms at"):
        load_terms(tmp_path / "nowhere.jsonl")


def fake_hub(asked: list[tuple[str, str]]) -> Any:
    def load_dataset(name: str, configuration: str) -> dict[str, list[dict[str, str]]]:
        asked.append((name, configuration))
        if name == "jumelet/nowhere":
            raise ConnectionError("offline")
        return {"train": [{"sen": "il gatto", "wrong_sen": "la gatto"}, {"sen": "il cane"}][: 2 - (name[-1] == "p")]}

    return SimpleNamespace(load_dataset=load_dataset)


def test_multiblimp_by_hub_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setitem(sys.modules, "datasets", fake_hub(asked))
    data = load_pair_set("jumelet/multiblimp:ita")
    assert asked == [("jumelet/multiblimp", "ita")]
    assert (data.pairs, data.source) == ([Pair("il gatto", "la gatto", "")], "jumelet/multiblimp:ita")
    with pytest.raises(TextError, match="jumelet/broken on the hub, train, row 1: no wrong_sen"):
        load_pair_set("jumelet/broken")


def test_a_hub_that_cannot_be_reached_or_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", fake_hub([]))
    with pytest.raises(
        TextError, match=r"could not be read from the hub: ConnectionError: offline\. Without a network"
    ):
        load_pair_set("jumelet/nowhere:ita")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(TextError, match="needs `pip install datasets`"):
        load_pair_set("jumelet/multiblimp:ita")
