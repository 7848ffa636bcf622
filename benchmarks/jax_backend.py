"""The network under Keras's JAX backend, on a GPU if there is one: python -m benchmarks.jax_backend

Each row stands beside a rival in the same run: the whole forward pass and the whole training step
beside the bare encoder's, keypoints and mesh beside `smplx` on PyTorch where both are installed.
Images per second, and the share of the chip's peak by the floating-point operations that XLA
counts, where `--peak-tflops` says what the peak is.
"""

from __future__ import annotations

import contextlib
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from benchmarks.batches import made_batch
from benchmarks.timing import Row, compare, report
from hmr.body.model_file import open_body
from hmr.body.smpl import SMPL
from hmr.cli import whole_number
from hmr.errors import VerbParser, run_verb
from hmr.network.build import build_model
from hmr.network.jax_step import training_arrays, training_step
from hmr.processor import emulates_bfloat16
from hmr.settings import ModelSpec
from hmr.training.losses import Criterion

PRECISIONS = ("float32", "mixed_bfloat16")


def main() -> None:
    """Entry point."""
    parser = VerbParser(prog="python -m benchmarks.jax_backend", description=__doc__)
    parser.add_argument("--encoder", default="resnet50_v2", help="default: the paper's")
    parser.add_argument("--input-size", type=whole_number, default=224, help="pixels (224)")
    parser.add_argument("--batch", type=whole_number, default=64, help="images in a step (64)")
    parser.add_argument("--repeats", type=whole_number, default=7, help="calls of each side (7)")
    parser.add_argument("--body", default="models/standin_body.npz", help="body file")
    parser.add_argument(
        "--peak-tflops", type=float, nargs=2, metavar=("FLOAT32", "BFLOAT16"), help="of the chip"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")
    options = parser.parse_args()
    versions = f"jax {jax.__version__}, keras {keras.__version__}, {jax.devices()[0].device_kind}"
    print(versions, file=sys.stderr if options.json else sys.stdout)
    spec = ModelSpec(options.encoder, options.input_size, dropout=0.0, body=options.body)
    rows = []
    with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):
        for index, precision in enumerate(PRECISIONS):
            on_cpu = jax.devices()[0].platform == "cpu"
            if precision != "float32" and on_cpu and emulates_bfloat16():
                print("no bfloat16 in this processor: its rows are left out")
                continue
            peak = options.peak_tflops[index] if options.peak_tflops else None
            rows += network_rows(spec, options.batch, precision, options.repeats, peak)
        rows += body_rows(options.body, options.batch, options.repeats)
    print(report(rows, options.json))


def network_rows(
    spec: ModelSpec, batch_size: int, precision: str, repeats: int, peak: float | None
) -> list[Row]:
    """Forward pass and training step of the whole model beside the bare encoder's."""
    model = build_model(spec, with_discriminator=True, precision=precision)
    model.compile(keras.optimizers.Adam(1e-5), keras.optimizers.Adam(1e-4), Criterion())
    batch = jax.tree.map(jnp.array, made_batch(spec, batch_size))
    images = batch["images"]
    whole_step = _compiled(training_step(model), training_arrays(model), batch)
    bare_step = _compiled(*encoder_step(model.encoder), images)
    sides = {
        "forward": (
            _forward(model, lambda x: model(x)["joints3d"], images),
            _forward(model.encoder, model.encoder, images),
        ),
        "training step": (whole_step, bare_step),
    }
    rows = []
    for what, (ours, rival) in sides.items():
        name = f"{what}, {spec.encoder}, {spec.input_size} px, batch {batch_size}, {precision}"
        row = compare(name, ours.call, "bare encoder", rival.call, repeats)
        for label, side, milliseconds in (
            ("HMR", ours, row.ours_ms), ("bare encoder", rival, row.rival_ms)
        ):  # fmt: skip
            rate, tflops = 1e3 * batch_size / milliseconds, side.operations / milliseconds / 1e9
            share = f", {100 * tflops / peak:.0f} % of the peak" if peak else ""
            print(f"{name}: {label} {rate:.1f} images/s, {tflops:.3g} TFLOP/s{share}")
        rows.append(row)
    return rows


class Compiled(NamedTuple):
    """A compiled function that waits for its results, and how many operations XLA counts in it."""

    call: Callable[[], Any]
    operations: float


def _operations(lowered: Any) -> float:
    # Of the program before it is compiled: XLA counts nothing in calls of a GPU's libraries.
    return float(lowered.cost_analysis()["flops"])


def _forward(model: keras.Model, run: Callable, images: Any) -> Compiled:
    values = [jnp.array(variable.value) for variable in model.variables]

    def pure(values: list, images: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))):
            return run(images)

    lowered = jax.jit(pure).lower(values, images)
    compiled = lowered.compile()
    return Compiled(lambda: jax.block_until_ready(compiled(values, images)), _operations(lowered))


def _compiled(step: Callable, arrays: Any, batch: Any) -> Compiled:
    lowered = jax.jit(step, donate_argnums=0).lower(arrays, batch)
    compiled, held = lowered.compile(), [arrays]

    def call() -> None:
        held[0], logs = compiled(held[0], batch)
        jax.block_until_ready((held[0], logs))

    return Compiled(call, _operations(lowered))


def encoder_step(encoder: keras.Model) -> tuple[Callable, Any]:
    """A training step of the encoder alone with one Adam, and what it starts from."""
    optimizer = keras.optimizers.Adam(1e-5)
    optimizer.build(encoder.trainable_variables)
    groups = encoder.trainable_variables, encoder.non_trainable_variables, optimizer.variables
    start = jax.tree.map(lambda variable: jnp.array(variable.value), groups)

    def loss(trained: list, other: list, images: Any) -> Any:
        outputs, changed = encoder.stateless_call(trained, other, images, training=True)
        return jnp.mean(jnp.square(outputs.astype("float32"))), changed

    def step(arrays: Any, images: Any) -> Any:
        trained, other, adam = arrays
        (value, other), gradients = jax.value_and_grad(loss, has_aux=True)(trained, other, images)
        trained, adam = optimizer.stateless_apply(adam, gradients, trained)
        return (trained, other, adam), value

    return step, start


def body_rows(path: str, batch_size: int, repeats: int) -> list[Row]:
    """Keypoints forward and backward, and the mesh, beside smplx on the same device."""
    if not all(map(find_spec, ("torch", "smplx"))):
        print("no torch or smplx: their rows are left out")
        return []
    import torch

    from benchmarks.rival_body import Smplx

    body, rng = open_body(path), np.random.default_rng(0)
    pose = (0.3 * rng.standard_normal((batch_size, 72))).astype(np.float32)
    beta = rng.standard_normal((batch_size, 10)).astype(np.float32)
    smpl = SMPL(body)
    theirs = Smplx(body, pose, beta, "cuda" if torch.cuda.is_available() else "cpu")
    inputs = jnp.array(pose), jnp.array(beta)
    gradients = jax.jit(
        jax.grad(lambda both: jnp.sum(jnp.square(smpl.keypoints(*both)["joints3d"])))
    )
    mesh = jax.jit(lambda both: smpl(*both)["vertices"])
    return [
        compare(
            f"keypoints, forward + backward, batch {batch_size}",
            lambda: jax.block_until_ready(gradients(inputs)),
            "smplx on PyTorch",
            theirs.keypoint_gradients,
            repeats,
        ),
        compare(
            f"mesh, forward, batch {batch_size}",
            lambda: jax.block_until_ready(mesh(inputs)),
            "smplx on PyTorch",
            theirs.mesh,
            repeats,
        ),
    ]


if __name__ == "__main__":
    run_verb(main)
