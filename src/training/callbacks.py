"""What watches a training: the progress line, TensorBoard, and a table of the logged scalars."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import tensorflow as tf
from tqdm import tqdm

_SHOWN = {
    "loss": "loss",
    "loss/keypoints2d": "2D",
    "loss/joints3d": "3D",
    "loss/adversarial": "adv",
}


class ProgressLine(keras.callbacks.Callback):
    """One line with step, losses, rate and time left.

    Args:
        total_steps: of the whole training.
        first_step: where a resumed run starts.
    """

    def __init__(self, total_steps: int, first_step: int = 0) -> None:
        super().__init__()
        self._bar = tqdm(total=total_steps, initial=first_step, desc="train", unit="step")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._bar.update()
        if logs and self._bar.n % 10 == 0:
            shown = {label: f"{logs[name]:.4g}" for name, label in _SHOWN.items() if name in logs}
            self._bar.set_postfix(shown, refresh=False)

    def on_train_end(self, logs: dict | None = None) -> None:
        self._bar.close()


class ScalarLog(keras.callbacks.Callback):
    """Means of every scalar over `every` steps, to TensorBoard and to `metrics.jsonl`.

    A loss term without a supervised sample in the interval is left out rather than logged as 0.

    Args:
        folder: of the event files; `metrics.jsonl` lies beside it.
        every: steps between two entries.
    """

    def __init__(self, folder: Path, every: int) -> None:
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(folder))
        self._table = folder.parent / "metrics.jsonl"
        self._every = every
        self._sums: dict[str, float] = {}
        self._count = 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        for name, value in (logs or {}).items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        if (batch + 1) % self._every == 0:
            self._flush(batch + 1)

    def on_train_end(self, logs: dict | None = None) -> None:
        self._writer.close()

    def _flush(self, step: int) -> None:
        means = {name: total / self._count for name, total in self._sums.items()}
        means = {name: mean for name, mean in means.items() if not _unsupervised(name, means)}
        with self._writer.as_default(step):
            for name, mean in means.items():
                tf.summary.scalar(name, mean)
        with self._table.open("a") as table:
            table.write(json.dumps({"step": step, **means}) + "\n")
        self._sums, self._count = {}, 0


def _unsupervised(name: str, means: dict[str, float]) -> bool:
    term = name.partition("/")[2]
    return means.get(f"supervised/{term}", 1.0) == 0.0 and not name.startswith("supervised/")
