"""A training on one screen: data, model, optimisers and criterion, loop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import keras
from ml_collections import ConfigDict

from hmr.body.mean_params import read_mean_params
from hmr.data.pipeline import (
    PipelineSettings,
    RecordSet,
    find_record_sets,
    mean_body,
    open_batches,
    training_dataset,
)
from hmr.errors import UserError
from hmr.network.build import build_model
from hmr.network.checkpoint import save_model
from hmr.network.encoders import set_batch_variance
from hmr.network.regressor import initial_theta
from hmr.settings import (
    DataSettings,
    Experiment,
    TrainSettings,
    ValidationSettings,
    check_values,
    read_settings,
)
from hmr.training.adam import build_adam
from hmr.training.callbacks import Journal, ProgressLine, ScalarLog
from hmr.training.devices import check_precision, open_devices
from hmr.training.loop import BadRecords, train
from hmr.training.losses import Criterion
from hmr.training.start import set_initial_weights
from hmr.training.state import TrainingState, open_workdir, write_json
from hmr.training.validation import Validation, measures_of

SUMMARY_FILE = "training.json"


def run(config: ConfigDict, workdir: Path) -> dict:
    """Trains what `config` describes, or resumes it.

    Args:
        config: the fields of `hmr.settings.Experiment`.
        workdir: receives `config.json`, `checkpoints/`, `best/`, `logs/`, `metrics.jsonl`,
            `model/` and `training.json`. Several processes need one that all of them see.
    Returns:
        the contents of `training.json`: train_images, steps, epochs, seconds.
    Raises:
        UserError: something the user can mend; nothing is written before data and body are found.
    """
    experiment = read_settings(Experiment, config.to_dict(), "config")
    check_values(experiment)
    devices = open_devices(experiment.strategy, experiment.train.batch_size)
    check_precision(experiment.precision)
    keras.utils.set_random_seed(experiment.seed)

    # ---------------------------------------------------------------------------------- data
    images, mocap, held_out = _find_records(experiment.data, experiment.validation)
    num_images, batch_size = sum(each.examples for each in images), experiment.train.batch_size
    total_steps = max(1, round(experiment.train.epochs * num_images / batch_size))
    layout = PipelineSettings(
        input_size=experiment.model.input_size,
        batch_size=batch_size,
        real_bodies=batch_size * experiment.model.iterations,  # one for each estimate
        seed=experiment.seed,
        data=experiment.data,
        parts=devices.workers,
        part=devices.worker,
    )
    dataset = training_dataset(images, mocap, layout)

    # --------------------------------------------------------------------------------- model
    from_mocap = experiment.mean_params == "mocap"
    mean = mean_body(mocap) if from_mocap else read_mean_params(experiment.mean_params)
    with devices.scope():
        model = build_model(
            experiment.model,
            initial_theta(*mean),
            with_discriminator=True,
            seed=experiment.seed,
            precision=experiment.precision,
            synchronized_norm=devices.replicas > 1,
        )
        set_batch_variance(model.encoder, experiment.train.batch_norm_variance)
        model.encoder.trainable = not experiment.freeze_encoder

        # ----------------------------------------------------------- optimisers and criterion
        optimizer = experiment.optimizer
        model.compile(
            build_adam(optimizer.encoder_learning_rate, optimizer, total_steps),
            build_adam(optimizer.discriminator_learning_rate, optimizer, total_steps),
            Criterion(experiment.loss, devices.replicas, devices.total),
        )
        start = set_initial_weights(model, experiment.initial_model, experiment.initial_encoder)

    # ---------------------------------------------------------------------------------- loop
    service = experiment.data.service
    with open_workdir(workdir, experiment, devices), open_batches(dataset, service) as batches:
        position = None if service else batches  # a tf.data service keeps none
        kept = experiment.train.checkpoints_kept
        state = TrainingState(workdir, model, experiment.model, position, devices, kept, start)
        state.restore()
        settings = experiment.train
        watching = _watchers(settings, experiment.validation, held_out, state, total_steps)
        with watching as callbacks:
            bad_records = BadRecords([*images, *mocap], experiment.data.max_bad_share, workdir)
            train(state, batches, total_steps, settings, devices, callbacks, bad_records)
    summary = {
        "train_images": num_images,
        "steps": total_steps,
        "epochs": total_steps * batch_size / num_images,
        "seconds": float(state.seconds),
    }
    if devices.is_first:
        save_model(model, experiment.model, workdir / "model")
        write_json(workdir / SUMMARY_FILE, summary)
    devices.agree(True)  # a barrier: the other processes wait for the files of the first
    return summary


@contextlib.contextmanager
def _watchers(
    settings: TrainSettings,
    validation: ValidationSettings,
    held_out: list[RecordSet],
    state: TrainingState,
    total_steps: int,
) -> Iterator[list[keras.callbacks.Callback]]:
    """What the first process shows and logs; nothing in the others."""
    if not state.devices.is_first:
        yield []
        return
    first_step, batch_size = int(state.step), settings.batch_size
    with Journal(state.workdir, first_step) as journal:
        yield [
            ProgressLine(total_steps, first_step),
            ScalarLog(journal, settings.log_every_steps, batch_size),
            *(
                Validation(each, validation, batch_size, total_steps, journal, state)
                for each in held_out
            ),
        ]


def _find_records(
    data: DataSettings, validation: ValidationSettings
) -> tuple[list[RecordSet], list[RecordSet], list[RecordSet]]:
    """The datasets of pictures, of bodies, and the one that is scored while training, if any."""
    images, mocap = (find_record_sets(data.root, weights) for weights in (data.train, data.mocap))
    for kind, record_sets in (("train", images), ("mocap", mocap)):
        if not record_sets:
            raise UserError(
                f"config.data.{kind} names no dataset with a weight above 0. "
                f"Set one, e.g. --config.data.{kind}.NAME=1."
            )
    wanted = {validation.dataset: 1.0} if validation.dataset else {}
    try:
        held_out = find_record_sets(data.root, wanted, validation.split)
    except UserError as error:
        raise UserError(f"{error} Or train unwatched: --config.validation.dataset=''.") from error
    for each in held_out:
        measures_of(each, validation)  # refuses a wrong `best_by` before config.json holds it
    return images, mocap, held_out
