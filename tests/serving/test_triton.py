"""An export behind Triton: its Python backend's model here, and the server itself where it is."""

import gc
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import weakref
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "deploy" / "triton"


class TritonError(str):
    """Its text, and a code that becomes one of HTTP's."""

    INVALID_ARG, INTERNAL = 400, 500

    def __new__(cls, text, code):
        error = super().__new__(cls, text)
        error.code = code
        return error


class FakeTriton(ModuleType):
    """What the model uses of the module that Triton's program brings."""

    Tensor = staticmethod(lambda name, value: (name, value))
    TritonError = TritonError

    @staticmethod
    def InferenceResponse(tensors=(), error=None):  # noqa: N802
        return SimpleNamespace(outputs=dict(tensors), error=error)

    @staticmethod
    def get_input_tensor_by_name(request, name):
        return SimpleNamespace(as_numpy=lambda: request.inputs[name])


@pytest.fixture(scope="module")
def model_file(exported):
    """The module of the model repository, which finds the export of this folder's tests."""
    spec = importlib.util.spec_from_file_location("model", MODELS / "from_images/1/model.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "triton_python_backend_utils", FakeTriton("triton"))
        patch.setenv("HMR_EXPORT", str(exported[0]))
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def model(model_file):
    model = model_file.TritonPythonModel()
    model.initialize({"model_name": "from_images"})
    return model


def picture(size=64):
    noise = np.random.default_rng(size).integers(0, 256, (size, size, 3)).astype(np.uint8)
    return tf.io.encode_jpeg(noise).numpy()


def request_for(files, boxes, outputs=("theta", "crop_scale")):
    """A request as Triton hands it over: what has no axis but the batch is (B, 1)."""
    inputs = {
        "image_bytes": np.array(files, object)[:, None],
        "boxes": np.array(boxes, np.float32),
    }
    return SimpleNamespace(inputs=inputs, requested_output_names=lambda: list(outputs))


BOX = [8.0, 8, 40, 50]


def test_every_signature_has_a_folder(model_file, served):
    folders = {path.name for path in MODELS.iterdir() if path.is_dir()}
    assert folders == set(served) - {"serving_default"}
    for name in folders:
        assert (MODELS / name / "1" / "model.py").is_file()
        described = SimpleNamespace(inputs=[], outputs=[], as_dict=lambda name=name: {"name": name})
        described.add_input, described.add_output = (
            described.inputs.append,
            described.outputs.append,
        )
        model_file.TritonPythonModel.auto_complete_config(described)
        assert {i["name"] for i in described.inputs} == set(
            served[name].structured_input_signature[1]
        )
        assert {o["name"] for o in described.outputs} == set(served[name].structured_outputs)
        assert all(tensor["dims"] for tensor in (*described.inputs, *described.outputs))


def test_requests_of_different_sizes_are_joined_and_parted(model, served):
    parts = [([picture(60)], [BOX]), ([picture(64), picture(90)], [BOX, [0, 0, 30, 60]])]
    responses = model.execute([request_for(*part) for part in parts])
    for (files, boxes), response in zip(parts, responses, strict=True):
        expected = served["from_images"](
            image_bytes=tf.constant(files), boxes=tf.constant(boxes, tf.float32)
        )
        assert response.error is None and set(response.outputs) == {"theta", "crop_scale"}
        np.testing.assert_allclose(response.outputs["theta"], expected["theta"], atol=1e-5)
        assert response.outputs["crop_scale"].shape == (len(files), 1)


@pytest.mark.parametrize("places", [(0,), (3,), (0, 1, 4), (0, 1, 2, 3, 4)])
def test_a_bad_request_is_refused_and_those_joined_to_it_are_answered(model, places):
    bad = iter(
        [
            request_for([b"no picture"], [BOX]),
            request_for([picture()[:300]], [BOX]),
            request_for([picture()], [[900.0, 900, 10, 10]]),
            request_for([picture()], [[0.0, 0, 0, 0]]),
            request_for([b""], [[np.nan, 0, 10, 10]]),
        ]
    )
    asked = [next(bad) if i in places else request_for([picture()], [BOX]) for i in range(5)]
    responses = model.execute(asked)
    assert [bool(response.error) for response in responses] == [i in places for i in range(5)]
    for error in filter(None, (response.error for response in responses)):
        assert error.code == TritonError.INVALID_ARG and "{{" not in error and "\n" not in error


def test_refused_requests_are_let_go_at_once(model):
    asked = [request_for([b"no picture"], [BOX]), request_for([picture()], [BOX])]
    held = [weakref.ref(request.inputs["boxes"]) for request in asked]
    gc.collect()
    gc.disable()  # what needs the collector piles up for hundreds of requests
    try:
        assert sum(bool(response.error) for response in model.execute(asked)) == 1
        asked.clear()
        assert [reference() for reference in held] == [None, None]
    finally:
        gc.enable()


def test_an_export_that_is_not_there_is_named(model_file, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="Received: hmr"):
        model_file.open_signature("hmr")
    monkeypatch.setenv("HMR_EXPORT", str(tmp_path))
    with pytest.raises(ValueError, match=f"no exported version in {tmp_path}"):
        model_file.open_signature("from_images")


def free_ports(count):
    probes = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def triton(exported, tmp_path_factory):
    """The addresses by HTTP and gRPC of Triton's own program, and the Python of its packages."""
    python = os.environ.get("TRITON_PYTHON", "")
    if not python:
        pytest.skip("TRITON_PYTHON names no Python with deploy/triton/requirements.txt installed")
    (program,) = Path(python).parents[1].glob("lib/python3*/site-packages/pytriton/tritonserver")
    backends = tmp_path_factory.mktemp("triton") / "backends"
    shutil.copytree(program / "backends", backends)
    version = program.parents[2].name.removeprefix("python")
    stub = program / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, backends / "python")
    http, grpc, metrics = free_ports(3)
    command = [program / "bin/tritonserver", f"--model-repository={MODELS}"]
    command += [f"--backend-directory={backends}", "--model-control-mode=explicit"]
    command += ["--load-model=from_images", f"--http-port={http}"]
    command += [f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
    paths = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": paths, "HMR_EXPORT": str(exported[0])}
    with subprocess.Popen(list(map(str, command)), env=environment) as server:
        try:
            for _ in range(250):
                try:
                    urllib.request.urlopen(f"http://localhost:{http}/v2/health/ready").close()
                    break
                except OSError:
                    assert server.poll() is None
                    time.sleep(1)
            yield f"localhost:{http}", f"localhost:{grpc}", python
        finally:
            server.terminate()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_server_itself_answers_as_the_model_does(triton, exported):
    http, grpc, python = triton
    command = [python, "benchmarks/triton.py", "--export", exported[0], "--http", http]
    command += ["--grpc", grpc, "--requests", 400, "--repeats", 0]
    ended = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    differences, load = map(json.loads, ended.stdout.splitlines())
    assert max(differences["largest_difference"].values()) < 1e-5
    assert load["load"]["told"].pop("good: equal") == 360
    assert sum(load["load"]["told"].values()) == 40
