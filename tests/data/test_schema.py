"""Records: what goes in comes out, the authors' own records are read, damage is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from hmr.data.records import (
    check_shard,
    parse_mocap,
    parse_person,
    validate_record,
)
from hmr.data.schema import (
    MOCAP_KEYS,
    PERSON_KEYS,
    SCHEMA_VERSION,
    Person,
    mocap_to_example,
    person_to_example,
    schema_table,
)
from hmr.data.tfrecord import encode_example
from hmr.errors import UserError

RNG = np.random.default_rng(3)


def _person(**changes) -> Person:
    visibility = np.array([1, 0, 2] + [1] * 16)
    person = Person(
        encoded=b"\xff\xd8picture\xff\xd9",
        height=300,
        width=200,
        filename="a.jpg",
        dataset="coco",
        center_px=np.array([100.7, 150.2]),
        keypoints2d_px=RNG.uniform(0, 200, (19, 2)),
        visibility=visibility,
    )
    return dataclasses.replace(person, **changes)


def _parsed(person: Person) -> dict:
    tensors = tf.function(parse_person)(tf.constant(person_to_example(person)))
    return {key: value.numpy() for key, value in tensors.items()}


def test_a_person_with_2d_labels():
    person = _person()
    parsed = _parsed(person)
    assert parsed["image_bytes"] == person.encoded
    np.testing.assert_array_equal(parsed["center_px"], [100, 150])
    np.testing.assert_allclose(parsed["keypoints2d_px"], person.keypoints2d_px, rtol=1e-6)
    np.testing.assert_array_equal(parsed["visibility"], [1, 0, 1] + [1] * 16)
    assert parsed["has_joints3d"] == 0 and parsed["has_smpl"] == 0
    assert not parsed["joints3d_lsp_m"].any() and not parsed["pose"].any()


def test_a_person_with_everything():
    person = _person(
        joints3d_lsp_m=RNG.standard_normal((14, 3)),
        pose=RNG.standard_normal(72),
        beta=RNG.standard_normal(10),
        intrinsics_px=np.array([500.0, 100.0, 150.0]),
        scale_factors=np.array([0.5, 0.25]),
        crop_origin_px=np.array([7, 9]),
        sequence="S1_Seq1_cam0",
        frame=12,
        activity="Walking",
        gender="f",
    )
    parsed = _parsed(person)
    for key in (
        "joints3d_lsp_m",
        "pose",
        "beta",
        "intrinsics_px",
        "scale_factors",
        "crop_origin_px",
    ):
        np.testing.assert_allclose(parsed[key], getattr(person, key), rtol=1e-6)
    texts = {key: parsed[key].decode() for key in ("sequence", "activity", "gender", "dataset")}
    assert texts == {
        "sequence": "S1_Seq1_cam0", "activity": "Walking", "gender": "f", "dataset": "coco",
    }  # fmt: skip
    assert parsed["frame"] == 12 and parsed["has_smpl"] == 1 and parsed["has_joints3d"] == 1


def test_3d_joints_without_smpl_parameters():
    parsed = _parsed(_person(joints3d_lsp_m=np.ones((14, 3))))
    assert parsed["has_joints3d"] == 1 and parsed["has_smpl"] == 0


def test_face_points_are_left_out_where_there_are_none():
    person = _person(visibility=np.array([1] * 14 + [0] * 5))
    example = tf.train.Example.FromString(person_to_example(person))
    assert "image/face_pts" not in example.features.feature
    np.testing.assert_array_equal(_parsed(person)["visibility"], [1] * 14 + [0] * 5)


def test_the_same_person_gives_the_same_bytes():
    person = _person()
    assert person_to_example(person) == person_to_example(dataclasses.replace(person))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("keypoints2d_px", np.zeros((14, 2))),
        ("visibility", np.zeros(14)),
        ("center_px", np.array([np.nan, 1.0])),
        ("pose", np.zeros(72)),
        ("joints3d_lsp_m", np.full((14, 3), np.inf)),
    ],
)
def test_unusable_people_are_refused(key, value):
    with pytest.raises(ValueError, match=r"must have shape|not finite|come together"):
        _person(**{key: value})


def _originals_2d_record(**changes) -> bytes:
    """A record with the keys that the authors' converters of 2D sets write."""
    features = {
        "image/height": ("int64", [120]),
        "image/width": ("int64", [100]),
        "image/center": ("int64", [50, 60]),
        "image/x": ("float32", np.arange(14.0)),
        "image/y": ("float32", np.arange(14.0) + 100),
        "image/visibility": ("int64", [1] * 13 + [0]),
        "image/format": ("string", b"JPEG"),
        "image/filename": ("string", b"im0001.jpg"),
        "image/encoded": ("string", b"jpeg"),
    }
    return encode_example({**features, **changes})


def test_the_authors_2d_records_are_read():
    parsed = parse_person(tf.constant(_originals_2d_record()))
    np.testing.assert_array_equal(parsed["keypoints2d_px"][13], [13, 113])
    np.testing.assert_array_equal(parsed["visibility"].numpy(), [1] * 13 + [0] * 6)
    assert parsed["has_joints3d"] == 0 and parsed["has_smpl"] == 0


def test_the_authors_face_points_are_three_rows_of_five():
    points = np.concatenate([np.arange(5) + 10, np.arange(5) + 20, [2, 1, 0, 2, 2]])
    record = _originals_2d_record(**{"image/face_pts": ("float32", points)})
    parsed = parse_person(tf.constant(record))
    np.testing.assert_array_equal(parsed["keypoints2d_px"][15], [11, 21])
    np.testing.assert_array_equal(parsed["visibility"][14:], [1, 1, 0, 1, 1])


@pytest.mark.parametrize("has_3d", [0, 1])
def test_the_authors_3d_records_are_read(has_3d):
    fill = 0.3 if has_3d else -1.0
    record = _originals_2d_record(
        **{
            "mosh/pose": ("float32", np.full(72, fill)),
            "mosh/shape": ("float32", np.full(10, fill)),
            "mosh/gt3d": ("float32", np.arange(42.0)),
            "meta/scale_factors": ("float32", [0.5, 0.5]),
            "meta/crop_pt": ("int64", [3, 4]),
            "meta/has_3d": ("int64", [has_3d]),
            "image/cam": ("float32", [1000, 50, 60]),
        }
    )
    parsed = parse_person(tf.constant(record))
    np.testing.assert_array_equal(parsed["joints3d_lsp_m"][1], [3, 4, 5])
    assert parsed["has_joints3d"] == 1 and parsed["has_smpl"] == has_3d
    np.testing.assert_allclose(parsed["pose"], np.full(72, 0.3 * has_3d), rtol=1e-6)


def test_the_authors_mocap_records_are_read():
    record = encode_example(
        {"pose": ("float32", np.arange(72.0)), "shape": ("float32", np.arange(10.0))}
    )
    pose, shape = parse_mocap(tf.constant(record))
    np.testing.assert_array_equal(pose, np.arange(72))
    np.testing.assert_array_equal(shape, np.arange(10))


def test_a_wrong_length_is_named():
    wrong = _originals_2d_record(**{"image/x": ("float32", np.zeros(19))})
    with pytest.raises(UserError, match=r'key "image/x" has 19 values, expected 14\.'):
        validate_record(wrong)


def test_a_wrong_type_is_named():
    wrong = _originals_2d_record(**{"image/center": ("float32", [1.0, 2.0])})
    with pytest.raises(UserError, match=r"image/center.*float_list, expected a int64_list"):
        validate_record(wrong)


def test_a_missing_key_is_named():
    with pytest.raises(UserError, match=r'key "image/x" is missing\.'):
        validate_record(encode_example({"image/encoded": ("string", b"")} | _required("image/x")))


def _required(without: str) -> dict:
    fill = {"string": lambda n: b"", "int64": lambda n: [0] * n, "float32": lambda n: [0.0] * n}
    needed = [key for key in PERSON_KEYS if key.default is None and key.name != without]
    return {key.name: (key.dtype, fill[key.dtype](key.length)) for key in needed}


def test_an_older_converter_is_named():
    older = {"meta/schema_version": ("int64", [SCHEMA_VERSION - 1])}
    wrong = _originals_2d_record(**{"image/x": ("float32", [1.0])} | older)
    with pytest.raises(UserError, match=r"written by an older converter \(schema \[0\], need"):
        validate_record(wrong)


def test_an_older_record_lacks_keys_that_have_a_default():
    older = _originals_2d_record(**{"meta/schema_version": ("int64", [SCHEMA_VERSION - 1])})
    validate_record(older)
    assert parse_person(tf.constant(older))["has_smpl"] == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"meta/schema_version": [SCHEMA_VERSION + 1]}, f"schema {SCHEMA_VERSION + 1}, this one"),
        ({"meta/schema_version": [SCHEMA_VERSION], "image/depth": [1]}, "unknown.*image/depth"),
    ],
)
def test_a_future_record_is_refused(changes, named):
    newer = _originals_2d_record(**{name: ("int64", value) for name, value in changes.items()})
    with pytest.raises(UserError, match=f"the record was written by another.*{named}"):
        validate_record(newer)


def test_other_peoples_records_may_hold_more():
    validate_record(_originals_2d_record(**{"image/depth": ("int64", [1])}))


def test_a_bad_record_of_a_shard_is_named(tmp_path):
    path = tmp_path / "lsp" / "train_00000.tfrecord"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(person_to_example(_person()))
        writer.write(_originals_2d_record(**{"image/y": ("float32", [1.0])}))
    with pytest.raises(UserError, match=r"record 1 of .*train_00000.*image/y.*lsp"):
        check_shard(path)


def test_a_mocap_shard_is_checked_by_its_own_table(tmp_path):
    path = tmp_path / "mocap_cmu" / "train_00000.tfrecord"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(mocap_to_example(np.zeros(72), np.zeros(10)))
    assert check_shard(path) == 1
    people = path.parent.rename(tmp_path / "lsp")
    with pytest.raises(UserError, match="image/encoded"):
        check_shard(people / path.name)


def test_the_table_lists_every_key():
    table = schema_table()
    assert all(f"`{key.name}`" in table for key in PERSON_KEYS)


def test_the_page_shows_the_tables():
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    assert schema_table(PERSON_KEYS) in page and schema_table(MOCAP_KEYS) in page
