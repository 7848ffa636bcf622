"""Converts on an Apache Beam runner, which may use many machines, instead of a process pool.

Each unit of a job is one element. Machines share the folder of records (--output): a shard is
written by whichever gets its unit, under the same name and with the same bytes as by the pool.
"""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hmr.errors import UserError, to_install
from tfrecords_tools.common.jobs import Job
from tfrecords_tools.common.writer import write_shard


class BeamWorkers:
    """Converts units on a Beam runner; used like `writer.Workers`.

    Args:
        runner: its name in Beam (DirectRunner, FlinkRunner, SparkRunner, DataflowRunner, ...).
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
            self._runner = create_runner(runner)
        except (ValueError, AttributeError, ImportError) as error:
            raise UserError(f"--runner {runner}: {error}") from error
        self._options = PipelineOptions(shlex.split(options))

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
        with beam.Pipeline(runner=self._runner, options=self._options) as pipeline:
            units = pipeline | beam.Create([(index, job.units[index]) for index in indices])
            units | beam.Reshuffle() | beam.Map(write)
        bar.update(job.samples - bar.n)


def _write_unit(convert: Any, folder: Path, split: str, element: tuple[int, Any]) -> int:
    index, unit = element
    return write_shard(convert, unit, folder, split, index).examples
