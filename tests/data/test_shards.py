"""Finding shards, counting records, manifests."""

from __future__ import annotations

import dataclasses
import json
import struct

import google_crc32c
import numpy as np
import pytest

from hmr.data.records import check_shard, read_shard
from hmr.data.schema import SCHEMA_VERSION, mocap_to_example
from hmr.data.shards import (
    Manifest,
    count_by_shard,
    count_records,
    find_shards,
    manifest_path,
    progress_dir,
    read_manifest,
    write_manifest,
)
from hmr.data.tfrecord import RecordWriter
from hmr.errors import UserError


def _write(path, count=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    with RecordWriter(path) as writer:
        for _ in range(count):
            writer.write(mocap_to_example(np.zeros(72), np.zeros(10)))


def _manifest(**shards) -> Manifest:
    names = {f"{name}.tfrecord": count for name, count in shards.items()}
    return Manifest("lsp", "train", sum(names.values()), names, {"no label": 2})


def test_manifest_round_trip(tmp_path):
    _write(tmp_path / "lsp" / "train_00000.tfrecord")
    manifest = _manifest(train_00000=3)
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path, "lsp", "train") == manifest
    assert count_by_shard(tmp_path, "lsp", "train") == [3]
    assert read_manifest(tmp_path, "lsp", "test") is None


@pytest.mark.parametrize("text", ["", "[]", '{"dataset": 1}', "{"])
def test_a_damaged_manifest_is_named(tmp_path, text):
    path = manifest_path(tmp_path, "lsp", "train")
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match="train_manifest"):
        read_manifest(tmp_path, "lsp", "train")


OLD_MANIFEST = """{
  "dataset": "lsp", "split": "train", "examples": 3, "shards": {"train_00000.tfrecord": 3}
}"""


def _store(root, text):
    path = manifest_path(root, "lsp", "train")
    path.parent.mkdir()
    path.write_text(text)


def test_an_old_manifest_lacks_what_came_later(tmp_path):
    _store(tmp_path, OLD_MANIFEST)
    expected = Manifest("lsp", "train", 3, {"train_00000.tfrecord": 3}, schema_version=1)
    assert read_manifest(tmp_path, "lsp", "train") == expected


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"checksums": {}}, r"schema 1, .* unknown to it: checksums"),
        ({"schema_version": SCHEMA_VERSION + 1}, rf"schema {SCHEMA_VERSION + 1}, this one reads"),
    ],
)
def test_a_future_manifest_is_refused_by_name(tmp_path, changes, named):
    _store(tmp_path, json.dumps(json.loads(OLD_MANIFEST) | changes))
    with pytest.raises(UserError, match=rf"train_manifest.json was written by another.*{named}"):
        read_manifest(tmp_path, "lsp", "train")


def test_a_missing_shard_is_named(tmp_path):
    _write(tmp_path / "lsp" / "train_00000.tfrecord")
    write_manifest(tmp_path, _manifest(train_00000=3, train_00001=3))
    with pytest.raises(UserError, match=r"1 are missing \(first: train_00001"):
        find_shards(tmp_path, "lsp", "train")


def test_shards_that_the_manifest_does_not_name_are_left_alone(tmp_path):
    for index in range(3):
        _write(tmp_path / "lsp" / f"train_{index:05d}.tfrecord")
    write_manifest(tmp_path, _manifest(train_00000=3, train_00002=3))
    names = [path[-20:] for path in find_shards(tmp_path, "lsp", "train")]
    assert names == ["train_00000.tfrecord", "train_00002.tfrecord"]


def test_no_records_says_how_to_build_them(tmp_path):
    with pytest.raises(
        UserError, match=r"python -m tfrecords_tools --coco .*Known sets: lsp, lsp_ext"
    ):
        find_shards(tmp_path, "coco", "train")


def test_an_interrupted_conversion_is_not_trained_on(tmp_path):
    _write(tmp_path / "lsp" / "train_00000.tfrecord")
    progress_dir(tmp_path, "lsp", "train").mkdir()
    with pytest.raises(UserError, match="interrupted"):
        find_shards(tmp_path, "lsp", "train")


@pytest.mark.parametrize(
    ("dataset", "file"),
    [
        ("lsp", "lsp/train_000.tfrecord"),
        ("coco", "coco/train_0000_wmeta.tfrecord"),
        ("mpi_inf_3dhp", "mpi_inf_3dhp/train/train_0000.tfrecord"),
        ("h36m", "tf_records_human36m_wjoints/train/S1_Eating_0_cam0.tfrecord"),
        ("mocap_cmu", "mocap_neutrMosh/neutrSMPL_CMU_000.tfrecord"),
        ("mocap_h36m_mosh", "mocap_neutrMosh/neutrSMPL_H3.6_000.tfrecord"),
        ("mocap_posePrior", "mocap_neutrMosh/neutrSMPL_jointLim_000.tfrecord"),
    ],
)
def test_the_authors_folders_are_found_and_counted(tmp_path, dataset, file):
    _write(tmp_path / file, 4)
    assert find_shards(tmp_path, dataset, "train") == [str(tmp_path / file)]
    assert count_by_shard(tmp_path, dataset, "train") == [4]


@pytest.mark.parametrize("cut", [1, 5, 11, 40])
def test_a_truncated_shard_is_named(tmp_path, cut):
    path = tmp_path / "mocap_cmu" / "train_00000.tfrecord"
    _write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: 2 * len(whole) // 3 + cut])
    with pytest.raises(UserError, match=r"record 2 of .*truncated"):
        count_records(path)
    with pytest.raises(UserError, match=r"record 2 of .*truncated"):
        check_shard(path)


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "mocap_cmu" / "train_00000.tfrecord"
    _write(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"record 1 of .*damaged"):
        list(read_shard(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no shard at"):
        list(read_shard(tmp_path / "no.tfrecord"))


def test_a_shard_that_was_exchanged_for_one_of_its_size_is_found(tmp_path):
    path = tmp_path / "lsp" / "train_00000.tfrecord"
    path.parent.mkdir()
    _write(path)
    crc32c = google_crc32c.value(path.read_bytes())
    size = path.stat().st_size
    tables = {"sizes_bytes": {path.name: size}, "crc32c": {path.name: crc32c}}
    write_manifest(tmp_path, dataclasses.replace(_manifest(train_00000=3), **tables))
    assert count_by_shard(tmp_path, "lsp", "train") == [3]
    path.write_bytes(struct.pack("<Q", 1 << 40).ljust(size, b"\0"))
    with pytest.raises(UserError, match="not the shard that was written"):
        count_by_shard(tmp_path, "lsp", "train")
