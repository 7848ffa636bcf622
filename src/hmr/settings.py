"""Every setting of a training, with the paper's values as defaults, which are stated only here.

`hmr.configs.hmr` makes the configuration from these classes, experiments change its fields, and
`hmr.training.recipe` reads it back. Nothing heavy is imported here, so that a command can refuse a
wrong field before TensorFlow is imported.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_type_hints

from hmr.errors import UserError

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class ModelSpec:
    """Everything that decides the model's structure.

    The default of a new field must be the behaviour of models before it: model folders that were
    written without the field are read with its default.

    Attributes:
        encoder: a key of `hmr.network.encoders.ENCODERS`.
        input_size: side of the input image, px.
        iterations: T of the regressor.
        hidden_units: width of the regressor's layers.
        dropout: dropout rate after each of those layers, in training.
        discriminator_units: width of the all-joints discriminator's layers.
        body: path of the body file.
    """

    encoder: str = "resnet50_v2"
    input_size: int = 224
    iterations: int = 3
    hidden_units: int = 1024
    dropout: float = 0.5
    discriminator_units: int = 1024
    body: str = "models/smpl_neutral.npz"


@dataclass(frozen=True)
class Augmentation:
    """How training crops are jittered; the defaults are the original's.

    Attributes:
        shift_px: the centre moves by whole pixels in [-shift_px, shift_px), x and y alike.
        scale_min, scale_max: the picture is scaled by a uniform random factor between them.
        flip_probability: probability of mirroring left and right.
    """

    shift_px: int = 20
    scale_min: float = 0.8
    scale_max: float = 1.23
    flip_probability: float = 0.5


@dataclass(frozen=True)
class DataSettings:
    """Which records a training sees, and how often.

    Attributes:
        root: folder of the records.
        train: dataset of pictures -> how often each of its records is seen, relative to the
            records of other datasets; 0 leaves a dataset out.
        mocap: the same for datasets of bodies without pictures.
        share_3d: fraction of each batch that carries 3D labels, if there are datasets with and
            without them.
        shuffle_buffer: number of records from which each record is drawn at random.
        max_bad_share: fraction of all records that may be unreadable; unreadable records are left
            out and named.
        service: address of a tf.data service that prepares the batches elsewhere, such as
            grpc://host:5000; "" for this process.
        augmentation: the jitter of the crops.
    """

    root: str = "data/tfrecords"
    train: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("lsp", "lsp_ext", "mpii", "coco", "h36m", "mpi_inf_3dhp"), 1.0
        )
    )
    mocap: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("mocap_cmu", "mocap_h36m_mosh", "mocap_posePrior"), 1.0
        )
    )
    share_3d: float = 0.5
    shuffle_buffer: int = 2000
    max_bad_share: float = 0.001
    service: str = ""
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class LossWeights:
    """The weight of each loss of `hmr.training.losses`; losses beyond the paper's have weight 0.

    Attributes:
        keypoints2d: the reprojection loss.
        joints3d: the 3D joint loss.
        smpl: the SMPL parameter loss.
        adversarial: both adversarial losses.
    """

    keypoints2d: float = 60.0
    joints3d: float = 60.0
    smpl: float = 60.0
    adversarial: float = 1.0


@dataclass(frozen=True)
class OptimizerSettings:
    """The two Adam optimisers.

    Attributes:
        encoder_learning_rate: of encoder, regressor and mean Theta.
        discriminator_learning_rate: of the discriminators.
        schedule: "constant", or "cosine": to zero over the training, after a linear warm-up.
        warmup_steps: length of the cosine schedule's warm-up.
        clip_norm: the most that the norm of an optimiser's gradient may be, all its variables
            together; longer ones are shortened to it. 0 leaves gradients as they are, the paper's.
            One device only: replicas would each clip a part of the gradient.
    """

    encoder_learning_rate: float = 1e-5
    discriminator_learning_rate: float = 1e-4
    schedule: str = "constant"
    warmup_steps: int = 0
    clip_norm: float = 0.0


@dataclass(frozen=True)
class TrainSettings:
    """How long to train, and how often to save and log.

    Attributes:
        batch_size: pictures per step, all devices together.
        epochs: passes over the pictures.
        stored_epochs: of a frozen encoder: so many passes over the pictures are seen by it, each
            with an augmentation of its own, and the training repeats what it said, which is stored;
            an adapter learns from that. 0: each picture is seen anew, as in the paper.
        batch_norm_variance: the variance of a batch that updates the moving average: "biased", as
            in TensorFlow 1.3, or "corrected" by N / (N - 1), as in TF-Slim since TensorFlow 1.4.
        checkpoint_every_steps: steps between two checkpoints.
        checkpoints_kept: how many of the latest checkpoints are kept.
        log_every_steps: number of steps whose mean makes one entry of the log.
    """

    batch_size: int = 64
    epochs: float = 55.0
    stored_epochs: float = 0.0
    batch_norm_variance: str = "biased"
    checkpoint_every_steps: int = 1000
    checkpoints_kept: int = 3
    log_every_steps: int = 50


@dataclass(frozen=True)
class ValidationSettings:
    """The validation during a training.

    Attributes:
        dataset: a dataset in `DataSettings.root`; "" for no validation.
        split: the split of the dataset.
        every_steps: steps between two validations; the last step is validated too.
        limit: how many records are scored, from the first on; 0 for all.
        best_by: mpjpe_mm, pa_mpjpe_mm or keypoint_error_px; the checkpoint with the lowest value
            is kept in `best/`.
        pictures: how many of the records are drawn for TensorBoard.
    """

    dataset: str = "mpi_inf_3dhp"
    split: str = "val"
    every_steps: int = 5000
    limit: int = 2000
    best_by: str = "pa_mpjpe_mm"
    pictures: int = 4


@dataclass(frozen=True)
class Experiment:
    """A whole training.

    Attributes:
        seed: seed of the initial weights, the order of records and the augmentation.
        precision: of encoder and regressor, "float32" or "mixed_bfloat16"; body and losses are
            float32.
        strategy: "none" for one device, "mirrored" for all devices of this machine, "multi_worker"
            for the machines of TF_CONFIG.
        mean_params: the authors' .h5 file of Theta_0, or "mocap" for the mean of the mocap records.
        initial_model: model folder to start from, discriminators included where it has them, or
            ""; a converted TF1 training continues from its step.
        initial_encoder: encoder weights to start from if `initial_model` is "": a file, or a model
            folder, whose encoder is taken; an adapter begins anew. "" for random weights. The paper
            starts from ImageNet weights.
        freeze_encoder: leave the encoder as it starts, but for its adapter where it has one.
        model, data, loss, optimizer, train, validation: the settings of each part.
    """

    seed: int = 0
    precision: str = "float32"
    strategy: str = "none"
    model: ModelSpec = field(default_factory=ModelSpec)
    mean_params: str = "models/neutral_smpl_mean_params.h5"
    initial_model: str = ""
    initial_encoder: str = "models/imagenet/encoder.weights.h5"
    freeze_encoder: bool = False
    data: DataSettings = field(default_factory=DataSettings)
    loss: LossWeights = field(default_factory=LossWeights)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)


# Values that a field may have where few are right; the parts that use them hold the same keys.
CHOICES: dict[str, tuple[str, ...]] = {
    "precision": ("float32", "mixed_bfloat16"),
    "strategy": ("none", "mirrored", "multi_worker"),
    "optimizer.schedule": ("constant", "cosine"),
    "train.batch_norm_variance": ("biased", "corrected"),
    "validation.best_by": ("mpjpe_mm", "pa_mpjpe_mm", "keypoint_error_px"),
}
# The least value of numbers of which a smaller one means nothing.
LEAST: dict[str, float] = {
    "model.input_size": 1,
    "model.iterations": 1,
    "data.share_3d": 0,
    "data.shuffle_buffer": 1,
    "optimizer.clip_norm": 0,
    "train.batch_size": 1,
    "train.epochs": 0,
    "train.stored_epochs": 0,
    "train.checkpoint_every_steps": 1,
    "train.checkpoints_kept": 1,
    "train.log_every_steps": 1,
}


def read_experiment(config: Mapping[str, Any]) -> Experiment:
    """Reads a whole configuration, without importing what uses its values.

    Raises:
        UserError: a field is unknown or has a value that cannot be meant; naming the field, what
            it may be and what it is.
    """
    experiment = read_settings(Experiment, config, "config")
    for path, allowed in CHOICES.items():
        value = _field(experiment, path)
        if value not in allowed:
            raise UserError(
                f"config.{path} must be one of {', '.join(allowed)}. Received: {value!r}."
            )
    for path, least in LEAST.items():
        value = _field(experiment, path)
        if not value >= least:
            raise UserError(f"config.{path} must be at least {least}. Received: {value!r}.")
    service = experiment.data.service
    if service and not re.fullmatch(r"grpc://[^/\s]+:\d+", service):
        raise UserError(f"config.data.service must be grpc://HOST:PORT. Received: {service!r}.")
    if experiment.optimizer.clip_norm and experiment.strategy != "none":
        raise UserError(
            "config.optimizer.clip_norm needs config.strategy=none, since each device would clip "
            f"a part of the gradient. Received: strategy={experiment.strategy}."
        )
    if experiment.train.stored_epochs and not (
        experiment.freeze_encoder and experiment.strategy == "none" and not service
    ):
        raise UserError(
            "config.train.stored_epochs needs config.freeze_encoder=True, config.strategy=none and "
            f"no config.data.service. Received: {experiment.freeze_encoder}, "
            f"{experiment.strategy}, {service!r}."
        )
    return experiment


def _field(experiment: Experiment, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), experiment)


def read_settings(kind: type[Settings], values: Mapping[str, Any], place: str) -> Settings:
    """Makes an object of `kind` from saved or configured fields.

    A missing field takes its default, so that files which were saved before a field was added can
    still be read.

    Args:
        kind: one of the classes above, or another dataclass.
        values: name -> value; nested mappings for fields that are dataclasses themselves.
        place: what `values` is, for messages: "config" or a file.
    Raises:
        UserError: naming a field that `kind` does not have, and the one most like it.
    """
    types = get_type_hints(kind)
    for name in values:
        if name not in types:
            close = difflib.get_close_matches(name, types, 1)
            hint = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(types)}."
            raise UserError(f"{place}: unknown field {name}. {hint}")
    read = {
        name: read_settings(types[name], value, f"{place}.{name}")
        if dataclasses.is_dataclass(types[name])
        else value
        for name, value in values.items()
    }
    return kind(**read)
