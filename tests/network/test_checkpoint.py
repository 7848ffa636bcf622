"""Model folders: what is written is read, by this code and by later code."""

import json
import shutil
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from hmr.body.model_file import load_body
from hmr.body.smpl import SMPL
from hmr.errors import UserError
from hmr.network import description
from hmr.network.build import build_model
from hmr.network.checkpoint import load_model, load_weights, read_spec, save_model
from hmr.network.discriminator import Discriminator
from hmr.network.hmr import HMR
from hmr.network.regressor import Regressor
from hmr.settings import ModelSpec

ROOT = Path(__file__).parents[2]
FROZEN = ROOT / "tests" / "frozen" / "model_folder"


@pytest.fixture
def spec(body_path):
    return ModelSpec(
        encoder="resnet14_v2_narrow",
        input_size=32,
        hidden_units=32,
        discriminator_units=16,
        body=str(body_path),
    )


@pytest.fixture
def model(spec):
    return build_model(spec, with_discriminator=True, seed=3)


@pytest.mark.parametrize(("half", "tolerance"), [(False, 0.0), (True, 5e-3)])
def test_saved_model_gives_the_same_answer(model, spec, tmp_path, half, tolerance):
    save_model(model, spec, tmp_path, half=half)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    loaded = load_model(tmp_path)
    np.testing.assert_allclose(loaded(images)["theta"], model(images)["theta"], atol=tolerance)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.discriminators.npz", "model.json", "model.weights.h5",
    ]  # fmt: skip


@pytest.mark.parametrize(("half", "tolerance"), [(False, 0.0), (True, 1e-3)])
def test_the_discriminators_are_saved_too(model, spec, tmp_path, rng, half, tolerance):
    save_model(model, spec, tmp_path, half=half)
    assert load_model(tmp_path).discriminator is None
    loaded = load_model(tmp_path, with_discriminator=True)
    rotations, beta = rng.normal(size=(2, 23, 3, 3)), rng.normal(size=(2, 10))
    np.testing.assert_allclose(
        loaded.discriminator(rotations, beta), model.discriminator(rotations, beta),
        rtol=tolerance, atol=10 * tolerance,
    )  # fmt: skip


def test_a_folder_without_discriminators_opens_and_holds_no_older_ones(model, spec, tmp_path):
    save_model(model, spec, tmp_path)
    save_model(build_model(spec), spec, tmp_path)
    assert load_model(tmp_path, with_discriminator=True).discriminator is None
    assert not load_weights(model, tmp_path)


def test_discriminators_of_another_width_are_refused(model, spec, tmp_path):
    save_model(model, spec, tmp_path)
    other = build_model(replace(spec, discriminator_units=24), with_discriminator=True)
    with pytest.raises(UserError, match=r"another width than discriminator_units = 24"):
        load_weights(other, tmp_path)


def test_weights_of_another_structure_are_refused(model, spec, tmp_path):
    save_model(model, spec, tmp_path)
    text = (tmp_path / "model.json").read_text().replace('"hidden_units": 32', '"hidden_units": 48')
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(UserError, match="does not fit"):
        load_model(tmp_path)


def test_a_folder_of_the_first_version_opens(body_path, tmp_path):
    """Written before descriptions had a version; the weights are made, the answers were kept."""
    shutil.copy(FROZEN / "model.json", tmp_path)
    zipfile.ZipFile(FROZEN / "model.weights.h5.zip").extractall(tmp_path)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    theta = load_model(tmp_path, body=str(body_path))(images)["theta"]
    np.testing.assert_allclose(theta, np.load(FROZEN / "theta.npy"), atol=1e-4)


@dataclass(frozen=True)
class _LaterSpec(ModelSpec):
    pooling: str = "mean"


def test_a_field_added_later_has_its_default_in_older_folders(monkeypatch, body_path):
    monkeypatch.setattr(description, "ModelSpec", _LaterSpec)
    spec = read_spec(ROOT / "models" / "demo_standin")
    assert isinstance(spec, _LaterSpec) and spec.pooling == "mean" and spec.hidden_units == 512
    assert load_model(ROOT / "models" / "demo_standin", body=str(body_path)).input_size == 96


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"pooling": "mean"}', r"model\.json: unknown field pooling. Known are encoder, "),
        ('{"version": 2}', "version must be 1. Received: 2"),
        ("[1]", "is not a model description"),
        ("{", "is not a model description"),
    ],
)
def test_a_description_that_cannot_be_understood_is_refused(tmp_path, text, message):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_spec(tmp_path)


def test_the_description_says_its_version(model, spec, tmp_path):
    save_model(model, spec, tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["version"] == 1
    assert read_spec(tmp_path) == spec


def test_keras_saves_a_compiled_model_with_all_its_parts(model, tmp_path):
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3), None)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, HMR) and not loaded.compiled
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_layers_are_rebuilt_from_their_configuration(body_path):
    theta0 = np.linspace(-1, 1, 85)
    regressor = Regressor(7, theta0, 2, 5, 0.25, seed=4, dtype="mixed_bfloat16")
    again = Regressor.from_config(regressor.get_config())
    assert again.get_config() == regressor.get_config()
    np.testing.assert_array_equal(again.mean_theta, regressor.mean_theta)
    assert again.fc1.compute_dtype == "bfloat16" and again.fc1.kernel.shape == (7 + 85, 5)
    critic = Discriminator.from_config(Discriminator(12).get_config())
    assert critic.all_joints_fc2.kernel.shape == (12, 12)
    smpl = SMPL.from_config(SMPL(load_body(body_path), body_path).get_config())
    np.testing.assert_array_equal(smpl.body.posedirs, load_body(body_path).posedirs)
    with pytest.raises(TypeError, match="has no path"):
        SMPL(load_body(body_path)).get_config()
