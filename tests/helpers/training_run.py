"""Takes training steps of a small model and saves every variable.

Command: python -m tests.helpers.training_run OUT.npz

The environment variable KERAS_BACKEND chooses who computes: tensorflow or jax.
"""

import sys

import keras
import numpy as np

from hmr.body.model_file import save_body
from hmr.network.build import build_model
from hmr.settings import ModelSpec
from hmr.training.losses import Criterion
from tests.helpers.golden_inputs import made_body

STEPS = 3


def main(path: str) -> None:
    """Three steps from made weights on a made batch."""
    save_body(f"{path}.body.npz", made_body())
    spec = ModelSpec(
        encoder="resnet14_v2_narrow", input_size=32, hidden_units=64, dropout=0.0,
        discriminator_units=32, body=f"{path}.body.npz",
    )  # fmt: skip
    model = build_model(spec, with_discriminator=True)
    rng = np.random.default_rng(5)
    for variable in model.trainable_variables:  # backends draw other initial weights
        fan_in = max(1, int(np.prod(variable.shape[:-1])))
        made = rng.standard_normal(variable.shape) / np.sqrt(fan_in)
        made = {"gamma": 1.0 + 0.1 * made, "mean_theta": 0.1 * made}.get(variable.name, made)
        variable.assign(0.01 * made if "fc3" in variable.path else made)
    model.compile(keras.optimizers.Adam(1e-5), keras.optimizers.Adam(1e-4), Criterion())
    batches = [_batch(rng)] * STEPS
    logs = {"jax": _with_jax, "tensorflow": _with_tensorflow}[keras.backend.backend()](
        model, batches
    )
    kept = [*model.variables, *model.discriminator_optimizer.variables]
    results = {
        f"{index:03d} {v.path}": keras.ops.convert_to_numpy(v) for index, v in enumerate(kept)
    }
    results |= {f"log {name}": np.array([float(log[name]) for log in logs]) for name in logs[0]}
    np.savez(path, **{name.replace("/", "."): value for name, value in results.items()})


def _with_tensorflow(model: keras.Model, batches: list) -> list:
    import tensorflow as tf

    return [
        model.train_step({name: tf.constant(value) for name, value in batch.items()})
        for batch in batches
    ]


def _with_jax(model: keras.Model, batches: list) -> list:
    import jax

    from hmr.network.jax_step import set_arrays, training_arrays, training_step

    step, arrays, logs = jax.jit(training_step(model), donate_argnums=0), training_arrays(model), []
    for batch in batches:
        arrays, log = step(arrays, batch)
        logs.append(log)
    set_arrays(model, arrays)
    return logs


def _batch(rng: np.random.Generator, size: int = 4) -> dict[str, np.ndarray]:
    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal((size, *shape)).astype(np.float32)

    def chosen(*shape: int) -> np.ndarray:
        return (rng.random((size, *shape)) < 0.7).astype(np.float32)

    return {
        "images": np.tanh(draw(32, 32, 3)),
        "keypoints2d": 0.5 * draw(19, 2),
        "visibility": chosen(19),
        "joints3d_lsp_m": 0.4 * draw(14, 3),
        "has_joints3d": chosen(),
        "pose": 0.3 * draw(72),
        "beta": draw(10),
        "has_smpl": chosen(),
        "real_pose": 0.3 * rng.standard_normal((3 * size, 72)).astype(np.float32),
        "real_beta": rng.standard_normal((3 * size, 10)).astype(np.float32),
    }


if __name__ == "__main__":
    main(sys.argv[1])
