"""Runs the layers on made inputs and saves what they return.

Command: python -m tests.helpers.backend_run OUT.npz

The environment variable KERAS_BACKEND chooses who computes.
"""

import sys

import numpy as np
from keras import ops

from hmr.body.smpl import SMPL
from hmr.geometry.projection import project
from hmr.network.discriminator import Discriminator
from hmr.network.encoders import build_encoder
from hmr.network.hmr import HMR
from hmr.network.regressor import Regressor
from hmr.original.tf1_names import map_discriminator, map_encoder, map_regressor
from tests.helpers.golden_inputs import golden, made_body, made_weight


def main(path: str) -> None:
    """Computes body, camera, discriminators and the whole network."""
    smpl, pose_and_shape = SMPL(made_body()), _tensors("smpl", "thetas", "betas")
    results = {f"smpl.{name}": value for name, value in smpl(*pose_and_shape).items()}
    results["smpl.short"] = smpl.keypoints(*pose_and_shape)["joints3d"]
    results["camera"] = project(*_tensors("projection", "joints3d", "camera"))

    encoder = build_encoder("resnet50_v2", 64)
    regressor, critic = Regressor(2048, np.zeros(85)), Discriminator()
    _fill(map_encoder(encoder) + map_regressor(regressor) + map_discriminator(critic))
    poses, shapes = _tensors("discriminator", "poses", "shapes")
    results["discriminator"] = critic(ops.reshape(poses, (-1, 23, 3, 3)), shapes)

    images = np.random.default_rng(3).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    outputs = HMR(encoder, regressor, smpl)(ops.convert_to_tensor(images), vertices=True)
    results |= {f"hmr.{name}": value for name, value in outputs.items()}
    movenet = build_encoder("movenet_lightning", 192)
    movenet.load_weights("models/encoders/movenet_lightning.weights.h5")
    picture = golden("movenet_lightning")["image"][None] / np.float32(127.5) - 1
    results["movenet"] = movenet(ops.convert_to_tensor(picture))
    arrays = {name: ops.convert_to_numpy(value) for name, value in results.items()}
    np.savez(path, imported=np.array(["tensorflow" in sys.modules]), **arrays)


def _tensors(figures: str, *names: str) -> list:
    arrays = golden(figures)
    return [ops.convert_to_tensor(arrays[name]) for name in names]


def _fill(sources: list) -> None:
    for source in sources:
        tensors = {name: made_weight(name, source.shape) for name in source.names}
        source.variable.assign(source.value(tensors))


if __name__ == "__main__":
    main(sys.argv[1])
