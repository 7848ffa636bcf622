"""What prediction returns and files hold: the bodies of a picture, and what each number means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from hmr.body.joints import COCOPLUS
from hmr.geometry.camera import WeakCamera, ordinary_focal_px, pinhole, weak_perspective_px
from hmr.geometry.crop import CropBox, from_normalized
from hmr.prediction.doubts import doubts
from hmr.prediction.people import Detection

SUMMARY_FILE = "prediction_summary.json"
# What files say about each quantity: shape per person, unit, frame.
QUANTITIES = {
    "label": "id of the person in the source of boxes, or number in the picture",
    "score": "confidence of that source, 1 where it has none",
    "rectangle_px": "(4,) left, top, width, height of the person; pixels of the picture",
    "box_center_px": "(2,) x, y of the square that the network saw; pixels of the picture",
    "box_scale": "crop pixels (of 224) per pixel of the picture: "
    "crop = (picture - box_center_px) * box_scale + 112",
    "theta": "(T, 85) camera 3, pose 72, shape 10 of every iteration; with --fit the fit's last",
    "camera_crop": "(3,) s, tx, ty: x = s (X + t) in the crop, -1 to 1 over 224 px, y down",
    "pose": "(72,) 24 axis-angles, radians, SMPL's joint order; the root turns into camera axes",
    "beta": "(10,) SMPL shape coefficients",
    "rotations": "(24, 3, 3) the same as matrices, each relative to its parent",
    "keypoints2d_px": "(19, 2) x, y; pixels of the picture",
    "joints3d_m": "(19, 3) the same keypoints in space; metres, camera axes, body origin",
    "smpl_joints_m": "(24, 3) SMPL's joints; metres, camera axes, body origin",
    "vertices_m": "(6890, 3) the mesh; metres, camera axes, body origin",
    "translation_full_m": "(3,) body origin in front of the picture's camera; metres, camera axes: "
    "keypoints2d_px = focal_px * (X + tx, Y + ty) / tz + principal_point_px",
    "focal_px": "focal length of that camera, the given one if there is one; pixels of the picture",
    "principal_point_px": "(2,) x, y; pixels of the picture",
    "translation_room_m": "(3,) the same for an ordinary lens, focal_room_px; for root motion and "
    "several people in one scene: bvh and glb files stand there",
    "focal_room_px": "focal length of that lens: given, else the picture's diagonal; pixels of it",
    "source_keypoints_px": "(19, 3) x, y, confidence of the keypoints that were found or given; "
    "pixels of the picture; zero where none counts",
    "reprojection_px": "(2,) mean distance of the body from these keypoints, before and after "
    "--fit; crop pixels (of 224); nan where there are none, or nothing was fitted",
    "uncertain": "whether the body is rather a guess, for one of these reasons",
    "doubts": "small, cut off by the border, few keypoints, far from the keypoints; thresholds in "
    "src/hmr/prediction/doubts.py",
}
FRAMES = (
    "Camera axes: x right, y down, z away from the viewer. The body origin is SMPL's: in every "
    "pose it lies straight below the pelvis joint, by 0.22 m (stand-in body, mean shape). Pixel "
    "centres lie at whole numbers, the first at (0, 0). keypoints2d_px and the overlay show all of "
    "a body at the distance tz of its origin. A perspective camera, which divides by Z + tz, moves "
    "a point by -Z / (Z + tz) of its distance from the principal point: by less than 0.5 px with "
    "the default focal_px, which is that long; by more with a given or an ordinary lens."
)


@dataclass(frozen=True)
class Body:
    """One person's body; every quantity is described in `QUANTITIES`, the frames in `FRAMES`."""

    label: str
    score: float
    rectangle_px: np.ndarray
    box_center_px: np.ndarray
    box_scale: float
    theta: np.ndarray
    camera_crop: np.ndarray
    pose: np.ndarray
    beta: np.ndarray
    rotations: np.ndarray
    keypoints2d_px: np.ndarray
    joints3d_m: np.ndarray
    smpl_joints_m: np.ndarray
    vertices_m: np.ndarray
    translation_full_m: np.ndarray
    focal_px: float
    principal_point_px: np.ndarray
    translation_room_m: np.ndarray
    focal_room_px: float
    source_keypoints_px: np.ndarray
    reprojection_px: np.ndarray
    doubts: tuple[str, ...] = ()

    @property
    def uncertain(self) -> bool:
        """Whether the body is rather a guess."""
        return bool(self.doubts)

    @property
    def box(self) -> CropBox:
        """The square that the network saw."""
        return CropBox(self.box_center_px, self.box_scale)

    @property
    def weak_camera(self) -> WeakCamera:
        """The crop's camera in pixels of the picture."""
        return weak_perspective_px(self.camera_crop, self.box)

    @property
    def vertices_px(self) -> np.ndarray:
        """(6890, 3) the mesh in pixels of the picture, and its depth in the same unit."""
        return self.weak_camera.project(self.vertices_m)


_NO_ARRAYS = ("label", "score", "doubts")
ARRAY_FIELDS = tuple(f.name for f in fields(Body) if f.name not in _NO_ARRAYS)


@dataclass(frozen=True)
class Result:
    """The bodies of one picture, ready to be written.

    Attributes:
        name: of the picture, as the files say it.
        height: pixels.
        width: pixels.
        bodies: its people.
        image: (H, W, 3) uint8 RGB; needed by the kinds that draw on it.
        fingerprint: of the model, the settings and the input file; a resumed run compares it.
        problems: a line for each person that was left out, kept in npz and json.
    """

    name: str
    height: int
    width: int
    bodies: list[Body]
    image: np.ndarray | None = None
    fingerprint: str = ""
    problems: tuple[str, ...] = ()


def body_from_outputs(
    outputs: Mapping[str, np.ndarray],
    person: Detection,
    box: CropBox,
    height: int,
    width: int,
    focal_px: float | None = None,
) -> Body:
    """One person of the network's outputs, placed in the picture.

    Args:
        outputs: the network's dictionary for one person (no batch axis), with vertices and,
            where the person's keypoints are known, `reprojection_px`.
        person: where they were found.
        box: the square that was cut.
        height: of the picture, pixels.
        width: of the picture, pixels.
        focal_px: of the lens, if known.

    Raises:
        UserError: the estimated camera shows nothing (s <= 0).
    """
    camera = np.asarray(outputs["camera"], np.float64)
    placed = pinhole(camera, box, height, width, focal_px)
    room_focal = focal_px or ordinary_focal_px(height, width)
    room = pinhole(camera, box, height, width, room_focal)
    crop_px = from_normalized(outputs["keypoints2d"])
    errors_px = outputs.get("reprojection_px", np.full(2, np.nan))
    before_px, after_px = errors_px
    error_px = before_px if np.isnan(after_px) else after_px
    known = person.keypoints2d_px
    return Body(
        label=person.label,
        score=person.score,
        rectangle_px=person.rectangle_px,
        box_center_px=box.center_px,
        box_scale=box.scale,
        theta=outputs["theta"],
        camera_crop=outputs["camera"],
        pose=outputs["pose"],
        beta=outputs["beta"],
        rotations=outputs["rotations"],
        keypoints2d_px=box.to_image(crop_px).astype(np.float32),
        joints3d_m=outputs["joints3d"],
        smpl_joints_m=outputs["smpl_joints"],
        vertices_m=outputs["vertices"],
        translation_full_m=placed.translation_m,
        focal_px=placed.focal_px,
        principal_point_px=placed.principal_point_px,
        translation_room_m=room.translation_m,
        focal_room_px=room.focal_px,
        source_keypoints_px=np.zeros((len(COCOPLUS), 3)) if known is None else known,
        reprojection_px=errors_px,
        doubts=doubts(person, error_px, height, width, box.scale),
    )
