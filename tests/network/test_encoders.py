"""Every encoder of the table, and one that is no ResNet, through all that is done with encoders."""

import functools
import sys

import keras
import pytest

from hmr.errors import UserError
from hmr.network.build import build_model
from hmr.network.description import check_encoder_name
from hmr.network.encoders import ENCODERS, build_encoder
from hmr.settings import ModelSpec
from tests.helpers import encoder_checks
from tests.helpers.encoder_checks import EncoderCase
from tests.helpers.tiny_encoder import TINY

CASES = [
    EncoderCase("resnet50_v2", 64, 2048, 23_564_800, layers_of="resnet14_v2_narrow"),
    EncoderCase("resnet14_v2_narrow", input_size=32, num_features=512, num_params=1_229_056),
    EncoderCase("movenet_lightning", input_size=64, num_features=1331, num_params=2_317_974),
    EncoderCase("movenet_thunder", 64, 1331, 6_226_046, layers_of="movenet_lightning"),
    EncoderCase("movenet_thunder_centred", 64, 1331, 6_226_046, layers_of="movenet_lightning"),
    EncoderCase("movenet_lightning_adapter", input_size=64, num_features=243, num_params=2_407_990),
    EncoderCase("movenet_thunder_adapter", 64, 435, 6_575_294, "movenet_lightning_adapter"),
    EncoderCase("mobilenet", input_size=32, num_features=256, num_params=218_544),
]


def mobilenet(input_size):
    """A backbone of Keras's as a row of the table."""
    shape = (input_size, input_size, 3)
    return keras.applications.MobileNet(
        shape, alpha=0.25, include_top=False, weights=None, pooling="avg"
    )


@pytest.fixture(autouse=True)
def _another_backbone(monkeypatch):
    monkeypatch.delitem(ENCODERS, TINY, raising=False)  # other tests of this process may have it
    monkeypatch.setitem(ENCODERS, "mobilenet", mobilenet)


def of(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


each_case = of(CASES)
each_kind = of([case for case in CASES if not case.layers_of])


@each_case
def test_shapes(case):
    encoder_checks.check_shapes(case)


@each_case
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_training_step(case, precision, body_path):
    encoder_checks.check_training_step(case, body_path, precision)


@each_kind
def test_round_trip(case, body_path, tmp_path):
    encoder_checks.check_round_trip(case, body_path, tmp_path)


@each_case
def test_precision(case):
    encoder_checks.check_precision(case)


@each_case
def test_batch_norms(case):
    encoder_checks.check_batch_norms(case)


@pytest.mark.slow
@each_kind
def test_export(case, body_path, tmp_path):
    encoder_checks.check_export(case, body_path, tmp_path)


def test_every_encoder_has_a_case():
    assert set(ENCODERS) == {case.name for case in CASES}


def test_an_unknown_encoder_is_refused():
    with pytest.raises(UserError, match=r"encoder must be one of .*Received: 'vgg'"):
        build_model(ModelSpec(encoder="vgg"))


@pytest.mark.parametrize("wrong", [{"units": (1,)}, {"pooled": False}])
def test_a_row_that_builds_other_shapes_is_refused(monkeypatch, wrong):
    def flat(input_size, pooled=True, units=()):
        images = keras.Input((input_size * (1 + len(units)),) * 2 + (3,))
        net = keras.layers.Conv2D(4, 3)(images)
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(net) if pooled else net)

    monkeypatch.setitem(ENCODERS, "wrong", functools.partial(flat, **wrong))
    with pytest.raises(ValueError, match="must map"):
        build_encoder("wrong", 32)


def test_a_wrong_name_is_told_without_the_table(monkeypatch):
    monkeypatch.delitem(sys.modules, "hmr.network.encoders")
    own = [name for name in ENCODERS if name != "mobilenet"]
    with pytest.raises(UserError, match=f"encoder must be one of {', '.join(own)}. Received: 'x'"):
        check_encoder_name("x")
    for name in own:
        check_encoder_name(name)
