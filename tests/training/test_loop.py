"""The loop beside a device that needs a known time for each step."""

from __future__ import annotations

import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from hmr.data.unreadable import STREAMS, unreadable_key
from hmr.errors import UserError
from hmr.training.callbacks import STEP
from hmr.training.devices import Devices
from hmr.training.loop import BadRecords, train

DEVICE_S, FETCH_S, LOOK_S = 0.2, 0.1, 0.05


class SlowDevice(Devices):
    """Sleeps for `DEVICE_S` in each step; the losses are those of a list."""

    def __init__(self, losses):
        super().__init__()
        self._losses = iter(losses)

    def step_function(self, _):
        def start(batch):
            time.sleep(DEVICE_S)
            loss = next(self._losses)
            return lambda: {"loss": loss, "input": float(batch["images"])}

        return start


class Watcher(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(LOOK_S)
        self.seen.append(logs)

    def on_train_end(self, logs=None):
        self.seen.append(logs)


def _batches():
    for index in range(1, 100):
        time.sleep(FETCH_S)
        unreadable = {unreadable_key(stream): tf.constant([""]) for stream in STREAMS}
        yield {"images": tf.constant(float(index)), **unreadable}


def _train(losses, folder, save_every=1000):
    state = SimpleNamespace(
        model=None, workdir=folder, step=tf.Variable(0), seconds=tf.Variable(0.0, tf.float64),
        saved=[],
    )  # fmt: skip

    def save():
        state.settle()
        state.saved.append(int(state.step))

    state.save = save
    watcher = Watcher()
    arguments = save_every, SlowDevice(losses), [watcher]
    try:
        train(state, _batches(), len(losses), *arguments, BadRecords([], 1.0, folder))
    finally:
        state.seen = [logs for logs in watcher.seen if logs]
    return state


def test_fetching_and_looking_cost_no_time_of_the_device(tmp_path):
    steps = 6
    started = time.monotonic()
    state = _train([1.0] * steps, tmp_path)
    took = time.monotonic() - started
    one_after_another = steps * (DEVICE_S + FETCH_S + LOOK_S)
    assert steps * DEVICE_S < took < 0.85 * one_after_another
    # Every step's scalars come once, in order, with the step's own input.
    assert [logs[STEP] for logs in state.seen] == list(range(1, steps + 1))
    assert [logs["input"] for logs in state.seen] == list(range(1, steps + 1))
    assert float(state.seconds) == pytest.approx(took, abs=0.3)


def test_the_batch_of_the_bad_step_is_saved_though_the_next_one_runs(tmp_path):
    with pytest.raises(UserError, match=r"step 3: loss is not finite.*bad_batch_3\.npz"):
        _train([1.0, 2.0, np.nan, 4.0, 5.0], tmp_path)
    with np.load(tmp_path / "bad_batch_3.npz") as batch:
        assert batch["images"] == 3.0


def test_no_checkpoint_holds_a_step_that_was_not_looked_at(tmp_path):
    state = _train([1.0] * 4, tmp_path, save_every=2)
    assert state.saved == [2, 4, 4]
    with pytest.raises(UserError, match="step 2: loss is not finite"):
        _train([1.0, np.inf, 3.0], tmp_path, save_every=2)
