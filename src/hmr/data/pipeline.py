"""The tf.data pipelines from records to batches of training and of evaluation.

Order and augmentation depend on the seed alone, not on the number of cores, and a checkpoint can
save the iterator's position.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from hmr.data.augment import draw_jitters, finish_samples, prepare_person
from hmr.data.records import (
    check_record,
    check_shard,
    parse_mocap,
    parse_person,
    parse_training_raw,
    person_labels,
    read_shard,
)
from hmr.data.shards import check_lengths, count_by_shard, find_shards, is_mocap_path, rebuild_hint
from hmr.data.unreadable import map_readable, records_of_shard
from hmr.errors import UserError
from hmr.geometry.crop_train import (
    BatchSampler,
    Jitter,
    crop_pictures,
    no_jitter,
    sample_in_graph,
)
from hmr.settings import Augmentation, DataSettings
from hmr.tensor import Tensor

# To be raised whenever the structure of the datasets below changes: the position of an iterator in
# an older checkpoint is then meaningless, and tf.data does not notice. Checkpoints without a
# version have 1.
POSITION_VERSION = 2
_OPEN_SHARDS = 4
_TRIED_RECORDS = 100
# Every call of a function costs tf.data time, so each call draws this many random numbers.
_DRAWS = 256


@dataclass(frozen=True)
class RecordSet:
    """One dataset's records in the training mix.

    Attributes:
        name: dataset name.
        paths: its shards.
        counts: how many records each of them holds.
        weight: how often each of its records is seen, relative to those of the other datasets.
        has_3d: whether its records carry 3D joints or SMPL parameters.
    """

    name: str
    paths: Sequence[str]
    counts: Sequence[int]
    weight: float = 1.0
    has_3d: bool = False

    @property
    def examples(self) -> int:
        """How many records the shards hold together."""
        return sum(self.counts)


@dataclass(frozen=True)
class PipelineSettings:
    """What a training batch looks like.

    Attributes:
        input_size: side S of the images, px.
        batch_size: B, images a step.
        real_bodies: mocap bodies a step; the original takes B * T.
        seed: of order and augmentation; not used with a tf.data service, where every worker draws
            an order of its own.
        data: shares, shuffling, augmentation and service.
        parts, part: how many processes share each batch evenly, and which of them this is. All
            read the records in the same order, and each decodes only its own part.
    """

    input_size: int
    batch_size: int
    real_bodies: int
    seed: int
    data: DataSettings = field(default_factory=DataSettings)
    parts: int = 1
    part: int = 0


def find_record_sets(
    root: str, weights: Mapping[str, float], split: str = "train"
) -> list[RecordSet]:
    """Finds the shards of the configured datasets.

    Args:
        root: folder of the records.
        weights: dataset name -> weight; 0 leaves a dataset out.
        split: usually "train".
    Raises:
        UserError: a configured dataset has no records.
    """
    sources = []
    for name, weight in weights.items():
        if weight > 0:
            paths = find_shards(root, name, split)
            counts = count_by_shard(root, name, split)
            has_3d = _carries_3d(_readable_record(paths[0]), paths[0])
            sources.append(RecordSet(name, paths, counts, weight, has_3d))
    return sources


def training_dataset(
    images: Sequence[RecordSet], mocap: Sequence[RecordSet], settings: PipelineSettings
) -> tf.data.Dataset:
    """Endless training batches.

    If there are datasets with and without 3D labels, `share_3d` of each batch carries 3D labels.
    Within each of the two kinds, a dataset's share is its number of records times its weight.

    Args:
        images: datasets of people.
        mocap: datasets of bodies.
        settings: what a batch looks like.
    Returns:
        dataset of dicts: images (B, S, S, 3) in [-1, 1]; keypoints2d (B, 19, 2) in [-1, 1];
        visibility (B, 19); joints3d_lsp_m (B, 14, 3); has_joints3d (B,); pose (B, 72);
        beta (B, 10); has_smpl (B,); real_pose (N, 72); real_beta (N, 10); and the `unreadable_key`
        of both streams, which names the records that could not be read and were left out.
    """
    data, batch_size, size = settings.data, settings.batch_size, settings.input_size
    # Every worker of a tf.data service draws an order of its own, so nothing needs dividing.
    seed = None if data.service else settings.seed
    parts, part = settings.parts, 0 if data.service else settings.part
    kinds = [[s for s in images if s.has_3d is has_3d] for has_3d in (True, False)]
    streams = [_mix(kind, seed, data.shuffle_buffer) for kind in kinds if kind]
    people = streams[0]
    if len(streams) > 1:
        people = _alternate(streams, batch_size, data.share_3d)
    people = tf.data.Dataset.zip(people, _jitters(data.augmentation, seed))
    real = tf.data.Dataset.zip((_mix(mocap, seed, data.shuffle_buffer),))
    # The workers cannot call Python functions of this process either.
    sample = sample_in_graph if data.service else BatchSampler()

    def people_batch(serialized: Tensor, draws: tuple[Tensor, ...]) -> dict[str, Tensor]:
        raw = parse_training_raw(serialized)
        encoded, labels = raw["image/encoded"][:, 0], person_labels(raw)
        crops = crop_pictures(encoded, labels["center_px"], Jitter(*draws), size, sample)
        return finish_samples({**labels, **crops})

    def body_batch(serialized: Tensor) -> dict[str, Tensor]:
        pose, beta = parse_mocap(serialized)
        return {"real_pose": pose, "real_beta": beta}

    people = _batches(people, batch_size, people_batch, parts, part, "people")
    bodies = _batches(real, settings.real_bodies, body_batch, parts, part, "bodies")
    joined = tf.data.Dataset.zip(people, bodies).map(lambda left, right: {**left, **right})
    if data.service:
        service = tf.data.experimental.service
        joined = joined.apply(service.distribute(service.ShardingPolicy.OFF, data.service))
    return _untuned(joined)


def evaluation_dataset(
    paths: Sequence[str], input_size: int, batch_size: int, limit: int | None = None
) -> tf.data.Dataset:
    """Each record once, in order, cropped about its centre without jitter.

    Returns:
        dataset of dicts: the images and labels of `training_dataset`, and the keys of
        `hmr.data.records.parse_person` without the encoded picture. The last batch may be smaller.
    """

    def prepare(serialized: Tensor) -> dict[str, Tensor]:
        person = parse_person(serialized)
        sample = prepare_person(person, no_jitter(), input_size)
        person.pop("image_bytes")
        return {**person, **sample}

    records = tf.data.TFRecordDataset(list(paths))
    if limit is not None:
        records = records.take(limit)
    prepared = records.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return _untuned(prepared.batch(batch_size))


class ServedBatches(Iterator[dict[str, Tensor]]):
    """The batches of a tf.data service, whose iterator waits for ever once it has no worker.

    Args:
        batches: the iterator.
        service: its address.
        patience_s: how long a batch may take.
    """

    def __init__(self, batches: Iterator, service: str, patience_s: float = 120.0):
        self._service, self._patience_s = service, patience_s
        self._ready: queue.Queue[Any] = queue.Queue(1)
        # A thread that waits in TensorFlow cannot be stopped, and must not keep the process.
        threading.Thread(target=self._fetch, args=(batches,), daemon=True).start()

    def _fetch(self, batches: Iterator) -> None:
        try:
            for batch in batches:
                self._ready.put(batch)
        except Exception as error:
            self._ready.put(error)

    def __next__(self) -> dict[str, Tensor]:
        """The next batch.

        Raises:
            UserError: none came in time.
        """
        try:
            batch = self._ready.get(timeout=self._patience_s)
        except queue.Empty:
            raise UserError(
                f"config.data.service {self._service} has given no batch for "
                f"{self._patience_s:.0f} s. Expected a dispatcher there and at least one worker: "
                "start them with python -m src.data_service, then run the same command to resume."
            ) from None
        if isinstance(batch, Exception):
            raise batch
        return batch


@contextlib.contextmanager
def open_batches(
    dataset: tf.data.Dataset, service: str = ""
) -> Iterator[Iterator[dict[str, Tensor]]]:
    """A context manager: an iterator over a dataset, which `tf.train.Checkpoint` can save.

    That of a tf.data service, whose address is `service`, cannot be saved; it raises a UserError
    where no batch comes.

    Until it is closed, threads prepare batches ahead, and a thread that needs the interpreter
    (`BatchSampler`) while Python shuts down never returns: the process would hang. Deleting the
    name does not close the iterator, since checkpoints and tracebacks still refer to it; emptying
    it does.
    """
    batches = iter(dataset)
    try:
        yield ServedBatches(batches, service) if service else batches
    finally:
        vars(batches).clear()


def evaluation_batches(
    paths: Sequence[str], input_size: int, batch_size: int, limit: int | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """The batches of `evaluation_dataset` as arrays.

    Raises:
        UserError: a record cannot be read, naming file, record and key.
    """
    for path in paths:
        check_lengths(path)
    try:
        with open_batches(evaluation_dataset(paths, input_size, batch_size, limit)) as batches:
            for batch in batches:
                yield {key: value.numpy() for key, value in batch.items()}
    except tf.errors.OpError as error:
        raise explain_input_error(paths, error) from error


def mean_body(mocap: Sequence[RecordSet], limit: int = 100_000) -> tuple[np.ndarray, np.ndarray]:
    """Mean pose (72,) axis-angles in rad and mean beta (10,) of the first `limit` mocap records."""
    paths = [path for source in mocap for path in source.paths]
    bodies = tf.data.TFRecordDataset(paths).take(limit).batch(4096).map(parse_mocap)
    poses, betas = zip(*bodies.as_numpy_iterator(), strict=True)
    return np.concatenate(poses).mean(axis=0), np.concatenate(betas).mean(axis=0)


def explain_input_error(paths: Iterable[str], error: tf.errors.OpError) -> UserError:
    """Finds the record behind an error of the input pipeline and says what is wrong with it."""
    for path in paths:
        try:
            check_shard(path, pictures=True)
        except UserError as found:
            return found
    return UserError(f"reading the records failed: {error.message}")


def _readable_record(path: str) -> bytes:
    """The first readable record of a shard; a stream without any would block for ever."""
    tried, problem = 0, ""
    for serialized in itertools.islice(read_shard(path), _TRIED_RECORDS):
        try:
            check_record(serialized, is_mocap_path(path))
        except UserError as error:
            tried, problem = tried + 1, str(error)
        else:
            return serialized
    what = f"none of the first {tried} records of {path} can be read: {problem}"
    raise UserError(f"{what if tried else f'{path} holds no records.'} {rebuild_hint(path)}")


def _carries_3d(serialized: bytes, path: str) -> bool:
    if is_mocap_path(path):
        return False
    person = parse_person(tf.constant(serialized))
    return bool(person["has_joints3d"] or person["has_smpl"])


def _jitters(augmentation: Augmentation, seed: int | None) -> tf.data.Dataset:
    """Endless draws of the augmentation: (shift_px, scale, flip) for each person."""

    def draw(seed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        jitters = draw_jitters(seed, augmentation, _DRAWS)
        return jitters.shift_px, jitters.scale, jitters.flip

    return _seeds(seed).map(draw).unbatch()


def _mix(sources: Sequence[RecordSet], seed: int | None, buffer: int) -> tf.data.Dataset:
    """Endless (bytes, index, path) of records, sampled in proportion to size times weight."""
    seeds = [None if seed is None else seed + index for index in range(len(sources))]
    streams = [_shuffled(each, own, buffer) for each, own in zip(sources, seeds, strict=True)]
    if len(streams) == 1:
        return streams[0]
    shares = np.array([source.examples * source.weight for source in sources])
    return tf.data.Dataset.choose_from_datasets(streams, _choices(shares, seed))


def _choices(shares: np.ndarray, seed: int | None) -> tf.data.Dataset:
    """Endless draws of an index in proportion to `shares`."""
    chances = tf.math.log(tf.constant(shares / shares.sum(), tf.float32))[None]

    def draw(seed: Tensor) -> Tensor:
        return tf.random.stateless_categorical(chances, _DRAWS, seed)[0]

    return _seeds(seed).map(draw).unbatch()


def _seeds(seed: int | None) -> tf.data.Dataset:
    return tf.data.Dataset.random(seed, rerandomize_each_iteration=False).batch(2)


def _shuffled(source: RecordSet, seed: int | None, buffer: int) -> tf.data.Dataset:
    shards = (list(source.paths), np.asarray(source.counts, np.int64))
    paths = tf.data.Dataset.from_tensor_slices(shards).shuffle(len(source.paths), seed=seed)
    records = paths.interleave(records_of_shard, cycle_length=_OPEN_SHARDS)
    return records.shuffle(buffer, seed=seed).repeat()


def _untuned(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset without autotuning: a thread for each core, and two batches prefetched.

    tf.data's autotuning finds nothing better, and its thread sleeps for up to a minute at a time,
    so that closing the dataset sometimes has to wait for it.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    # `map_readable` has no state, although TensorFlow counts one of its operations as stateful.
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    return batches.prefetch(2).with_options(options)


def _batches(
    records: tf.data.Dataset, size: int, prepare: Callable, parts: int, part: int, stream: str
) -> tf.data.Dataset:
    """Batches of the samples that `prepare` makes of the readable records.

    Of each group of `size` records this process takes its own part.
    """
    share = size // parts
    groups = records.batch(size, drop_remainder=True)
    mine = slice(part * share, (part + 1) * share)
    return map_readable(groups, prepare, mine, stream).rebatch(share, drop_remainder=True)


def _alternate(
    streams: Sequence[tf.data.Dataset], batch_size: int, share_3d: float
) -> tf.data.Dataset:
    """Alternates between the streams with and without 3D labels, evenly within each batch."""
    places = np.arange(batch_size + 1) * share_3d
    with_3d = np.diff(np.round(places + 1e-9).astype(int)) == 1
    turns = tf.data.Dataset.from_tensor_slices(np.where(with_3d, 0, 1).astype(np.int64)).repeat()
    return tf.data.Dataset.choose_from_datasets(list(streams), turns)
