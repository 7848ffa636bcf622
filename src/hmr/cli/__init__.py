"""The verbs, one file each: flags in, one call down, exit code out."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from hmr.errors import UserError
from hmr.files.foreign import read_json
from hmr.loading import leave_out
from hmr.ports import try_port

# Of Keras's own file: what decides results, or how the network takes its pictures.
_KERAS_SETTINGS = {
    "image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7,
    "nnx_enabled": False,
}  # fmt: skip


def whole_number(text: str) -> int:
    """The `type` that makes argparse refuse numbers below 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return number


def check_address(host: str, port: int) -> None:
    """Takes a port for a moment: a server that shares one with another gets half of its calls.

    Args:
        host: an address of this machine; "" for all of them.
        port: to listen at.
    Raises:
        UserError: it is no port, or taken, or the host is not an address of this machine.
    """
    if not 0 < port < 65536:
        raise UserError(f"--port is a number from 1 to 65535. Received: {port}.")
    try:
        try_port(host, port)
    except OSError as error:
        raise UserError(
            f"nothing can be served at {host or 'port'}:{port} ({error}). Another program may use "
            f"the port: --port {port % 65535 + 1}"
        ) from error


def check_folder(path: str | os.PathLike) -> None:
    """Checks that a folder for results is there or can be made, without making it.

    Raises:
        UserError: a file is in the way, or the folder may not be written to.
    """
    folder = Path(path)
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise UserError(f"the folder {folder} cannot be made: {there} is a file. Choose another.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"the folder {folder} cannot be written: no permission for {there}")


def check_keras_settings() -> None:
    """Checks what the user has set for all of Keras; call it before Keras is imported.

    Of the packages that Keras and TensorFlow can do without, a command needs none.

    Raises:
        UserError: the backend cannot be used, or a setting would change results.
    """
    folder = Path(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"))
    file = folder / "keras.json"
    try:
        settings = read_json(file)
    except UserError:
        settings = {}
    settings = settings if isinstance(settings, dict) else {}
    variable = os.environ.get("KERAS_BACKEND")
    backend = variable or settings.get("backend") or "tensorflow"
    if backend != "tensorflow" and (backend == "numpy" or not find_spec(str(backend))):
        place = "the environment variable KERAS_BACKEND" if variable else file
        raise UserError(
            f"Keras's backend is set to {backend} by {place}: not installed, or unable to train; "
            "expected tensorflow. Set it for this command: KERAS_BACKEND=tensorflow ..."
        )
    os.environ["KERAS_NNX_ENABLED"] = "false"  # of JAX with flax, which no command needs
    for key, expected in _KERAS_SETTINGS.items():
        if settings.get(key, expected) != expected:
            raise UserError(
                f'{file} sets "{key}" to {settings[key]}; expected {expected}: change it there, '
                "or set KERAS_HOME to another folder for this command"
            )
    leave_out({"pandas", "IPython"})
    if backend == "tensorflow":
        leave_out({"jax", "scipy"})  # JAX needs scipy


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM, SIGHUP and Ctrl-C end the block as exceptions do, so that it can clean up."""

    def end(number: int, frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {each: signal.signal(each, end) for each in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
