"""Pools of processes that never outlive the work they were started for."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context
from typing import Any

import cv2

CONTEXT = get_context("spawn")


@contextlib.contextmanager
def process_pool(
    count: int, initializer: Callable | None = None, *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """Opens a pool of processes.

    They end when this process ends, however it ends. An error or Ctrl-C in the block ends them at
    once, without waiting for what they are working on.

    Args:
        count: how many.
        initializer, arguments: what each process calls when it starts.
    """
    end, held_open = CONTEXT.Pipe(duplex=False)
    pool = ProcessPoolExecutor(count, CONTEXT, _start, (end, initializer, arguments))
    try:
        yield pool
    except BaseException:
        held_open.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        held_open.close()
        end.close()


def _start(end: connection.Connection, initializer: Callable | None, arguments: tuple) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process reports Ctrl-C
    cv2.setNumThreads(1)
    threading.Thread(target=_exit_at, args=(end,), daemon=True).start()
    if initializer is not None:
        initializer(*arguments)


def _exit_at(end: connection.Connection) -> None:
    """Ends this process when the parent closes the other end of the pipe, or dies."""
    connection.wait([end])
    os._exit(1)
