"""Trainings that begin with the weights and the optimisers of others."""

import dataclasses
import functools
import json

import keras
import numpy as np
import pytest

from hmr.configs.hmr import get_config
from hmr.errors import UserError
from hmr.network.adapter import ADAPTER
from hmr.network.build import build_model
from hmr.network.checkpoint import load_model, save_model
from hmr.network.encoders import ENCODERS
from hmr.network.movenet import movenet
from hmr.settings import ModelSpec
from hmr.training.recipe import run
from hmr.training.start import (
    AdamState,
    TrainingStart,
    load_start,
    save_start,
    set_initial_weights,
)


@pytest.fixture
def spec(tiny_config):
    return ModelSpec(**tiny_config.model)


def _start_of(model, step):
    """Moments of one value throughout, as no training would leave them."""

    def adam(variables):
        momentum = {v.path: np.full(v.shape, 1e-3, np.float32) for v in variables}
        velocity = {v.path: np.full(v.shape, 1e-2, np.float32) for v in variables}
        return AdamState(step, momentum, velocity)

    return TrainingStart(
        {v.path: v.numpy() for v in model.discriminator.weights},
        step,
        adam(model.encoder_variables),
        adam(model.discriminator.trainable_variables),
    )


def test_a_start_survives_its_file(spec, tmp_path):
    model = build_model(spec, with_discriminator=True)
    save_start(tmp_path, _start_of(model, 7))
    start = load_start(tmp_path)
    assert (start.step, start.encoder_adam.steps) == (7, 7)
    for variable in model.discriminator.weights:
        np.testing.assert_array_equal(start.discriminator[variable.path], variable)
    assert set(start.encoder_adam.velocity) == {v.path for v in model.encoder_variables}
    assert load_start(tmp_path / "nothing") is None


def test_a_training_goes_on_from_a_converted_one(spec, tiny_config, tmp_path):
    model = build_model(spec, with_discriminator=True, seed=11)
    save_model(model, spec, tmp_path / "converted")
    save_start(tmp_path / "converted", _start_of(model, step=5))
    tiny_config.initial_model = str(tmp_path / "converted")
    tiny_config.optimizer.schedule = "constant"
    tiny_config.train.log_every_steps = 1
    tiny_config.optimizer.encoder_learning_rate = 1e-9
    run(tiny_config, tmp_path / "run")
    trained = load_model(tmp_path / "run")
    for before, after in zip(
        model.regressor.trainable_variables, trained.regressor.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(before, after, atol=1e-6)
    steps = json.loads((tmp_path / "run" / "training.json").read_text())["steps"]
    assert steps > 5
    logged = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert min(entry["step"] for entry in logged) > 5


def test_a_training_goes_on_from_the_discriminators_of_a_model_folder(
    spec, tiny_config, tmp_path, caplog
):
    model = build_model(spec, with_discriminator=True, seed=11)
    save_model(model, spec, tmp_path / "earlier")
    tiny_config.initial_model = str(tmp_path / "earlier")
    tiny_config.optimizer.discriminator_learning_rate = 0.0
    run(tiny_config, tmp_path / "run")
    trained = load_model(tmp_path / "run", with_discriminator=True)
    for before, after in zip(
        model.discriminator.weights, trained.discriminator.weights, strict=True
    ):
        np.testing.assert_array_equal(before, after)
    assert f"discriminators from {tmp_path / 'earlier'}" in caplog.text


def test_a_start_of_another_structure_is_refused(spec, tiny_config, tmp_path):
    model = build_model(spec, with_discriminator=True)
    start = _start_of(model, step=5)
    start.discriminator.pop("conv1/kernel")
    save_model(model, spec, tmp_path / "converted")
    save_start(tmp_path / "converted", start)
    tiny_config.initial_model = str(tmp_path / "converted")
    with pytest.raises(UserError, match=r"conv1/kernel must be \(9, 32\). Received: nothing"):
        run(tiny_config, tmp_path / "run")


def test_encoder_weights_alone(spec, tiny_config, tmp_path):
    model = build_model(spec, seed=11)
    model.encoder.save_weights(tmp_path / "encoder.weights.h5")
    tiny_config.initial_encoder = str(tmp_path / "encoder.weights.h5")
    tiny_config.optimizer.encoder_learning_rate = 0.0
    run(tiny_config, tmp_path / "run")
    trained = load_model(tmp_path / "run")
    for before, after in zip(
        model.encoder.trainable_variables, trained.encoder.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(before, after)


def test_a_frozen_encoder_stays_that_of_the_model_folder_it_came_from(spec, tiny_config, tmp_path):
    given = build_model(spec, seed=11)
    save_model(given, spec, tmp_path / "given")
    tiny_config.initial_encoder = str(tmp_path / "given")
    tiny_config.freeze_encoder = True
    tiny_config.train.log_every_steps = 2
    run(tiny_config, tmp_path / "run")
    trained = load_model(tmp_path / "run")
    before, after = given.encoder, trained.encoder
    for old, new in zip(before.trainable_variables, after.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)
    assert (np.array(given.regressor.fc1.kernel) != np.array(trained.regressor.fc1.kernel)).any()
    entry = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert "gradient_norm/regressor" in entry and "gradient_norm/encoder" not in entry


@pytest.mark.parametrize("source", ["{}", "{}.weights.h5"], ids=["folder", "file"])
def test_an_adapter_starts_fresh_beside_an_encoder_but_not_of_a_model(
    source, spec, tmp_path, monkeypatch
):
    for name, adapter in (("published", 0), ("adapted", 16)):
        row = functools.partial(movenet, width=0.2, adapter=adapter)
        monkeypatch.setitem(ENCODERS, name, row)
    earlier = {}
    for name in ("published", "adapted"):
        spec = dataclasses.replace(spec, encoder=name)
        earlier[name] = build_model(spec, seed=len(name))
        save_model(earlier[name], spec, tmp_path / name)
        earlier[name].encoder.save_weights(tmp_path / f"{name}.weights.h5")
    model = build_model(spec, seed=5)
    fresh = model.encoder.get_layer(ADAPTER).get_weights()
    for name, given in earlier.items():
        set_initial_weights(model, "", str(tmp_path / source.format(name)))
        images = np.linspace(-1, 1, 32 * 32 * 3, dtype=np.float32).reshape(1, 32, 32, 3)
        seen, given_seen = (
            keras.Model(each.input, each.get_layer("keypoints").output)(images)
            for each in (model.encoder, given.encoder)
        )
        np.testing.assert_allclose(seen, given_seen, atol=1e-6)
        for before, after in zip(
            fresh, model.encoder.get_layer(ADAPTER).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(before, after)
    set_initial_weights(model, str(tmp_path / "adapted"), "")
    np.testing.assert_allclose(model.encoder(images), given.encoder(images), atol=1e-6)


def test_the_papers_recipe_starts_from_imagenet_weights():
    assert get_config().initial_encoder == "models/imagenet/encoder.weights.h5"


def test_encoder_weights_that_are_missing_or_do_not_fit(tiny_config, tmp_path):
    tiny_config.initial_encoder = str(tmp_path / "encoder.weights.h5")
    with pytest.raises(UserError, match=r"no file at .*encoder\.weights\.h5") as missing:
        run(tiny_config, tmp_path / "run")
    for way in ("--input resnet_v2_50.ckpt", "--input keras", "--config.initial_encoder="):
        assert way in str(missing.value)
    (tmp_path / "encoder.weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(
        UserError, match=r"does not fit config\.model, or is damaged: .*\. Give weights"
    ):
        run(tiny_config, tmp_path / "run")
