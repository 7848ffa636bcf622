"""Training on stored features: a frozen encoder sees a picture once, not at every step.

What a frozen encoder says of a picture never changes. So it sees a few differently augmented passes
over the pictures, and the training repeats what it said of them, shuffled anew in every pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hmr.data.pipeline import open_batches, untuned
from hmr.files.safe_npz import load_npz
from hmr.files.whole import make_folder, write_whole
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
    encoder: keras.Model,
    batches: int,
    folder: Path,
    seed: int,
    bad_records: BadRecords,
) -> tf.data.Dataset:
    """Endless training batches with stored features, which are computed first where they lack.

    Args:
        dataset: of `hmr.data.pipeline.training_dataset`.
        encoder: frozen, with its weights.
        batches: how many are seen and stored.
        folder: receives them, features as 16-bit floats, in files of 50 batches.
        seed: of the order.
        bad_records: counts those that cannot be read.
    Returns:
        dataset of the same dicts, with `features` (B, F) in place of `images`.
    Raises:
        UserError: a record or a stored file cannot be read, or the folder cannot be written to.
    """
    make_folder(folder)
    paths = [folder / f"{first:06d}.npz" for first in range(0, batches, _BATCHES_OF_FILE)]
    known = next((i for i, path in enumerate(paths) if not path.is_file()), len(paths))
    done = min(known * _BATCHES_OF_FILE, batches)
    see = tf.function(lambda images: encoder(images, training=False))
    bar = progress_bar(total=batches, initial=done, desc="features", unit="batch")
    with bar, open_batches(dataset.skip(done).take(batches - done)) as new:
        for path in paths[known:]:
            seen = []
            for _ in range(min(_BATCHES_OF_FILE, batches - bar.n)):
                batch = read_batch(new, bad_records)
                features = see(batch.pop("images")).numpy().astype(np.float16)
                seen.append(_by_person(batch, len(features)) | {"features": features})
                bar.update()
            _save(path, _joined(seen))
    people = _joined([load_npz(path) for path in paths])
    return _shuffled(people, len(people["features"]) // batches, seed)


def _by_person(batch: dict[str, Tensor], size: int) -> dict[str, np.ndarray]:
    """Arrays (B, ...) of a batch, the T real bodies for each person beside each other."""
    arrays = {key: value.numpy() for key, value in batch.items()}
    return arrays | {key: arrays[key].reshape(size, -1, arrays[key].shape[-1]) for key in _REAL}


def _joined(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _save(path: Path, arrays: dict[str, Any]) -> None:
    write_whole(path, lambda file: np.savez(file, **arrays))


def _shuffled(people: dict[str, np.ndarray], batch_size: int, seed: int) -> tf.data.Dataset:
    held = {key: tf.constant(array) for key, array in people.items()}
    count = len(people["features"])

    def batch_of(rows: Tensor) -> dict[str, Tensor]:
        batch = {key: tf.gather(array, rows) for key, array in held.items()}
        real = {key: tf.reshape(batch[key], (-1, batch[key].shape[-1])) for key in _REAL}
        return batch | real | {"features": tf.cast(batch["features"], tf.float32)}

    rows = tf.data.Dataset.range(count).shuffle(count, seed=seed).repeat()
    return untuned(rows.batch(batch_size, drop_remainder=True).map(batch_of))
