"""The model as a Keras user meets it."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from hmr.data.pipeline import find_record_sets, training_dataset
from hmr.network.build import build_model
from hmr.network.discriminator import Discriminator
from hmr.network.hmr import HMR
from hmr.settings import DataSettings, ModelSpec
from hmr.training.losses import Criterion


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


@pytest.fixture(scope="module")
def batches(records_root):
    images = find_record_sets(records_root, {"lsp": 1.0, "mpi_inf_3dhp": 1.0})
    mocap = find_record_sets(records_root, {"mocap_cmu": 1.0})
    data = DataSettings(shuffle_buffer=8)
    layout = {"input_size": 32, "batch_size": 4, "real_bodies": 12, "seed": 0}
    return training_dataset(images, mocap, data, **layout)


def _compile(model, encoder_optimizer, discriminator_optimizer):
    model.compile(encoder_optimizer, discriminator_optimizer, Criterion())
    return model


def test_output_shapes(model):
    outputs = model(np.zeros((2, 32, 32, 3), np.float32), vertices=True)
    shapes = {key: tuple(value.shape) for key, value in outputs.items()}
    assert shapes == {
        "features": (2, 512),
        "theta": (2, 3, 85),
        "camera": (2, 3),
        "pose": (2, 72),
        "beta": (2, 10),
        "rotations": (2, 24, 3, 3),
        "smpl_joints": (2, 24, 3),
        "joints3d": (2, 19, 3),
        "keypoints2d": (2, 19, 2),
        "vertices": (2, 6890, 3),
    }


def test_fit_trains_both_networks(model, batches):
    _compile(model, keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
    before = [np.array(v) for v in (model.encoder.weights[0], model.discriminator.weights[0])]
    history = model.fit(batches, steps_per_epoch=3, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    after = (model.encoder.weights[0], model.discriminator.weights[0])
    for old, new in zip(before, after, strict=True):
        assert np.abs(old - np.array(new)).max() > 0


def test_keras_verbs_and_callbacks_work(model, batches, tmp_path):
    _compile(model, keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5", "val_loss", save_best_only=True, save_weights_only=True
    )
    slower = keras.callbacks.LearningRateScheduler(lambda epoch: 10.0 ** -(3 + epoch))
    history = model.fit(
        batches,
        steps_per_epoch=2,
        epochs=2,
        validation_data=batches,
        validation_steps=1,
        callbacks=[best, slower],
        verbose=0,
    )
    assert {"loss", "val_loss", "loss/joints3d", "val_loss/joints3d"} <= set(history.history)
    assert float(model.encoder_optimizer.learning_rate) == pytest.approx(1e-4)
    assert (tmp_path / "best.weights.h5").is_file()
    assert model.predict(np.zeros((5, 32, 32, 3)), batch_size=2, verbose=0)["theta"].shape == (
        5,
        3,
        85,
    )
    assert model.evaluate(batches, steps=1, return_dict=True, verbose=0)["loss"] > 0


def test_each_optimiser_moves_its_own_variables_only(model, batches):
    """With SGD at rate 1, a step subtracts exactly the gradient of each network's own loss."""
    batch = next(iter(batches))
    model.regressor.dropout1.rate = model.regressor.dropout2.rate = 0.0
    _compile(model, keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0))
    groups = (model.encoder_variables, model.discriminator.trainable_variables)
    with tf.GradientTape(persistent=True) as tape:
        encoder_loss, discriminator_loss, _ = model.compute_losses(batch)
    expected = [
        [np.array(v) - np.array(g) for v, g in zip(group, tape.gradient(loss, group), strict=True)]
        for group, loss in zip(groups, (encoder_loss, discriminator_loss), strict=True)
    ]
    model.train_step(batch)
    for group, values in zip(groups, expected, strict=True):
        for variable, value in zip(group, values, strict=True):
            np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-4)


def test_mean_theta_is_trained(model, batches):
    _compile(model, keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
    before = np.array(model.regressor.mean_theta)
    model.train_step(next(iter(batches)))
    assert np.abs(before - np.array(model.regressor.mean_theta)).max() > 0


def test_real_bodies_come_first_and_estimates_stage_by_stage(model):
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((2, 3, 85)).astype(np.float32)
    pose, beta = theta[0, :2, 3:75], theta[0, :2, 75:]
    real, fake = model.score_bodies(tf.constant(theta), tf.constant(pose), tf.constant(beta))
    np.testing.assert_allclose(real, np.array(fake)[[0, 2]], rtol=1e-5, atol=1e-5)


def test_training_uses_batch_statistics_and_evaluation_moving_ones(model, batches):
    images = next(iter(batches))["images"]
    assert np.abs(model(images)["theta"] - model(images, training=True)["theta"]).max() > 1e-6
    np.testing.assert_array_equal(model(images)["theta"], model(images)["theta"])


def test_paper_model_has_the_paper_sizes(body_path):
    model = build_model(ModelSpec(body=str(body_path)), with_discriminator=True)
    assert isinstance(model, HMR) and isinstance(model.discriminator, Discriminator)
    assert model.encoder.output_shape == (None, 2048)
    assert model.encoder.count_params() == 23_564_800
    assert model.discriminator(np.zeros((1, 23, 3, 3)), np.zeros((1, 10))).shape == (1, 25)


def test_gradients_are_the_same_bits_on_a_busy_machine(model, batches):
    """The order in which TensorFlow sums must not depend on which thread is late."""
    batch = next(iter(batches))
    _compile(model, keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = model.compute_losses(batch)[0]
        return tape.gradient(loss, model.encoder_variables)

    for dropout in (model.regressor.dropout1, model.regressor.dropout2):
        dropout.rate = 0.0
    busy = threading.Event()
    others = [threading.Thread(target=_keep_busy, args=(busy,)) for _ in range(4)]
    for thread in others:
        thread.start()
    try:
        calls = [[part.numpy() for part in gradients()] for _ in range(60)]
    finally:
        busy.set()
        for thread in others:
            thread.join()
    for later in calls[10:]:  # the first may lay out weights
        for ours, theirs in zip(later, calls[9], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def _keep_busy(done):
    matrix = np.random.default_rng(0).standard_normal((300, 300))
    while not done.is_set():
        np.linalg.svd(matrix)
