"""Builds an HMR model from its specification."""

from __future__ import annotations

import keras
import numpy as np

from hmr.body.model_file import open_body
from hmr.body.smpl import SMPL
from hmr.errors import UserError
from hmr.network.discriminator import Discriminator
from hmr.network.encoders import build_encoder
from hmr.network.hmr import HMR
from hmr.network.regressor import Regressor, initial_theta
from hmr.settings import CHOICES, ModelSpec

PRECISIONS = CHOICES["precision"]


def build_model(
    spec: ModelSpec,
    theta0: np.ndarray | None = None,
    with_discriminator: bool = False,
    seed: int = 0,
    precision: str = "float32",
    synchronized_norm: bool = False,
) -> HMR:
    """A model with fresh weights.

    Args:
        spec: the structure.
        theta0: (85,) start of the iteration; a zero pose and shape if None.
        with_discriminator: True for training.
        seed: seed of the initial weights and the dropout masks.
        precision: of encoder and regressor, one of `PRECISIONS`; Theta, body and discriminators
            are always float32.
        synchronized_norm: compute batch statistics over all replicas (TensorFlow only).
    Raises:
        UserError: the body cannot be opened, or the encoder or the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision must be one of {PRECISIONS}. Received: {precision!r}.")
    keras.utils.set_random_seed(seed)
    encoder = build_encoder(spec.encoder, spec.input_size, precision, synchronized_norm)
    regressor = Regressor(
        encoder.output_shape[-1],
        initial_theta(np.zeros(72), np.zeros(10)) if theta0 is None else theta0,
        spec.iterations,
        spec.hidden_units,
        spec.dropout,
        seed,
        dtype=precision,
    )
    discriminator = Discriminator(spec.discriminator_units) if with_discriminator else None
    return HMR(encoder, regressor, SMPL(open_body(spec.body), spec.body), discriminator)
