"""Training on stored features: what is stored, what a killed process leaves, and resuming."""

import functools
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from hmr.errors import UserError
from hmr.network.adapter import ADAPTER
from hmr.network.checkpoint import load_model
from hmr.network.encoders import ENCODERS, build_encoder
from hmr.network.movenet import movenet
from hmr.training.loop import BadRecords
from hmr.training.recipe import run
from hmr.training.stored import stored_dataset
from tests.training.test_recipe import run_three_steps

BATCHES, SIZE, BODIES = 4, 2, 3


def numbered():
    """Batches of two pictures; the picture, the labels and the real bodies all say its number."""
    people = np.arange(BATCHES * SIZE, dtype=np.float32)
    bodies = np.repeat(people, BODIES)
    streams = {
        "images": np.tile(people[:, None, None, None], (1, 4, 4, 3)),
        "keypoints2d": np.zeros((len(people), 19, 2), np.float32),
        "beta": np.tile(people[:, None], (1, 10)),
    }
    real = {"real_pose": np.tile(bodies[:, None], (1, 72)), "real_beta": bodies[:, None]}
    of_people = tf.data.Dataset.from_tensor_slices(streams).batch(SIZE)
    of_bodies = tf.data.Dataset.from_tensor_slices(real).batch(SIZE * BODIES)
    pairs = tf.data.Dataset.zip(of_people, of_bodies)
    return pairs.map(lambda left, right: {**left, **right}).repeat()


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.setattr("hmr.training.stored._BATCHES_OF_FILE", 3)
    images = keras.Input((4, 4, 3))
    flat = keras.layers.Flatten()(images) / 2
    sees = keras.Model(images, {"features": flat[:, :5], "maps": images + 1})
    return lambda folder="run", seed=1: stored_dataset(
        numbered(), sees, BATCHES, tmp_path / folder, seed, BadRecords([], 0.0, tmp_path)
    )


def _numbers(dataset, passes=1):
    """The people of each pass in their order, after a check that all that is said of them fits."""
    found = []
    for batch in dataset.take(BATCHES * passes):
        people = batch["beta"].numpy()[:, 0]
        np.testing.assert_array_equal(batch["features"], np.tile(people[:, None] / 2, (1, 5)))
        maps = np.tile(people[:, None, None, None] + 1, (1, 4, 4, 3))
        np.testing.assert_array_equal(batch["maps"], maps)
        assert batch["features"].dtype == batch["maps"].dtype == tf.float32
        assert "images" not in batch
        np.testing.assert_array_equal(batch["real_beta"][:, 0], np.repeat(people, BODIES))
        assert batch["real_pose"].shape == (SIZE * BODIES, 72)
        found += people.tolist()
    return np.reshape(found, (passes, -1)).tolist()


def test_each_pass_brings_everybody_in_another_order(stored):
    first, second = _numbers(stored(), passes=2)
    assert sorted(first) == sorted(second) == list(range(BATCHES * SIZE))
    assert first != second
    assert _numbers(stored("again"), passes=2) == [first, second]
    assert _numbers(stored(seed=2)) != [first]


def test_only_what_a_killed_process_left_out_is_seen_again(stored, tmp_path):
    whole = _numbers(stored())
    first, last = sorted((tmp_path / "run" / "features").glob("*.npz"))
    kept = first.stat().st_mtime_ns
    last.unlink()
    last.with_suffix(".maps.npy").write_bytes(b"half of a part")
    assert _numbers(stored()) == whole
    assert first.stat().st_mtime_ns == kept and last.is_file()


def test_too_small_a_disk_is_refused_before_it_is_full(stored, tmp_path, monkeypatch):
    """Two pictures' 5 and 48 numbers of 2 bytes in each of 4 batches: 848 bytes."""
    for free in (847, 848):
        usage = shutil.disk_usage(tmp_path)._replace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        if free < 848:
            with pytest.raises(UserError, match=r"needs 0\.0 GB\. Free: 0\.0 GB.*--workdir"):
                stored()
            assert not list((tmp_path / "run" / "features").glob("*.np?"))
        else:
            stored()


@pytest.mark.parametrize("name", ["000003.npz", "000003.maps.npy"])
def test_a_damaged_file_is_named(stored, tmp_path, name):
    stored()
    path = tmp_path / "run" / "features" / name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=rf"{re.escape(name)}.* Remove the folder .*features"):
        stored()
    path.unlink()
    stored()  # what is missing is seen again


@pytest.fixture
def config_of_stored(tiny_config, tmp_path):
    config = tiny_config
    encoder = build_encoder(config.model.encoder, config.model.input_size)
    encoder.save_weights(tmp_path / "encoder.weights.h5")
    config.initial_encoder = str(tmp_path / "encoder.weights.h5")
    config.freeze_encoder, config.train.stored_epochs = True, 0.5
    config.train.log_every_steps = config.train.checkpoint_every_steps = 2
    return config


def _trained_alike_in_parts(config, folder):
    """The model of a training, after a check that a stopped and resumed one gives the same."""
    run(config, folder / "whole")
    run_three_steps(config, folder / "parts")
    run(config, folder / "parts")
    whole, parts = (load_model(folder / name) for name in ("whole", "parts"))
    for one, other in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    return whole


def test_what_an_encoder_of_other_weights_said_is_refused(config_of_stored, tmp_path):
    """The file of its weights is another's, of the same name, when the training goes on."""
    weights = Path(config_of_stored.initial_encoder)
    given = weights.read_bytes()
    run_three_steps(config_of_stored, tmp_path / "run")
    other = build_encoder(config_of_stored.model.encoder, config_of_stored.model.input_size)
    other.set_weights([array + 1 for array in other.get_weights()])
    other.save_weights(weights)
    with pytest.raises(UserError, match=r"were others when they saw .* another --workdir"):
        run(config_of_stored, tmp_path / "run")
    weights.write_bytes(given)
    assert run(config_of_stored, tmp_path / "run")["steps"] > 3


def test_a_training_on_stored_features_resumes_bit_for_bit(config_of_stored, tmp_path):
    trained = _trained_alike_in_parts(config_of_stored, tmp_path)
    given = build_encoder(config_of_stored.model.encoder, config_of_stored.model.input_size)
    given.load_weights(config_of_stored.initial_encoder)
    for one, other in zip(given.get_weights(), trained.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_adapter_learns_from_what_the_rest_said(config_of_stored, tmp_path, monkeypatch):
    row = functools.partial(movenet, width=0.2, adapter=16)
    monkeypatch.setitem(ENCODERS, "adapted", row)
    config_of_stored.model.encoder, config_of_stored.model.input_size = "adapted", 64
    given = build_encoder("adapted", 64)
    given.save_weights(config_of_stored.initial_encoder)
    trained = _trained_alike_in_parts(config_of_stored, tmp_path)
    for before, after in zip(given.layers, trained.encoder.layers, strict=True):
        pairs = zip(before.get_weights(), after.get_weights(), strict=True)
        same = [np.array_equal(one, other) for one, other in pairs]
        assert all(same) if before.name != ADAPTER else not any(same)


def test_an_encoder_that_learns_is_refused(config_of_stored, tmp_path):
    config_of_stored.freeze_encoder = False
    with pytest.raises(UserError, match=r"stored_epochs needs config\.freeze_encoder=True"):
        run(config_of_stored, tmp_path / "run")
    assert not (tmp_path / "run").exists()
