"""Jobs for the writer's tests; worker processes import this module and nothing heavy."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from hmr.data.schema import mocap_to_example
from hmr.errors import run_verb
from tfrecords_tools.common.jobs import ItemByItem, Job, SampleError, chunks
from tfrecords_tools.common.writer import Workers, write_job

# The environment's name for the file that lets a held back conversion go on.
ALLOWED = "TEST_CONVERSION_ALLOWED"
NUMBERS_PER_SHARD, SHARDS_NOT_HELD_BACK = 15, 5


def convert_number(number: int):
    """Every seventh number is left out; the others become bodies."""
    if number % 7 == 0:
        raise SampleError("divisible by seven", str(number))
    rng = np.random.default_rng(number)
    yield mocap_to_example(rng.standard_normal(72), rng.standard_normal(10))


def convert_when_allowed(number: int):
    """As `convert_number`, but the last two shards wait for the file `ALLOWED`, if there is one."""
    allowed = Path(os.environ.get(ALLOWED, os.curdir))
    first_held_back = SHARDS_NOT_HELD_BACK * NUMBERS_PER_SHARD
    while number >= first_held_back and not allowed.exists():
        time.sleep(0.01)
    yield from convert_number(number)


def make_job(
    count=100, per_shard=NUMBERS_PER_SHARD, convert=convert_number, fingerprint="a"
) -> Job:
    return Job(
        "mocap_test",
        "train",
        chunks(list(range(count)), per_shard),
        ItemByItem(convert),
        samples=count,
        arguments={"option": 1},
        source_fingerprint=fingerprint,
    )


def exit_process(number: int):
    """Ends its process as the system does when memory runs out."""
    if number == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    yield from convert_number(number)


def exit_process_once(number: int, mark: Path):
    """Ends its process in the same way, but only the first time."""
    if number == 50 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    yield from convert_number(number)


def main(folder: str, dask: str = "") -> None:
    """Converts into a folder, in two processes or by the Dask scheduler at an address."""
    from tfrecords_tools.common.beam import BeamWorkers

    options = f"--dask_client_address={dask}"
    with BeamWorkers("dask", options) if dask else Workers(2) as workers:
        write_job(make_job(convert=convert_when_allowed), Path(folder), workers)


if __name__ == "__main__":
    run_verb(lambda: main(*sys.argv[1:]))
