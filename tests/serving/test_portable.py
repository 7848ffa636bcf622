"""TFLite and ONNX files: they run without TensorFlow and give the Keras model's numbers."""

import dataclasses
import importlib.util
import json
from shutil import copyfile

import numpy as np
import pytest
import tensorflow as tf

from hmr.errors import UserError
from hmr.network.build import build_model
from hmr.serving import portable, rerun
from hmr.serving.report import compare
from hmr.serving.signatures import OUTPUTS, run_model
from hmr.settings import ModelSpec

INSTALLED = [
    kind
    for kind, wanted in portable.FORMATS.items()
    if all(importlib.util.find_spec(name) for name in wanted.packages)
]
needs_both = pytest.mark.skipif(
    set(INSTALLED) != set(portable.FORMATS), reason="needs the extras tflite and onnx"
)


@pytest.fixture(scope="module")
def model(body_path):
    spec = ModelSpec("resnet14_v2_narrow", input_size=64, hidden_units=32, body=str(body_path))
    return build_model(spec, seed=5)


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("portable")
    return folder, portable.export_portable(model, list(portable.FORMATS), folder)


@needs_both
@pytest.mark.slow
def test_files_and_reports(files):
    folder, reports = files
    names = {"hmr.tflite", "hmr_float16.tflite", "hmr_int8.tflite", "hmr.onnx"}
    assert {path.name for path in folder.iterdir()} == names | {f"{name}.json" for name in names}
    for kind in ("tflite", "onnx"):
        assert 0 <= reports[kind].export_max_abs_diff <= 1e-4
    assert 1e-6 < reports["tflite_float16"].export_max_abs_diff <= 2e-2
    sizes = [reports[f"tflite{kind}"].megabytes for kind in ("", "_float16", "_int8")]
    assert sizes[0] > 1.9 * sizes[1] > 3 * sizes[2]
    described = json.loads((folder / "hmr.onnx.json").read_text())
    assert set(described["outputs"]) == set(OUTPUTS) and described["milliseconds"] > 0


@needs_both
@pytest.mark.slow
@pytest.mark.parametrize("name", ["hmr.tflite", "hmr.onnx"])
def test_every_batch_size_gives_the_models_numbers(files, model, name):
    open_file, _ = rerun.RUNTIMES[f".{name.split('.')[1]}"]
    run = open_file(str(files[0] / name))
    for count in (1, 4, 2):
        crops = np.random.default_rng(count).uniform(-1, 1, (count, 64, 64, 3)).astype(np.float32)
        answer = run("from_crops", {"crops": crops})
        assert set(answer) == set(OUTPUTS)
        for key, expected in run_model(model, tf.constant(crops)).items():
            np.testing.assert_allclose(answer[key], expected, atol=1e-4, err_msg=key)


@needs_both
@pytest.mark.slow
def test_a_file_that_differs_is_not_kept(files, model, tmp_path, monkeypatch):
    """Rounded weights do not pass for whole ones."""
    rounded = files[0] / "hmr_int8.tflite"
    strict = dataclasses.replace(
        portable.FORMATS["tflite"], write=lambda saved_model, file: copyfile(rounded, file)
    )
    monkeypatch.setitem(portable.FORMATS, "tflite", strict)
    with pytest.raises(UserError, match=r"differs from the Keras model by more than 0\.0001"):
        portable.export_portable(model, ["tflite"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_before_anything_is_written(model, tmp_path, monkeypatch):
    wanted = dataclasses.replace(portable.FORMATS["onnx"], packages=("no_such_package",))
    monkeypatch.setitem(portable.FORMATS, "onnx", wanted)
    with pytest.raises(UserError, match=r"no_such_package: make install EXTRAS=onnx"):
        portable.export_portable(model, ["onnx"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_values_that_are_not_finite_do_not_pass():
    answers = [("from_crops", {"beta": np.zeros(3)}, {"beta": np.array([0, np.nan, 0])})]
    with pytest.raises(UserError, match="beta by nan"):
        compare(answers, 1e9)


def test_differences_are_over_all_requests_and_in_halves_of_a_crop():
    answers = [
        ("a", {"x": np.zeros(2), "y_px": np.zeros(1)}, {"x": np.array([1, -3]), "y_px": [224]}),
        ("a", {"x": np.zeros(2), "y_px": np.zeros(1)}, {"x": np.array([2, 0]), "y_px": [0]}),
    ]
    assert compare(answers, 3.0) == {"a": {"x": 3.0, "y_px": 2.0}}


def test_what_is_large_may_differ_by_as_many_digits():
    answers = [("a", {"x": np.array([200.0, 0.0])}, {"x": np.array([200.0, 0.015])})]
    assert compare(answers, 1e-4) == {"a": {"x": 0.015}}
    with pytest.raises(UserError, match=r"a/x by 0\.015"):
        compare(answers, 5e-5)
