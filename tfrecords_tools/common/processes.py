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

    They end with this process, however it ends. Where the block is left by an error or Ctrl-C,
    they end at once: nobody waits for results that nobody will take.

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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to report
    cv2.setNumThreads(1)
    threading.Thread(target=_exit_at, args=(end,), daemon=True).start()
    if initializer is not None:
        initializer(*arguments)


def _exit_at(end: connection.Connection) -> None:
    """Ends this process when the other end of the pipe is closed: by the parent, or its death."""
    connection.wait([end])
    os._exit(1)
