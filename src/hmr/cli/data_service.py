"""Prepares training batches on other machines: a dispatcher, or one of its workers.

Start one dispatcher, and on every machine that shall decode and crop pictures a worker. All of
them, and the training, must see the records under the same path.
"""

from __future__ import annotations

import argparse
import socket
import threading
import time

from hmr.cli import check_address, ended_by_signals
from hmr.errors import UserError, VerbParser

EPILOG = """\
examples, a dispatcher on the machine `first` and workers on any others:
  python -m src.data_service
  python -m src.data_service --dispatcher first:5050
  python -m src.main --config hmr --config.data.service=grpc://first:5050

A worker that dies is left out within seconds, and the training goes on with the others; one that is
started later joins in. Without any the training stops with a message and can be resumed. Whoever
reaches the ports can run TensorFlow graphs there: keep them inside a network that you trust.
"""
PORT = 5050
# Between workers that answer and those that are gone.
HEARTBEAT_MS, WORKER_TIMEOUT_MS = 1_000, 10_000
# How long a worker waits for a dispatcher that is not there yet.
PATIENCE_S = 30.0


def _parser() -> argparse.ArgumentParser:
    parser = VerbParser(description=__doc__, epilog=EPILOG)
    parser.add_argument(
        "--dispatcher", metavar="HOST:PORT", help="be a worker of this one (be a dispatcher)"
    )
    parser.add_argument(
        "--port", type=int, help=f"to listen at ({PORT}; a worker: one that is free)"
    )
    parser.add_argument(
        "--host", help="a worker: the name by which the training reaches this machine (its own)"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = _parser().parse_args(arguments)
    # 0 is TensorFlow's word for one that is free.
    port = options.port if options.port is not None else 0 if options.dispatcher else PORT
    if port or options.port is not None:
        check_address("", port)
    if options.dispatcher and not _is_address(options.dispatcher):
        raise UserError(f"--dispatcher is HOST:PORT. Received: {options.dispatcher}.")
    # Each serves as long as it is referred to.
    server = _worker(options, port) if options.dispatcher else _dispatcher(port)
    with ended_by_signals():
        threading.Event().wait()
    del server
    return 0


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and "/" not in host and port.isdecimal() and 0 < int(port) < 65536


def _dispatcher(port: int) -> object:
    import tensorflow as tf

    settings = tf.data.experimental.service.DispatcherConfig(
        port=port, worker_timeout_ms=WORKER_TIMEOUT_MS, job_gc_check_interval_ms=WORKER_TIMEOUT_MS
    )
    server = tf.data.experimental.service.DispatchServer(settings)
    here = socket.gethostname()
    print(
        f"dispatcher at {here}:{port} (Ctrl-C ends it)\n"
        f"workers:  python -m src.data_service --dispatcher {here}:{port}\n"
        f"training: --config.data.service=grpc://{here}:{port}",
        flush=True,
    )
    return server


def _worker(options: argparse.Namespace, port: int) -> object:
    _wait_for(options.dispatcher)
    import tensorflow as tf

    settings = tf.data.experimental.service.WorkerConfig(
        dispatcher_address=options.dispatcher,
        worker_address=f"{options.host or socket.gethostname()}:%port%",
        port=port,
        heartbeat_interval_ms=HEARTBEAT_MS,
    )
    server = tf.data.experimental.service.WorkerServer(settings)
    print(f"worker of {options.dispatcher} (Ctrl-C ends it)", flush=True)
    return server


def _wait_for(dispatcher: str) -> None:
    """Returns once a dispatcher answers: TensorFlow would wait for an hour, deaf to Ctrl-C."""
    host, _, port = dispatcher.rpartition(":")
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
        except OSError as error:
            if time.monotonic() > end:
                raise UserError(
                    f"nothing answers at {dispatcher}: {error.strerror or error}. Expected a "
                    "dispatcher there: python -m src.data_service"
                ) from error
            time.sleep(1.0)
        else:
            return
