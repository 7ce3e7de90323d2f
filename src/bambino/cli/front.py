"""`bambino front`: what conditions gain of L2 and lose of L1, over seeds, and which of them none other beats."""

from __future__ import annotations

from argparse import Namespace

from bambino.cli.console import DONE, Command, Parser, claim
from bambino.evaluation.plan import CURVES

ABOUT = """Set conditions by what they gain of L2 and lose of L1 from step 0 to the model that they left, mean over
seeds. Give run directories, their result files, folders of those, or interpolation.json of bambino interpolate. A run's
condition is its name without -SEED. The front are the conditions that no other one beats in both."""
EXAMPLES = """examples:
  bambino front runs/clm-* runs/replay25-* --output_dir results/front
  bambino front results/first runs/clm-*/evaluation/interpolation.json"""


def _read(words: list[str]) -> Namespace:
    parser = Parser("bambino front", ABOUT, EXAMPLES)
    results = "run directories, result files or folders of those, interpolation.json, of all conditions"
    parser.add_argument("results", nargs="+", metavar="RESULT", help=results)
    curves = f"the measures of L1 and L2 (default: {' '.join(CURVES)})"
    parser.add_argument("--curves", nargs=2, default=CURVES, metavar=("L1", "L2"), help=curves)
    folder = "draw a figure as well: front.png and front.svg there"
    parser.add_argument("--output_dir", metavar="FOLDER", help=folder)
    return parser.parse_args(words)


def _run(given: Namespace) -> int:
    from bambino.analysis.fronts import front_of, read_points
    from bambino.report.front import draw_front, front_rows
    from bambino.report.plots import save
    from bambino.report.screen import Screen
    from bambino.report.tables import table

    l1, l2 = given.curves
    points = front_of([point for path in given.results for point in read_points(path, l1, l2)])
    console = Screen()
    console.print(f"Gained in {l2}, lost in {l1}; 95 % interval over seeds")
    console.print(table(front_rows(points)))
    if given.output_dir:
        folder = claim(given.output_dir, "--output_dir")
        console.print(f"Drawn: {save(draw_front(points, l1, l2), folder, 'front')}")
    return DONE


FRONT = Command("front", "what conditions gain of L2 and lose of L1, over seeds", _read, _run)
