"""Reads damaged files for some minutes: `make fuzz MINUTES=5`, or `python -m tests.helpers.fuzz 5`.

Mutations of good files and of the corpus go to every reader of foreign files in turn, in a process
of its own. An audit hook watches it and the processes apart that it starts: reading may start no
program and run no code. Counted are deaths, errors other than the one that damage should end in,
inputs that take more than 10 seconds of processor time, and those that take more than 1 GB; each
such input is put into the corpus.
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
from collections import Counter
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from hmr.errors import run_verb
from tests.helpers.mutations import mutations

SECONDS, BYTES, PATIENCE_S = 10, 1 << 30, 300
NOTE = "HMR_FUZZ_NOTE"  # names the file that tells that code was run
_TURN_INPUTS, _TURN_S = 500, 1.0
# Files in memory take a hundredth of the time of those on some disks.
_MEMORY = Path("/dev/shm")
_PRELOADED = ["cdflib", "h5py", "scipy.io.matlab", "tfrecords_tools.common.matlab"]
_PRELOADED += ["tfrecords_tools.common.cdf", "tfrecords_tools.mpi_inf_3dhp"]
_PRELOADED += ["tests.helpers.watched"]


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _forget_peak() -> None:
    """On Linux the peak is then that of what comes; elsewhere it stays that of all before."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")


def _work(folder: Path, seed: int, seconds: float) -> None:
    """Reads until the time is over; notes what it reads, before, and what it found, after."""
    from hmr.files.whole import write_text
    from tests.test_damaged_inputs import READERS, prepare
    from tfrecords_tools.common import processes

    os.environ[NOTE] = str(folder / "code_run")
    # Processes apart die often here: a fork takes hundredths of the second that a start takes.
    processes.CONTEXT = multiprocessing.get_context("forkserver")  # type: ignore[assignment]
    forkserver.set_forkserver_preload(_PRELOADED)
    prepared = {}
    for reader in READERS:
        (place := folder / str(len(prepared))).mkdir()
        prepared[reader] = prepare(reader, place)
    import tests.helpers.watched  # noqa: F401 - from here on

    end, counts, turn = time.monotonic() + seconds, Counter[str](), 0
    while time.monotonic() < end:
        for reader, (path, seeds) in prepared.items():
            write_text(folder / "now.json", json.dumps([reader, str(path)]))
            counts.update(_turn(reader, path, seeds[turn % len(seeds)], seed + turn))
            write_text(folder / "counts.json", json.dumps(counts))
        turn += 1
    os._exit(0)


def _turn(reader: str, path: Path, seed_bytes: bytes, seed: int) -> Counter[str]:
    counts, end = Counter[str](), time.monotonic() + _TURN_S
    _forget_peak()
    largest = _peak_bytes() + BYTES
    for data in mutations(seed_bytes, _TURN_INPUTS, seed):
        path.write_bytes(data)
        outcome = _outcome(reader, path, largest)
        counts[f"{reader}: {outcome}"] += 1
        if outcome != "good":
            _keep(reader, data, outcome)
            _forget_peak()
        if time.monotonic() > end:
            break
    return counts


def _outcome(reader: str, path: Path, largest: int) -> str:
    from tests.test_damaged_inputs import read_damaged

    try:
        taken = read_damaged(reader, path)
    except BaseException as error:
        traceback.print_exception(error)
        return "other error"
    finally:
        if (note := Path(os.environ[NOTE])).exists():
            print(note.read_text())
            note.unlink()
            return "code run"  # noqa: B012 - whatever the reader made of it
    if taken > SECONDS:
        return "slow"
    return "large" if _peak_bytes() > largest else "good"


def _keep(reader: str, data: bytes, outcome: str) -> None:
    from tests.test_damaged_inputs import corpus_folder

    folder = corpus_folder(reader)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    print(f"{outcome}: {path}", flush=True)


def _run(seed: int, seconds: float) -> Counter[str]:
    """What one process finds until it dies, or the time is over."""
    from tfrecords_tools.common.processes import deaf_to_ctrl_c

    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        folder = Path(name)
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_work, args=(folder, seed, seconds))
        with deaf_to_ctrl_c():
            process.start()
        try:
            stuck = _watch(process, folder / "now.json")
        finally:
            process.kill()  # at Ctrl-C; else it has ended
            process.join()
        counts_file, now = folder / "counts.json", folder / "now.json"
        counts = Counter(json.loads(counts_file.read_text()) if counts_file.exists() else {})
        if process.exitcode and now.exists():
            reader, path = json.loads(now.read_text())
            outcome = "stuck" if stuck else "death"
            _keep(reader, Path(path).read_bytes(), f"{outcome} (code {process.exitcode})")
            counts[f"{reader}: {outcome}"] += 1
        elif process.exitcode:
            raise SystemExit(f"it did not start: code {process.exitcode}")
    return counts


def _watch(process: Any, now: Path) -> bool:
    """Waits for the process; ends it, and returns True, when it reads one file for too long."""
    while process.is_alive():
        process.join(1)
        if not now.exists():
            continue
        read = Path(json.loads(now.read_text())[1])
        changed = max(read.stat().st_mtime, now.stat().st_mtime)
        if time.time() - changed > PATIENCE_S and process.is_alive():
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
    bad = {what: count for what, count in counts.items() if not what.endswith(": good")}
    for what, count in sorted(counts.items()):
        print(f"{count:9,} {what}")
    print(f"{counts.total():9,} inputs, {sum(bad.values())} bad")
    return int(bool(bad))


if __name__ == "__main__":
    given = [float(text) for text in sys.argv[1:]]
    seed = int(given[1]) if len(given) > 1 else int(time.time())
    run_verb(lambda: main(*given[:1] or [1.0], seed))
