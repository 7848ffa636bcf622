"""The encoder against TF-Slim's own ResNet-50 v2, run with the same made weights."""

import keras
import numpy as np
import pytest

from hmr.network.encoders import build_encoder, set_batch_variance
from hmr.original.convert import ENCODER_FILE, convert_checkpoint
from hmr.original.keras_imagenet import copy_applications_weights
from hmr.original.tf1_names import map_encoder
from tests.helpers.golden_inputs import golden, made_weight

FIGURES = golden("encoder")
IMAGES = np.random.default_rng(20).uniform(-1, 1, (2, 224, 224, 3)).astype(np.float32)
MOVING = [name for name in FIGURES if "moving" in name]


@pytest.fixture
def encoder():
    encoder = build_encoder("resnet50_v2", 224)
    for source in map_encoder(encoder):
        source.variable.assign(made_weight(source.names[0], source.shape))
    return encoder


def test_features(encoder):
    np.testing.assert_allclose(encoder(IMAGES), FIGURES["features"], rtol=2e-5, atol=2e-5)


# TF-Slim's fused kernel feeds N / (N - 1) of the variance, TF 1.3's plain one does not: with
# N = 98 and decay 0.997 that is 3e-5 of a step.
@pytest.mark.parametrize(("variance", "tolerance"), [("biased", 5e-5), ("corrected", 1e-6)])
def test_features_and_statistics_in_training(encoder, variance, tolerance):
    set_batch_variance(encoder, variance)
    features = encoder(IMAGES, training=True)
    np.testing.assert_allclose(features, FIGURES["features_training"], rtol=2e-5, atol=2e-5)
    variables = {source.names[0]: source.variable for source in map_encoder(encoder)}
    for name in MOVING:
        statistic = variables[name.replace("resnet_v2_50.", "resnet_v2_50/").replace(".", "/")]
        np.testing.assert_allclose(statistic, FIGURES[name], rtol=tolerance, atol=1e-6)


def test_another_variance_is_refused(encoder):
    with pytest.raises(ValueError, match="biased"):
        set_batch_variance(encoder, "unbiased")


def test_keras_applications_gives_the_same_once_its_pool_pads_alike():
    """Its weights fit ours layer by layer; its pool pads both sides and its epsilon is larger."""
    theirs = keras.applications.ResNet50V2(
        include_top=False, weights=None, pooling="avg", input_shape=(96, 96, 3)
    )
    ours, images = build_encoder("resnet50_v2", 96), IMAGES[:, :96, :96]
    copy_applications_weights(theirs, ours)
    features = np.asarray(ours(images))
    as_it_is = np.abs(theirs(images) - features).max()
    patched = np.abs(_with_slims_details(theirs)(images) - features).max()
    assert patched < 1e-5 * np.abs(features).max() < as_it_is


def _with_slims_details(model):
    def clone(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            config["epsilon"] = 1e-5
        if layer.name == "pool1_pad":
            return keras.layers.Identity(name=layer.name)
        if layer.name == "pool1_pool":
            config["padding"] = "same"
        return type(layer).from_config(config)

    cloned = keras.models.clone_model(model, clone_function=clone)
    cloned.set_weights(model.get_weights())
    return cloned


def test_the_published_file_of_keras_converts(tmp_path):
    theirs = keras.applications.ResNet50V2(include_top=False, weights=None)
    file = tmp_path / "resnet50v2.weights.h5"
    theirs.save_weights(file)
    convert_checkpoint(str(file), tmp_path)
    encoder = build_encoder("resnet50_v2", 224)
    encoder.load_weights(tmp_path / ENCODER_FILE)
    expected = theirs.get_layer("conv4_block6_2_conv").get_weights()[0]
    np.testing.assert_array_equal(
        encoder.get_layer("block3_unit_6_conv2").get_weights()[0], expected
    )
