"""After a power cut nothing is lost that was reported as done, and nothing half written is used.

`WAYS=3` cuts the power at every moment, in three ways.
"""

from __future__ import annotations

import contextlib
import os

import pytest
import tensorflow as tf

from hmr.data.shards import count_by_shard
from hmr.training.state import CheckpointFolder
from tests.helpers.number_jobs import make_job
from tests.helpers.power_cut import Disk, PowerCutError
from tfrecords_tools.common import writer
from tfrecords_tools.common.writer import Workers, write_job

WAYS = int(os.environ.get("WAYS", "0"))
STEP = 1 if WAYS else 9


def convert(root):
    with Workers(0) as workers:
        return write_job(make_job(), root, workers)


def files(root) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "mocap_test").glob("*")}


@pytest.mark.slow
def test_conversion(tmp_path, monkeypatch):
    convert(tmp_path / "whole")
    expected = files(tmp_path / "whole")
    done: list[int] = []
    monkeypatch.setattr(writer, "_count", lambda bar, result: done.append(result.examples))
    for way in range(WAYS or 1):
        for moment in range(0 if WAYS else 4, 1000, STEP):
            name = f"{way}_{moment}"
            done.clear()
            if not cut(tmp_path / name, tmp_path / f"{name}_after", moment, way, convert):
                assert moment > 30
                print(f"power cuts: {moment}")
                break
            root = tmp_path / f"{name}_after"
            reported = len(done)
            progress = root / "mocap_test" / ".train_in_progress"
            if not (root / "mocap_test" / "train_manifest.json").exists():
                kept = writer._finished(root / "mocap_test", progress, make_job())
                assert set(range(reported)) <= set(kept)
            elif not progress.exists():
                count_by_shard(root, "mocap_test", "train")  # and checks sizes and checksums
            convert(root)
            assert files(root) == expected


@pytest.mark.slow
def test_checkpoints(tmp_path):
    for way in range(WAYS or 1):
        for moment in range(0 if WAYS else 4, 1000, STEP):
            saved: list[int] = []

            def train(root, saved=saved):
                folder, value = CheckpointFolder(root / "checkpoints", kept=2), tf.Variable(0)
                for step in (10, 20, 30):
                    value.assign(step)
                    folder.save(tf.train.Checkpoint(value=value), step)
                    saved.append(step)

            after = tmp_path / f"{way}_{moment}_after"
            if not cut(tmp_path / f"{way}_{moment}", after, moment, way, train):
                print(f"power cuts: {moment}")
                break
            folder = CheckpointFolder(after / "checkpoints", kept=2)
            whole = [step for step in folder.steps() if not folder.damage(step)]
            assert max(whole, default=0) >= max(saved, default=0)
            if whole:
                value = tf.Variable(0)
                with folder.open(max(whole)) as path:
                    tf.train.Checkpoint(value=value).read(path).assert_consumed()
                assert int(value) == max(whole)


def cut(root, after, moment, way, act) -> bool:
    """Whether the power was cut at this moment; `act` had ended before if not."""
    root.mkdir()
    disk = Disk(root, after, moment, seed=1000 * way + moment)
    with pytest.MonkeyPatch.context() as patch, contextlib.closing(disk):
        disk.watch(patch)
        try:
            act(root)
        except PowerCutError:
            return True
    return False
