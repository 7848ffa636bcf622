"""What every encoder must do, so that the test of a new one is a row of data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.batches import made_batch
from hmr.network.build import build_model
from hmr.network.checkpoint import load_model, save_model
from hmr.network.encoders import build_encoder, set_batch_variance
from hmr.network.hmr import HMR
from hmr.settings import ModelSpec
from hmr.training.losses import Criterion


@dataclass(frozen=True)
class EncoderCase:
    """An encoder under test.

    Attributes:
        name: its row in `ENCODERS`.
        input_size: a small one that it takes, pixels.
        num_features: length of its feature vector.
        num_params: of its weights, moving statistics included.
        layers_of: a case of the same layers in other numbers, whose files stand for this one's.
    """

    name: str
    input_size: int
    num_features: int
    num_params: int
    layers_of: str = ""

    def spec(self, body: Path) -> ModelSpec:
        """A small model with this encoder."""
        return ModelSpec(
            self.name, self.input_size, hidden_units=8, discriminator_units=8, body=str(body)
        )

    def images(self) -> np.ndarray:
        """Two images of noise, (2, S, S, 3) in [-1, 1]."""
        shape = (2, self.input_size, self.input_size, 3)
        return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def check_shapes(case: EncoderCase) -> None:
    """(B, S, S, 3) to (B, F), and images differ in them."""
    encoder = build_encoder(case.name, case.input_size)
    features = np.asarray(encoder(case.images()))
    assert features.shape == (2, case.num_features)
    assert encoder.count_params() == case.num_params
    assert np.isfinite(features).all() and np.abs(features[0] - features[1]).max() > 0


def check_training_step(case: EncoderCase, body: Path, precision: str) -> None:
    """One step moves every trained variable of the encoder, in float32 and narrow."""
    spec = case.spec(body)
    model = build_model(spec, with_discriminator=True, precision=precision)
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3), Criterion())
    before = [np.array(variable) for variable in model.encoder.trainable_variables]
    batch = {name: tf.constant(value) for name, value in made_batch(spec, 4).items()}
    logs = model.train_step(batch)
    assert np.isfinite(float(logs["loss"]))
    for old, variable in zip(before, model.encoder.trainable_variables, strict=True):
        assert variable.dtype == "float32"
        assert np.abs(old - np.array(variable)).max() > 0, variable.path


def check_round_trip(case: EncoderCase, body: Path, folder: Path) -> None:
    """A model folder and a .keras file give the same answers as the model that was saved."""
    spec = case.spec(body)
    model = build_model(spec, seed=3)
    save_model(model, spec, folder)
    model.save(folder / "model.keras")
    expected = np.asarray(model(case.images())["theta"])
    copy = keras.saving.load_model(folder / "model.keras")
    assert isinstance(copy, HMR)
    for loaded in (load_model(folder), copy):
        np.testing.assert_array_equal(loaded(case.images())["theta"], expected)


def check_precision(case: EncoderCase) -> None:
    """Every layer with weights computes in bfloat16, and the features are close to float32's."""
    wide = build_encoder(case.name, case.input_size)
    narrow = build_encoder(case.name, case.input_size, "mixed_bfloat16")
    narrow.set_weights(wide.get_weights())
    assert {layer.compute_dtype for layer in narrow.layers if layer.weights} == {"bfloat16"}
    expected = np.asarray(wide(case.images()))
    features = np.asarray(narrow(case.images()), np.float32)
    np.testing.assert_allclose(features, expected, atol=0.1 * np.abs(expected).max())


def check_batch_norms(case: EncoderCase) -> None:
    """Norms can be synchronised, and fed the variance of TF-Slim's fused kernel."""
    synchronised = build_encoder(case.name, case.input_size, synchronized_norm=True)
    norms = [v for v in synchronised._flatten_layers() if hasattr(v, "moving_variance")]
    assert all(norm.synchronized for norm in norms)
    biased, corrected = (build_encoder(case.name, case.input_size) for _ in range(2))
    corrected.set_weights(biased.get_weights())
    set_batch_variance(corrected, "corrected")
    features = [encoder(case.images(), training=True) for encoder in (biased, corrected)]
    np.testing.assert_array_equal(*features)
    first, last = (_statistics(encoder) for encoder in (biased, corrected))
    assert first.keys() == last.keys() and len(first) == len(norms)
    for path, variance in first.items():
        assert (last[path] >= variance - 1e-7).all(), path
        assert (last[path] > variance).any(), path


def _statistics(encoder: keras.Model) -> dict[str, np.ndarray]:
    variables = encoder.non_trainable_variables
    return {v.path: np.array(v) for v in variables if v.name == "moving_variance"}


def check_export(case: EncoderCase, body: Path, folder: Path) -> None:
    """The exporter runs the SavedModel anew and refuses one that gives other answers.

    It holds the signature of crops alone: the others take most of the time, whatever the encoder.
    """
    from hmr.serving import saved_model
    from hmr.serving.report import FROM_CROPS
    from hmr.serving.signatures import crop_requests

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_model, "_INPUTS", {FROM_CROPS: saved_model._INPUTS[FROM_CROPS]})
        patch.setattr(saved_model, "example_requests", crop_requests)
        saved_model.export_saved_model(build_model(case.spec(body), seed=3), folder)
    assert tf.saved_model.contains_saved_model(str(folder / "1"))
