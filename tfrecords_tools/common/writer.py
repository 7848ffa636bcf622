"""Writes jobs as shards, on all cores, so that an interrupted conversion can be continued.

Each unit becomes one shard, whichever process converts it, and a shard gets its name only when it
is complete: the result is the same, byte for byte, for any number of workers and after any
interruption.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from hmr.data.schema import SCHEMA_VERSION
from hmr.data.shards import (
    Manifest,
    find_shards,
    manifest_path,
    progress_dir,
    read_manifest,
    shard_name,
    write_manifest,
)
from hmr.data.tfrecord import RecordWriter
from hmr.errors import UserError
from hmr.files.foreign import read_json
from hmr.files.lock import only_one
from hmr.files.whole import make_lasting_folder, take_name, to_disk
from hmr.progress import progress_bar
from tfrecords_tools.common.jobs import DropLog, Job, SampleError
from tfrecords_tools.common.processes import deaths_named, process_pool

_UNITS_AHEAD = 2
# As many workers run as there are cores: their libraries must not start threads of their own.
_WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass
class ShardResult:
    """What became of one unit."""

    examples: int = 0
    dropped: DropLog = field(default_factory=DropLog)
    size_bytes: int = 0
    crc32c: int = 0


_RESULT_FIELDS = {field.name for field in fields(ShardResult)}


class UnitWriter(Protocol):
    """Converts units of a job into shards: `Workers` in processes, `BeamWorkers` on a runner."""

    def write(self, job: Job, indices: list[int], folder: Path, bar: tqdm) -> None:
        """Converts the units with these indices into shards in `folder`, and moves the bar."""


class Workers:
    """A pool of processes that several jobs share; a context manager.

    Args:
        count: number of processes; 0 converts in this process.
    """

    def __init__(self, count: int):
        self.count = count
        self._pool: Executor | None = None
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Workers:
        if self.count:
            self._pool = self._opened.enter_context(process_pool(self.count))
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    def warm_up(self) -> None:
        """Waits until all processes have started, so that starting them is not measured."""
        if self._pool is not None:
            wait([self._pool.submit(time.sleep, 1.0) for _ in range(self.count)])

    def write(self, job: Job, indices: list[int], folder: Path, bar: tqdm) -> None:
        """Converts the units of a job with these indices into shards in `folder`."""
        if self._pool is None:
            for index in indices:
                _count(bar, write_shard(job.convert, job.units[index], folder, job.split, index))
            return
        doing, then = f"converting {job.dataset}/{job.split}", ", it continues where it stopped"
        with deaths_named(doing, self.count, then), _environment(_WORKER_ENVIRONMENT):
            self._write_parallel(self._pool, job, indices, folder, bar)

    def _write_parallel(
        self, pool: Executor, job: Job, indices: list[int], folder: Path, bar: tqdm
    ) -> None:
        pending: set[Future] = set()
        try:
            for index in indices:
                unit = job.units[index]
                pending.add(pool.submit(write_shard, job.convert, unit, folder, job.split, index))
                while len(pending) >= _UNITS_AHEAD * self.count:
                    pending = _collect(pending, bar)
            while pending:
                pending = _collect(pending, bar)
        finally:
            for future in pending:
                future.cancel()


def _collect(pending: set[Future], bar: tqdm) -> set[Future]:
    done, rest = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        _count(bar, future.result())
    return rest


def _count(bar: tqdm, result: ShardResult) -> None:
    bar.update(result.examples + result.dropped.total)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def write_shard(convert: Any, unit: Any, folder: Path, split: str, index: int) -> ShardResult:
    """Converts one unit into one shard, which appears under its name only when it is complete.

    Args:
        convert, unit: see `Job`.
        folder: the dataset's folder of records.
        split, index: the shard's name is made of them.
    Raises:
        UserError: the disk is full or cannot be written to.
    """
    progress = folder / f".{split}_in_progress"
    path = folder / shard_name(split, index)
    partial = progress / f"{path.name}.{os.getpid()}.part"
    try:
        result = _write_records(convert, unit, partial)
        take_name(partial, path)
        _write_json(progress / f"{path.name}.json", asdict(result))
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(_disk_message(path, error)) from error
    return result


def _write_records(convert: Any, unit: Any, path: Path) -> ShardResult:
    result = ShardResult()
    with RecordWriter(path) as writer:
        for outcome in convert(unit):
            if isinstance(outcome, SampleError):
                result.dropped.add(outcome.reason, outcome.name)
            else:
                writer.write(outcome)
                result.examples += 1
    result.size_bytes, result.crc32c = path.stat().st_size, writer.crc32c
    return result


def write_job(job: Job, root: Path, workers: UnitWriter, overwrite: bool = False) -> Manifest:
    """Writes all shards of a job and their manifest; continues an interrupted conversion.

    Args:
        job: what to convert.
        root: folder of all records.
        workers: convert the units.
        overwrite: whether records of another source or other arguments may be replaced.
    Raises:
        UserError: another process converts the same split into `root`, there are records of
            another source, complete records lack shards, or the disk is full.
    """
    try:
        with only_one(
            root / f".{job.dataset}_{job.split}.lock",
            f"converting {job.dataset}/{job.split} into {root}",
        ):
            existing = read_manifest(root, job.dataset, job.split)
            if existing is not None and _same(existing, job):
                # The manifest is written last: a progress folder beside it is of a killed run.
                shutil.rmtree(progress_dir(root, job.dataset, job.split), ignore_errors=True)
                find_shards(root, job.dataset, job.split)
                return existing
            _prepare(job, root, existing, overwrite)
            return _convert(job, root, workers)
    except OSError as error:
        raise UserError(_disk_message(root / job.dataset, error)) from error


def _disk_message(path: Path, error: OSError) -> str:
    return (
        f"cannot write {path}: {error}. Shards that are complete stay: make room and run the same "
        f"command again, it continues where it stopped."
    )


def _convert(job: Job, root: Path, workers: UnitWriter) -> Manifest:
    folder, progress = root / job.dataset, progress_dir(root, job.dataset, job.split)
    results = _finished(folder, progress, job)
    missing = [index for index in range(len(job.units)) if index not in results]
    done = sum(result.examples + result.dropped.total for result in results.values())
    label = f"{job.dataset}/{job.split}"
    with progress_bar(total=job.samples, initial=done, desc=label, unit=" samples") as bar:
        workers.write(job, missing, folder, bar)
    return _finish(job, root, _finished(folder, progress, job))


def _identity(job: Job) -> dict[str, Any]:
    return {
        "arguments": job.arguments,
        "schema_version": SCHEMA_VERSION,
        "source_fingerprint": job.source_fingerprint,
        "units": len(job.units),
    }


def _same(manifest: Manifest, job: Job) -> bool:
    made = (manifest.arguments, manifest.source_fingerprint, manifest.schema_version)
    return made == (job.arguments, job.source_fingerprint, SCHEMA_VERSION)


def _prepare(job: Job, root: Path, existing: Manifest | None, overwrite: bool) -> None:
    """Makes the progress folder of a new conversion; leaves that of an interrupted one."""
    progress = progress_dir(root, job.dataset, job.split)
    begun, identity = progress / "job.json", _identity(job)
    interrupted = _read_json(begun)
    if interrupted == identity:
        return
    if (existing is not None or interrupted) and not overwrite:
        raise UserError(
            f"{root / job.dataset} already holds {job.split} records made from another source or "
            f"with other arguments. Add --overwrite to replace them, or choose another --output."
        )
    manifest_path(root, job.dataset, job.split).unlink(missing_ok=True)
    shutil.rmtree(progress, ignore_errors=True)
    for path in (root / job.dataset).glob(f"{job.split}_[0-9]*.tfrecord"):
        path.unlink()
    make_lasting_folder(progress)
    to_disk(root / job.dataset, content=False)
    _write_json(begun, identity)


def _finished(folder: Path, progress: Path, job: Job) -> dict[int, ShardResult]:
    """Index -> result of the units whose shards are complete; a damaged result does not count."""
    results = {}
    for index in range(len(job.units)):
        path = folder / shard_name(job.split, index)
        stored = _read_json(progress / f"{path.name}.json")
        if set(stored) == _RESULT_FIELDS and path.is_file():
            with contextlib.suppress(TypeError):  # the file of the result is damaged
                result = ShardResult(**{**stored, "dropped": DropLog(**stored["dropped"])})
                if result.size_bytes == path.stat().st_size:
                    results[index] = result
    return results


def _read_json(path: Path) -> dict[str, Any]:
    """An object that `_write_json` wrote; empty if it is missing, or damaged by a power cut."""
    try:
        stored = read_json(path)
    except UserError:
        return {}
    return stored if isinstance(stored, dict) else {}


def _finish(job: Job, root: Path, results: dict[int, ShardResult]) -> Manifest:
    if missing := sorted(set(range(len(job.units))) - set(results)):
        raise UserError(
            f"{job.dataset}/{job.split}: {len(missing)} of {len(job.units)} shards are not there "
            f"(first: {shard_name(job.split, missing[0])}), though all have been written. Does "
            f"something else change {root / job.dataset}? Run the same command again."
        )
    dropped = DropLog()
    dropped.merge(job.dropped)
    for index in sorted(results):
        dropped.merge(results[index].dropped)
    shards = {shard_name(job.split, i): results[i].examples for i in sorted(results)}
    for name in [name for name, examples in shards.items() if not examples]:
        (root / job.dataset / name).unlink()
        del shards[name]
    _check_not_empty(root, job, dropped, sum(shards.values()))
    written = {shard_name(job.split, index): result for index, result in results.items()}
    manifest = Manifest(
        dataset=job.dataset,
        split=job.split,
        examples=sum(shards.values()),
        shards=shards,
        sizes_bytes={name: written[name].size_bytes for name in shards},
        crc32c={name: written[name].crc32c for name in shards},
        dropped=dropped.counts,
        dropped_names=dropped.names,
        arguments=job.arguments,
        source_fingerprint=job.source_fingerprint,
    )
    write_manifest(root, manifest)
    shutil.rmtree(progress_dir(root, job.dataset, job.split))
    return manifest


def _check_not_empty(root: Path, job: Job, dropped: DropLog, examples: int) -> None:
    if not examples:
        # Nothing is there to go on from: the mended source is converted without --overwrite.
        shutil.rmtree(progress_dir(root, job.dataset, job.split))
        reasons = ", ".join(f"{reason}: {count}" for reason, count in dropped.counts.items())
        raise UserError(
            f"{job.dataset}/{job.split}: of {job.samples + job.dropped.total} samples none is left "
            f"({reasons or 'the source holds none'}). Look at the first of them: {dropped.names}."
        )


def _write_json(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text(json.dumps(value, sort_keys=True))
    take_name(temporary, path)
