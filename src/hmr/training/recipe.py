"""A training on one screen: data, model, optimisers and criterion, loop."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import keras
from ml_collections import ConfigDict

from hmr.body.mean_params import read_mean_params
from hmr.data.pipeline import (
    RecordSet,
    find_record_sets,
    mean_body,
    open_batches,
    training_dataset,
)
from hmr.errors import UserError
from hmr.network.build import build_model
from hmr.network.checkpoint import save_model
from hmr.network.encoders import set_batch_variance, set_trainable, split_encoder
from hmr.network.regressor import initial_theta
from hmr.settings import read_experiment
from hmr.training.adam import build_adam
from hmr.training.callbacks import Journal, ProgressLine, ScalarLog
from hmr.training.devices import check_precision, open_devices
from hmr.training.loop import BadRecords, train
from hmr.training.losses import Criterion
from hmr.training.start import set_initial_weights
from hmr.training.state import TrainingState, open_workdir, write_json
from hmr.training.stored import stored_dataset
from hmr.training.validation import Validation, find_validations

SUMMARY_FILE = "training.json"


def run(config: ConfigDict, workdir: Path) -> dict:
    """Trains what `config` describes, or resumes it.

    Args:
        config: the fields of `hmr.settings.Experiment`.
        workdir: receives `config.json`, `checkpoints/`, `best/`, `logs/`, `metrics.jsonl`,
            `model/`, `training.json` and, with `train.stored_epochs`, `features/`. Several
            processes need a folder that all of them see.
    Returns:
        the contents of `training.json`: train_images, steps, epochs, seconds.
    Raises:
        UserError: something the user can mend; nothing is written before data and body are found.
    """
    experiment = read_experiment(config.to_dict())
    data, training, batch_size = experiment.data, experiment.train, experiment.train.batch_size
    devices = open_devices(experiment.strategy, batch_size)
    check_precision(experiment.precision)
    keras.utils.set_random_seed(experiment.seed)

    # ---------------------------------------------------------------------------------- data
    images, mocap = _find_records(data.root, train=data.train, mocap=data.mocap)
    num_images = sum(each.examples for each in images)
    total_steps = max(1, round(training.epochs * num_images / batch_size))
    validations = find_validations(data.root, experiment.validation, batch_size, total_steps)
    dataset = training_dataset(
        images,
        mocap,
        data,
        input_size=experiment.model.input_size,
        batch_size=batch_size,
        real_bodies=batch_size * experiment.model.iterations,  # one for each estimate
        seed=experiment.seed,
        part=(devices.worker, devices.workers),
    )

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
        set_batch_variance(model.encoder, training.batch_norm_variance)
        set_trainable(model.encoder, experiment.freeze_encoder)

        # ----------------------------------------------------------- optimisers and criterion
        adam = experiment.optimizer
        schedule = adam.schedule, adam.warmup_steps, adam.clip_norm, total_steps
        build = functools.partial(build_adam, *schedule)
        adams = build(adam.encoder_learning_rate), build(adam.discriminator_learning_rate)
        model.compile(*adams, Criterion(experiment.loss, devices.replicas, devices.total))
        start = set_initial_weights(model, experiment.initial_model, experiment.initial_encoder)

    # ---------------------------------------------------------------------------------- loop
    save = functools.partial(save_model, model, experiment.model)
    bad_records = BadRecords([*images, *mocap], data.max_bad_share, workdir)
    with contextlib.ExitStack() as opened:
        opened.enter_context(open_workdir(workdir, experiment, devices))
        if training.stored_epochs > 0:
            sees, _ = split_encoder(model.encoder)
            seen = math.ceil(training.stored_epochs * num_images / batch_size)
            dataset = stored_dataset(dataset, sees, seen, workdir, experiment.seed, bad_records)
        batches = opened.enter_context(open_batches(dataset, data.service))
        position = None if data.service else batches  # a tf.data service keeps no position
        kept, every = training.checkpoints_kept, training.checkpoint_every_steps
        state = TrainingState(workdir, model, save, position, devices, kept, start)
        state.restore()
        watching = _watchers(state, total_steps, training.log_every_steps, batch_size, validations)
        with watching as callbacks:
            train(state, batches, total_steps, every, devices, callbacks, bad_records)
    epochs = total_steps * batch_size / num_images
    summary = {"train_images": num_images, "steps": total_steps, "epochs": epochs}
    return _finish(state, save, summary | {"seconds": float(state.seconds)})


def _finish(state: TrainingState, save: Callable[[Path], None], summary: dict) -> dict:
    if state.devices.is_first:
        save(state.workdir / "model")
        write_json(state.workdir / SUMMARY_FILE, summary)
    state.devices.agree(True)  # a barrier: the other processes wait for the files of the first
    return summary


def _find_records(root: str, **weights: Mapping[str, float]) -> list[list[RecordSet]]:
    """The datasets of pictures, `train`, and those of bodies, `mocap`."""
    found = []
    for kind, weight_of_dataset in weights.items():
        found.append(find_record_sets(root, weight_of_dataset))
        if not found[-1]:
            raise UserError(
                f"config.data.{kind} names no dataset with a weight above 0. "
                f"Set one, e.g. --config.data.{kind}.NAME=1."
            )
    return found


@contextlib.contextmanager
def _watchers(
    state: TrainingState,
    total_steps: int,
    log_every: int,
    batch_size: int,
    validations: Sequence[Callable[[Journal, TrainingState], Validation]],
) -> Iterator[list[keras.callbacks.Callback]]:
    """What the first process shows and logs; nothing in the others."""
    if not state.devices.is_first:
        yield []
        return
    first_step = int(state.step)
    with Journal(state.workdir, first_step) as journal:
        yield [
            ProgressLine(total_steps, first_step),
            ScalarLog(journal, log_every, batch_size),
            *(validation(journal, state) for validation in validations),
        ]
