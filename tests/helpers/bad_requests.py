"""Sends bad requests to a served model: `python -m tests.helpers.bad_requests 100000 [SEED]`.

Eight threads ask an exported model at once, all signatures. Every answer has to be an error; the
memory that the process holds is printed every tenth of the way.
"""

from __future__ import annotations

import ctypes
import itertools
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

from hmr.body.model_file import save_body
from hmr.network.build import build_model
from hmr.network.checkpoint import save_model
from hmr.settings import ModelSpec
from tests.helpers.golden_inputs import made_body

THREADS, INPUT_SIZE = 8, 64
BOX = np.array([[40.0, 20.0, 180.0, 200.0]], np.float32)
Request = tuple[str, dict[str, tf.Tensor]]


def export(folder: Path) -> Any:
    """The signatures of a small model, exported and loaded."""
    save_body(folder / "body.npz", made_body())
    spec = ModelSpec(
        "resnet14_v2_narrow", INPUT_SIZE, hidden_units=32, body=str(folder / "body.npz")
    )
    save_model(build_model(spec, seed=5), spec, folder / "model")
    command = [sys.executable, "-m", "src.export", "--checkpoint", str(folder / "model")]
    subprocess.run([*command, "--output", str(folder / "export")], check=True, capture_output=True)
    return tf.saved_model.load(str(folder / "export" / "1"))


def bad_bytes(jpeg: bytes, png: bytes, rng: np.random.Generator) -> bytes:
    """What is no whole picture: cut, of other content, or with a lie about its size."""
    share = rng.uniform(0.02, 0.9)
    larger = bytearray(jpeg)
    at = larger.index(b"\xff\xc0") + 5 + 2 * int(rng.integers(2))  # height or width, big-endian
    larger[at] += int(rng.integers(1, 4))
    return [
        jpeg[: int(share * len(jpeg))],
        jpeg[: int(share * len(jpeg))] + b"\xff\xd9",
        png[: int(share * len(png))],
        bytes(larger),
        rng.bytes(int(rng.integers(2000))),
        jpeg[:2] + rng.bytes(500) + b"\xff\xd9",
        b"",
        b"<html>" + rng.bytes(100),
    ][rng.integers(8)]


def bad_request(jpeg: bytes, png: bytes, rng: np.random.Generator) -> Request:
    """A signature and inputs of which at least one is bad."""
    kind = rng.integers(10)
    if kind == 0:
        crops = rng.uniform(-1, 1, (1, INPUT_SIZE, INPUT_SIZE, 3)).astype(np.float32)
        crops[0, rng.integers(INPUT_SIZE), 0, 0] = rng.choice([np.nan, np.inf, 200.0])
        return "from_crops", {"crops": tf.constant(crops)}
    if kind == 1:
        boxes = BOX.copy()
        boxes[0, rng.integers(4)] = rng.choice([np.nan, np.inf, -np.inf])
        return "from_images", {"image_bytes": tf.constant([jpeg]), "boxes": tf.constant(boxes)}
    if kind == 2:
        boxes = BOX * np.float32([1, 1, 0, rng.choice([-1, 0])])
        return "from_images", {"image_bytes": tf.constant([jpeg]), "boxes": tf.constant(boxes)}
    image = tf.constant([bad_bytes(jpeg, png, rng)])
    if kind == 3:
        return "from_pictures", {"image_bytes": image}
    return "from_images", {"image_bytes": image, "boxes": tf.constant(BOX)}


def held_mb() -> float:
    """What this process holds in memory, 10^6 bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main(count: int, seed: int) -> int:
    """Returns 1 where a request was answered."""
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 2)
    jpeg, png = (cv2.imencode(suffix, picture)[1].tobytes() for suffix in (".jpg", ".png"))
    counts, numbers = Counter[str](), itertools.count()

    with tempfile.TemporaryDirectory() as name:
        model = export(Path(name))
        for signature in model.signatures.values():
            print(signature.name, signature.structured_input_signature[1])

        def ask(thread: int) -> None:
            rng = np.random.default_rng((seed, thread))
            while (number := next(numbers)) < count:
                signature, inputs = bad_request(jpeg, png, rng)
                try:
                    model.signatures[signature](**inputs)
                except tf.errors.OpError as error:
                    counts[f"{signature}: {type(error).__name__}"] += 1
                else:
                    counts["ANSWERED " + signature] += 1
                if number % (count // 10) == 0:
                    print(f"{number:8,} requests, {held_mb():6.0f} MB", flush=True)

        model.signatures["from_images"](image_bytes=tf.constant([jpeg]), boxes=tf.constant(BOX))
        started = time.monotonic()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(ask, range(THREADS)))
        print(f"{count:8,} requests, {held_mb():6.0f} MB, {time.monotonic() - started:.0f} s")
    ctypes.CDLL(None).malloc_trim(0)
    print(f"after malloc_trim: {held_mb():6.0f} MB")
    for what, times in sorted(counts.items()):
        print(f"{times:8,} {what}")
    return int(any(what.startswith("ANSWERED") for what in counts))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
