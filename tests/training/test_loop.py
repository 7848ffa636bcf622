"""The loop beside a device whose steps last until the loop has done what it should do meanwhile."""

from __future__ import annotations

import threading
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

# A loop that waits for the device before it goes on would never do what the device waits for.
PATIENCE_S = 20.0


class Meanwhile:
    """What was done so far: the last batch fetched, and the last step begun and looked at."""

    def __init__(self):
        self.fetched, self.begun, self.looked_at = 0, 0, 0
        self._changed = threading.Condition()

    def note(self, **done):
        with self._changed:
            vars(self).update(done)
            self._changed.notify_all()

    def wait(self, **least):
        def done():
            return all(getattr(self, key) >= number for key, number in least.items())

        with self._changed:
            assert self._changed.wait_for(done, PATIENCE_S), "the loop waits for the device"


class SlowDevice(Devices):
    """A step ends when the next batch is there and the step before was looked at.

    Its scalars can be read when the next step has begun. The losses are those of a list; the steps
    up to `waits` wait, as far as losses are finite.
    """

    def __init__(self, losses, meanwhile, waits):
        super().__init__()
        self._losses, self._meanwhile, self._steps, self._waits = losses, meanwhile, 0, waits

    def step_function(self, _):
        def start(batch):
            self._steps += 1
            step, loss = self._steps, self._losses[self._steps - 1]
            following = min(step + 1, len(self._losses))
            waits = np.isfinite(self._losses[:step]).all() and step <= self._waits
            self._meanwhile.note(begun=step)
            if waits:
                self._meanwhile.wait(fetched=following, looked_at=step - 1)

            def scalars():
                if waits:
                    self._meanwhile.wait(begun=following)
                return {"loss": loss, "input": float(batch["images"])}

            return scalars

        return start


class Watcher(keras.callbacks.Callback):
    def __init__(self, meanwhile):
        super().__init__()
        self.seen, self._meanwhile = [], meanwhile

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(logs)
        self._meanwhile.note(looked_at=batch)

    def on_train_end(self, logs=None):
        self.seen.append(logs)


def _batches(meanwhile):
    for index in range(1, 100):
        meanwhile.note(fetched=index)
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
    meanwhile = Meanwhile()
    watcher = Watcher(meanwhile)
    # A checkpoint needs the step before it, so the loop waits for that one.
    arguments = save_every, SlowDevice(losses, meanwhile, save_every - 1), [watcher]
    try:
        train(state, _batches(meanwhile), len(losses), *arguments, BadRecords([], 1.0, folder))
    finally:
        state.seen = [logs for logs in watcher.seen if logs]
    return state


def test_fetching_and_looking_cost_no_time_of_the_device(tmp_path):
    steps = 6
    state = _train([1.0] * steps, tmp_path)
    # Every step's scalars come once, in order, with the step's own input.
    assert [logs[STEP] for logs in state.seen] == list(range(1, steps + 1))
    assert [logs["input"] for logs in state.seen] == list(range(1, steps + 1))
    assert 0 < float(state.seconds) < steps * PATIENCE_S


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
