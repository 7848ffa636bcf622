"""Every reader of foreign files ends damaged ones in a good read or in one error that names them.

`tests/corpus/READER/` holds inputs that once ended otherwise. `make fuzz MINUTES=5` tries more, by
`tests.helpers.fuzz`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import keras
import numpy as np
import pytest
from scipy.io import savemat

from hmr.body.joints import MPI_INF_3DHP28
from hmr.body.mean_params import read_mean_params
from hmr.body.model_file import load_body, save_body
from hmr.body.smpl import SMPL
from hmr.data.records import check_shard
from hmr.data.schema import mocap_to_example
from hmr.data.shards import find_shards
from hmr.data.tfrecord import RecordWriter
from hmr.errors import UserError
from hmr.evaluation import segmentation
from hmr.evaluation.parts import read_vertex_colors
from hmr.files.images import read_image
from hmr.files.safe_npz import load_npy, load_npz
from hmr.files.safe_pickle import safe_load
from hmr.files.video import Video, VideoWriter
from hmr.network.checkpoint import load_weights, read_spec
from hmr.network.hmr import HMR
from hmr.network.regressor import Regressor, initial_theta
from hmr.original.smpl_file import read_official
from hmr.original.tf1_checkpoint import Tf1Checkpoint
from hmr.prediction.people_files import open_people
from hmr.prediction.writers.numbers import load_result
from hmr.serving.report import ExportReport, read_report, write_report
from tests.helpers.mutations import mutations
from tests.helpers.shapes import round_body
from tests.helpers.smpl_files import smpl_dict, write_pickle
from tests.helpers.tf1_files import write_checkpoint
from tests.tfrecords_tools import test_h36m, test_mpi_inf_3dhp, test_mpii, test_pw3d
from tfrecords_tools import (
    amass,
    coco,
    from_labels,
    h36m,
    lsp,
    mpi_inf_3dhp,
    mpii,
    neutrmosh,
    pw3d,
)
from tfrecords_tools.common import cdf
from tfrecords_tools.common.jobs import SampleError
from tfrecords_tools.common.pictures import read_picture

COUNT, SECONDS = 60, 10
CORPUS = Path(__file__).parent / "corpus"
RNG = np.random.default_rng(3)


def _npz(path: Path, **arrays: Any) -> None:
    np.savez_compressed(path, **arrays)


def _take(path: Path) -> None:
    _npz(path, poses=RNG.normal(size=(3, 156)), betas=np.zeros(16), mocap_framerate=120.0)


def _labels_npz(path: Path) -> None:
    names = np.array(["a.jpg", "b.jpg"])
    _npz(path, image=names, keypoints2d_px=RNG.uniform(0, 99, (2, 14, 3)), pose=np.zeros((2, 72)))


def _pickle(path: Path) -> None:
    content = {
        "poses": RNG.normal(size=(3, 72)),
        "new_poses": np.ones((2, 72)),
        "betas": np.ones(10),
    }
    path.write_bytes(pickle.dumps(content, 2))


def _coco(path: Path) -> None:
    keypoints = np.column_stack([RNG.integers(1, 90, (17, 2)), np.full(17, 2)]).ravel().tolist()
    polygon = [[1, 1, 90, 1, 90, 90, 1, 90]]
    person = {"image_id": 1, "category_id": 1, "iscrowd": 0, "keypoints": keypoints}
    runs = {"size": [100, 100], "counts": [10, 9000, 990]}
    text = {"size": [100, 100], "counts": "0oh05kL"}
    masks = (polygon, runs, text)
    annotations = [{**person, "id": i, "segmentation": mask} for i, mask in enumerate(masks)]
    images = [{"id": 1, "file_name": "a.jpg", "height": 100, "width": 100}]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))


def _mpii_json(path: Path) -> None:
    joints = RNG.integers(1, 90, (16, 2)).tolist()
    person = {"image": "a.jpg", "center": [5, 5], "joints": joints, "joints_vis": [1] * 16}
    path.write_text(json.dumps([person] * 2))


def _mpii_mat(path: Path) -> None:
    test_mpii._write(path.parent, [([test_mpii._rectangle()], [1])] * 2)
    next(path.parent.rglob("*.mat")).replace(path)


def _session(path: Path) -> None:
    cells = {"annot2": np.empty((2, 1), object), "annot3": np.empty((2, 1), object)}
    for camera in range(2):
        cells["annot2"][camera, 0] = RNG.uniform(0, 99, (3, 2 * len(MPI_INF_3DHP28)))
        cells["annot3"][camera, 0] = RNG.uniform(0, 99, (3, 3 * len(MPI_INF_3DHP28)))
    savemat(path, {**cells, "frames": np.arange(3)[:, None], "cameras": np.arange(2)[None]})
    _calibration(path.parent / "camera.calibration")


def _calibration(path: Path) -> None:
    test_mpi_inf_3dhp._write_calibration(path, 600.0)


def _test_sequence(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["valid_frame"], file["activity_annotation"] = np.ones((3, 1)), np.ones((3, 1))
        for key, size in (("annot2", 2), ("annot3", 3), ("univ_annot3", 3)):
            file[key] = RNG.uniform(1, 99, (3, 1, 17, size))


def _mean_params(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["pose"], file["shape"] = np.zeros(72), np.zeros(10)


def _picture(path: Path) -> None:
    path.write_bytes(cv2.imencode(path.suffix, RNG.integers(0, 255, (9, 12, 3), np.uint8))[1])


def _shard(path: Path) -> None:
    with RecordWriter(path) as writer:
        for _ in range(2):
            writer.write(mocap_to_example(np.zeros(72), np.zeros(10)))


def _manifest(path: Path) -> None:
    (path.parent / "train_00000.tfrecord").write_bytes(b"12345")
    stored = {"dataset": "lsp", "split": "train", "examples": 3, "dropped": {}, "dropped_names": {}}
    tables = {"shards": {"train_00000.tfrecord": 3}, "sizes_bytes": {"train_00000.tfrecord": 5}}
    path.write_text(json.dumps({**stored, **tables, "crc32c": {}, "schema_version": 1}))


def _pose_file(path: Path) -> None:
    test_h36m._write_cdf(path, np.zeros((3, 32, 3)))


def _sequence(path: Path) -> None:
    root = path.parent / "3dpw"
    test_pw3d._write(root)
    next(root.rglob("*.pkl")).replace(path)


def _ply(path: Path) -> None:
    header = "ply\nformat ascii 1.0\nelement vertex 2\n"
    columns = [f"property float {axis}\n" for axis in "xyz"]
    columns += [f"property uchar {color}\n" for color in ("red", "green", "blue")]
    path.write_text(header + "".join(columns) + "end_header\n0 0 0 1 2 3\n1 1 1 4 5 6\n")


def _video(path: Path) -> None:
    writer = VideoWriter(path, 12.0)
    for value in (0, 90, 255):
        writer.add(np.full((24, 32, 3), value, np.uint8))
    assert writer.close()


def _read_video(path: Path) -> None:
    for frame in Video(path, max_frames=5):
        frame.load()


def _tf1_checkpoint(path: Path) -> None:
    values = {"a": np.ones((3, 4), np.float32), "b/c": np.float32(2), "step": np.int32(7)}
    write_checkpoint(path.with_suffix(""), values)


def _read_tf1_checkpoint(path: Path) -> None:
    checkpoint = Tf1Checkpoint(str(path.with_suffix("")))
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        checkpoint.read(list(checkpoint.shapes))


@functools.cache
def _small_model() -> HMR:
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    regressor = Regressor(4, initial_theta(np.zeros(72), np.zeros(10)), 3, 8, 0.5, 0)
    regressor(np.zeros((1, 4), np.float32))
    return HMR(encoder, regressor, SMPL(round_body()))


def _weights(path: Path) -> None:
    (path.parent / "model.json").write_text(_SPEC)
    _small_model().save_weights(path)


def _official(path: Path) -> None:
    write_pickle(path, smpl_dict())


def _text(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text) and None


_OPENPOSE = json.dumps({"people": [{"person_id": [1], "pose_keypoints_2d": [9.0, 9.0, 0.9] * 18}]})
_CSV = "image,x,y,width,height,id,score\na.jpg,1,2,30,40,1,0.9\nb.jpg,1,2,30,40,2,0.9\n"
_SPEC = (
    '{"version": 1, "encoder": "resnet50_v2", "input_size": 96, "iterations": 3, "dropout": 0.5}'
)

# Reader -> name of its file, what writes a good one, what reads it.
READERS: dict[str, tuple[str, Callable[[Path], None], Callable[[Path], Any]]] = {
    "amass": ("x_poses.npz", _take, lambda path: amass.read_take(path, 12.0)),
    "npz": ("x.npz", _take, load_npz),
    "npy": ("x.npy", lambda path: np.save(path, np.ones((3, 4))), load_npy),
    "mapped npy": ("x.npy", lambda path: np.save(path, np.ones(9)), lambda p: load_npy(p, "r")),
    "labels, npz": ("x.npz", _labels_npz, lambda path: list(from_labels.read_npz(path))),
    "labels, json": ("x.json", _coco, lambda path: list(from_labels.read_json(path))),
    "coco": ("x.json", _coco, lambda path: coco._job("train", path, path.parent)),
    "pickle": ("x.pkl", _pickle, safe_load),
    "take": ("x.pkl", _pickle, lambda path: neutrmosh.read_take(path, 1)),
    "fits": ("x.pkl", _pickle, neutrmosh.read_fits),
    "3dpw": ("x.pkl", _sequence, lambda p: list(pw3d.select_people(pw3d.read_sequence(p), None))),
    "lsp": (
        "joints.mat",
        lambda path: savemat(path, {"joints": np.ones((3, 14, 4))}, do_compression=True),
        lambda path: lsp.read_joints(path, "lsp"),
    ),
    "mpii": ("release.mat", _mpii_mat, lambda path: list(mpii.read_release(path))),
    "mpii, json": ("x.json", _mpii_json, lambda path: list(mpii.read_json(path))),
    "session": ("annot.mat", _session, lambda path: mpi_inf_3dhp.read_session(path.parent, "S1")),
    "calibration": ("camera.calibration", _calibration, mpi_inf_3dhp.read_calibration),
    "test sequence": (
        "annot_data.mat",
        _test_sequence,
        lambda path: list(mpi_inf_3dhp.read_test_sequence(path.parent, "univ_annot3")),
    ),
    "poses": ("x.cdf", _pose_file, lambda path: cdf.read_positions(path, 3)),
    "metadata": ("metadata.xml", test_h36m._metadata, h36m.read_metadata),
    "mean parameters": ("x.h5", _mean_params, read_mean_params),
    "picture to convert": ("x.jpg", _picture, read_picture),
    "PNG to convert": ("x.png", _picture, read_picture),
    "picture": ("x.jpg", _picture, read_image),
    "shard": ("mocap_cmu/train_00000.tfrecord", _shard, check_shard),
    "manifest": (
        "lsp/train_manifest.json",
        _manifest,
        lambda path: find_shards(path.parents[1], "lsp", "train"),
    ),
    "model": ("model.json", _text(_SPEC), lambda path: read_spec(path.parent)),
    "keypoints": ("x.json", _text(_OPENPOSE), lambda path: open_people(keypoints=str(path))),
    "boxes": ("x.csv", _text(_CSV), lambda path: open_people(boxes=str(path))),
    "OpenPose folder": (
        "a_keypoints.json",
        _text(_OPENPOSE),
        lambda path: open_people(keypoints=str(path.parent)),
    ),
    "body": ("x.npz", lambda path: save_body(path, round_body()), load_body),
    "official body": ("x.pkl", _official, read_official),
    "part colours": ("x.ply", _ply, read_vertex_colors),
    "weights": (
        "model.weights.h5",
        _weights,
        lambda path: load_weights(_small_model(), path.parent),
    ),
    "video": ("x.mp4", _video, _read_video),
    "mask": ("x.png", _picture, segmentation._read_grey),
    "TF1 checkpoint, index": ("x.index", _tf1_checkpoint, _read_tf1_checkpoint),
    "TF1 checkpoint, values": (
        "x.data-00000-of-00001",
        _tf1_checkpoint,
        _read_tf1_checkpoint,
    ),
    "report of an export": (
        "export.json",
        lambda path: write_report(path, ExportReport("x", 0.0, {"a": {"b": 0.0}}, 1.0, 1.0)),
        read_report,
    ),
    "result": ("x.npz", _take, load_result),
}


def _processor_time() -> float:
    """Seconds of this process and of those that have ended for it, on a busy machine, too."""
    return sum(os.times()[:4])


def corpus_folder(reader: str) -> Path:
    """Where the inputs of a reader lie."""
    return CORPUS / re.sub(r"\W+", "_", reader)


def prepare(reader: str, folder: Path) -> tuple[Path, list[bytes]]:
    """Writes a good file, reads it, and returns its path and all seeds: it, and the corpus."""
    name, write, read = READERS[reader]
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    write(path)
    read(path)
    return path, [path.read_bytes(), *(p.read_bytes() for p in corpus_folder(reader).glob("*"))]


def read_damaged(reader: str, path: Path) -> float:
    """Reads a damaged file, and returns the processor time that it took.

    Raises:
        Exception: whatever is not the one error, in one line, that damage should end in.
    """
    started = _processor_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            READERS[reader][2](path)
    except (UserError, SampleError) as error:
        assert "\n" not in str(error) and len(str(error)) < 2000
    return _processor_time() - started


@pytest.mark.parametrize("reader", READERS)
def test_damage_ends_in_a_good_read_or_in_one_error(tmp_path, reader):
    path, (seed, *found) = prepare(reader, tmp_path)
    for number, data in enumerate([*found, *mutations(seed, COUNT)]):
        path.write_bytes(data)
        try:
            assert read_damaged(reader, path) < SECONDS
        except BaseException as error:
            error.add_note(f"input {number} of {reader}")
            raise
