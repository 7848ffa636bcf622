"""Kills workers at random moments: `python -m tests.helpers.kills 200 [SEED]`.

Conversions, readings of takes, and renderings lose up to three of their processes each. Each of
them has to end within 10 seconds of the last kill, in one line, or to go on; what it then makes, by
the same command if it had ended, has to equal what is made without kills.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

PYTHON = [sys.executable, "-m"]
SECONDS, MOST_KILLS = 10, 3
_DATA = ("--images_3d", "24", "--test_3d", "12", "--lsp", "60", "--coco", "4", "--mocap", "1500")
_COPIES_OF_A_TAKE = 240  # from 200 on takes are read by several processes


def make_data(root: Path) -> dict[str, list[str]]:
    """What each kind of work is called -> a command that does it, without its --output."""
    rendering = [*PYTHON, "tfrecords_tools.standin", "--body", "models/standin_body.npz", *_DATA]
    subprocess.run([*rendering, "--output", str(root / "raw")], check=True, capture_output=True)
    take = next((root / "raw" / "amass").rglob("*_poses.npz"))
    (copies := root / "amass" / "CMU" / "01").mkdir(parents=True)
    for number in range(_COPIES_OF_A_TAKE):
        shutil.copyfile(take, copies / f"{number:03d}_poses.npz")
    rendering[rendering.index("--images_3d") + 1] = "120"
    converting = [*PYTHON, "tfrecords_tools", "--workers", "2"]
    return {
        "conversion": [*converting, "--lsp", str(root / "raw" / "lsp")],
        "takes": [*converting, "--amass", str(root / "amass")],
        "rendering": [*rendering, "--workers", "2"],
    }


def contents(root: Path) -> dict[str, str]:
    """Digest of every file that is no lock."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def workers_of(process: int) -> list[int]:
    """The processes below one that multiprocessing has started for work."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += workers_of(child)
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def run(command: list[str], seconds: float, rng: random.Random) -> tuple[int, list[str], float]:
    """Kills, and returns the number of kills, the lines of errors, and the seconds since the last.

    Raises:
        subprocess.TimeoutExpired: it did not end.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    times = sorted(rng.uniform(0, seconds) for _ in range(rng.randint(1, MOST_KILLS)))
    started, killed, last = time.monotonic(), 0, 0.0
    for moment in times:
        while time.monotonic() - started < moment and process.poll() is None:
            time.sleep(0.01)
        try:
            while not (workers := workers_of(process.pid)) and process.poll() is None:
                time.sleep(0.01)
            os.kill(rng.choice(workers), signal.SIGKILL)
        except (OSError, IndexError):  # it ended meanwhile
            continue
        killed, last = killed + 1, time.monotonic()
    _, errors = process.communicate(timeout=SECONDS + 10 * seconds)
    lines = errors.decode().replace("\r", "\n").splitlines()
    return killed, [str(process.returncode), *lines], time.monotonic() - last


def main(count: int, seed: int) -> int:
    """Returns 1 where anything was found."""
    rng, counts, kills = random.Random(seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        commands, expected, seconds = make_data(root), {}, {}
        for what, command in commands.items():
            started = time.monotonic()
            subprocess.run([*command, "--output", root / what], check=True, capture_output=True)
            expected[what], seconds[what] = contents(root / what), time.monotonic() - started
        while kills < count:
            what = list(commands)[sum(counts.values()) % len(commands)]
            output = root / "killed"
            command = [*commands[what], "--output", str(output)]
            killed, (code, *lines), since = run(command, seconds[what], rng)
            kills += killed
            outcome = "went on" if code == "0" else "ended in a line"
            if code not in "02" or "Traceback" in "\n".join(lines):
                outcome = "BAD: " + " / ".join(lines[-4:])
            elif code == "2" and (not lines[-1].startswith("error: ") or since > SECONDS):
                outcome = f"BAD: {since:.1f} s, {lines[-1]}"
            if code == "2":
                subprocess.run(command, check=True, capture_output=True)
            if contents(output) != expected[what]:
                outcome = "BAD: other files"
            counts[f"{what}: {outcome}"] += 1
            print(kills, what, outcome, lines[-1:] if code != "0" else "", flush=True)
            shutil.rmtree(output)
    for text, number in sorted(counts.items()):
        print(f"{number:4} {text}")
    print(f"{kills} kills")
    return int(any("BAD" in text for text in counts))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
