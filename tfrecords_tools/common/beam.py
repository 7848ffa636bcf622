"""Converts on an Apache Beam runner, which may use many machines, instead of a process pool.

Each unit of a job is one element. Machines share the folder of records (--output): a shard is
written by whichever gets its unit, under the same name and with the same bytes as by the pool.
"""

from __future__ import annotations

import contextlib
import functools
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hmr.data.shards import shard_name
from hmr.errors import UserError, to_install
from tfrecords_tools.common.jobs import Job
from tfrecords_tools.common.writer import write_shard

# Runners that Beam knows by their whole path only; and what they need to spread a few long units,
# of which Dask would put 128 into one task.
_RUNNERS = {"dask": "apache_beam.runners.dask.dask_runner.DaskRunner"}
_ONE_UNIT_A_TASK = "--dask_partition_size=1"
_LOOK_EVERY_S = 1.0


class BeamWorkers:
    """Converts units on a Beam runner; used like `writer.Workers`.

    Args:
        runner: its name in Beam (DirectRunner, FlinkRunner, SparkRunner, DataflowRunner, ...), or
            dask.
        options: further Beam flags, as on a command line.
    Raises:
        UserError: Apache Beam is not installed, or does not know the runner.
    """

    def __init__(self, runner: str, options: str = ""):
        try:
            from apache_beam.options.pipeline_options import PipelineOptions
            from apache_beam.runners import create_runner
        except ImportError as error:
            raise UserError(f"--runner needs Apache Beam: {to_install('beam')}") from error
        try:
            self._runner = create_runner(_RUNNERS.get(runner.lower(), runner))
        except (ValueError, AttributeError, ImportError) as error:
            raise UserError(f"--runner {runner}: {error}") from error
        flags = shlex.split(options)
        if runner.lower() == "dask" and not any("partition" in flag for flag in flags):
            flags.append(_ONE_UNIT_A_TASK)
        self._options = PipelineOptions(flags)

    def __enter__(self) -> BeamWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held between jobs."""

    def write(self, job: Job, indices: list[int], folder: Path, bar: tqdm) -> None:
        """Converts the units of a job with these indices into shards in `folder`."""
        import apache_beam as beam

        if not indices:
            return
        write = functools.partial(_write_unit, job.convert, folder.resolve(), job.split)
        shards = [folder / shard_name(job.split, index) for index in indices]
        with (
            _moved_by_shards(bar, job.samples - bar.n, shards),
            beam.Pipeline(runner=self._runner, options=self._options) as pipeline,
        ):
            units = pipeline | beam.Create([(index, job.units[index]) for index in indices])
            units | beam.Reshuffle() | beam.Map(write)


@contextlib.contextmanager
def _moved_by_shards(bar: tqdm, samples: int, shards: list[Path]) -> Iterator[None]:
    """Moves a bar on by `samples` in all while shards appear: runners report nothing on the way."""
    before, ended = bar.n, threading.Event()

    def look() -> None:
        done = sum(path.exists() for path in shards)
        bar.update(before + samples * done // len(shards) - bar.n)

    def watch() -> None:
        while not ended.wait(_LOOK_EVERY_S):
            look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        look()


def _write_unit(convert: Any, folder: Path, split: str, element: tuple[int, Any]) -> int:
    index, unit = element
    return write_shard(convert, unit, folder, split, index).examples
