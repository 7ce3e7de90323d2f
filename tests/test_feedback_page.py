"""docs/feedback.md lists every kind of feedback, once."""

from __future__ import annotations

import re
from pathlib import Path

from bambino.feedback.settings import KINDS

PAGE = Path(__file__).parent.parent / "docs" / "feedback.md"


def test_the_page_has_a_row_for_every_kind_and_says_what_babylms_rules_say() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\w ]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted((name, kind.babylm) for name, kind in KINDS.items())
