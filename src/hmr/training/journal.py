"""Where a training's numbers and pictures go: TensorBoard, and a table beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from hmr.files.whole import write_text

TABLE_FILE, EVENTS_FOLDER = "metrics.jsonl", "logs"


class Journal:
    """Writes scalars and pictures under `logs/`, and the scalars to `metrics.jsonl` too.

    Use as a context manager.

    Args:
        workdir: of the training.
        first_step: where a resumed training starts; later lines of the table are dropped, since
            their steps are taken again.
    """

    def __init__(self, workdir: Path, first_step: int = 0) -> None:
        self._writer = tf.summary.create_file_writer(str(workdir / EVENTS_FOLDER))
        self._table = workdir / TABLE_FILE
        _drop_later_lines(self._table, first_step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds numbers of one step."""
        with self._writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        with self._table.open("a") as table:
            table.write(json.dumps({"step": step, **values}) + "\n")

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Adds a picture (H, W, 3), uint8 RGB."""
        with self._writer.as_default(step):
            tf.summary.image(name, image[None])
        self._writer.flush()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


def _drop_later_lines(table: Path, last_step: int) -> None:
    if not table.is_file():
        return
    lines = table.read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["step"] <= last_step]
    if len(kept) < len(lines):
        write_text(table, "".join(kept))
