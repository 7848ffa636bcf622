"""Made truth, written in each known variant of a dataset's files, is read as the same people."""

import json
import pickle
import random

import h5py
import numpy as np
import pytest
from cdflib.cdfwrite import CDF
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from hmr.body.joints import (
    COCOPLUS,
    H36M32,
    LSP14,
    MPI_INF_3DHP17,
    MPI_INF_3DHP28,
    MPII16,
    OPENPOSE18,
    take_joints,
)
from tests.tfrecords_tools.test_neutrmosh import python2_pickle
from tfrecords_tools import amass, h36m, lsp, lsp_ext, mpi_inf_3dhp, mpii, neutrmosh, pw3d
from tfrecords_tools.common import cdf, matlab
from tfrecords_tools.common.cli import build_parser
from tfrecords_tools.common.jobs import SampleError

quick = settings(
    max_examples=10, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
FLOATS = (np.float32, np.float64)


@pytest.fixture(autouse=True, scope="module")
def _in_this_process():
    """These files are sound: no process of their own."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (matlab, cdf, mpi_inf_3dhp):
            patch.setattr(module, "read_apart", lambda read, path: read(path))
        yield


class Pen:
    """Chooses among variants, and makes numbers, by a seed."""

    def __init__(self, seed):
        self.random, self.numbers = random.Random(seed), np.random.default_rng(seed)

    def one_of(self, *values):
        return self.random.choice(values)

    def array(self, *shape, low=20, high=280):
        """Numbers of one decimal, as most annotations have them."""
        return self.numbers.uniform(low, high, shape).round(1)

    def flags(self, *shape):
        """0 or 1; at least one of each row is 1."""
        flags = self.numbers.integers(0, 2, shape)
        flags[..., 0] = 1
        return flags

    def pickle(self, path, content):
        if self.one_of(True, False):
            python2_pickle(path, content)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(content, protocol=self.one_of(2, 4)))


PENS = st.integers(0, 10**6).map(Pen)


def same_labels(labels, points, names):
    """Labels hold points (K, 3) x, y, flag that are called `names`."""
    expected = take_joints(points, names, COCOPLUS)
    seen = expected[:, 2] > 0
    np.testing.assert_array_equal(labels.visibility > 0, seen)
    np.testing.assert_allclose(labels.keypoints2d_px[seen], expected[seen, :2], atol=1e-3)


def planned(module, folder, split, *options):
    """The pictures with their people that a conversion would write."""
    arguments = ["--input", str(folder), "--output", "out", "--splits", split, *options]
    (job,) = module.CONVERTER.plan(build_parser(module.CONVERTER).parse_args(arguments)).jobs
    return [picture for unit in job.units for picture in unit]


def write_joints(pen, folder, joints, transposed):
    """joints (N, 14, 3) as the two releases have them, 3 x 14 x N or 14 x 3 x N."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    axes = (1, 2, 0) if transposed else (2, 1, 0)
    values = joints.transpose(axes).astype(pen.one_of(*FLOATS))
    extras = pen.one_of({}, {"version": "1"})
    packed = pen.one_of(True, False)
    savemat(folder / "joints.mat", {"joints": values, **extras}, do_compression=packed)


@quick
@given(pen=PENS, count=st.integers(2, 5), half=st.sampled_from(["train", "test"]))
def test_lsp(tmp_path, pen, count, half):
    occluded = 1 - pen.flags(count, 14)
    joints = np.concatenate([pen.array(count, 14, 2), occluded[..., None]], axis=2)
    write_joints(pen, tmp_path, joints, pen.one_of(True, False))
    rows = range(count // 2) if half == "train" else range(count // 2, count)
    pictures = planned(lsp, tmp_path, half, *pen.one_of((), ("--original_size",)))
    assert [picture.path.name for picture in pictures] == [f"im{row + 1:04d}.jpg" for row in rows]
    for row, picture in zip(rows, pictures, strict=True):
        seen = np.column_stack([joints[row, :, :2], 1 - occluded[row]])
        same_labels(picture.people[0], seen, LSP14)


@quick
@given(pen=PENS, count=st.integers(1, 5), high=st.booleans())
def test_lsp_extended(tmp_path_factory, pen, count, high):
    folder = tmp_path_factory.mktemp("lsp_ext")
    joints = np.concatenate([pen.array(count, 14, 2), pen.flags(count, 14)[..., None]], axis=2)
    joints[joints[..., 2] == 0, :2] = pen.one_of(0, -1e5, np.nan)
    write_joints(pen, folder, joints, transposed=True)
    names = [f"im{row + 1:05d}.jpg" for row in range(count)]
    if high:  # its numbers have gaps
        (folder / "images").rmdir()
        names = [f"im{3 * row + 2:05d}.png" for row in range(count)]
        for name in names[:: pen.one_of(1, -1)]:
            (folder / name).touch()
    pictures = planned(lsp_ext, folder, "train")
    assert [picture.path.name for picture in pictures] == names
    for person, picture in zip(joints, pictures, strict=True):
        same_labels(picture.people[0], person, LSP14)


def structs(items):
    """A MATLAB struct array of dicts with the same keys."""
    array = np.zeros(len(items), [(key, object) for key in items[0]])
    for row, item in enumerate(items):
        array[row] = tuple(item.values())
    return array


def rectangle(pen, person):
    """person (16, 3): the annotated joints in any order."""
    points = [
        {"x": x + 1, "y": y + 1, "id": index,
         "is_visible": pen.one_of("1", "0", 1.0, np.array([]))}
        for index, (x, y, flag) in enumerate(person) if flag
    ]  # fmt: skip
    pen.random.shuffle(points)
    extras = pen.one_of({}, {"x1": 1, "y1": 1, "x2": 2, "y2": 2, "objpos": {"x": 5, "y": 6}})
    return {**extras, "scale": 1.0, "annopoints": {"point": structs(points)}}


@quick
@given(pen=PENS, counts=st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_mpii_in_matlab(tmp_path, pen, counts):
    flags = pen.flags(4, 3, 16)
    flags[..., 1] = 1  # who has a single joint is left out
    people = np.concatenate([pen.array(4, 3, 16, 2), flags[..., None]], axis=3)
    apart = [sorted(pen.random.sample(range(count), min(count, 2))) for count in counts]
    pictures = []
    for at, count in enumerate(counts):
        extras = pen.one_of({}, {"scale": 2.0})
        rows = [{**rectangle(pen, person), **extras} for person in people[at, :count]]
        keys = set.intersection(*map(set, rows)) if rows else set()
        rows = [{key: row[key] for key in sorted(keys)} for row in rows]
        listed = structs(rows) if rows else np.array([])
        bare = rows[0] if count == 1 and pen.one_of(True, False) else listed
        pictures.append({"image": {"name": f"{at:09d}.jpg"}, "annorect": bare, "vidx": 1})
    single = np.empty((len(counts), 1), object)
    for at, chosen in enumerate(apart):
        single[at, 0] = np.array(chosen, float) + 1
    train = np.array([pen.one_of(0, 1) for _ in counts], pen.one_of(float, np.uint8))
    release = {"annolist": structs(pictures), "img_train": train, "single_person": single}
    path = tmp_path / "mpii_human_pose_v1_u12_1.mat"
    savemat(path, {"RELEASE": release}, do_compression=pen.one_of(True, False))
    expected = [(at, person) for at, rows in enumerate(apart) if train[at] for person in rows]
    found = list(mpii.read_release(path))
    assert [name for name, _ in found] == [f"{at:09d}.jpg" for at, _ in expected]
    for (_, labels), at in zip(found, expected, strict=True):
        same_labels(labels, people[at], MPII16)


@quick
@given(pen=PENS, count=st.integers(1, 4))
def test_mpii_in_json(tmp_path, pen, count):
    people = np.concatenate([pen.array(count, 16, 2), pen.flags(count, 16)[..., None]], axis=2)
    lost, as_whole = pen.one_of(-1.0, 0.0), pen.one_of(int, float, bool)
    content = [
        {
            "image": f"{at:09d}.jpg", "center": [100.0, 100.0], "scale": 1.2,
            "joints": np.where(person[:, 2:] > 0, person[:, :2] + 1, lost).tolist(),
            "joints_vis": pen.one_of(np.ravel, np.asarray)(person[:, 2:].astype(as_whole)).tolist(),
            **pen.one_of({}, {"torso_angle": None}),
        }
        for at, person in enumerate(people)
    ]  # fmt: skip
    (tmp_path / "train.json").write_text(json.dumps(content, indent=pen.one_of(None, 1)))
    found = list(mpii.read_json(tmp_path / "train.json"))
    assert [name for name, _ in found] == [f"{at:09d}.jpg" for at in range(count)]
    for (_, labels), person in zip(found, people, strict=True):
        same_labels(labels, person, MPII16)


@quick
@given(pen=PENS, frames=st.integers(1, 6), dimensions=st.sampled_from([2, 3]))
def test_poses_of_human36m(tmp_path, pen, frames, dimensions):
    truth = pen.array(frames, 32, dimensions, low=-900, high=4000)
    flat = truth.reshape(1, frames, -1)
    kind, numpy_kind = pen.one_of((CDF.CDF_FLOAT, np.float32), (CDF.CDF_DOUBLE, np.float64))
    per_frame = pen.one_of(True, False)
    values = (flat[0] if per_frame else flat).astype(numpy_kind)
    written = CDF(tmp_path / "pose.cdf", delete=True)
    spec = {
        "Variable": "Pose", "Data_Type": kind, "Num_Elements": 1, "Rec_Vary": True,
        "Dim_Sizes": list(values.shape[1:]), "Compress": pen.one_of(0, 6),
    }  # fmt: skip
    written.write_var(spec, var_data=values)
    written.close()
    found = cdf.read_positions(tmp_path / "pose.cdf", dimensions)
    np.testing.assert_allclose(found, truth, atol=1e-3)
    assert cdf.count_rows(tmp_path / "pose.cdf", dimensions) == frames
    assert found.shape[1] == len(H36M32)


@quick
@given(pen=PENS)
def test_metadata_of_human36m(tmp_path, pen):
    subjects = list(range(1, 12))
    pen.random.shuffle(subjects)
    names = {(s, a, u): f"Take {s} {a} {u}" for s in subjects for a in range(1, 17) for u in (1, 2)}
    space = pen.one_of("", "\n  ")
    cell = f"{space}<td>{{}}</td>".format
    rows = [cell("") * 2 + "".join(cell(f"S{subject}") for subject in subjects)]
    rows += [
        cell(a) + cell(u) + "".join(cell(names[s, a, u]) for s in subjects)
        for a in range(1, 17)
        for u in (1, 2)
    ]
    extra = pen.one_of("", f"{space}<tr><td>17</td><td>1</td></tr>")
    table = "".join(f"{space}<tr>{row}</tr>" for row in rows) + extra
    lenses = pen.array(4, 9, low=100, high=1200)
    numbers = [*np.zeros(4 * 11 * 6), *lenses.ravel()]
    w0 = pen.one_of("[{}]", "{}", "\n[{}]\n").format(
        pen.one_of(" ", "\n", "  ").join(map(str, numbers))
    )
    cameras = ["54138969", "55011271", "58860488", "60457274"]
    ids = "".join(f"{space}<item>{camera}</item>" for camera in cameras)
    start = pen.one_of("", '<?xml version="1.0" encoding="utf-8"?>\n')
    (tmp_path / "metadata.xml").write_text(
        f"{start}<metadata>{space}<mapping>{table}</mapping><other/>{space}<dbcameras>"
        f"<index2id>{ids}</index2id></dbcameras><w0>{w0}</w0></metadata>"
    )
    found = h36m.read_metadata(tmp_path / "metadata.xml")
    assert found.camera_names == cameras and found.prefixes == names
    middles = np.column_stack([lenses[:, :2].mean(axis=1), lenses[:, 2:4]])
    np.testing.assert_allclose(found.intrinsics_px, middles)


def write_calibration(pen, path, lenses):
    """lenses: camera -> focal lengths of both axes, cx, cy."""
    blocks = []
    for camera, (fx, fy, cx, cy) in lenses.items():
        matrix = np.diag([fx, fy, 1, 1]).astype(float)
        matrix[:2, 2] = cx, cy
        lines = [
            f"name          {camera}", "  sensor      10 10", "  size        2048 2048",
            "  animated    0", f"  intrinsic   {' '.join(map(str, matrix.ravel()))} ",
            f"  extrinsic   {' '.join(map(str, np.eye(4).ravel()))} ", "  radial      0",
        ]  # fmt: skip
        blocks += [line.strip() for line in lines] if pen.one_of(True, False) else lines
        blocks += pen.one_of([], [""])
    ends = pen.one_of("\n", "\r\n")
    path.write_bytes(ends.join(["Skeletool Camera Calibration File V1.0", *blocks, ""]).encode())


@quick
@given(pen=PENS, frames=st.integers(1, 4))
def test_sessions_of_mpi_inf_3dhp(tmp_path, pen, frames):
    cameras = list(range(14))
    lenses = {
        camera: pen.array(4, low=500, high=900) for camera in pen.one_of(cameras, cameras[::-1])
    }
    write_calibration(pen, tmp_path / "camera.calibration", lenses)
    filmed = [camera for camera in cameras if pen.one_of(True, True, False)] or [0]
    sizes, kind = {"annot2": 2, "annot3": 3}, pen.one_of(*FLOATS)
    truth = {key: pen.array(14, frames, 28, size) for key, size in sizes.items()}
    upright = pen.one_of(True, False)
    cells = {key: np.empty((14, 1) if upright else (1, 14), object) for key in sizes}
    for key, camera in ((key, camera) for key in sizes for camera in cameras):
        cell = truth[key][camera].reshape(frames, -1).astype(kind)
        cells[key].flat[camera] = cell if camera in filmed else np.zeros((0, 0))
    numbers = np.arange(frames).astype(pen.one_of(float, np.int32))
    content = {
        **cells, "univ_annot3": cells["annot3"], "cameras": np.array(cameras)[None],
        "frames": pen.one_of(numbers[:, None], numbers[None]),
    }  # fmt: skip
    savemat(tmp_path / "annot.mat", content, do_compression=pen.one_of(True, False))
    found = mpi_inf_3dhp.read_session(tmp_path, "S1_Seq1")
    assert found.frames.tolist() == list(range(frames)) and sorted(found.joints2d_px) == filmed
    for camera in filmed:
        pixels, joints = (take_joints(truth[key][camera], MPI_INF_3DHP28, LSP14) for key in sizes)
        np.testing.assert_allclose(found.joints2d_px[camera], pixels, atol=1e-3)
        np.testing.assert_allclose(found.joints3d_mm[camera], joints, atol=1e-3)
        fx, fy, cx, cy = lenses[camera]
        np.testing.assert_allclose(found.intrinsics_px[camera], [(fx + fy) / 2, cx, cy])


@quick
@given(pen=PENS, frames=st.integers(1, 4), truth_name=st.sampled_from(mpi_inf_3dhp.GROUND_TRUTHS))
def test_test_set_of_mpi_inf_3dhp(tmp_path, pen, frames, truth_name):
    valid, activities = pen.flags(frames), pen.numbers.integers(1, 8, frames)
    joints = pen.array(frames, 17, 3, low=-800, high=800) + (0, 0, 4000)
    pixels = joints[..., :2] / joints[..., 2:] * 1500 + (1000, 990)
    lone = pen.one_of(True, False)
    kind, whole = pen.one_of(*FLOATS), pen.one_of(float, np.uint8)
    row = pen.one_of((-1, 1), (1, -1))
    arrays = {"annot2": pixels, "annot3": joints, "univ_annot3": 0.9 * joints}
    with h5py.File(tmp_path / "annot_data.mat", "w") as file:
        for key, values in arrays.items():
            file[key] = (values[:, None] if lone else values).astype(kind)
        file["valid_frame"] = valid.reshape(row).astype(whole)
        file["activity_annotation"] = activities.reshape(row).astype(whole)
    found = list(mpi_inf_3dhp.read_test_sequence(tmp_path, truth_name))
    assert [frame.frame for frame in found] == np.flatnonzero(valid).tolist()
    for frame in found:
        expected = take_joints(arrays[truth_name][frame.frame], MPI_INF_3DHP17, LSP14)
        np.testing.assert_allclose(frame.joints3d_lsp_mm, expected, rtol=1e-5)
        np.testing.assert_allclose(frame.intrinsics_px, [1500, 1000, 990], rtol=1e-2)
        assert frame.path.name == f"img_{frame.frame + 1:06d}.jpg"
        name = mpi_inf_3dhp.ACTIVITIES[activities[frame.frame]]
        assert frame.extras == {"activity": name}


@quick
@given(pen=PENS, frames=st.integers(1, 3), actors=st.integers(1, 2))
def test_3dpw(tmp_path, pen, frames, actors):
    poses, valid = pen.array(actors, frames, 72, low=-2, high=2), pen.flags(actors, frames)
    shapes = pen.array(actors, 10, low=-2, high=2)
    cameras = np.tile(np.eye(4), (frames, 1, 1))
    cameras[:, :3, :3] = Rotation.random(frames, random_state=1).as_matrix()
    points = np.concatenate(
        [pen.array(actors, frames, 18, 2), np.full((actors, frames, 18, 1), 0.7)], 3
    )
    points[..., 15, :] = 0  # not detected
    kind = pen.one_of(np.float64, np.float32)
    known = valid.astype(pen.one_of(bool, int, float))
    genders = [pen.one_of("m", "f") for _ in range(actors)]
    pen.pickle(
        tmp_path / "walk_00.pkl",
        {
            "sequence": "walk_00", "cam_poses": cameras, "poses": list(poses.astype(kind)),
            "betas": [np.pad(each, (0, pen.one_of(0, 290))) for each in shapes],
            "trans": list(np.zeros((actors, frames, 3))), "genders": genders,
            "poses2d": list(points.transpose(0, 1, 3, 2).astype(kind)),
            "campose_valid": list(pen.one_of(known, known[..., None])),
            "cam_intrinsics": np.array([[1960.0, 0, 150], [0, 1970, 200], [0, 0, 1]]),
            **pen.one_of({}, {"img_frame_ids": np.arange(frames), "texture_maps": []}),
        },
    )  # fmt: skip
    sequence = pw3d.read_sequence(tmp_path / "walk_00.pkl")
    np.testing.assert_allclose(sequence.intrinsics_px, [1965, 150, 200])
    found = list(pw3d.select_people(sequence, None))
    assert [frame for frame, _ in found] == list(range(frames)) * actors
    for (frame, labels), actor in zip(found, np.repeat(range(actors), frames), strict=True):
        assert isinstance(labels, SampleError) == (not valid[actor, frame])
        if valid[actor, frame]:
            same_labels(labels, points[actor, frame], OPENPOSE18)
            np.testing.assert_allclose(labels.extras["beta"], shapes[actor], atol=1e-5)
            np.testing.assert_allclose(
                labels.extras["pose"][3:], poses[actor, frame, 3:], atol=1e-5
            )
            turned = (
                cameras[frame, :3, :3] @ Rotation.from_rotvec(poses[actor, frame, :3]).as_matrix()
            )
            root = Rotation.from_rotvec(labels.extras["pose"][:3]).as_matrix()
            np.testing.assert_allclose(root, turned, atol=1e-5)
            assert labels.extras["gender"] == genders[actor]


@quick
@given(pen=PENS, frames=st.integers(1, 9), every=st.integers(1, 3))
def test_takes_of_neutrmosh(tmp_path, pen, frames, every):
    poses, beta = pen.array(frames, 72, low=-2, high=2), pen.array(10, low=-2, high=2)
    kind = pen.one_of(*FLOATS)
    content = {
        pen.one_of("poses", "new_poses"): poses.astype(kind),
        "betas": pen.one_of(beta, beta[None], np.append(beta, np.zeros(6))).astype(kind),
        **pen.one_of({}, {"trans": np.zeros((frames, 3)), "gender": "neutral", "fps": 120}),
    }
    pen.pickle(tmp_path / "take.pkl", content)
    found, shape = neutrmosh.read_take(tmp_path / "take.pkl", every)
    np.testing.assert_allclose(found, poses[::every], atol=1e-6)
    np.testing.assert_allclose(shape, beta, atol=1e-6)


@quick
@given(pen=PENS, frames=st.integers(1, 5))
def test_fits_of_human36m(tmp_path, pen, frames):
    poses, beta = pen.array(frames, 72, low=-1, high=1), pen.array(10, low=-2, high=2)
    over = Rotation.from_rotvec(poses[:, :3]) * Rotation.from_rotvec([-np.pi, 0, 0])
    stored = np.column_stack([over.as_rotvec(), poses[:, 3:]])
    kind = pen.one_of(*FLOATS)
    content = {
        "new_poses": pen.one_of(stored, stored[:, None], list(stored)),  # (N, 72) or (N, 1, 72)
        "betas": pen.one_of(beta, beta[None], np.append(beta, np.zeros(6))).astype(kind),
        **pen.one_of({}, {"poses": stored[::-1].copy(), "trans": np.zeros((frames, 3))}),
    }
    pen.pickle(tmp_path / "walk_cam0_aligned.pkl", content)
    found, shape = neutrmosh.read_fits(tmp_path / "walk_cam0_aligned.pkl")
    np.testing.assert_allclose(found, poses, atol=1e-5)
    np.testing.assert_allclose(shape, beta, atol=1e-6)


@quick
@given(pen=PENS, frames=st.integers(1, 30), rate=st.sampled_from([12, 24, 59.99, 60, 120]))
def test_takes_of_amass(tmp_path, pen, frames, rate):
    width = pen.one_of(72, 156, 165)
    poses, beta = pen.array(frames, width, low=-2, high=2), pen.array(10, low=-2, high=2)
    kind = pen.one_of(*FLOATS)
    content = {
        "poses": poses.astype(kind), "betas": np.pad(beta, (0, pen.one_of(0, 6, 290))).astype(kind),
        "gender": pen.one_of(np.array(b"female"), np.array("male"), "neutral"),
        pen.one_of("mocap_framerate", "mocap_frame_rate"): pen.one_of(np.array(rate), rate),
        **pen.one_of({}, {"trans": np.zeros((frames, 3)), "dmpls": np.zeros((frames, 8))}),
    }  # fmt: skip
    pen.one_of(np.savez, np.savez_compressed)(tmp_path / "take_poses.npz", **content)
    found, shape = amass.read_take(tmp_path / "take_poses.npz", 12.0)
    kept = poses[:: round(round(rate) / 12)]
    np.testing.assert_allclose(found[:, :66], kept[:, :66], atol=1e-6)
    hands = kept[:, 66:] if width == 72 else np.zeros((len(kept), 6))
    np.testing.assert_allclose(found[:, 66:], hands, atol=1e-6)
    np.testing.assert_allclose(shape, beta, atol=1e-6)
