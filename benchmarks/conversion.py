"""Measures the conversion of datasets: `python -m benchmarks.conversion --coco /path ...`.

For each dataset that is given: pictures (or bodies) a second with one worker and with all, beside
the rate at which one process only decodes and encodes the same files with OpenCV, which is the
least that scaling and cutting a picture needs. All are measured alternately; figures are medians.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2

from hmr.errors import UserError, VerbParser, run_verb
from tfrecords_tools.__main__ import CONVERTERS
from tfrecords_tools.common.cli import Converter, build_parser
from tfrecords_tools.common.jobs import Job
from tfrecords_tools.common.pictures import encode, read_picture
from tfrecords_tools.common.writer import Workers, write_job

SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Rates:
    """Samples a second.

    Attributes:
        name: the dataset.
        samples: how many were converted.
        planning_s: reading the annotations.
        one, all_workers: with one worker and with all.
        bare: decoding and encoding alone, one process; None without pictures.
    """

    name: str
    samples: int
    planning_s: float
    one: float
    all_workers: float
    bare: float | None


def bare_rate(folder: Path, count: int) -> float | None:
    """Pictures a second that are decoded and encoded; None if the folder holds none."""
    cv2.setNumThreads(1)
    pictures = (path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    chosen = list(itertools.islice(pictures, count))
    started = time.perf_counter()
    for path in chosen:
        encode(read_picture(path))
    return len(chosen) / (time.perf_counter() - started) if chosen else None


def conversion_rate(jobs: list[Job], workers: int) -> float:
    """Samples a second, with the processes already started."""
    with tempfile.TemporaryDirectory(prefix="conversion_") as folder, Workers(workers) as pool:
        pool.warm_up()
        started = time.perf_counter()
        for job in jobs:
            write_job(job, Path(folder), pool)
        return sum(job.samples for job in jobs) / (time.perf_counter() - started)


def measure(converter: Converter, folder: Path, workers: int, count: int, repeats: int) -> Rates:
    """All rates of one dataset: medians of `repeats` rounds."""
    args = build_parser(converter).parse_args(["--input", str(folder), "--workers", str(workers)])
    started = time.perf_counter()
    jobs = converter.plan(args).jobs
    planning_s = time.perf_counter() - started
    rounds = [
        (conversion_rate(jobs, 1), conversion_rate(jobs, workers), bare_rate(folder, count) or 0.0)
        for _ in range(repeats)
    ]
    one, every, bare = (statistics.median(rates) for rates in zip(*rounds, strict=True))
    samples = sum(job.samples for job in jobs)
    return Rates(converter.name, samples, planning_s, one, every, bare or None)


def heading(workers: int) -> str:
    """The columns' names."""
    every = f"{workers} workers"
    return (
        f"{'dataset':<14} {'samples':>8} {'planning':>9} {'1 worker':>11} {every:>11} {'gain':>5} "
        f"{'bare decode + encode':>21}"
    )


def line(rate: Rates) -> str:
    """One dataset's figures."""
    bare = f"{rate.bare:,.0f}/s" if rate.bare else "no pictures"
    return (
        f"{rate.name:<14} {rate.samples:>8,} {rate.planning_s:>7.2f} s {rate.one:>9,.0f}/s "
        f"{rate.all_workers:>9,.0f}/s {rate.all_workers / rate.one:>5.2f} {bare:>21}"
    )


def main() -> None:
    """Measures what is given and prints a table."""
    parser = VerbParser(prog="python -m benchmarks.conversion", description=__doc__)
    for converter in CONVERTERS:
        parser.add_argument(f"--{converter.name}", type=Path, metavar="FOLDER")
    parser.add_argument("--workers", type=int, default=2, help="compared with one (%(default)s)")
    parser.add_argument("--bare", type=int, default=500, help="pictures of the bare rate (500)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds (%(default)s)")
    args = parser.parse_args()
    given = [c for c in CONVERTERS if getattr(args, c.name) is not None]
    if not given:
        raise UserError("name a dataset, such as --coco /data/coco.")
    print(heading(args.workers), flush=True)
    for converter in given:
        folder = getattr(args, converter.name)
        print(line(measure(converter, folder, args.workers, args.bare, args.repeats)), flush=True)


if __name__ == "__main__":
    run_verb(main)
