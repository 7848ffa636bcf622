"""From a configuration to a trained model: finds data, assembles, trains, saves."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
from ml_collections import ConfigDict

from hmr.data.pipeline import (
    PipelineSettings,
    RecordSet,
    find_record_sets,
    open_batches,
    training_dataset,
)
from hmr.errors import UserError
from hmr.network.checkpoint import save_model
from hmr.network.hmr import HMR
from hmr.settings import Augmentation, ModelSpec
from hmr.training.assemble import assemble
from hmr.training.callbacks import ProgressLine, ScalarLog
from hmr.training.checkpoints import BEST_FOLDER, TrainingState
from hmr.training.devices import Devices, open_devices
from hmr.training.journal import Journal
from hmr.training.loop import LoopSettings, train
from hmr.training.run_config import check_config, write_config, write_json
from hmr.training.validation import Validation, ValidationSettings

SUMMARY_FILE = "training.json"


def run_experiment(config: ConfigDict, workdir: Path) -> dict:
    """Trains what `config` describes, or resumes it.

    Args:
        config: fields as in `src/hmr/configs/hmr.py`.
        workdir: receives `config.json`, `checkpoints/`, `best/`, `logs/`, `metrics.jsonl`,
            `model/` and `training.json`. Several processes need one that all of them see.
    Returns:
        the contents of `training.json`: train_images, steps, epochs, seconds.
    Raises:
        UserError: something the user can mend; nothing is written before data and body are found.
    """
    devices = open_devices(config.strategy)
    _require_even_parts(config, devices)
    data = _find_data(config)
    total_steps = max(1, round(config.train.epochs * data.num_images / config.train.batch_size))
    model, start = assemble(config, data.mocap, total_steps, devices)
    check_config(config, workdir)
    if devices.is_first:
        workdir.mkdir(parents=True, exist_ok=True)
        write_config(config, workdir)

    dataset = training_dataset(data.images, data.mocap, _pipeline_settings(config, devices))
    with contextlib.ExitStack() as stack:
        batches = stack.enter_context(open_batches(dataset))
        # A tf.data service keeps no position.
        kept_batches = None if config.data.service else batches
        state = TrainingState(workdir, model, kept_batches, config.train.checkpoints_kept, devices)
        state.step.assign(start)
        first_step = state.restore()
        watchers: list[keras.callbacks.Callback] = []
        if devices.is_first:
            journal = stack.enter_context(Journal(workdir, first_step))
            watchers = [
                ProgressLine(total_steps, first_step),
                ScalarLog(journal, config.train.log_every_steps, config.train.batch_size),
                *_validation(config, data.validation, total_steps, journal, state, model, workdir),
            ]
        settings = LoopSettings(
            total_steps, config.train.checkpoint_every_steps, config.data.max_bad_share
        )
        train(model, batches, state, settings, devices, watchers, workdir, data.trained)
    summary = {
        "train_images": data.num_images,
        "steps": total_steps,
        "epochs": total_steps * config.train.batch_size / data.num_images,
        "seconds": float(state.seconds),
    }
    if devices.is_first:
        save_model(model, ModelSpec(**config.model), workdir / "model")
        write_json(workdir / SUMMARY_FILE, summary)
    devices.agree(True)  # the others wait for the files of the first
    return summary


@dataclass(frozen=True)
class _Data:
    images: Sequence[RecordSet]
    mocap: Sequence[RecordSet]
    validation: RecordSet | None

    @property
    def num_images(self) -> int:
        return sum(source.examples for source in self.images)

    @property
    def trained(self) -> list[RecordSet]:
        return [*self.images, *self.mocap]


def _find_data(config: ConfigDict) -> _Data:
    images, mocap = (
        find_record_sets(config.data.root, config.data[kind]) for kind in ("train", "mocap")
    )
    for kind, sources in (("train", images), ("mocap", mocap)):
        if not sources:
            raise UserError(
                f"config.data.{kind} names no dataset with a weight above 0. "
                f"Set one, e.g. --config.data.{kind}.NAME=1."
            )
    return _Data(images, mocap, _validation_source(config))


def _validation_source(config: ConfigDict) -> RecordSet | None:
    wanted = config.validation
    if not wanted.dataset:
        return None
    try:
        return find_record_sets(config.data.root, {wanted.dataset: 1.0}, wanted.split)[0]
    except UserError as error:
        raise UserError(f"{error} Or train unwatched: --config.validation.dataset=''.") from error


def _require_even_parts(config: ConfigDict, devices: Devices) -> None:
    if config.train.batch_size % devices.replicas:
        raise UserError(
            f"config.train.batch_size must be a multiple of the {devices.replicas} devices of "
            f"config.strategy={config.strategy}. Received: {config.train.batch_size}."
        )


def _validation(
    config: ConfigDict,
    source: RecordSet | None,
    total_steps: int,
    journal: Journal,
    state: TrainingState,
    model: HMR,
    workdir: Path,
) -> list[keras.callbacks.Callback]:
    if source is None:
        return []

    def keep_if_best(score: float) -> None:
        if state.save_if_best(score):
            save_model(model, ModelSpec(**config.model), workdir / BEST_FOLDER)

    chosen = config.validation.to_dict()
    chosen.pop("dataset")
    settings = ValidationSettings(**chosen, batch_size=config.train.batch_size)
    return [Validation(source, settings, total_steps, journal, keep_if_best)]


def _pipeline_settings(config: ConfigDict, devices: Devices) -> PipelineSettings:
    return PipelineSettings(
        input_size=config.model.input_size,
        batch_size=config.train.batch_size,
        real_bodies=config.train.batch_size * config.model.iterations,
        seed=config.seed,
        shuffle_buffer=config.data.shuffle_buffer,
        share_3d=config.data.share_3d,
        augmentation=Augmentation(**config.data.augmentation),
        service=config.data.service,
        parts=devices.workers,
        part=devices.worker,
    )
