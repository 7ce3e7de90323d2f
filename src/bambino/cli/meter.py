"""`bambino meter`: what feedback gained over exposure alone, per word and per FLOP that it cost."""

from __future__ import annotations

from argparse import Namespace

from bambino.cli.console import DONE, Command, Parser, claim

ABOUT = """Set runs with feedback against runs of exposure alone that heard the same batches, seed by seed: L2 gained,
and gained per word said, per word that the parent wrote, per token that it read, per FLOP of its. Give run directories
or their result files, or folders of those (python -m bambino.experiments.summary, bambino experiment)."""
EXAMPLES = """examples:
  bambino meter runs/clm-1 runs/clm-2 runs/bambino-1 runs/bambino-2
  bambino meter results/first --over clm-tuned --measure bits_per_byte/it --output_dir results/meter"""


def _read(words: list[str]) -> Namespace:
    parser = Parser("bambino meter", ABOUT, EXAMPLES)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directories, result files or folders of those")
    parser.add_argument("--over", default="clm", metavar="NAME", help="the condition without feedback (default: clm)")
    measure = "what is gained (default: bits_per_byte/it)"
    parser.add_argument("--measure", default="bits_per_byte/it", metavar="NAME", help=measure)
    folder = "draw a figure as well: meter.png and meter.svg there"
    parser.add_argument("--output_dir", metavar="FOLDER", help=folder)
    return parser.parse_args(words)


def _run(given: Namespace) -> int:
    from bambino.analysis.feedback_meter import feedback_meter, read_measured
    from bambino.report.meter import draw_meter, meter_rows
    from bambino.report.plots import save
    from bambino.report.screen import Screen
    from bambino.report.tables import table

    meter = feedback_meter(read_measured(given.runs, given.measure), given.measure, given.over)
    console = Screen()
    if meter.readings:
        title = f"Gained over {meter.baseline} in {meter.measure}, with 95 % intervals over seeds; positive is better"
        console.print(title)
        console.print(table(meter_rows(meter)))
    for condition, why in meter.left_out.items():
        console.print(f"{condition} is left out: {why}")
    if given.output_dir and meter.readings:
        folder = claim(given.output_dir, "--output_dir")
        console.print(f"Drawn: {save(draw_meter(meter), folder, 'meter')}")
    return DONE


METER = Command("meter", "what feedback gained over exposure alone, per word and FLOP that it cost", _read, _run)
