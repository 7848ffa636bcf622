"""Scores a model, or any method's predictions, by a named protocol."""

from __future__ import annotations

import argparse
from pathlib import Path

from src.errors import run_verb

EPILOG = """\
examples:
  python -m src.evaluate --protocol stand_in --checkpoint runs/demo --data data/standin
  python -m src.evaluate --protocol mpi_inf_3dhp_val --predictions theirs.npz --data data/tfrecords

Predictions are an .npz with one row for each record, in the records' order (samples.csv of an
earlier evaluation lists it): joints3d (N, 14 or 19, 3), metres, camera's axes (x right, y down, z
away), and/or keypoints2d (N, 19, 2), -1 to 1 over the crop. With filename (N,) the order is
checked.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.evaluate",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--protocol", default="stand_in", help="name; --list shows all (stand_in)")
    parser.add_argument("--list", action="store_true", help="list the protocols and stop")
    parser.add_argument("--data", default="data/tfrecords", help="records (data/tfrecords)")
    parser.add_argument("--checkpoint", help="model folder or training folder, such as runs/demo")
    parser.add_argument("--predictions", metavar="FILE.npz", help="another method's predictions")
    parser.add_argument("--body", help="another body file than the model's")
    parser.add_argument("--output", help="folder for the files (runs/evaluation/PROTOCOL)")
    parser.add_argument("--batch_size", type=_positive, default=64, help="images at a time (64)")
    parser.add_argument("--limit", type=_positive, help="score the first records only")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return number


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = vars(_parser().parse_args(arguments))
    if options.pop("list"):
        from src.evaluation.protocols import PROTOCOLS

        print("\n".join(f"{row.name:<18} {row.title}" for row in PROTOCOLS.values()))
        return 0
    from src.evaluation.run import Evaluation, evaluate, save_outcome

    folder = Path(options.pop("output") or Path("runs/evaluation") / options["protocol"])
    evaluation = Evaluation(**options)
    outcome = evaluate(evaluation)
    print(outcome.table())
    files = save_outcome(outcome, evaluation, folder)
    print("\nwrote " + "\n      ".join(map(str, files)))
    return 0


if __name__ == "__main__":
    run_verb(main)
