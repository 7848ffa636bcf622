"""Asks TensorFlow Serving or Triton for everyone in pictures, with Python's standard library alone.

usage: client.py [--server tensorflow|triton] [--url http://localhost:8501] PICTURE [PICTURE ...]

Prints a line of JSON for each person: the picture, the score, where the head is in picture pixels,
and the 10 numbers of the shape. It waits until the server is ready.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MODEL, SIGNATURE = "hmr", "from_pictures"
OUTPUTS = ("count", "scores", "keypoints2d_px", "beta")
URLS = {"tensorflow": "http://localhost:8501", "triton": "http://localhost:8000"}
READY = {"tensorflow": f"/v1/models/{MODEL}", "triton": f"/v2/models/{SIGNATURE}/ready"}
HEAD = 13  # of the 19 keypoints: the top of the head


def tensorflow_answer(url: str, picture: bytes) -> dict[str, Any]:
    """One picture's outputs by TensorFlow Serving's REST API."""
    file = {"b64": base64.b64encode(picture).decode()}
    request = {"signature_name": SIGNATURE, "instances": [{"image_bytes": file}]}
    answer = _asked(f"{url}/v1/models/{MODEL}:predict", json.dumps(request).encode())
    return json.loads(answer)["predictions"][0]


def triton_answer(url: str, picture: bytes) -> dict[str, Any]:
    """One picture's outputs by KServe's protocol (Triton): the file follows the json."""
    binary = len(picture).to_bytes(4, "little") + picture
    file = {
        "name": "image_bytes",
        "shape": [1, 1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(binary)},
    }
    request = {"inputs": [file], "outputs": [{"name": name} for name in OUTPUTS]}
    head = json.dumps(request).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    answer = _asked(f"{url}/v2/models/{SIGNATURE}/infer", head + binary, length)
    outputs = json.loads(answer)["outputs"]
    return {output["name"]: _nested(output["data"], output["shape"][1:]) for output in outputs}


ANSWER = {"tensorflow": tensorflow_answer, "triton": triton_answer}


def _nested(flat: list, shape: list[int]) -> Any:
    """A flat list as lists of lists; a single number where the shape is [1]."""
    if len(shape) <= 1:
        return flat[0] if shape in ([], [1]) else flat
    step = len(flat) // shape[0]
    return [_nested(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


def _asked(url: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, body, headers or {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def wait_until_ready(url: str, seconds: float) -> None:
    """Returns once the server answers for the model.

    Raises:
        OSError: it has not within the time.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(1)


def people(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The people of a picture."""
    for index in range(int(answer["count"])):
        yield {
            "score": answer["scores"][index],
            "head_px": answer["keypoints2d_px"][index][HEAD],
            "beta": answer["beta"][index],
        }


def show(path: Path, answer_of: Callable[[str, bytes], dict[str, Any]], url: str) -> bool:
    """Prints the people of a picture, or why there is no answer; whether there was one."""
    try:
        picture = path.read_bytes()
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)
        return False
    try:
        answer = answer_of(url, picture)
    except urllib.error.HTTPError as error:
        print(f"{path}: {error.code}: {error.read(500).decode()}", file=sys.stderr)
        return False
    for person in people(answer):
        print(json.dumps({"picture": str(path), **person}))
    return True


def main() -> int:
    """0 if all pictures were answered, 1 if some were refused, 2 if there is no server."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--server", choices=ANSWER, default="tensorflow", help="(tensorflow)")
    parser.add_argument("--url", help=f"({URLS['tensorflow']}, or {URLS['triton']} for triton)")
    parser.add_argument("--wait", type=float, default=120, help="seconds until it is ready (120)")
    options = parser.parse_args()
    url = (options.url or URLS[options.server]).rstrip("/")
    try:
        wait_until_ready(url + READY[options.server], options.wait)
        answered = [show(path, ANSWER[options.server], url) for path in options.pictures]
    except (OSError, ValueError) as error:
        print(f"error: {url}: {error}", file=sys.stderr)
        return 2
    return int(not all(answered))


if __name__ == "__main__":
    sys.exit(main())
