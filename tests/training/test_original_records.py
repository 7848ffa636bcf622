"""A training on records in the authors' layout, with the keys that their converters write."""

from __future__ import annotations

import numpy as np

from hmr.data.tfrecord import RecordWriter, encode_example
from hmr.training.recipe import run
from tests.conftest import make_person

NO_PARAMETERS = -1.0
SHARDS_2D = {
    "lsp/train_000.tfrecord": False,
    "coco/train_0000_wmeta.tfrecord": True,
}
SHARDS_3D = {
    "tf_records_human36m_wjoints/train/S1_Eating_0_cam0.tfrecord": 1,
    "mpi_inf_3dhp/train/train_0000.tfrecord": 0,
}
SHARDS_MOCAP = (
    "mocap_neutrMosh/neutrSMPL_CMU_000.tfrecord",
    "mocap_neutrMosh/neutrSMPL_jointLim_000.tfrecord",
)


def _picture(index: int) -> dict:
    person = make_person(index)
    keypoints = person.keypoints2d_px[:14]
    return {
        "image/height": ("int64", [person.height]),
        "image/width": ("int64", [person.width]),
        "image/center": ("int64", person.center_px.astype(int)),
        "image/x": ("float32", keypoints[:, 0]),
        "image/y": ("float32", keypoints[:, 1]),
        "image/visibility": ("int64", person.visibility[:14]),
        "image/format": ("string", b"JPEG"),
        "image/filename": ("string", person.filename.encode()),
        "image/encoded": ("string", person.encoded),
    }


def _with_face(index: int) -> dict:
    return {**_picture(index), "image/face_pts": ("float32", np.full(15, 100.0))}


def _with_3d(index: int, has_3d: int) -> dict:
    rng = np.random.default_rng(index)
    pose, shape = (
        0.2 * rng.standard_normal(size) if has_3d else np.full(size, NO_PARAMETERS)
        for size in (72, 10)
    )
    return {
        **_picture(index),
        "mosh/pose": ("float32", pose),
        "mosh/shape": ("float32", shape),
        "mosh/gt3d": ("float32", 0.3 * rng.standard_normal(42)),
        "meta/scale_factors": ("float32", [0.5, 0.5]),
        "meta/crop_pt": ("int64", [3, 4]),
        "meta/has_3d": ("int64", [has_3d]),
        "image/cam": ("float32", [1000.0, 120.0, 130.0]),
    }


def _body(index: int) -> dict:
    rng = np.random.default_rng(index)
    return {
        "pose": ("float32", 0.2 * rng.standard_normal(72)),
        "shape": ("float32", rng.standard_normal(10)),
    }


def _write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with RecordWriter(path) as writer:
        for record in records:
            writer.write(encode_example(record))


def test_the_authors_own_records_train_as_they_are(tiny_config, tmp_path):
    root, indices = tmp_path / "tf_datasets", range(6)
    for name, has_face in SHARDS_2D.items():
        _write(root / name, map(_with_face if has_face else _picture, indices))
    for name, has_3d in SHARDS_3D.items():
        _write(root / name, [_with_3d(index, has_3d) for index in indices])
    for name in SHARDS_MOCAP:
        _write(root / name, map(_body, range(20)))
    tiny_config.data.root = str(root)
    tiny_config.data.train = dict.fromkeys(("lsp", "coco", "h36m", "mpi_inf_3dhp"), 1.0)
    tiny_config.data.mocap = dict.fromkeys(("mocap_cmu", "mocap_posePrior"), 1.0)
    tiny_config.train.epochs = 1.0
    tiny_config.train.log_every_steps = 1
    summary = run(tiny_config, tmp_path / "run")
    assert (summary["train_images"], summary["steps"]) == (24, 6)
    assert '"loss/smpl"' in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert not (tmp_path / "run" / "unreadable_records.txt").exists()
