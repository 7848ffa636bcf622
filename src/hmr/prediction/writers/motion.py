"""Motion of a video's people: a table of all of them, and files for other programs.

Frames are kept in a file without a name until the video ends; then the people are smoothed and
written one by one, each joint by joint.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hmr.body.joints import SMPL_PARENTS
from hmr.body.model_file import BodyModel, rest_body
from hmr.files.whole import scratch_folder, whole_file, write_whole
from hmr.motion.clip import Clip, by_joint, joints_m
from hmr.motion.feet import plant
from hmr.motion.ground import Ground, find_ground
from hmr.motion.smooth import smooth
from hmr.prediction.result import Body, Result
from hmr.prediction.writers.bvh import write_bvh
from hmr.prediction.writers.gltf import write_animated_glb
from hmr.prediction.writers.obj import to_y_up
from hmr.rendering.draw import person_color

_ROW = np.dtype([
    ("frame", "i4"), ("label", "i4"), ("pose", "f4", 72), ("beta", "f4", 10),
    ("translation_m", "f4", 3), ("rectangle_px", "f4", 4), ("score", "f4"), ("uncertain", "?"),
])  # fmt: skip
TABLE = {
    "label": "(P,) ids of the people",
    "rate": "frames per second; there are T frames",
    "seen": "(P, T) whether the person was seen; between that the motion is interpolated",
    "score": "(P, T) confidence of who found them; nan where they are not seen",
    "uncertain": "(P, T) whether the body is rather a guess",
    "rectangle_px": "(P, T, 4) left, top, width, height; pixels of the video",
    "pose": "(P, T, 72) 24 axis-angles, radians, smooth; the root turns into camera axes",
    "beta": "(P, 10) SMPL shape, the median of the person's frames",
    "translation_m": "(P, T, 3) body origin before the camera with an ordinary or the given lens",
    "smpl_joints_m": "(P, T, 24, 3) SMPL's joints there; metres, camera axes (y down)",
    "contact": "(P, T, 2) whether the left and the right foot stands",
    "up": "(3,) away from the floor, camera axes",
    "camera_height_m": "of the camera above the floor: up @ X = -camera_height_m on it",
    "levelled_from_camera": "(4, 4) to the axes of glb and bvh but for y, which is down here: "
    "the floor is y = 0",
    "smoothing": "strength, 0 to 1",
}
"""What the table holds; nan (False in `seen`) where a person is not there."""
_PER_FRAME = {"pose": 72, "translation_m": 3, "smpl_joints_m": 72, "rectangle_px": 4, "score": 1}
_GENDER = "neutral"
_AMASS_POSE, _AMASS_BETAS, _AMASS_DMPLS = 156, 16, 8


class MotionWriter:
    """Takes a video's frames one by one, and writes its motion when it is closed.

    Args:
        base: path without suffix that the names of the files begin with.
        kinds: "motion", "bvh" or both.
        body: the arrays of the body model.
        rate: frames per second.
        strength: of the smoothing, 0 to 1.
    """

    def __init__(
        self, base: Path, kinds: tuple[str, ...], body: BodyModel, rate: float, strength: float
    ):
        self._base, self._kinds, self._body = base, kinds, body
        self._rate, self._strength = rate, strength
        self._rows = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `abandon`)
        self._labels: dict[str, int] = {}
        self._num_frames = 0

    def add(self, result: Result, frame: int) -> None:
        """Keeps a frame's people; frames are numbered from 0."""
        self._num_frames = max(self._num_frames, frame + 1)
        for person in result.bodies:
            self._rows.write(self._row(person, frame).tobytes())

    def _row(self, person: Body, frame: int) -> np.ndarray:
        row = np.zeros((), _ROW)
        row["frame"], row["label"] = frame, self._labels.setdefault(person.label, len(self._labels))
        row["translation_m"] = person.translation_room_m
        for name in ("pose", "beta", "rectangle_px", "score", "uncertain"):
            row[name] = getattr(person, name)
        return row

    def close(self) -> list[Path]:
        """Writes the files and returns their paths."""
        self._rows.flush()
        if not self._labels:
            return []
        rows = np.memmap(self._rows, _ROW, "r")
        with scratch_folder(self._base.with_name(f"{self._base.name}_motion")) as folder:
            table = _Table(folder, list(self._labels), self._num_frames)
            for index, label in enumerate(self._labels):
                own = rows[rows["label"] == index]
                clip = self._clip(label, own)
                table.fill(index, own, plant(smooth(clip, self._strength), self._body), self._body)
            ground = table.find_ground(self._body)
            paths = [path for clip in table.clips(self._rate) for path in self._write(clip, ground)]
            if "motion" in self._kinds:
                paths.append(table.save(self._base, ground, self._rate, self._strength))
                paths.append(table.save_player(self._base, ground, self._rate))
        return paths

    def _clip(self, label: str, own: np.ndarray) -> Clip:
        first = int(own["frame"].min())
        count = int(own["frame"].max()) - first + 1
        at = own["frame"] - first
        seen = np.zeros(count, bool)
        seen[at] = True
        rotations = np.zeros((count, 24, 3, 3), np.float32)
        rotations[at] = _matrices(own["pose"])
        translation_m = np.ones((count, 3))
        translation_m[at] = own["translation_m"]
        beta = np.median(own["beta"], axis=0)
        return Clip(label, first, self._rate, seen, rotations, beta, translation_m)

    def _write(self, clip: Clip, ground: Ground) -> Iterator[Path]:
        """A person's files, with the floor level and at height 0."""
        name = "".join(c if c.isalnum() or c in "-." else "_" for c in clip.label)
        stem = f"{self._base.name}_{name}"
        _, rest = rest_body(self._body, clip.beta)
        turn, shift = ground.levelled[:3, :3], ground.levelled[:3, 3]
        rotations = clip.rotations
        rotations[:, 0] = turn @ rotations[:, 0]
        pelvis_m = (rest[0] + clip.translation_m) @ turn.T + shift
        path = self._base.with_name(f"{stem}.bvh")
        write_bvh(path, rotations, pelvis_m, rest, self._rate)
        yield path
        if "motion" in self._kinds:
            seconds = (clip.first_frame + np.arange(len(clip))) / self._rate
            path = self._base.with_name(f"{stem}_motion.glb")
            places = pelvis_m - rest[0]
            write_animated_glb(path, self._body, rotations, places, clip.beta, seconds)
            yield path
            path = self._base.with_name(f"{stem}_poses.npz")
            write_amass(path, rotations, pelvis_m, rest[0], clip)
            yield path

    def abandon(self) -> None:
        """Forgets what was kept."""
        self._rows.close()


def _matrices(pose: np.ndarray) -> np.ndarray:
    """(N, 72) axis-angles -> (N, 24, 3, 3)."""
    turns = pose.reshape(-1, 24, 3)
    return by_joint(turns, lambda own: Rotation.from_rotvec(own).as_matrix(), 3, 3, kind="f4")


def _axis_angles(matrices: np.ndarray) -> np.ndarray:
    return Rotation.from_matrix(matrices).as_rotvec()


def write_amass(
    path: Path, rotations: np.ndarray, pelvis_m: np.ndarray, rest_pelvis_m: np.ndarray, clip: Clip
) -> None:
    """A person's motion as AMASS has it (SMPL+H poses, z up), to be read by its readers.

    Args:
        path: of the npz.
        rotations: (N, 24, 3, 3) local; the root's in level axes, y down, z away.
        pelvis_m: (N, 3) the pelvis joint, the same axes; the floor is y = 0.
        rest_pelvis_m: (3,) where it is before posing.
        clip: shape, rate and first frame.
    """
    z_up = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    turned = rotations.copy()
    turned[:, 0] = z_up @ turned[:, 0]
    poses = np.zeros((len(clip), _AMASS_POSE))
    # SMPL's two hands are no joints of SMPL+H; fingers stay at rest.
    poses[:, :66] = by_joint(turned, _axis_angles, 3).reshape(-1, 72)[:, :66]
    arrays = {
        "poses": poses,
        "trans": pelvis_m @ z_up.T - rest_pelvis_m,
        "betas": np.pad(clip.beta, (0, _AMASS_BETAS - len(clip.beta))),
        "dmpls": np.zeros((len(clip), _AMASS_DMPLS)),
        "gender": np.str_(_GENDER),
        "mocap_framerate": np.float64(clip.rate),
        "first_frame": np.int64(clip.first_frame),
    }
    write_whole(path, lambda file: np.savez_compressed(file, **arrays))


class _Table:
    """The arrays of `TABLE` as files in a folder: they may be larger than memory.

    Args:
        folder: for the files.
        labels: of the P people.
        num_frames: T.
    """

    def __init__(self, folder: Path, labels: list[str], num_frames: int):
        self._labels = labels
        shape = (len(labels), num_frames)

        def column(name: str, kind: str, *more: int) -> np.ndarray:
            path = folder / f"{name}.npy"
            return np.lib.format.open_memmap(path, "w+", kind, (*shape, *more))

        self._columns = {name: column(name, "f4", size) for name, size in _PER_FRAME.items()}
        for values in self._columns.values():
            values[:] = np.nan
        self._columns |= {name: column(name, "?") for name in ("seen", "uncertain")}
        self._columns["contact"] = column("contact", "?", 2)
        self._spans = np.zeros((len(labels), 2), int)
        self._betas = np.zeros((len(labels), 10), np.float32)

    def fill(self, index: int, own: np.ndarray, clip: Clip, body: BodyModel) -> None:
        """Enters a person: the rows that were seen, and the clip made of them."""
        span = slice(clip.first_frame, clip.first_frame + len(clip))
        self._spans[index], self._betas[index] = (span.start, span.stop), clip.beta
        values = {name: column[index] for name, column in self._columns.items()}
        joints = joints_m(clip.rotations, clip.translation_m, rest_body(body, clip.beta)[1])
        values["pose"][span] = by_joint(clip.rotations, _axis_angles, 3).reshape(-1, 72)
        values["translation_m"][span] = clip.translation_m
        values["smpl_joints_m"][span] = joints.reshape(-1, 72)
        values["seen"][span], values["contact"][span] = clip.seen, clip.contact
        for name in ("rectangle_px", "score", "uncertain"):
            values[name][own["frame"]] = own[name].reshape(len(own), *values[name].shape[1:])

    def find_ground(self, body: BodyModel) -> Ground:
        """The floor under everybody's standing feet."""
        feet, upright = [], []
        for joints, contact in zip(
            self._columns["smpl_joints_m"], self._columns["contact"], strict=True
        ):
            frames, sides = np.nonzero(contact)
            places = joints.reshape(-1, 24, 3)
            feet.append(places[frames, 10 + sides])
            upright.append(places[frames, 15] - places[frames][:, [7, 8]].mean(axis=1))
        directions = np.concatenate(upright)
        return find_ground(np.concatenate(feet), directions.sum(axis=0))

    def clips(self, rate: float) -> Iterator[Clip]:
        """The people again, one by one."""
        for index, label in enumerate(self._labels):
            first, end = self._spans[index]
            values = {name: column[index, first:end] for name, column in self._columns.items()}
            yield Clip(
                label,
                int(first),
                rate,
                np.array(values["seen"]),
                _matrices(values["pose"]),
                self._betas[index],
                np.array(values["translation_m"], np.float64),
                np.array(values["contact"]),
            )

    def save(self, base: Path, ground: Ground, rate: float, strength: float) -> Path:
        """Writes `<video>_motion.npz`."""
        path = base.with_name(f"{base.name}_motion.npz")
        people, frames = self._columns["seen"].shape
        arrays = {
            **self._columns,
            "smpl_joints_m": self._columns["smpl_joints_m"].reshape(people, frames, 24, 3),
            "score": self._columns["score"][..., 0],
            "label": np.array(self._labels, np.str_),
            "beta": self._betas,
            "rate": np.float64(rate),
            "up": ground.up,
            "camera_height_m": np.float64(ground.height_m),
            "levelled_from_camera": ground.levelled,
            "smoothing": np.float64(strength),
            "quantities": np.str_(json.dumps(TABLE)),
        }
        write_whole(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]
        return path

    def save_player(self, base: Path, ground: Ground, rate: float) -> Path:
        """Writes `<video>_motion.html`, which plays everybody's joints and needs no other file."""
        path = base.with_name(f"{base.name}_motion.html")
        head = {
            "title": base.name,
            "rate": rate,
            "frames": self._columns["seen"].shape[1],
            "labels": self._labels,
            "colors": ["rgb({},{},{})".format(*person_color(k)) for k in range(len(self._labels))],
            "parents": list(SMPL_PARENTS),
            "seen": ["".join(map(str, seen.astype(int))) for seen in self._columns["seen"]],
        }
        # A label or file name from outside must not end the script element.
        text = json.dumps(head, separators=(",", ":")).replace("<", "\\u003c")
        template = files("hmr.prediction.writers").joinpath("motion.html").read_text("utf-8")
        before, after = template.split("__JOINTS__")
        turn, shift = ground.levelled[:3, :3], ground.levelled[:3, 3]
        with whole_file(path) as partial, open(partial, "w", encoding="utf-8") as file:
            file.write(before.replace("__DATA__", text))
            for joints in self._columns["smpl_joints_m"]:
                places = to_y_up(joints.reshape(-1, 3) @ turn.T + shift).astype("<f4")
                data = base64.b64encode(places.tobytes()).decode()
                file.write(f'<script type="text/plain" class="joints">{data}</script>\n')
            file.write(after)
        return path
