"""Evaluation batches as numpy arrays, with the input pipeline's errors made readable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from hmr.data.pipeline import RecordSet, evaluation_dataset, explain_input_error


def evaluation_batches(
    paths: Sequence[str], input_size: int, batch_size: int, limit: int | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """The batches of `hmr.data.pipeline.evaluation_dataset`.

    Raises:
        UserError: a record cannot be read, naming file, record and key.
    """
    try:
        dataset = evaluation_dataset(paths, input_size, batch_size, limit)
        yield from dataset.as_numpy_iterator()
    except tf.errors.OpError as error:
        raise explain_input_error([RecordSet("records", paths, counts=())], error) from error
