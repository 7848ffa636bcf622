"""The command line that all converters share, and the summary at the end."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from hmr.data.shards import Manifest
from hmr.errors import UserError, VerbParser, printable, to_install
from hmr.files.lock import BusyError
from tfrecords_tools.common.beam import BeamWorkers
from tfrecords_tools.common.jobs import Plan
from tfrecords_tools.common.writer import UnitWriter, Workers, write_job

DEFAULT_OUTPUT = "data/tfrecords"


@dataclass(frozen=True)
class Converter:
    """How one dataset is converted.

    Attributes:
        name: of the module, and of the flag of `python -m tfrecords_tools`.
        about: what the dataset is, which files to download, which layout is read.
        plan: parsed options -> jobs.
        splits: what is converted unless `--splits` says otherwise.
        add_options: adds options of this dataset alone.
    """

    name: str
    about: str
    plan: Callable[[argparse.Namespace], Plan]
    splits: tuple[str, ...]
    add_options: Callable[[argparse.ArgumentParser], object] = lambda parser: None


class SummaryRow(NamedTuple):
    """One line of the summary."""

    dataset: str
    split: str
    kept: str
    note: str


def build_parser(converter: Converter) -> argparse.ArgumentParser:
    """The parser of `python -m tfrecords_tools.<name>`."""
    command = f"python -m tfrecords_tools.{converter.name}"
    parser = VerbParser(
        prog=command,
        description=converter.about,
        epilog=f"example: {command} --input /data/{converter.name} --output {DEFAULT_OUTPUT}",
    )
    parser.add_argument("--input", required=True, type=Path, help="folder of the dataset")
    parser.add_argument(
        "--splits",
        type=lambda text: tuple(text.split(",")),
        help=f"comma-separated (default: those of {','.join(converter.splits)} that are there)",
    )
    add_output_options(parser)
    converter.add_options(parser)
    return parser


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Options that say where records go and how they are made, not what is in them."""
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(DEFAULT_OUTPUT),
        help="folder of all records; each dataset gets a folder in it (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=count_of_processes,
        default=os.cpu_count() or 1,
        help="processes; 0 converts in this process (default: all cores, here %(default)s)",
    )
    parser.add_argument(
        "--runner",
        help="convert as an Apache Beam pipeline on this runner (DirectRunner, FlinkRunner, ...); "
        "its machines share --output and the dataset's folder",
    )
    parser.add_argument(
        "--runner_options", default="", help='further options of Beam, as one text: "--a=b --c=d"'
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace records that were made from another source or with other options",
    )


def count_of_processes(text: str) -> int:
    """The `type` that makes argparse refuse numbers below 0, which converts in this process."""
    if (count := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"{text} is below zero")
    return count


def above_zero(kind: type[int] | type[float]) -> Callable[[str], float]:
    """The `type` that makes argparse refuse numbers that are not greater than zero."""

    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not above zero")
        return value

    parse.__name__ = kind.__name__
    return parse


def open_workers(args: argparse.Namespace) -> Workers | BeamWorkers:
    """The process pool, or the Beam runner where the options name one."""
    if args.runner:
        return BeamWorkers(args.runner, args.runner_options)
    return Workers(args.workers)


def plan_splits(
    args: argparse.Namespace,
    converter: Converter,
    missing: Callable[[str], str | None] | None = None,
) -> tuple[list[str], dict[str, str]]:
    """Which splits to convert.

    Args:
        args: parsed options.
        converter: whose default splits count if the user named none.
        missing: split -> why it cannot be converted, or None. By default only the converter's own
            splits can be.
    Returns:
        the splits, and split -> why it is skipped.
    Raises:
        UserError: a split that the user named cannot be converted, or none can.
    """

    def unknown(split: str) -> str | None:
        return None if split in converter.splits else f"there is no split {split}"

    reasons = {split: (missing or unknown)(split) for split in args.splits or converter.splits}
    skipped = {split: reason for split, reason in reasons.items() if reason}
    present = [split for split in reasons if split not in skipped]
    if skipped and (args.splits or not present):
        raise UserError(f"{converter.name}: {'; '.join(dict.fromkeys(skipped.values()))}.")
    return present, skipped


def need_file(path: Path, converter_name: str) -> Path:
    """The path, if it is a file.

    Raises:
        UserError: it is not.
    """
    if not path.is_file():
        raise UserError(
            f"{converter_name}: no file at {path}. "
            f"Expected layout: python -m tfrecords_tools.{converter_name} --help"
        )
    return path


def need_library(name: str, purpose: str) -> ModuleType:
    """Imports a library of the extra `data`.

    Raises:
        UserError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"{purpose} needs {name}: {to_install('data')}") from error


def convert_dataset(
    converter: Converter,
    args: argparse.Namespace,
    workers: UnitWriter,
    taken: set[tuple[str, str]] | None = None,
) -> list[SummaryRow]:
    """Plans and writes one dataset.

    Args:
        converter: the dataset's.
        args: its parsed options.
        workers: who converts.
        taken: record sets and splits that this run has already written; the new ones are added.
    Returns:
        the lines of the summary.
    Raises:
        UserError: the dataset is broken, records cannot be written (the other jobs are done
            first), or two datasets of one run would become the same record set.
    """
    if not args.input.is_dir():
        problem = "is a file" if args.input.exists() else "does not exist"
        raise UserError(
            f"{converter.name}: {args.input} {problem}, expected a folder. "
            f"Its layout: python -m tfrecords_tools.{converter.name} --help"
        )
    plan = converter.plan(args)
    rows, failures = [], list[UserError]()
    taken = set() if taken is None else taken
    for job in plan.jobs:
        if (job.dataset, job.split) in taken:
            raise UserError(
                f"{converter.name}: {job.dataset}/{job.split} has just been made from another "
                f"dataset. Convert the two into different --output folders, or leave one out."
            )
        taken.add((job.dataset, job.split))
        try:
            manifest = write_job(job, args.output, workers, args.overwrite)
        except BusyError:  # the rest is left to that process, which would be refused it otherwise
            raise
        except UserError as error:
            failures.append(error)
        else:
            rows.append(_manifest_row(manifest))
    if failures:
        raise failures[0]
    return rows + [
        SummaryRow(converter.name, split, "-", why) for split, why in plan.skipped.items()
    ]


def _manifest_row(manifest: Manifest) -> SummaryRow:
    reasons = [f"{reason}: {count}" for reason, count in sorted(manifest.dropped.items())]
    left_out = f"; left out {', '.join(reasons)}" if reasons else ""
    note = f"{len(manifest.shards)} shards{left_out}"
    return SummaryRow(manifest.dataset, manifest.split, f"{manifest.examples:,}", note)


def print_summary(rows: Iterable[SummaryRow], output: Path) -> None:
    """Prints what was converted, skipped and failed."""
    table = [
        ("dataset", "split", "records", "notes"),
        *(tuple(map(printable, row)) for row in rows),
    ]
    widths = [max(len(line[column]) for line in table) for column in range(3)]
    print()
    for dataset, split, kept, note in table:
        print(f"{dataset:{widths[0]}}  {split:{widths[1]}}  {kept:>{widths[2]}}  {note}")
    if output.is_dir():
        shown = printable(str(output))
        print(f"\nRecords are in {shown}. Look: python -m tfrecords_tools.inspect {shown}")


def run_converter(converter: Converter) -> int:
    """The verb `python -m tfrecords_tools.<name>`."""
    args = build_parser(converter).parse_args()
    with open_workers(args) as workers:
        rows = convert_dataset(converter, args, workers)
    print_summary(rows, args.output)
    return 0
