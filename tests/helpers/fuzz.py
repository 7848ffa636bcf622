"""Reads damaged files for some minutes: `make fuzz MINUTES=5`, or `python -m tests.helpers.fuzz 5`.

Mutations of good files and of the corpus go to every reader of foreign files in turn, in a process
of its own, which an audit hook watches: reading may start no program and run no code. Counted are
deaths, errors other than the one that damage should end in, inputs that take more than 10 seconds
of processor time, and those that take more than 1 GB; each such input is put into the corpus.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
import typing
from collections import Counter
from pathlib import Path
from typing import Any

from tests.helpers.mutations import mutations

SECONDS, BYTES, PATIENCE_S = 10, 1 << 30, 60
_STARTS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.Popen",
    "socket.connect",
)
_TURN_INPUTS, _TURN_S = 100, 0.5


class CodeRunError(BaseException):
    """Reading a file started a program or ran code."""


def _forbid(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _STARTS:
        raise CodeRunError(f"{event} {arguments}")
    # Modules that are imported late run code, too: of files.
    if event == "exec" and sys._getframe(1).f_code.co_filename != typing.__file__:
        source = arguments[0].co_filename
        if not source.startswith("<frozen") and not Path(source).is_file():
            raise CodeRunError(f"code of {source}")


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _work(folder: Path, seed: int, seconds: float) -> None:
    """Reads until the time is over; notes what it reads, before, and what it found, after."""
    from tests.test_damaged_inputs import READERS, prepare

    prepared = {}
    for reader in READERS:
        (place := folder / str(len(prepared))).mkdir()
        prepared[reader] = prepare(reader, place)
    sys.addaudithook(_forbid)
    end, counts = time.monotonic() + seconds, Counter[str]()
    while time.monotonic() < end:
        for reader, (path, seeds) in prepared.items():
            seed += 1
            turn_end = time.monotonic() + _TURN_S
            for data in mutations(seeds[seed % len(seeds)], _TURN_INPUTS, seed):
                path.write_bytes(data)
                (folder / "now.json").write_text(json.dumps([reader, str(path)]))
                outcome = _outcome(reader, path)
                counts[outcome] += 1
                if outcome != "good":
                    _keep(reader, data, outcome)
                if time.monotonic() > turn_end:
                    break
            (folder / "counts.json").write_text(json.dumps(counts))
    os._exit(0)


def _outcome(reader: str, path: Path) -> str:
    from tests.test_damaged_inputs import read_damaged

    before = _peak_bytes()
    try:
        taken = read_damaged(reader, path)
    except BaseException as error:
        traceback.print_exception(error)
        return "code run" if isinstance(error, CodeRunError) else "other error"
    if taken > SECONDS:
        return "slow"
    return "large" if _peak_bytes() - before > BYTES else "good"


def _keep(reader: str, data: bytes, outcome: str) -> None:
    from tests.test_damaged_inputs import corpus_folder

    folder = corpus_folder(reader)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    print(f"{outcome}: {path}", flush=True)


def _run(seed: int, seconds: float) -> Counter[str]:
    """What one process finds until it dies, or the time is over."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_work, args=(folder, seed, seconds))
        process.start()
        stuck = _watch(process, folder / "now.json")
        counts_file, now = folder / "counts.json", folder / "now.json"
        counts = Counter(json.loads(counts_file.read_text()) if counts_file.exists() else {})
        if process.exitcode and now.exists():
            reader, path = json.loads(now.read_text())
            outcome = "stuck" if stuck else "deaths"
            _keep(reader, Path(path).read_bytes(), f"{outcome} (code {process.exitcode})")
            counts[outcome] += 1
        elif process.exitcode:
            raise SystemExit(f"it did not start: code {process.exitcode}")
    return counts


def _watch(process: Any, now: Path) -> bool:
    """Waits for the process; ends it, and returns True, when it reads one file for too long."""
    while process.is_alive():
        process.join(1)
        if now.exists() and time.time() - now.stat().st_mtime > PATIENCE_S and process.is_alive():
            process.kill()
            process.join()
            return True
    return False


def main(minutes: float, seed: int) -> int:
    """Returns 1 where anything was found."""
    end, counts, seconds = time.monotonic() + 60 * minutes, Counter[str](), 60 * minutes
    while seconds > 0:
        counts += _run(seed, seconds)
        seed, seconds = seed + 1_000_003, end - time.monotonic()
    bad = sum(counts.values()) - counts["good"]
    print(f"{sum(counts.values())} inputs, {bad} bad: {dict(counts)}")
    return int(bad > 0)


if __name__ == "__main__":
    given = [float(text) for text in sys.argv[1:]]
    sys.exit(main(*given[:1] or [1.0], int(given[1]) if len(given) > 1 else int(time.time())))
