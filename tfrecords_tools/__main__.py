"""Converts every dataset that is given: `python -m tfrecords_tools --lsp ... --coco ...`."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from hmr.data import datasets
from hmr.errors import EXIT_PARTLY, EXIT_USER_ERROR, UserError, VerbParser, run_verb
from hmr.files.lock import BusyError
from tfrecords_tools.common.cli import (
    Converter,
    SummaryRow,
    add_output_options,
    build_parser,
    convert_dataset,
    open_workers,
    print_summary,
)

CONVERTERS: tuple[Converter, ...] = tuple(
    import_module(f"tfrecords_tools.{name}").CONVERTER for name in datasets.CONVERTERS
)


def _build_parser() -> argparse.ArgumentParser:
    parser = VerbParser(
        prog="python -m tfrecords_tools",
        description="Converts the datasets whose folders are given, and lists the others as "
        "skipped.\nInterrupted, the same command continues where it stopped.",
        epilog="example: python -m tfrecords_tools --lsp /data/lsp --coco /data/coco "
        "--amass /data/amass\nlayouts and further options: python -m tfrecords_tools.coco --help",
    )
    for converter in CONVERTERS:
        title = converter.about.strip().splitlines()[0]
        parser.add_argument(f"--{converter.name}", type=Path, metavar="FOLDER", help=title)
    add_output_options(parser)
    return parser


def _options_of(converter: Converter, args: argparse.Namespace) -> argparse.Namespace:
    """All options of a converter: its own at their defaults, the common ones as given."""
    folder = getattr(args, converter.name)
    options = build_parser(converter).parse_args(["--input", str(folder)])
    for name in ("output", "workers", "overwrite"):
        setattr(options, name, getattr(args, name))
    return options


def _convert_given(args: argparse.Namespace) -> tuple[list[SummaryRow], int]:
    """The summary's rows, and how many datasets failed."""
    rows, failed = [], 0
    taken: set[tuple[str, str]] = set()
    with open_workers(args) as workers:
        for converter in CONVERTERS:
            if getattr(args, converter.name) is None:
                rows.append(SummaryRow(converter.name, "", "-", "not given"))
                continue
            try:
                rows += convert_dataset(converter, _options_of(converter, args), workers, taken)
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)
                rows.append(SummaryRow(converter.name, "", "FAILED", str(error)))
                failed += 1
                if isinstance(error, BusyError):
                    break  # the rest is left to that process
    return rows, failed


def main() -> int:
    """Converts the datasets that are given; exit code 1 if one of them fails, 2 if all do."""
    parser = _build_parser()
    args = parser.parse_args()
    if all(getattr(args, converter.name) is None for converter in CONVERTERS):
        parser.print_help(sys.stderr)
        flags = " ".join(f"--{converter.name}" for converter in CONVERTERS)
        raise UserError(f"no dataset is given: name at least one of {flags}.")
    rows, failed = _convert_given(args)
    print_summary(rows, args.output)
    if not failed:
        return 0
    given = sum(getattr(args, converter.name) is not None for converter in CONVERTERS)
    return EXIT_PARTLY if failed < given else EXIT_USER_ERROR


if __name__ == "__main__":
    run_verb(main)
