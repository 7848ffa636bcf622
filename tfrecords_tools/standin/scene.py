"""Cameras, where people stand in front of them, and what comes between: occluders, lens, sensor.

Camera frame: x right, y down, z forwards, metres. World frame: y up. Pixel centres are integers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tfrecords_tools.standin.backgrounds import background_colour, draw_shape
from tfrecords_tools.standin.textures import draw_thing

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

BODY_HEIGHT_M = 1.7
BYTE_PAIR_SIGMA = 256 / np.sqrt(6)
FOCAL_LIMITS = (0.5, 4.0)
"""Focal lengths of any camera, relative to the longer side of the frame."""
ANY_PITCH_DEG, MOST_ROLL_DEG = (-30.0, 75.0), 15.0
CAMERAS = ("level", "any")


@dataclass(frozen=True)
class Lens:
    """A perspective camera without distortion; `center_px` is the principal point (x, y)."""

    focal_px: float
    center_px: tuple[float, float]
    width: int
    height: int

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of points (..., 3) in the camera frame, metres."""
        return self.focal_px * points_m[..., :2] / points_m[..., 2:] + np.array(self.center_px)

    def unproject(self, point_px: np.ndarray, depth_m: float) -> np.ndarray:
        """The point (3,), metres, camera frame, at a pixel (2,) and a depth."""
        ray = (np.asarray(point_px) - np.array(self.center_px)) / self.focal_px
        return depth_m * np.array([*ray, 1.0])

    def intrinsics(self) -> np.ndarray:
        """(3, 3) calibration matrix."""
        x, y = self.center_px
        return np.array([[self.focal_px, 0, x], [0, self.focal_px, y], [0, 0, 1.0]])


@dataclass(frozen=True)
class SceneStyle:
    """What the pictures of a dataset look like.

    Attributes:
        max_yaw_deg: people face the camera up to this angle to either side; 180 = all views.
        pitch_deg: range of the cameras' downward tilt.
        person_px: range of the height in the picture of a person who stands 1.7 m tall.
        backgrounds: "plain", "loud" or "rich".
        occluder_odds, truncation_odds: shares of pictures with things in front of the person, and
            with the person partly outside.
        bystander_odds: share of pictures with others beside, behind or in front of the person.
        poses: key of `poses.REPERTOIRES`.
        cameras: "level" or "any": from below to from above, rolled, wide angle to telephoto.
        framing: "whole", or "cut": also only upper bodies, legs, halves.
        clothes: "tight" (painted on the body) or "loose".
        light: "plain" or "varied".
        sensor: "clean" or "rough".
        photos: paths of photographs; most backgrounds are parts of them if there are any.
    """

    max_yaw_deg: float = 75.0
    pitch_deg: tuple[float, float] = (-10.0, 30.0)
    person_px: tuple[float, float] = (140.0, 190.0)
    backgrounds: str = "plain"
    occluder_odds: float = 0.2
    truncation_odds: float = 0.1
    bystander_odds: float = 0.0
    poses: str = "usual"
    cameras: str = "level"
    framing: str = "whole"
    clothes: str = "tight"
    light: str = "plain"
    sensor: str = "clean"
    photos: tuple[str, ...] = ()

    def for_frame(self, frame_px: int) -> SceneStyle:
        """The same style in square frames, people as large in them as in frames of 320 px."""
        factor = frame_px / 320
        smallest, largest = self.person_px
        return replace(self, person_px=(factor * smallest, factor * largest))


def sample_lens(rng: np.random.Generator, width: int, height: int, style: SceneStyle) -> Lens:
    """A lens between wide angle and telephoto, its principal point near the middle."""
    if style.cameras == "any":
        focal = max(width, height) * np.clip(np.exp(rng.normal(0.3, 0.5)), *FOCAL_LIMITS)
    else:
        focal = max(width, height) * rng.uniform(0.9, 2.2)
    middle = np.array([width - 1, height - 1]) / 2 + rng.normal(0.0, 2.0, size=2)
    return Lens(float(focal), (float(middle[0]), float(middle[1])), width, height)


def sample_tilt(rng: np.random.Generator, style: SceneStyle) -> float:
    """Downward tilt of a camera, degrees."""
    if style.cameras == "any":
        low, high = ANY_PITCH_DEG
        return float(low + (high - low) * rng.beta(2.2, 3.4))
    return rng.uniform(*style.pitch_deg)


def sample_roll(rng: np.random.Generator, style: SceneStyle, spread_deg: float) -> float:
    """Roll of a camera, degrees: normal, a little wider and within +-15 for any camera."""
    if style.cameras == "any":
        return float(np.clip(rng.normal(0.0, 6.0), -MOST_ROLL_DEG, MOST_ROLL_DEG))
    return rng.normal(0.0, spread_deg)


@dataclass(frozen=True)
class View:
    """How a camera is held: tilted down, rolled, and turned about the vertical.

    At azimuth 0 it looks along -z of the world, at the front of a body that faces +z.
    """

    pitch_deg: float
    roll_deg: float
    azimuth_deg: float = 0.0

    def rotation(self) -> Rotation:
        """Rotation from the world to the camera frame."""
        from scipy.spatial.transform import Rotation  # takes a quarter of a second to import

        tilt = Rotation.from_euler("ZX", [self.roll_deg, self.pitch_deg], degrees=True)
        turn = Rotation.from_euler("Y", -self.azimuth_deg, degrees=True)
        to_camera_axes = Rotation.from_rotvec([np.pi, 0.0, 0.0])
        return tilt * to_camera_axes * turn


def face_camera(pose: np.ndarray, yaw_deg: float, view: View) -> np.ndarray:
    """Turns a pose (72,) from the world into the camera frame; at yaw 0 it faces the camera."""
    from scipy.spatial.transform import Rotation

    heading = Rotation.from_euler("Y", view.azimuth_deg + yaw_deg, degrees=True)
    turned = view.rotation() * heading
    return np.concatenate([(turned * Rotation.from_rotvec(pose[:3])).as_rotvec(), pose[3:]])


def sample_pelvis(rng: np.random.Generator, lens: Lens, style: SceneStyle) -> np.ndarray:
    """A place for the pelvis (3,), metres, camera frame, from which most of the person is seen."""
    size_px = rng.uniform(*style.person_px)
    frame = np.array([lens.width, lens.height], np.float64)
    slack = np.maximum(frame - (0.7 * size_px, 1.05 * size_px), 0.0) / 2
    offset = rng.uniform(-slack, slack)
    if rng.random() < style.truncation_odds:
        side = rng.integers(2)
        overhang = rng.uniform(0.05, 0.4) * size_px
        offset[side] = rng.choice([-1, 1]) * (frame[side] / 2 - 0.5 * size_px + overhang)
    return lens.unproject((frame - 1) / 2 + offset, lens.focal_px * BODY_HEIGHT_M / size_px)


def draw_occluders(
    rng: np.random.Generator,
    picture: np.ndarray,
    person_box: tuple[int, int, int, int],
    backgrounds: str,
) -> np.ndarray:
    """Draws one or two things in front of a person, in place.

    Args:
        person_box: x, y, w, h of the person, pixels.
    Returns:
        (H, W) bool, where they hide the person.
    """
    hidden = np.zeros(picture.shape[:2], np.uint8)
    x, y, w, h = person_box
    for _ in range(rng.integers(1, 3)):
        size = np.array([w * rng.uniform(0.2, 0.6), h * rng.uniform(0.12, 0.35)])
        corner = np.array([x, y]) + rng.uniform(-0.3, 1.0, size=2) * (w, h) - 0.25 * size
        box = (int(corner[0]), int(corner[1]), int(size[0]), int(size[1]))
        if backgrounds == "rich":
            thing = draw_thing(rng, picture, box)
        else:
            thing = np.zeros_like(hidden)
            draw_shape(rng, thing, box, (1,))
            picture[thing > 0] = background_colour(rng, backgrounds == "loud")
        hidden |= thing > 0
    return hidden > 0


def expose(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3), uint8, with blur, brightness, contrast and noise of lens and sensor."""
    blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.45, 0.9))
    gain, lift = rng.uniform(0.8, 1.2), rng.uniform(-15, 15)
    exposed = cv2.addWeighted(blurred, gain, blurred, 0.0, lift)
    # The sum of two uniform bytes is close to normal, and drawn ten times as fast.
    first, second = rng.integers(0, 256, size=(2, *picture.shape[:2]), dtype=np.uint8)
    grain = np.add(first, second, dtype=np.float32) - np.float32(255)
    grain = np.rint(grain * np.float32(rng.uniform(0, 7) / BYTE_PAIR_SIGMA)).astype(np.int16)
    return cv2.add(exposed, cv2.merge([grain, grain, grain]), dtype=cv2.CV_8U)


def sample_quality(rng: np.random.Generator) -> int:
    """A JPEG quality as cameras choose it."""
    return int(rng.integers(70, 96))


def jpeg_bytes(picture: np.ndarray, quality: int) -> bytes:
    """Compresses an RGB picture (H, W, 3)."""
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return encoded.tobytes()
