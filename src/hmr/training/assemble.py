"""From a configuration to a compiled model, with the weights it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
from ml_collections import ConfigDict

from hmr.data.pipeline import RecordSet, mean_body
from hmr.errors import UserError
from hmr.network.build import build_model
from hmr.network.checkpoint import load_model
from hmr.network.encoders import set_batch_variance
from hmr.network.hmr import HMR
from hmr.network.regressor import initial_theta
from hmr.original.mean_params import read_mean_params
from hmr.settings import ModelSpec
from hmr.training.adam import Adam
from hmr.training.devices import Devices
from hmr.training.losses import Criterion
from hmr.training.start import load_start

# TF1's Adam adds 1e-8 to the root of the second moment; Keras's default is 1e-7.
ADAM_EPSILON = 1e-8


def assemble(
    config: ConfigDict, mocap: Sequence[RecordSet], total_steps: int, devices: Devices
) -> tuple[HMR, int]:
    """Builds and compiles the model on its devices.

    Args:
        config: fields as in `src/hmr/configs/hmr.py`.
        mocap: bodies, for a mean body that comes from them.
        total_steps: of the training, for the schedule.
        devices: where the variables live.
    Returns:
        the model, and the step at which it starts: above 0 for a converted training.
    Raises:
        UserError: body, mean parameters or initial weights are missing or do not fit.
    """
    with devices.scope():
        model = _build(config, mocap, devices)
        _compile(model, config, total_steps, devices)
        return model, _continue_elsewhere(config, model)


def _build(config: ConfigDict, mocap: Sequence[RecordSet], devices: Devices) -> HMR:
    if config.mean_params == "mocap":
        pose, beta = mean_body(mocap)
    else:
        pose, beta = read_mean_params(config.mean_params)
    spec = ModelSpec(**config.model)
    model = build_model(
        spec,
        initial_theta(pose, beta),
        with_discriminator=True,
        seed=config.seed,
        precision=config.precision,
        synchronized_norm=devices.replicas > 1,
    )
    _set_batch_variance(model.encoder, config.train.batch_norm_variance)
    if config.initial_encoder:
        _load_encoder(model.encoder, config.initial_encoder)
    if config.initial_model:
        start = load_model(config.initial_model, body=spec.body)
        _copy_weights(start.encoder, model.encoder, config.initial_model)
        _copy_weights(start.regressor, model.regressor, config.initial_model)
    return model


def _set_batch_variance(encoder: keras.Model, batch_variance: str) -> None:
    try:
        set_batch_variance(encoder, batch_variance)
    except ValueError as error:
        raise UserError(f"config.train.batch_norm_variance: {error}") from error


def _load_encoder(encoder: keras.Model, path: str) -> None:
    if not Path(path).is_file():
        raise UserError(
            f"config.initial_encoder: no file at {path}. Make one: python -m "
            "src.convert_checkpoint --input resnet_v2_50.ckpt --output models/imagenet"
        )
    try:
        encoder.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"initial_encoder {path} does not fit config.model: {reason}") from error


def _continue_elsewhere(config: ConfigDict, model: HMR) -> int:
    """Sets discriminators and optimisers of a converted training, and returns its step."""
    start = load_start(Path(config.initial_model)) if config.initial_model else None
    if start is None:
        return 0
    start.assign(model)
    return start.step


def _copy_weights(source: keras.layers.Layer, target: keras.layers.Layer, name: str) -> None:
    try:
        target.set_weights(source.get_weights())
    except ValueError as error:
        raise UserError(f"initial_model {name} does not fit config.model: {error}") from error


def _compile(model: HMR, config: ConfigDict, total_steps: int, devices: Devices) -> None:
    optimizer = config.optimizer
    model.compile(
        encoder_optimizer=_adam(optimizer.encoder_learning_rate, optimizer, total_steps),
        discriminator_optimizer=_adam(
            optimizer.discriminator_learning_rate, optimizer, total_steps
        ),
        criterion=Criterion(**config.loss, parts=devices.replicas, total=devices.total),
    )


def _adam(rate: float, optimizer: ConfigDict, total_steps: int) -> Adam:
    schedules = {"constant": lambda: rate, "cosine": lambda: _cosine(rate, optimizer, total_steps)}
    if optimizer.schedule not in schedules:
        raise UserError(
            f"config.optimizer.schedule must be one of {sorted(schedules)}. "
            f"Received: {optimizer.schedule!r}."
        )
    return Adam(schedules[optimizer.schedule](), epsilon=ADAM_EPSILON)


def _cosine(
    rate: float, optimizer: ConfigDict, total_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    warmup = min(optimizer.warmup_steps, total_steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0, total_steps - warmup, warmup_target=rate, warmup_steps=warmup
    )
