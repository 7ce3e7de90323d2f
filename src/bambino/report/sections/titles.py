"""What numbers are called on the page."""

from __future__ import annotations

from bambino.report.inquiry import Languages

GROUPS = {
    "bits_per_byte": "bits per byte",
    "pairs": "minimal pairs right, share",
    "tasks": "balanced accuracy, share",
}


def title_of(measure: str, languages: Languages | None = None) -> str:
    """A measure of evaluations, named without `eval/`: bits_per_byte/it -> it (L2): bits per byte."""
    group, _, name = measure.partition("/")
    role = f" (L{languages.index(measure) + 1})" if languages is not None and measure in languages else ""
    if group in GROUPS:
        return f"{name}{role}: {GROUPS[group]}"
    return measure.replace("_", " ").replace("/", ": ")
