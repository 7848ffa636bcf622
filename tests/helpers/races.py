"""Starts the same work twice at once: `python -m tests.helpers.races 100 [SEED]`.

Two conversions into one folder, or (every fifth race) two trainings in one, start within half a
second of each other. Each has to be done or refused in a line that names the other, one of them to
be done, and what is there to equal what one alone makes.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.helpers.kills import PYTHON, contents, make_data

_TRAINING = (
    "--config=demo", "--config.model.encoder=resnet14_v2_narrow", "--config.model.input_size=32",
    "--config.model.hidden_units=32", "--config.model.discriminator_units=16",
    "--config.data.train.coco=0", "--config.data.train.mpi_inf_3dhp=0",
    "--config.data.mocap.mocap_posePrior=0", "--config.data.share_3d=0",
    "--config.train.batch_size=4", "--config.train.epochs=0.5", "--config.validation.dataset=",
    "--config.data.shuffle_buffer=16",
)  # fmt: skip
# A training's other files hold times.
_COMPARED = ("model/",)


def race(command: list[str], rng: random.Random) -> list[tuple[int, str]]:
    """Exit codes and last lines of errors of both."""
    processes = []
    for _ in range(2):
        processes.append(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        )
        time.sleep(rng.choice((0.0, rng.uniform(0, 0.5))))
    errors = [process.communicate()[1] for process in processes]
    lines = [(text.strip().splitlines() or [""])[-1] for text in errors]
    return [(process.returncode, line) for process, line in zip(processes, lines, strict=True)]


def result(root: Path, training: bool) -> dict[str, str]:
    """What has to be the same."""
    found = contents(root)
    return {k: v for k, v in found.items() if not training or k.startswith(_COMPARED)}


def main(count: int, seed: int) -> int:
    """Returns 1 where anything was found."""
    rng, counts = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        converting = make_data(root)["conversion"]
        amass = ["--amass", str(root / "raw" / "amass")]
        subprocess.run([*converting, *amass, "--output", root / "data"], check=True)
        training = [*PYTHON, "src.main", *_TRAINING, f"--config.data.root={root / 'data'}"]
        commands = {
            False: [*converting, "--output", str(root / "once")],
            True: [*training, f"--workdir={root / 'trained'}"],
        }
        expected = {}
        for is_training, command in commands.items():
            subprocess.run(command, check=True)
            folder = root / ("trained" if is_training else "once")
            expected[is_training] = result(folder, is_training)
        for number in range(count):
            is_training, folder = number % 5 == 4, root / "raced"
            flag = f"--workdir={folder}" if is_training else f"--output={folder}"
            ends = race([*commands[is_training], flag], rng)
            codes = sorted(code for code, _ in ends)
            refused = [line for code, line in ends if code]
            good = codes in ([0, 0], [0, 2]) and all("under way already" in r for r in refused)
            good = good and result(folder, is_training) == expected[is_training]
            outcome = "one done, one refused" if refused else "both done"
            what = "training" if is_training else "conversion"
            counts[f"{what}: {outcome if good else f'BAD {ends}'}"] += 1
            print(number, what, outcome, good, refused[-1:], flush=True)
            shutil.rmtree(folder)
    for text, times in sorted(counts.items()):
        print(f"{times:4} {text}")
    return int(any("BAD" in text for text in counts))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
