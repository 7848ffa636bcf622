"""Asks a Triton server of an export: whether its answers are the model's, under load, and how fast.

It runs with the server's packages (deploy/triton/requirements.txt), beside the server:
python benchmarks/triton.py --export runs/export [--requests 10000 --clients 32]
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tritonclient.grpc
import tritonclient.http

MODEL = "from_images"
BATCH_SIZES = (1, 4, 16)
TOLERANCE = 1e-5
# Of the loaded part: small answers, so that the model is asked and not the wire.
SMALL = ("theta", "keypoints2d_px")
CLIENTS = {"http": tritonclient.http, "grpc": tritonclient.grpc}
PICTURE_PX = (480, 640)
Arrays = dict[str, np.ndarray]


def picture(seed: int) -> bytes:
    """A JPEG of coarse noise."""
    coarse = np.random.default_rng(seed).integers(
        0, 256, (PICTURE_PX[0] // 8, PICTURE_PX[1] // 8, 3)
    )
    return tf.io.encode_jpeg(np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)).numpy()


def good_request(count: int, seed: int = 0) -> Arrays:
    """`count` people, each in a picture of its own."""
    files = [picture(seed + index) for index in range(count)]
    return {
        "image_bytes": np.array(files, object),
        "boxes": np.array([[200, 40, 180, 400]] * count, np.float32),
    }


def bad_requests() -> dict[str, Arrays]:
    """One request of each kind that has to be refused."""
    file, box = picture(0), [200.0, 40.0, 180.0, 400.0]

    def of(files: list[bytes], boxes: list[list[float]]) -> Arrays:
        return {"image_bytes": np.array(files, object), "boxes": np.array(boxes, np.float32)}

    return {
        "text": of([b"no picture"], [box]),
        "nothing": of([b""], [box]),
        "cut short": of([file[: len(file) // 2]], [box]),
        "another format": of([b"GIF89a" + bytes(64)], [box]),
        "box of nan": of([file], [[float("nan"), 40, 180, 400]]),
        "empty box": of([file], [[200, 40, 0, 400]]),
        "box outside": of([file], [[9000, 40, 180, 400]]),
        "three numbers": of([file], [[200, 40, 180]]),
        "fewer boxes than pictures": of([file, file], [box]),
        "17 people": of([file] * 17, [box] * 17),
    }


class Asker:
    """One client's connection.

    Raises, in calls: tritonclient.utils.InferenceServerException for what the server refuses.
    """

    def __init__(self, kind: str, address: str):
        self._api = CLIENTS[kind]
        self._client = self._api.InferenceServerClient(address)

    def __call__(self, request: Arrays, outputs: tuple[str, ...]) -> Arrays:
        inputs = []
        for name, value in request.items():
            shaped = value[:, None] if value.ndim == 1 else value
            kind = "BYTES" if value.dtype == object else "FP32"
            inputs.append(self._api.InferInput(name, shaped.shape, kind))
            inputs[-1].set_data_from_numpy(shaped)
        wanted = [self._api.InferRequestedOutput(name) for name in outputs]
        answer = self._client.infer(MODEL, inputs, outputs=wanted)
        return {name: answer.as_numpy(name) for name in outputs}


def largest_difference(served: Any, askers: dict[str, Asker]) -> dict[str, float]:
    """Over all outputs and batch sizes, by protocol; beyond 1, of the value."""
    worst = dict.fromkeys(askers, 0.0)
    for count in BATCH_SIZES:
        request = good_request(count)
        expected = answer_of(served, request)
        for kind, ask in askers.items():
            for name, value in ask(request, tuple(expected)).items():
                wanted = expected[name].reshape(value.shape)
                error = np.abs(value - wanted) / np.maximum(1, np.abs(wanted))
                worst[kind] = max(worst[kind], float(error.max()))
    return worst


def answer_of(served: Any, request: Arrays) -> Arrays:
    """Plain TensorFlow's."""
    outputs = served(**{name: tf.constant(value) for name, value in request.items()})
    return {name: value.numpy() for name, value in outputs.items()}


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median time of a call, after one that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def speed(served: Any, askers: dict[str, Asker], repeats: int) -> Iterator[dict[str, Any]]:
    """Rows of milliseconds by batch size: plain TensorFlow, then each protocol."""
    for count in BATCH_SIZES:
        request = good_request(count)
        row = {"batch": count, "tensorflow": seconds(partial(answer_of, served, request), repeats)}
        for kind, ask in askers.items():
            row[kind] = seconds(partial(ask, request, SMALL), repeats)
        yield {
            name: value if name == "batch" else round(1e3 * value, 1) for name, value in row.items()
        }


def resident_mb(program: str = "triton") -> float:
    """Memory of all processes of Triton's on this machine, each shared page counted once.

    The resident size would count a page of the shared region at each of its mappings, of which the
    Python backend makes new ones while it grows.
    """
    total_kb = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if program in (folder / "comm").read_text():
                smaps = (folder / "smaps_rollup").read_text()
                total_kb += int(smaps.split("\nPss:")[1].split()[0])
        except OSError:
            continue  # ended meanwhile
    return total_kb * 1024 / 1e6


def load(served: Any, addresses: dict[str, str], requests: int, clients: int) -> dict[str, Any]:
    """Many clients at once, half of them by each protocol; every tenth request is a bad one."""
    requests_of = [good_request(1, seed) for seed in range(8)]
    expected = [answer_of(served, request) for request in requests_of]
    bad = list(bad_requests().items())
    told, times, memory = Counter(), [], [resident_mb()]
    own, lock = threading.local(), threading.Lock()
    kinds = [list(addresses)[index % 2] for index in range(clients)]

    def connect() -> None:
        with lock:
            kind = kinds.pop()
        own.ask = Asker(kind, addresses[kind])

    def one(number: int) -> None:
        name, request = (
            bad[number // 10 % len(bad)] if number % 10 == 0 else ("good", requests_of[number % 8])
        )
        start = time.perf_counter()
        try:
            answer = own.ask(request, SMALL)
        except tritonclient.utils.InferenceServerException as error:
            told[f"{name}: refused" if name != "good" else f"good: {str(error)[:200]}"] += 1
            return
        times.append(time.perf_counter() - start)
        close = all(
            np.allclose(answer[n], expected[number % 8][n], TOLERANCE, TOLERANCE) for n in SMALL
        )
        told["good: equal" if name == "good" and close else f"{name}: answered otherwise"] += 1
        if number % (requests // 10) == 1:
            memory.append(resident_mb())

    start = time.perf_counter()
    with ThreadPoolExecutor(clients, initializer=connect) as pool:
        list(pool.map(one, range(requests)))
    taken = time.perf_counter() - start
    return {
        "requests": requests,
        "clients": clients,
        "told": dict(sorted(told.items())),
        "seconds": round(taken, 1),
        "requests_per_s": round(requests / taken, 1),
        "latency_ms": {p: round(1e3 * float(np.percentile(times, p)), 1) for p in (50, 95, 99)},
        "memory_mb": [round(value) for value in [*memory, resident_mb()]],
    }


def main() -> int:
    """Prints a line of JSON for each part; 1 if an answer is not what it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--export", type=Path, default=Path("runs/export"), help="(runs/export)")
    parser.add_argument("--http", default="localhost:8000", help="(localhost:8000)")
    parser.add_argument("--grpc", default="localhost:8001", help="(localhost:8001)")
    parser.add_argument("--requests", type=int, default=10_000, help="under load (10000)")
    parser.add_argument("--clients", type=int, default=32, help="at once (32)")
    parser.add_argument("--repeats", type=int, default=20, help="calls of each batch size (20)")
    options = parser.parse_args()
    addresses = {"http": options.http, "grpc": options.grpc}
    askers = {kind: Asker(kind, address) for kind, address in addresses.items()}
    version = max(options.export.glob("[0-9]*"), key=lambda path: int(path.name))
    served = tf.saved_model.load(str(version)).signatures[MODEL]
    differences = largest_difference(served, askers)
    print(json.dumps({"largest_difference": differences}), flush=True)
    for row in speed(served, askers, options.repeats) if options.repeats else ():
        print(json.dumps({"milliseconds": row}), flush=True)
    loaded = load(served, addresses, options.requests, options.clients)
    print(json.dumps({"load": loaded}))
    wrong = [name for name in loaded["told"] if not name.endswith((": equal", ": refused"))]
    return int(bool(wrong) or max(differences.values()) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
