"""A network that was traced once: what it answers, when it is traced anew."""

from __future__ import annotations

import json
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from hmr.errors import UserError
from hmr.network.build import build_model
from hmr.network.checkpoint import load_model, save_model
from hmr.network.encoders import ENCODERS
from hmr.prediction import traced
from hmr.prediction.predictor import Predictor
from hmr.settings import ModelSpec
from tests.helpers.tiny_encoder import tiny_encoder

SIZE = 32
OWN = "resnet14_v2_narrow"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of what was traced, below another cache than the user's; a quick encoder."""
    monkeypatch.setitem(ENCODERS, OWN, tiny_encoder)
    monkeypatch.setattr(traced, "_is_own", lambda name: name == OWN)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return traced.cache_folder() / "traced"


@pytest.fixture
def make_folder(body_path, tmp_path):
    """Saves a small model whose weights follow from a seed."""

    def make(seed=1, encoder=OWN):
        folder, body = tmp_path / "model", tmp_path / "body.npz"
        if not body.is_file():
            shutil.copy(body_path, body)
        spec = ModelSpec(encoder, SIZE, hidden_units=16, body=str(body))
        save_model(build_model(spec, seed=seed), spec, folder)
        return folder

    return make


@pytest.fixture
def traces(monkeypatch):
    """Counts how often a model is built to be traced."""
    seen = []

    def load(*arguments):
        seen.append(arguments)
        return load_model(*arguments)

    monkeypatch.setattr(traced, "load_model", load)
    return seen


def crops(count=2):
    shape = (count, SIZE, SIZE, 3)
    return np.random.default_rng(count).uniform(-1, 1, shape).astype(np.float32)


def test_it_answers_as_the_model_does_and_the_same_when_it_is_read_again(
    cache, make_folder, traces
):
    folder = make_folder()
    expected = Predictor.load(folder)
    first, second = (Predictor.load(folder, traced=True) for _ in range(2))
    assert len(traces) == 1 and len(list(cache.iterdir())) == 1
    for count in (2, 1):
        given = crops(count)
        outputs = [each.predict_crops(given) for each in (expected, first, second)]
        assert {"vertices", "features", "theta"} <= set(outputs[0])
        assert outputs[0].keys() == outputs[1].keys() == outputs[2].keys()
        for name, value in outputs[0].items():
            np.testing.assert_allclose(outputs[1][name], value, atol=1e-5)
            np.testing.assert_array_equal(outputs[1][name], outputs[2][name])
    np.testing.assert_array_equal(second.body.v_template, expected.body.v_template)
    assert second.model.input_size == SIZE


def test_a_network_whose_first_run_failed_is_asked_again(cache, make_folder, monkeypatch):
    folder = make_folder()
    expected = Predictor.load(folder, traced=True).predict_crops(crops())

    def too_little_memory(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(tf, "zeros", too_little_memory)
        predictor = Predictor.load(folder, traced=True)
        seen = [predictor.predict_crops(crops()) for _ in range(2)]
    for outputs in seen:
        np.testing.assert_array_equal(outputs["theta"], expected["theta"])


def test_a_body_is_moved_onto_keypoints_without_the_model(cache, make_folder):
    folder = make_folder()
    image = np.full((60, 50, 3), 90, np.uint8)
    points = np.column_stack([np.linspace(10, 40, 19), np.linspace(5, 55, 19), np.ones(19)])
    bodies = [
        Predictor.load(folder, fit=True, traced=each).predict(image, keypoints=[points])[0]
        for each in (False, True)
    ]
    assert len(bodies[1].theta) == 4
    np.testing.assert_allclose(bodies[0].theta, bodies[1].theta, atol=1e-3)


def test_what_changes_is_traced_anew(cache, make_folder, traces, tmp_path, monkeypatch):
    folder = make_folder()
    before = Predictor.load(folder, traced=True).predict_crops(crops())
    os.utime(make_folder(seed=2) / "model.weights.h5", ns=(1, 1))
    after = Predictor.load(folder, traced=True).predict_crops(crops())
    assert len(traces) == 2 and np.abs(before["theta"] - after["theta"]).max() > 1e-4
    os.utime(tmp_path / "body.npz", ns=(1, 1))
    Predictor.load(folder, traced=True)
    assert len(traces) == 3
    monkeypatch.setattr(keras, "__version__", "3.99.0")
    Predictor.load(folder, traced=True)
    assert len(traces) == 4
    assert len(list(cache.iterdir())) == 3  # the oldest is gone


def test_what_is_damaged_is_made_again(cache, make_folder, traces):
    folder = make_folder()
    expected = Predictor.load(folder, traced=True).predict_crops(crops())
    (kept,) = cache.iterdir()
    for damaged in (kept.read_bytes()[:-1000], b"", b"PK\x03\x04"):
        kept.write_bytes(damaged)
        seen = Predictor.load(folder, traced=True).predict_crops(crops())
        np.testing.assert_array_equal(seen["theta"], expected["theta"])
    assert len(traces) == 4
    Predictor.load(folder, traced=True)
    assert len(traces) == 4


def test_a_file_of_another_kind_is_made_again(cache, make_folder, traces):
    folder = make_folder()
    Predictor.load(folder, traced=True)
    (kept,) = cache.iterdir()
    broken = dict(np.load(kept))
    broken["graph"] = broken["graph"][:-50]
    names = json.loads(broken["names"].tobytes())
    del names["outputs"]["theta"]
    other = dict(np.load(kept)) | {"names": np.frombuffer(json.dumps(names).encode(), np.uint8)}
    for arrays in ({"graph": np.zeros(3)}, {"names": np.zeros(9, np.uint8)}, broken, other):
        np.savez(kept, **arrays)
        Predictor.load(folder, traced=True)
    assert len(traces) == 5


def test_a_graph_that_would_do_more_than_compute_is_not_run(cache, make_folder, traces, tmp_path):
    folder = make_folder()
    expected = Predictor.load(folder, traced=True).predict_crops(crops())
    (kept,) = cache.iterdir()
    arrays = dict(np.load(kept))
    with tf.Graph().as_default() as graph:
        tf.io.write_file(str(tmp_path / "written"), "by a graph")
    arrays["graph"] = np.frombuffer(
        arrays["graph"].tobytes() + graph.as_graph_def().SerializeToString(), np.uint8
    )
    np.savez(kept, **arrays)
    seen = Predictor.load(folder, traced=True).predict_crops(crops())
    np.testing.assert_array_equal(seen["theta"], expected["theta"])
    assert len(traces) == 2 and not (tmp_path / "written").exists()


@pytest.mark.parametrize("name", ["movenet_lightning_adapter", "resnet14_v2_narrow"])
def test_networks_of_the_project_are_kept(name, make_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Predictor.load(make_folder(encoder=name), traced=True)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 1


def test_without_a_cache_it_is_traced_each_time(cache, make_folder, traces, tmp_path):
    folder = make_folder()
    (tmp_path / "cache").write_text("a file where the folder would be")
    for _ in range(2):
        assert Predictor.load(folder, traced=True).predict_crops(crops())["theta"].shape[1] == 3
    assert len(traces) == 2


@pytest.mark.parametrize("name", [OWN, "theirs"])
def test_an_encoder_of_others_is_neither_kept_nor_read(name, make_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(ENCODERS, name, tiny_encoder)
    folder = make_folder(encoder=name)
    assert Predictor.load(folder, traced=True).predict_crops(crops())["theta"].shape[1] == 3
    assert not (tmp_path / "cache").exists()


def test_an_encoder_that_is_not_in_the_table_is_said(make_folder):
    description = make_folder() / "model.json"
    description.write_text(description.read_text().replace(OWN, "no_such"))
    with pytest.raises(UserError, match="encoder must be one of"):
        Predictor.load(description.parent, traced=True)


def test_a_model_that_is_written_meanwhile_is_not_kept(cache, make_folder, monkeypatch):
    folder = make_folder()

    def load_then_write(*arguments):
        model = load_model(*arguments)
        make_folder(seed=2)
        return model

    monkeypatch.setattr(traced, "load_model", load_then_write)
    before = Predictor.load(folder, traced=True).predict_crops(crops())
    monkeypatch.setattr(traced, "load_model", load_model)
    after = Predictor.load(folder, traced=True).predict_crops(crops())
    assert np.abs(before["theta"] - after["theta"]).max() > 1e-4


def test_weights_of_the_same_size_and_time_are_others(cache, make_folder, traces):
    weights = make_folder() / "model.weights.h5"
    os.utime(weights, ns=(1, 1))
    Predictor.load(weights.parent, traced=True)
    os.utime(make_folder(seed=2) / "model.weights.h5", ns=(1, 1))
    Predictor.load(weights.parent, traced=True)
    assert len(traces) == 2


def test_a_cache_that_cannot_be_cleaned_costs_only_time(cache, make_folder, traces):
    for index in range(4):
        (cache / f"{index}.npz").mkdir(parents=True)
    for _ in range(2):
        assert Predictor.load(make_folder(), traced=True).predict_crops(crops())
    assert len(list(cache.iterdir())) >= 4


def test_without_a_home_it_is_traced(make_folder, traces, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(traced.Path, "home", no_home)
    assert Predictor.load(make_folder(), traced=True).predict_crops(crops())
    with pytest.raises(UserError, match="set XDG_CACHE_HOME=/folder"):
        traced.cache_folder()


def test_a_damaged_model_is_said(cache, make_folder):
    folder = make_folder()
    Predictor.load(folder, traced=True)
    (folder / "model.weights.h5").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"model\.weights\.h5"):
        Predictor.load(folder, traced=True)
