"""From the crop's weak-perspective camera to cameras of the whole picture.

Axes of all 3D points here: x right, y down, z away from the viewer, metres ("camera's axes").

The network gives [s, tx, ty]: x = s (X + t) in the crop, normalised to [-1, 1]. It determines three
cameras of the whole picture:

* `weak_perspective_px`: the same projection in picture pixels. It is exact, and drawing uses it.
* `pinhole` with its default, very long lens: agrees with the crop's camera to 0.5 px for every
  point of the body. Use it to lay a mesh over the picture in another renderer. Its distances are
  far too long, in proportion to the lens.
* `pinhole` with a known or an ordinary lens (`ordinary_focal_px`): realistic distances. It agrees
  with the crop's camera in the plane through the body's origin; points in front of it or behind it
  are displaced by perspective. Use it for root motion and for several people in one scene.

Scale in a single picture is ambiguous: distances are as accurate as the body's estimated height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmr.errors import UserError
from hmr.geometry.crop import CROP_SIZE, CropBox

# With focal = factor * longest side^2, moving a point in the corner of the picture 0.5 m to or from
# the viewer changes its projection by less than 0.25 px, for people up to the size of the picture.
_LONG_LENS_PER_PX = 2.0
_SMALLEST_SCALE = 1e-6


@dataclass(frozen=True)
class PinholeCamera:
    """A perspective camera and the position of the body in front of it.

    `u = focal_px * (X + translation_x) / (Z + translation_z) + principal_x`, v likewise.

    Attributes:
        focal_px: focal length in picture pixels, the same for both axes.
        principal_point_px: (2,) x, y, picture pixels.
        translation_m: (3,) position of the body's origin, camera's axes.
    """

    focal_px: float
    principal_point_px: np.ndarray
    translation_m: np.ndarray

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """(..., 3) body points, camera's axes -> (..., 2) picture pixels."""
        placed = np.asarray(points_m, np.float64) + self.translation_m
        return self.focal_px * placed[..., :2] / placed[..., 2:] + self.principal_point_px


@dataclass(frozen=True)
class WeakCamera:
    """A weak-perspective camera of the whole picture: u = scale * X + offset.

    Attributes:
        scale_px_per_m: picture pixels per metre.
        offset_px: (2,) picture pixel of the body's origin.
    """

    scale_px_per_m: float
    offset_px: np.ndarray

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """(..., 3) body points -> (..., 3): picture pixels, and depth in the same unit."""
        points = np.asarray(points_m, np.float64) * self.scale_px_per_m
        points[..., :2] += self.offset_px
        return points


def weak_perspective_px(camera: np.ndarray, box: CropBox) -> WeakCamera:
    """The crop's camera in picture pixels.

    Args:
        camera: (3,) s, tx, ty of the crop, coordinates normalised to [-1, 1].
        box: the crop.

    Raises:
        UserError: the camera's scale is not positive.
    """
    if not np.isfinite(camera).all() or camera[0] < _SMALLEST_SCALE:
        raise UserError(f"camera [s, tx, ty] = {np.asarray(camera).tolist()} shows no body: s <= 0")
    return camera_in_picture(camera, box)


def camera_in_picture(camera: np.ndarray, box: CropBox) -> WeakCamera:
    """`weak_perspective_px` for any scale; a negative one reflects bodies through their origin."""
    scale, shift = float(camera[0]), np.asarray(camera[1:3], np.float64)
    per_metre = scale * CROP_SIZE / 2
    return WeakCamera(per_metre / box.scale, box.to_image(per_metre * shift + CROP_SIZE / 2))


def long_focal_px(height: int, width: int) -> float:
    """A focal length so long that perspective moves points by less than 0.5 px in this picture."""
    return _LONG_LENS_PER_PX * max(height, width) ** 2


def ordinary_focal_px(height: int, width: int) -> float:
    """The usual guess for an unknown lens: the picture's diagonal, 53 degrees across it."""
    return float(np.hypot(height, width))


def pinhole(
    camera: np.ndarray,
    box: CropBox,
    height: int,
    width: int,
    focal_px: float | None = None,
    principal_point_px: np.ndarray | None = None,
) -> PinholeCamera:
    """A perspective camera of the whole picture, equal to the crop's in the plane Z = 0.

    With b the crop's side in picture pixels: z = 2 focal / (b s), and the body's origin must fall
    on the pixel where the crop's camera puts it: x = (origin_x - principal_x) z / focal.

    Args:
        camera: (3,) s, tx, ty of the crop.
        box: the crop.
        height: of the picture, pixels.
        width: of the picture, pixels.
        focal_px: the lens, if known; otherwise `long_focal_px`.
        principal_point_px: (2,); the picture's middle if None.

    Raises:
        UserError: the camera's scale or the focal length is not positive.
    """
    focal = long_focal_px(height, width) if focal_px is None else float(focal_px)
    if not np.isfinite(focal) or focal <= 0:
        raise UserError(f"the focal length must be positive pixels, got {focal_px}")
    middle = np.array([width - 1, height - 1]) / 2
    principal = middle if principal_point_px is None else np.asarray(principal_point_px, np.float64)
    weak = weak_perspective_px(camera, box)
    depth = focal / weak.scale_px_per_m
    lateral = (weak.offset_px - principal) / weak.scale_px_per_m
    return PinholeCamera(focal, principal, np.append(lateral, depth))
