"""What people copy from deploy/: files that fit each other and the code, and the client."""

import base64
import json
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PICTURE = ROOT / "src/hmr/web/samples/striding.jpg"
LINTERS = {
    "hadolint": ["hadolint", DEPLOY / "Dockerfile"],
    "docker-compose": [
        "docker-compose", "-f", DEPLOY / "compose.yaml", "--profile", "*", "config", "--quiet",
    ],
    "kubernetes-validate": ["kubernetes-validate", "--strict", DEPLOY / "kubernetes.yaml"],
}  # fmt: skip


@pytest.mark.parametrize("linter", LINTERS)
def test_linters_have_nothing_to_say(linter):
    if not shutil.which(linter):
        pytest.skip(f"{linter} is not installed")
    ended = subprocess.run(LINTERS[linter], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_what_the_dockerfile_copies_is_there_and_sent():
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    assert sent[0] == "*"
    copied = re.findall(r"^COPY (?:--\S+ )?(\S+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.M)
    assert {"requirements.lock", "tools", "."} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists()
        assert name == "." or any(f"!{name}".startswith(line) for line in sent[1:])
    for line in sent[1:]:
        assert not line.startswith("!") or (ROOT / line[1:]).exists()


def test_no_body_of_the_users_gets_into_an_image():
    sent = (ROOT / ".dockerignore").read_text()
    assert "!models\n" not in sent and ".npz" not in sent and ".pkl" not in sent


def test_the_servers_tensorflow_is_the_one_that_is_locked():
    locked = re.search(r"^tensorflow==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)[1]
    for file in ("triton/requirements.txt", "Dockerfile"):
        named = re.findall(
            r"tensorflow(?:-cpu|\[and-cuda\])==([\d.]+)", (DEPLOY / file).read_text()
        )
        assert set(named) == {locked}, file
    assert f"TF_SERVING:-{locked}" in (DEPLOY / "compose.yaml").read_text()


ANSWER = {
    "count": 1,
    "scores": [0.9, 0.0],
    "keypoints2d_px": [[[float(i), 2.0 * i] for i in range(19)], [[0.0, 0.0]] * 19],
    "beta": [[0.5] * 10, [0.0] * 10],
}


class Server(BaseHTTPRequestHandler):
    """Answers as both servers do, and refuses what does not hold the picture's own bytes."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        known = self.path in ("/v1/models/hmr", "/v2/models/from_pictures/ready")
        self._answer(200 if known else 404, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/models/hmr:predict":
            request = json.loads(body)
            file = base64.b64decode(request["instances"][0]["image_bytes"]["b64"])
            answer = {"predictions": [ANSWER]}
        else:
            head = int(self.headers["Inference-Header-Content-Length"])
            (given,) = json.loads(body[:head])["inputs"]
            assert given["parameters"]["binary_data_size"] == len(body) - head
            assert int.from_bytes(body[head : head + 4], "little") == len(body) - head - 4
            file, answer = body[head + 4 :], {"outputs": list(map(self._output, ANSWER))}
        good = file == PICTURE.read_bytes()
        self._answer(200 if good else 400, answer if good else {"error": "no picture"})

    def _output(self, name):
        shape, value = [1], [ANSWER[name]]
        while isinstance(value[0], list):
            shape.append(len(value[0]))
            value = [item for row in value for item in row]
        return {"name": name, "shape": shape if len(shape) > 1 else [1, 1], "data": value}

    def _answer(self, code, value):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())


@pytest.fixture(scope="module")
def url():
    with ThreadingHTTPServer(("localhost", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def ask(*words):
    command = [sys.executable, "-I", DEPLOY / "client.py", *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


@pytest.mark.parametrize("server", ["tensorflow", "triton"])
def test_the_client_asks_both_servers(url, server, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    pictures = (tmp_path / "bad.jpg", tmp_path / "missing.jpg", PICTURE)
    ended = ask("--server", server, "--url", url, *pictures)
    assert ended.returncode == 1 and "missing.jpg: No such file" in ended.stderr
    assert "bad.jpg: 400" in ended.stderr and "no picture" in ended.stderr
    (person,) = map(json.loads, ended.stdout.splitlines())
    assert person == {
        "picture": str(PICTURE), "score": 0.9, "head_px": [13.0, 26.0], "beta": [0.5] * 10,
    }  # fmt: skip


@pytest.mark.parametrize("address", ["http://localhost:1", "localhost"])
def test_without_a_server_the_client_says_so(address):
    ended = ask("--url", address, "--wait", 0, PICTURE)
    assert ended.returncode == 2 and ended.stderr.startswith(f"error: {address}: ")
    assert ended.stdout == "" and ended.stderr.count("\n") == 1
