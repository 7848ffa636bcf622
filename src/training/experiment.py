"""From a configuration to a trained model: finds data, builds, compiles, trains, saves."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ml_collections import ConfigDict

from src.body.mean_params import read_mean_params
from src.data.augment import Augmentation
from src.data.pipeline import PipelineSettings, Source, find_sources, mean_body, training_dataset
from src.errors import UserError
from src.network.build import ModelSpec, build_model
from src.network.checkpoint import load_model, save_model
from src.network.encoder import set_batch_variance
from src.network.hmr import HMR
from src.network.regressor import initial_theta
from src.training.callbacks import ProgressLine, ScalarLog
from src.training.checkpoints import TrainingState
from src.training.loop import LoopSettings, train
from src.training.losses import Criterion
from src.training.start import load_start

CONFIG_FILE, SUMMARY_FILE = "config.json", "training.json"
# TF1's Adam adds 1e-8 to the root of the second moment; Keras's default is 1e-7.
ADAM_EPSILON = 1e-8
# TF1 rounds its betas to float32 before it takes 1 - beta; that makes 1.3e-5 of the second moment.
ADAM_BETA_1, ADAM_BETA_2 = float(np.float32(0.9)), float(np.float32(0.999))
# What may differ between a checkpoint's configuration and the one that resumes it.
_FREE_TO_CHANGE = (
    "train.checkpoint_every_steps",
    "train.checkpoints_kept",
    "train.log_every_steps",
)


def run_experiment(config: ConfigDict, workdir: Path) -> dict:
    """Trains what `config` describes, or resumes it.

    Args:
        config: fields as in `src/configs/hmr.py`.
        workdir: receives `config.json`, `checkpoints/`, `logs/`, `metrics.jsonl`, `model/` and
            `training.json`.
    Returns:
        the contents of `training.json`: train_images, steps, epochs, seconds.
    Raises:
        UserError: something the user can mend; nothing is written before data and body are found.
    """
    images = find_sources(config.data.root, config.data.train)
    mocap = find_sources(config.data.root, config.data.mocap)
    _require(images, "data.train")
    _require(mocap, "data.mocap")
    num_images = sum(source.examples for source in images)
    total_steps = max(1, round(config.train.epochs * num_images / config.train.batch_size))
    spec = ModelSpec(**config.model)
    model = _build(config, spec, mocap)
    _compile(model, config, total_steps)
    _record_config(config, workdir)

    batches = iter(training_dataset(images, mocap, _pipeline_settings(config)))
    kept = config.train.checkpoints_kept
    state = TrainingState(workdir / "checkpoints", model, batches, kept)
    state.step.assign(_continue_elsewhere(config, model))
    first_step = state.restore()
    settings = LoopSettings(total_steps, config.train.checkpoint_every_steps)
    callbacks = [
        ProgressLine(total_steps, first_step),
        ScalarLog(workdir / "logs", config.train.log_every_steps),
    ]
    train(model, batches, state, settings, callbacks, workdir, [*images, *mocap])
    save_model(model, spec, workdir / "model")
    summary = {
        "train_images": num_images,
        "steps": total_steps,
        "epochs": total_steps * config.train.batch_size / num_images,
        "seconds": float(state.seconds),
    }
    _write_json(workdir / SUMMARY_FILE, summary)
    return summary


def _require(sources: Sequence[Source], field: str) -> None:
    if not sources:
        raise UserError(
            f"config.{field} names no dataset with a weight above 0. "
            f"Set one, e.g. --config.{field}.NAME=1."
        )


def _build(config: ConfigDict, spec: ModelSpec, mocap: Sequence[Source]) -> HMR:
    if config.mean_params == "mocap":
        pose, shape = mean_body(mocap)
    else:
        pose, shape = read_mean_params(config.mean_params)
    model = build_model(spec, initial_theta(pose, shape), with_discriminator=True, seed=config.seed)
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


def _compile(model: HMR, config: ConfigDict, total_steps: int) -> None:
    optimizer = config.optimizer
    model.compile(
        encoder_optimizer=_adam(optimizer.encoder_learning_rate, optimizer, total_steps),
        discriminator_optimizer=_adam(
            optimizer.discriminator_learning_rate, optimizer, total_steps
        ),
        criterion=Criterion(**config.loss),
    )


def _adam(rate: float, optimizer: ConfigDict, total_steps: int) -> keras.optimizers.Adam:
    schedules = {"constant": lambda: rate, "cosine": lambda: _cosine(rate, optimizer, total_steps)}
    if optimizer.schedule not in schedules:
        raise UserError(
            f"config.optimizer.schedule must be one of {sorted(schedules)}. "
            f"Received: {optimizer.schedule!r}."
        )
    return keras.optimizers.Adam(
        schedules[optimizer.schedule](), ADAM_BETA_1, ADAM_BETA_2, epsilon=ADAM_EPSILON
    )


def _cosine(
    rate: float, optimizer: ConfigDict, total_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    warmup = min(optimizer.warmup_steps, total_steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0, total_steps - warmup, warmup_target=rate, warmup_steps=warmup
    )


def _pipeline_settings(config: ConfigDict) -> PipelineSettings:
    return PipelineSettings(
        input_size=config.model.input_size,
        batch_size=config.train.batch_size,
        real_bodies=config.train.batch_size * config.model.iterations,
        seed=config.seed,
        shuffle_buffer=config.data.shuffle_buffer,
        share_3d=config.data.share_3d,
        augmentation=Augmentation(**config.data.augmentation),
    )


def _record_config(config: ConfigDict, workdir: Path) -> None:
    """Writes the configuration, or checks it against the one the folder was made with."""
    path = workdir / CONFIG_FILE
    current = _flatten(json.loads(config.to_json_best_effort()))
    if path.is_file():
        stored = _flatten(json.loads(path.read_text()))
        for key in sorted(set(current) | set(stored)):
            if stored.get(key) != current.get(key) and key not in _FREE_TO_CHANGE:
                raise UserError(
                    f"{workdir} was trained with config.{key} = {stored.get(key)!r}, this run has "
                    f"{current.get(key)!r}. Use the same value to resume, or another --workdir."
                )
    workdir.mkdir(parents=True, exist_ok=True)
    _write_json(path, json.loads(config.to_json_best_effort()))


def _flatten(tree: dict, prefix: str = "") -> dict:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        nested = isinstance(value, dict)
        flat |= _flatten(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat


def _write_json(path: Path, content: dict) -> None:
    partial = path.with_name(path.name + f".partial{os.getpid()}")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(partial, path)
