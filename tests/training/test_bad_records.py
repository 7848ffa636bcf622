"""A training that meets records it cannot read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from src.data.record_format import RecordWriter
from src.data.schema import person_to_example
from src.errors import UserError
from src.training.bad_records import UNREADABLE_FILE
from src.training.experiment import run_experiment
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
    assert run_experiment(tiny_config, tmp_path / "run")["steps"] == 14
    listed = (tmp_path / "run" / UNREADABLE_FILE).read_text()
    assert listed == f"record 5 of {one_bad_picture}\n"


def test_more_than_the_configured_share_ends_it(tiny_config, tmp_path, one_bad_picture):
    tiny_config.data.max_bad_share = 0.0
    with pytest.raises(UserError, match=r"1 of 248 .*max_bad_share=0 .*record 5 .*5\.jpg.*JPEG"):
        run_experiment(tiny_config, tmp_path / "run")


def test_records_are_counted_once(tmp_path):
    from src.data.pipeline import Source
    from src.training.bad_records import BadRecords

    bad = BadRecords([Source("lsp", ["a"], [1000])], 0.5, tmp_path)
    for start in (0, 3):
        batch = {}
        for stream in ("people", "bodies"):
            batch[f"{stream}/position"] = np.array([start, start + 2])
            batch[f"{stream}/neighbours"] = np.array([b"x\nbad\nz"] * 2)
        bad.note(batch)
        assert batch == {}
    assert len(bad) == 1
    assert (tmp_path / UNREADABLE_FILE).read_text() == "bad\n"
