"""Count what every reader does with many cases; each fault with the smallest input that showed it.

PYTHONPATH=tests python -m fuzz [--cases 10000] [--faults FILE.md] [READER ...]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from fuzz.laws import LawBrokenError, keeps_the_law
from fuzz.readers import READERS, Files, Reader


def campaign(reader: Reader, cases: int) -> tuple[Counter[str], dict[str, Files]]:
    """How often each outcome came; of each fault, the smallest files that showed it."""
    counts: Counter[str] = Counter()
    faults: dict[str, Files] = {}

    @settings(
        max_examples=cases, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), derandomize=True,
    )  # fmt: skip
    @given(reader.files)
    def try_out(files: Files) -> None:
        with reader.laid_out(files, folder):
            try:
                counts[keeps_the_law(lambda: reader.read(folder), folder)] += 1
            except LawBrokenError as error:
                fault = str(error).replace(str(folder), "").partition(":")[0]
                counts["broken"] += 1
                if fault not in faults or _size(files) < _size(faults[fault]):
                    faults[fault] = files

    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        try_out()
    return counts, faults


def _size(files: Files) -> int:
    return sum(map(len, files.values()))


def _shown(reader: Reader, files: Files) -> str:
    """The files of a case, of each what differs from what lies beside the cases."""
    lines, beside = [], reader.beside()
    for name, content in files.items():
        whole = (beside / name).read_bytes() if beside is not None else b""
        same = next((i for i, (one, other) in enumerate(zip(content, whole, strict=False)) if one != other), 0)
        lines.append(f"    {name}: {content[max(0, same - 30) : same + 300]!r}\n")
    return "".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of: {', '.join(READERS)} (default: all)")
    parser.add_argument("--cases", type=int, default=10_000, help="of each reader")
    parser.add_argument("--faults", type=Path, help="where to write faults, with the input of each")
    given_words = parser.parse_args()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))  # a case that asks for more has shown its fault
    found: list[str] = []
    for name in given_words.readers or READERS:
        begin = time.perf_counter()
        counts, faults = campaign(READERS[name], given_words.cases)
        told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("read", "refused", "broken"))
        print(f"{name:<28}{counts.total():>7} cases: {told}; {time.perf_counter() - begin:.0f} s", flush=True)
        for fault, files in faults.items():
            print(f"    {fault}", flush=True)
            found.append(f"## {name}: {fault}\n{_shown(READERS[name], files)}")
    if given_words.faults is not None:
        given_words.faults.write_text("\n".join(found), encoding="utf-8", errors="backslashreplace")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
