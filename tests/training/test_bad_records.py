"""A training that meets records it cannot read."""

from __future__ import annotations

import dataclasses

import pytest
import tensorflow as tf

from hmr.data.schema import person_to_example
from hmr.data.tfrecord import RecordWriter
from hmr.errors import UserError
from hmr.training.loop import UNREADABLE_FILE
from hmr.training.recipe import run
from tests.conftest import RECORDS_PER_SET, make_person


@pytest.fixture
def one_bad_picture(tiny_config, tmp_path, records_root):
    """24 pictures of LSP, of which record 5 is none; the other sets as they are."""
    root = tmp_path / "records"
    shard = root / "lsp" / "train_00000.tfrecord"
    shard.parent.mkdir(parents=True)
    with RecordWriter(shard) as writer:
        for index in range(RECORDS_PER_SET):
            person = make_person(index)
            if index == 5:
                person = dataclasses.replace(person, encoded=b"no picture")
            writer.write(person_to_example(person))
    for name in ("mpi_inf_3dhp", "mocap_cmu"):
        (root / name).symlink_to(records_root / name)
    tiny_config.data.root = str(root)
    tiny_config.train.epochs = 1.2
    return shard


def test_it_goes_on_and_says_which(tiny_config, tmp_path, one_bad_picture):
    tiny_config.data.max_bad_share = 0.1
    assert run(tiny_config, tmp_path / "run")["steps"] == 14
    listed = (tmp_path / "run" / UNREADABLE_FILE).read_text()
    assert listed == f"record 5 of {one_bad_picture}\n"


def test_more_than_the_configured_share_ends_it(tiny_config, tmp_path, one_bad_picture):
    tiny_config.data.max_bad_share = 0.0
    with pytest.raises(UserError, match=r"1 of 248 .*max_bad_share=0 .*record 5 .*5\.jpg.*JPEG"):
        run(tiny_config, tmp_path / "run")


def test_records_are_counted_once(tmp_path):
    from hmr.data.pipeline import RecordSet
    from hmr.training.loop import BadRecords

    bad = BadRecords([RecordSet("lsp", ["a"], [1000])], 0.5, tmp_path)
    for lost in ([10], range(13, 19), [10]):
        names = "".join(f"record {index} of a\n" for index in lost)
        bad.note(
            {"people/unreadable": tf.constant(["", names]), "bodies/unreadable": tf.fill(2, "")}
        )
    assert len(bad) == 7
    assert (tmp_path / UNREADABLE_FILE).read_text().splitlines()[:2] == [
        "record 10 of a",
        "record 13 of a",
    ]


@pytest.mark.parametrize("name", ["lsp", "mocap_cmu"])
def test_a_dataset_without_a_readable_record_is_named_and_does_not_hang(
    tiny_config, tmp_path, records_root, name
):
    root = tmp_path / "records"
    for source in records_root.iterdir():
        (root / source.name).parent.mkdir(exist_ok=True)
        (root / source.name).symlink_to(source)
    (root / name).unlink()
    (root / name).mkdir()
    with RecordWriter(root / name / "train_00000.tfrecord") as writer:
        for index in range(RECORDS_PER_SET):
            person = dataclasses.replace(make_person(index), encoded=b"no picture")
            writer.write(person_to_example(person))
    tiny_config.data.root = str(root)
    with pytest.raises(UserError, match=rf"none of the first 24 records of .*{name}.* can be read"):
        run(tiny_config, tmp_path / "run")
