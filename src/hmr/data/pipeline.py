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
from dataclasses import dataclass
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
from hmr.settings import DataSettings
from hmr.tensor import Tensor

# To be raised whenever the structure of the datasets below changes: the position of an iterator in
# an older checkpoint is then meaningless, and tf.data does not notice. Checkpoints without a
# version have 1.
POSITION_VERSION = 2
_OPEN_SHARDS = 4
_TRIED_RECORDS, _MEAN_OF = 100, 100_000
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
    found = []
    for name, weight in weights.items():
        if weight > 0:
            paths = find_shards(root, name, split)
            counts = count_by_shard(root, name, split)
            has_3d = _carries_3d(_readable_record(paths[0]), paths[0])
            found.append(RecordSet(name, paths, counts, weight, has_3d))
    return found


def training_dataset(
    images: Sequence[RecordSet],
    mocap: Sequence[RecordSet],
    settings: DataSettings,
    *,
    input_size: int,
    batch_size: int,
    real_bodies: int,
    seed: int,
    part: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Endless training batches.

    If there are datasets with and without 3D labels, `share_3d` of each batch carries 3D labels.
    Within each of the two kinds, a dataset's share is its number of records times its weight.

    Args:
        images: datasets of people.
        mocap: datasets of bodies.
        settings: shares, shuffling, augmentation and service.
        input_size: side S of the images, px.
        batch_size: B, images a step.
        real_bodies: N, mocap bodies a step; the original takes B * T.
        seed: of order and augmentation; not used with a tf.data service, where every worker draws
            an order of its own.
        part: which of how many processes this is, which share each batch evenly. All read the
            records in the same order, and each decodes only its own part.
    Returns:
        dataset of dicts: images (B, S, S, 3) in [-1, 1]; keypoints2d (B, 19, 2) in [-1, 1];
        visibility (B, 19); joints3d_lsp_m (B, 14, 3); has_joints3d (B,); pose (B, 72);
        beta (B, 10); has_smpl (B,); real_pose (N, 72); real_beta (N, 10); and the `unreadable_key`
        of both streams, which names the records that could not be read and were left out.
    """
    service, buffer = settings.service, settings.shuffle_buffer
    # Every worker of a tf.data service draws an order of its own, so nothing needs dividing.
    order, part = (None, (0, 1)) if service else (seed, part)
    people = _people(images, batch_size, settings.share_3d, order, buffer)
    jitters = _draws(lambda seed: draw_jitters(seed, settings.augmentation, _DRAWS), order)
    people = tf.data.Dataset.zip(people, jitters)
    real = tf.data.Dataset.zip((_mix(mocap, order, buffer),))
    # The workers cannot call Python functions of this process either.
    sample = sample_in_graph if service else BatchSampler()

    def people_batch(serialized: Tensor, jitters: Jitter) -> dict[str, Tensor]:
        raw = parse_training_raw(serialized)
        encoded, labels = raw["image/encoded"][:, 0], person_labels(raw)
        crops = crop_pictures(encoded, labels["center_px"], jitters, input_size, sample)
        return finish_samples({**labels, **crops})

    people = _batches(people, batch_size, people_batch, part, "people")
    bodies = _batches(real, real_bodies, _body_batch, part, "bodies")
    joined = tf.data.Dataset.zip(people, bodies).map(lambda left, right: {**left, **right})
    if service:
        policy = tf.data.experimental.service.ShardingPolicy.OFF
        joined = joined.apply(tf.data.experimental.service.distribute(policy, service))
    return untuned(joined)


def _body_batch(serialized: Tensor) -> dict[str, Tensor]:
    pose, beta = parse_mocap(serialized)
    return {"real_pose": pose, "real_beta": beta}


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
    return untuned(prepared.batch(batch_size))


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

    Leaving it stops the threads that prepare batches ahead. One that needs the interpreter
    (`BatchSampler`) while Python shuts down would never return, and the process would hang. The
    iterator is emptied to this end: deleting its name is not enough, since checkpoints and
    tracebacks still refer to it.

    Args:
        dataset: of batches.
        service: address of the tf.data service that prepares them; such an iterator cannot be
            saved, and raises a UserError where no batch comes in time.
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


def mean_body(mocap: Sequence[RecordSet]) -> tuple[np.ndarray, np.ndarray]:
    """Mean pose (72,) axis-angles in rad and mean beta (10,) of the first 100,000 records."""
    paths = [path for each in mocap for path in each.paths]
    bodies = tf.data.TFRecordDataset(paths).take(_MEAN_OF).batch(4096).map(parse_mocap)
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


def _people(
    images: Sequence[RecordSet], batch_size: int, share_3d: float, seed: int | None, buffer: int
) -> tf.data.Dataset:
    """Endless records of people; `share_3d` of each batch have 3D labels, if only some have."""
    kinds = [[each for each in images if each.has_3d is has_3d] for has_3d in (True, False)]
    streams = [_mix(kind, seed, buffer) for kind in kinds if kind]
    return streams[0] if len(streams) == 1 else _alternate(streams, batch_size, share_3d)


def _mix(record_sets: Sequence[RecordSet], seed: int | None, buffer: int) -> tf.data.Dataset:
    """Endless (bytes, index, path) of records, sampled in proportion to size times weight."""
    seeds = [None if seed is None else seed + index for index in range(len(record_sets))]
    streams = [_shuffled(each, own, buffer) for each, own in zip(record_sets, seeds, strict=True)]
    if len(streams) == 1:
        return streams[0]
    shares = np.array([each.examples * each.weight for each in record_sets])
    return tf.data.Dataset.choose_from_datasets(streams, _choices(shares, seed))


def _choices(shares: np.ndarray, seed: int | None) -> tf.data.Dataset:
    """Endless draws of an index in proportion to `shares`."""
    chances = tf.math.log(tf.constant(shares / shares.sum(), tf.float32))[None]

    def draw(seed: Tensor) -> Tensor:
        return tf.random.stateless_categorical(chances, _DRAWS, seed)[0]

    return _draws(draw, seed)


def _draws(draw: Callable[[Tensor], Any], seed: int | None) -> tf.data.Dataset:
    """Endless single draws of `draw`, which makes `_DRAWS` of them from a seed (2,) int64."""
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=False).batch(2)
    return seeds.map(draw).unbatch()


def _shuffled(records_of: RecordSet, seed: int | None, buffer: int) -> tf.data.Dataset:
    shards = (list(records_of.paths), np.asarray(records_of.counts, np.int64))
    paths = tf.data.Dataset.from_tensor_slices(shards).shuffle(len(records_of.paths), seed=seed)
    records = paths.interleave(records_of_shard, cycle_length=_OPEN_SHARDS)
    return records.shuffle(buffer, seed=seed).repeat()


def untuned(batches: tf.data.Dataset) -> tf.data.Dataset:
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
    records: tf.data.Dataset, size: int, prepare: Callable, part: tuple[int, int], stream: str
) -> tf.data.Dataset:
    """Batches of the samples that `prepare` makes of the readable records.

    Of each group of `size` records this process takes its own part.
    """
    index, count = part
    share = size // count
    groups = records.batch(size, drop_remainder=True)
    mine = slice(index * share, (index + 1) * share)
    return map_readable(groups, prepare, mine, stream).rebatch(share, drop_remainder=True)


def _alternate(
    streams: Sequence[tf.data.Dataset], batch_size: int, share_3d: float
) -> tf.data.Dataset:
    """Alternates between the streams with and without 3D labels, evenly within each batch."""
    places = np.arange(batch_size + 1) * share_3d
    with_3d = np.diff(np.round(places + 1e-9).astype(int)) == 1
    turns = tf.data.Dataset.from_tensor_slices(np.where(with_3d, 0, 1).astype(np.int64)).repeat()
    return tf.data.Dataset.choose_from_datasets(list(streams), turns)
