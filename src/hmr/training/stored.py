"""Training behind a frozen encoder: it sees a picture once, not at every step.

What the frozen part of an encoder says of a picture never changes. So it sees a few differently
augmented passes over the pictures, and the training repeats what it said of them, shuffled anew in
every pass. An adapter learns from what is stored, at a fraction of a step's cost.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hmr.data.pipeline import open_batches, untuned
from hmr.errors import UserError
from hmr.files.safe_npz import load_npy, load_npz
from hmr.files.whole import make_folder, write_text, write_whole
from hmr.progress import progress_bar
from hmr.tensor import Tensor
from hmr.training.loop import BadRecords, read_batch

FEATURES_FOLDER = "features"
# What a killed process has to do again.
_BATCHES_OF_FILE = 50
# Of a batch of B people these have B * T rows.
_REAL = ("real_pose", "real_beta")


def stored_dataset(
    dataset: tf.data.Dataset,
    sees: keras.Model,
    batches: int,
    workdir: Path,
    seed: int,
    bad_records: BadRecords,
) -> tf.data.Dataset:
    """Endless training batches with what `sees` says of the images, computed first where it lacks.

    Args:
        dataset: of `hmr.data.pipeline.training_dataset`.
        sees: what stays as it is, of `hmr.network.encoders.split_encoder`, with its weights.
        batches: how many are seen and stored.
        workdir: receives a folder `features` that holds, for each 50 batches, the labels as an .npz
            and each of the tensors as an .npy of 16-bit floats, which is mapped into memory; and
            the SHA-256 of the weights of `sees`.
        seed: of the order.
        bad_records: counts those that cannot be read.
    Returns:
        dataset of the same dicts, with the tensors (B, ...) in place of `images`.
    Raises:
        UserError: a record or a stored file cannot be read, the folder cannot be written to or
            holds what other weights said, or its disk has too little space for all of it.
    """
    folder = workdir / FEATURES_FOLDER
    make_folder(folder)
    _check_weights(folder, sees)
    paths = [folder / f"{first:06d}.npz" for first in range(0, batches, _BATCHES_OF_FILE)]
    missing = (i for i, path in enumerate(paths) if not _is_stored(path, sees.output))
    known = next(missing, len(paths))
    done = min(known * _BATCHES_OF_FILE, batches)
    see = tf.function(lambda images: sees(images, training=False))
    bar = progress_bar(total=batches, initial=done, desc="features")
    with bar, open_batches(dataset.skip(done).take(batches - done)) as new:
        for path in paths[known:]:
            seen, labels = [], []
            for _ in range(min(_BATCHES_OF_FILE, batches - bar.n)):
                batch = read_batch(new, bad_records)
                tensors = see(batch.pop("images"))
                if bar.n == done:
                    _check_space(folder, tensors, batches - done)
                seen.append(
                    {name: each.numpy().astype(np.float16) for name, each in tensors.items()}
                )
                labels.append(_by_person(batch))
                bar.update()
            _save(path, _joined(seen), _joined(labels))
    try:
        people = _joined([load_npz(path) for path in paths])
        rows_of = {
            name: _Rows([load_npy(_tensor_path(path, name), mmap_mode="r") for path in paths])
            for name in sees.output
        }
    except UserError as error:
        raise UserError(f"{error} Remove the folder {folder}: it is made again.") from error
    return _shuffled(people, rows_of, len(people["real_beta"]) // batches, seed)


def _check_weights(folder: Path, sees: keras.Model) -> None:
    """Notes in the folder whose tensors it holds; refuses it where they are those of others."""
    digest = hashlib.sha256()
    for array in sees.get_weights():
        digest.update(array.tobytes())
    path, now = folder / "weights.sha256", digest.hexdigest()
    before = path.read_text(errors="replace") if path.is_file() else now
    if before != now:
        raise UserError(
            f"{path}: the encoder's weights were others when they saw the pictures, {before:.12} "
            f"before and {now:.12} now. Restore them, or give another --workdir: a checkpoint here "
            "may hold the old ones."
        )
    write_text(path, now)


def _check_space(folder: Path, tensors: dict[str, Tensor], batches: int) -> None:
    needed = batches * sum(2 * each.numpy().size for each in tensors.values())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: what the encoder says of the pictures needs {needed / 1e9:.1f} GB. Free: "
            f"{free / 1e9:.1f} GB. Give another --workdir, or lower config.train.stored_epochs."
        )


def _by_person(batch: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Arrays (B, ...) of a batch, the T real bodies for each person beside each other."""
    arrays = {key: value.numpy() for key, value in batch.items()}
    size = len(arrays["keypoints2d"])
    return arrays | {key: arrays[key].reshape(size, -1, arrays[key].shape[-1]) for key in _REAL}


def _joined(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _save(path: Path, tensors: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> None:
    """Writes one part; the file of the labels is the last, and says that it is complete."""
    for name, array in tensors.items():
        write_whole(_tensor_path(path, name), functools.partial(np.save, arr=array))
    arrays: dict[str, Any] = labels
    write_whole(path, lambda file: np.savez(file, **arrays))


def _is_stored(path: Path, names: Iterable[str]) -> bool:
    return all(file.is_file() for file in (path, *(_tensor_path(path, name) for name in names)))


def _tensor_path(path: Path, name: str) -> Path:
    return path.with_suffix(f".{name}.npy")


class _Rows:
    """Rows of arrays in files, all as long as the first but the last, as if they were one."""

    def __init__(self, arrays: Sequence[np.ndarray]):
        self._arrays = arrays

    def __call__(self, rows: Tensor) -> Tensor:
        # Declared stateless, since the position of a dataset with state cannot be saved.
        found = tf.numpy_function(self.take, [rows], tf.float16, False)
        return tf.ensure_shape(found, (*rows.shape, *self._arrays[0].shape[1:]))

    def take(self, rows: np.ndarray) -> np.ndarray:
        size = len(self._arrays[0])
        return np.stack([self._arrays[row // size][row % size] for row in rows])


def _shuffled(
    labels: dict[str, np.ndarray], rows_of: dict[str, _Rows], batch_size: int, seed: int
) -> tf.data.Dataset:
    held = {key: tf.constant(array) for key, array in labels.items()}
    count = len(labels["real_beta"])

    def batch_of(rows: Tensor) -> dict[str, Tensor]:
        batch = {key: tf.gather(array, rows) for key, array in held.items()}
        batch |= {key: tf.reshape(batch[key], (-1, batch[key].shape[-1])) for key in _REAL}
        return batch | {name: tf.cast(take(rows), tf.float32) for name, take in rows_of.items()}

    rows = tf.data.Dataset.range(count).shuffle(count, seed=seed).repeat()
    return untuned(rows.batch(batch_size, drop_remainder=True).map(batch_of))
