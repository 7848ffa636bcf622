"""Measures speed on this machine; each row stands beside the least that the work needs."""

from __future__ import annotations

import argparse
import contextlib
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.timing import Row, report
from hmr.errors import UserError, VerbParser, run_verb

EPILOG = """\
examples:
  python -m benchmarks
  python -m benchmarks --encoder resnet14_v2_narrow --input-size 96 --batch 64
  python -m benchmarks --only input --data data/standin

The two sides of a row are called alternately; figures are medians
and quartiles. Close other programs first.
"""


def _parser() -> argparse.ArgumentParser:
    parser = VerbParser(prog="python -m benchmarks", description=__doc__, epilog=EPILOG)
    parser.add_argument("--only", choices=MEASURES, help="one group of rows instead of all")
    parser.add_argument("--encoder", default="resnet50_v2", help="default: the paper's")
    parser.add_argument("--input-size", type=int, default=224, help="pixels (224)")
    parser.add_argument("--batch", type=int, default=16, help="images in a training step (16)")
    parser.add_argument("--repeats", type=int, default=7, help="calls of each side (7)")
    parser.add_argument("--poses", type=int, default=100_000, help="poses measured (100000)")
    parser.add_argument("--body", default="models/standin_body.npz", help="body file")
    parser.add_argument("--data", default="data/standin", help="records for the input row")
    parser.add_argument("--images", default="mpi_inf_3dhp", help="dataset of pictures in --data")
    parser.add_argument("--mocap", default="mocap_cmu", help="dataset of bodies in --data")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")
    return parser


def _body_rows(options: argparse.Namespace) -> list[Row]:
    from benchmarks.body import keypoints_row
    from benchmarks.rival_body import smplx_rows
    from hmr.body.model_file import open_body

    body = open_body(options.body)
    rows = [keypoints_row(body, 64, options.repeats)]
    if not all(map(find_spec, ("torch", "smplx"))):
        print("no torch or smplx: their rows are left out (pip install -e .[oracles])")
        return rows
    return rows + smplx_rows(body, 64, options.repeats)


def _drawing_rows(options: argparse.Namespace) -> list[Row]:
    from benchmarks.body import drawing_row
    from hmr.body.model_file import open_body

    return [drawing_row(open_body(options.body), options.repeats)]


def _network_rows(options: argparse.Namespace) -> list[Row]:
    from benchmarks.network import prediction_row, training_rows
    from hmr.settings import ModelSpec

    spec = ModelSpec(options.encoder, options.input_size, body=options.body)
    return [
        *training_rows(spec, options.batch, options.repeats),
        *(prediction_row(spec, size, options.repeats) for size in (1, 8)),
    ]


def _metrics_rows(options: argparse.Namespace) -> list[Row]:
    from benchmarks.metrics import metrics_row

    return [metrics_row(options.poses, options.repeats)]


def _input_rows(options: argparse.Namespace) -> list[Row]:
    from benchmarks.records import input_row

    if options.only != "input" and not Path(options.data).is_dir():
        print(f"no records in {options.data}: the input row is left out (make demo makes some)")
        return []
    size = options.input_size
    return [input_row(options.data, options.images, options.mocap, size, options.repeats)]


def _serving_rows(options: argparse.Namespace) -> list[Row]:
    from benchmarks.serving import serving_rows
    from hmr.settings import ModelSpec

    spec = ModelSpec(options.encoder, options.input_size, body=options.body)
    return list(serving_rows(spec, options.repeats))


MEASURES = {
    "body": _body_rows,
    "network": _network_rows,
    "drawing": _drawing_rows,
    "metrics": _metrics_rows,
    "input": _input_rows,
    "serving": _serving_rows,
}


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = _parser().parse_args(arguments)
    if options.repeats < 1:
        raise UserError(f"--repeats must be at least 1. Received: {options.repeats}.")
    with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):
        rows = [row for group, measure in MEASURES.items() if options.only in (None, group)
                for row in measure(options)]  # fmt: skip
    print(report(rows, options.json))
    return 0


if __name__ == "__main__":
    run_verb(main)
