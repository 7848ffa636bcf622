"""Processes that work for this one. Any of them may die: only what it was doing is lost.

Each has a pipe of its own and shares no lock with others, as those of `ProcessPoolExecutor` do, so
the death of one is noticed at once and holds nobody up. They end when this process ends, however it
ends.
"""

from __future__ import annotations

import contextlib
import functools
import math
import multiprocessing
import os
import queue
import resource
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import connection, get_context, resource_tracker
from pathlib import Path
from typing import Any

import cv2

from hmr.errors import UserError
from hmr.files.foreign import MAX_BYTES, MAX_SECONDS, MORE, allowed, scale

CONTEXT = get_context("spawn")
_starting = threading.Lock()


class DeadWorkerError(Exception):
    """A process ended, or took too long and was ended, in the middle of its work.

    Attributes:
        code: its exit code; None if it took too long.
    """

    def __init__(self, message: str, code: int | None = None):
        super().__init__(message)
        self.code = code


@contextlib.contextmanager
def deaths_named(doing: str, workers: int, then: str = "") -> Iterator[None]:
    """Says in one line that a worker died for good.

    Args:
        doing: what the processes were doing, for the message.
        workers: how many there are.
        then: what the same command does with what is finished.
    Raises:
        UserError: one died.
    """
    try:
        yield
    except DeadWorkerError as error:
        raise UserError(
            f"a worker died while {doing} ({error}); out of memory? Run the same command with "
            f"fewer --workers (now {workers}){then}."
        ) from error


class Worker:
    """A process that calls functions, one at a time.

    Args:
        initialize: what it calls when it starts.
        daemon: whether it is ended with this process without being closed; such a process cannot
            start processes itself.
    """

    def __init__(self, initialize: Callable[[], object] | None = None, daemon: bool = False):
        self._connection, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_serve, args=(theirs, initialize), daemon=daemon)
        with _starting, deaf_to_ctrl_c():
            self._process.start()
        theirs.close()

    def call(self, function: Callable[[], Any], seconds: float | None = None) -> Any:
        """What a picklable function returns or raises when the process calls it.

        Args:
            function: takes no arguments.
            seconds: how long it may take.
        Raises:
            DeadWorkerError: the process is no more, and cannot be called again.
        """
        try:
            self._connection.send(function)
            if not self._connection.poll(seconds):
                raise DeadWorkerError(f"it took more than {seconds:.0f} seconds")
            returned, value = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            code = self._process.exitcode
            raise DeadWorkerError(f"its process ended with code {code}", code) from error
        if not returned:
            raise value
        return value

    def end(self) -> None:
        """Ends the process at once; a thread that waits for its answer gets `DeadWorkerError`."""
        self._process.kill()
        self._process.join()


@contextlib.contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Blocks SIGINT in this thread; processes started in the block inherit that."""
    resource_tracker.ensure_running()  # started later, it would unblock SIGINT in this thread
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: connection.Connection, initialize: Callable[[], object] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process reports Ctrl-C
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initialize is not None:
        initialize()
    with contextlib.suppress(EOFError):
        while True:
            _answer(pipe, pipe.recv())


def _answer(pipe: connection.Connection, function: Callable[[], Any]) -> None:
    try:
        pipe.send((True, function()))
    except Exception as error:
        error.add_note("In another process:\n" + "".join(traceback.format_exception(error)))
        pipe.send((False, error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class ProcessPool(ThreadPoolExecutor):
    """An executor of which each thread has a process that does its work.

    A task whose process dies is tried once more in a new one; then it raises `DeadWorkerError`.

    Args:
        count: how many.
        initializer, arguments: what each process calls when it starts.
    """

    def __init__(self, count: int, initializer: Callable | None = None, *arguments: Any):
        super().__init__(count)
        self._initialize = functools.partial(initializer, *arguments) if initializer else None
        self._lock, self._workers, self._ended = threading.Lock(), list[Worker](), False
        self._free: queue.SimpleQueue[Worker | None] = queue.SimpleQueue()

    def submit(self, function: Callable, /, *arguments: Any, **named: Any) -> Future:
        """See `concurrent.futures.Executor`; also serves its `map`."""
        if len(self._workers) < self._max_workers:
            self._free.put(self._start())
        return super().submit(self._run, functools.partial(function, *arguments, **named))

    def _start(self) -> Worker:
        with self._lock:
            if self._ended:
                raise DeadWorkerError("the pool is closed")
            self._workers.append(Worker(self._initialize))
            return self._workers[-1]

    def _run(self, function: Callable[[], Any]) -> Any:
        try:
            return self._try(function)
        except DeadWorkerError:
            return self._try(function)

    def _try(self, function: Callable[[], Any]) -> Any:
        worker: Worker | None = None
        try:
            worker = self._free.get() or self._start()
            return worker.call(function)
        except DeadWorkerError:
            worker = None
            raise
        finally:
            self._free.put(worker)

    def end(self) -> None:
        """Ends all processes at once, whatever they are doing."""
        with self._lock:
            self._ended = True
            for worker in self._workers:
                worker.end()


@contextlib.contextmanager
def process_pool(
    count: int, initializer: Callable | None = None, *arguments: Any
) -> Iterator[ProcessPool]:
    """Opens a `ProcessPool`.

    An error or Ctrl-C in the block ends the processes at once, without waiting for what they are
    working on.
    """
    pool = ProcessPool(count, initializer, *arguments)
    try:
        yield pool
    except BaseException:
        pool.end()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        pool.end()


LARGE_BYTES = 12_000_000
_apart: list[Worker] = []
_apart_lock = threading.Lock()
_SECONDS, _SECONDS_PER_MB, _WALL = 1.0, 5.0, 8
_MEMORY_BYTES, _MEMORY_PER_BYTE = 1 << 28, 100
# COCO's release, of 250 MB, takes 15 s where others use the machine, too.
_BYTES_PER_SECOND = 4e6


def read_apart(read: Callable[[Path], Any], path: Path) -> Any:
    """What `read(path)` returns or raises in a process of its own, which the file may ruin.

    For parsers that damaged bytes can crash or send into an endless loop. Processor time and
    memory are limited in proportion to the file's size, and, more widely, the time on the clock,
    which a slow disk or a busy machine lengthens. The process serves the next file, too, but after
    a large one it ends, and its memory is free.

    Args:
        read: picklable.
        path: the file.
    Raises:
        DeadWorkerError: the process crashed, or took too long.
        MemoryError: it would need more memory than a file of this size can hold.
        UserError: the process was killed from outside, which says nothing about the file, twice.
    """
    size = path.stat().st_size
    memory = allowed(min(_MEMORY_BYTES + _MEMORY_PER_BYTE * size, MAX_BYTES))
    most_s = max(MAX_SECONDS, size / _BYTES_PER_SECOND)
    seconds = scale() * min(_SECONDS + _SECONDS_PER_MB * size / 1e6, most_s)
    task = functools.partial(_call_within, memory, seconds, functools.partial(read, path))
    for _ in range(2):
        try:
            return _call_apart(task, _WALL * seconds, once=size >= LARGE_BYTES)
        except MemoryError as error:
            raise MemoryError(f"it takes more than {memory:,} bytes of memory. {MORE}") from error
        except DeadWorkerError as error:
            if error.code in (None, -signal.SIGXCPU):
                told = f"{error}, of {seconds:.0f} s of processor time. {MORE}"
                raise DeadWorkerError(told, error.code) from error
            if error.code != -signal.SIGKILL:
                raise
    raise UserError(f"the process that reads {path} was killed twice: is the memory full?")


def _call_apart(task: Callable[[], Any], seconds: float, once: bool) -> Any:
    with _apart_lock:
        try:
            if not _apart:
                _apart.append(Worker(daemon=True))
                _apart[0].call(int)  # starting is not part of the time
            return _apart[0].call(task, seconds)
        except DeadWorkerError:
            once = True
            raise
        finally:
            if once and _apart:
                _apart.pop().end()


def _call_within(memory_bytes: int, seconds: float, function: Callable[[], Any]) -> Any:
    """Calls a function that may take this much memory and processor time more than until now.

    Beyond the time, the system ends the process. Memory is limited on Linux only.
    """
    limits = {resource.RLIMIT_CPU: math.ceil(time.process_time() + seconds)}
    statistics = Path("/proc/self/status")
    if statistics.exists():
        held_kb = int(statistics.read_text().split("VmData:")[1].split()[0])
        limits[resource.RLIMIT_DATA] = 1024 * held_kb + memory_bytes
    before = {kind: resource.getrlimit(kind) for kind in limits}
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, before[kind][1]))
    try:
        return function()
    finally:
        for kind, limits_before in before.items():
            resource.setrlimit(kind, limits_before)
