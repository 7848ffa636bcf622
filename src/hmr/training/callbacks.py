"""What watches a training's steps: the progress line, and the journal of scalars and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from hmr.files.whole import write_text
from hmr.progress import progress_bar

TABLE_FILE, EVENTS_FOLDER = "metrics.jsonl", "logs"
# Seconds of a step that the loop adds to its scalars: waiting for a batch, and altogether.
WAITED, TOOK = "seconds/waited", "seconds/step"
# The number of the step that the scalars belong to.
STEP = "step"
_SHOWN = {
    "loss": "loss",
    "loss/keypoints2d": "2D",
    "loss/joints3d": "3D",
    "loss/adversarial": "adv",
}


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
    lines = table.read_text(errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if _step_of(line) <= last_step]
    if len(kept) < len(lines):
        write_text(table, "".join(kept))


def _step_of(line: str) -> float:
    """The step of a line of the table; infinity where a power cut left only a part of it."""
    try:
        return float(json.loads(line)["step"])
    except Exception:  # whatever damage leads to
        return math.inf


class ProgressLine(keras.callbacks.Callback):
    """One line with step, losses, rate and time left.

    Args:
        total_steps: of the whole training.
        first_step: where a resumed run starts.
    """

    def __init__(self, total_steps: int, first_step: int = 0) -> None:
        super().__init__()
        self._bar = progress_bar(total=total_steps, initial=first_step, desc="train", unit="step")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._bar.update()
        if logs and self._bar.n % 10 == 0:
            shown = {label: f"{logs[name]:.4g}" for name, label in _SHOWN.items() if name in logs}
            self._bar.set_postfix(shown, refresh=False)

    def on_train_end(self, logs: dict | None = None) -> None:
        self._bar.close()


class ScalarLog(keras.callbacks.Callback):
    """Means of every scalar over `every` steps.

    A loss term without a supervised sample in the interval is left out rather than logged as 0.

    Args:
        journal: where they go.
        every: steps between two entries.
        batch_size: images a step, of all devices together.
    """

    def __init__(self, journal: Journal, every: int, batch_size: int) -> None:
        super().__init__()
        self._journal = journal
        self._every = every
        self._batch_size = batch_size
        self._sums: dict[str, float] = {}
        self._count = 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if not logs:
            return
        step = int(logs.get(STEP, batch + 1))
        for name, value in logs.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        if step % self._every == 0:
            self._flush(step)

    def on_train_end(self, logs: dict | None = None) -> None:
        self.on_train_batch_end(-1, logs)

    def _flush(self, step: int) -> None:
        self._sums.pop(STEP, None)
        means = {name: total / self._count for name, total in self._sums.items()}
        means |= self._speed(means.pop(WAITED, 0.0), means.pop(TOOK, 0.0))
        means = {name: mean for name, mean in means.items() if not _unsupervised(name, means)}
        self._journal.scalars(step, means)
        self._sums, self._count = {}, 0

    def _speed(self, waited: float, took: float) -> dict[str, float]:
        if not took:
            return {}
        return {"speed/images_per_s": self._batch_size / took, "speed/waiting_share": waited / took}


def _unsupervised(name: str, means: dict[str, float]) -> bool:
    term = name.partition("/")[2]
    return means.get(f"supervised/{term}", 1.0) == 0.0 and not name.startswith("supervised/")
