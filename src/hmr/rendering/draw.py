"""Skeletons, overlays, turned views, and a row of pictures per person."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hmr.body.joints import COCOPLUS, COCOPLUS_BONES
from hmr.errors import UserError
from hmr.geometry.camera import WeakCamera, weak_perspective_px
from hmr.geometry.crop import CROP_SIZE, CropBox, crop_image
from hmr.rendering.shade import SKIN_BLUE, render_mesh

# One per person, repeated after the last; colour-blind people can tell them apart.
PERSON_COLORS = (
    SKIN_BLUE, (235, 178, 140), (160, 205, 160), (215, 165, 205), (230, 210, 140), (140, 205, 205),
)  # fmt: skip
_SIDE_COLORS = {"left": (60, 140, 230), "right": (240, 120, 50), "middle": (90, 190, 90)}
_OUTLINE = (25, 25, 25)
# cv2 draws at 1/16 px when coordinates are integers of that unit.
_SUBPIXEL_BITS = 4
_TURNS_DEG = (-90.0, 90.0, 180.0)
_MARGIN = 0.06
_LARGEST_VIEW_PX = 1080
_WHOLE_CROP = CropBox(np.array([CROP_SIZE / 2, CROP_SIZE / 2]), 1.0)


def person_color(index: int) -> tuple[int, int, int]:
    """RGB for the person of this index."""
    return PERSON_COLORS[index % len(PERSON_COLORS)]


def side_color(*names: str) -> tuple[int, int, int]:
    """RGB of a joint or bone by the names of its joints: left blue, right orange, middle green."""
    sides = {name.split("_")[0] for name in names}
    named = sides & {"left", "right"}
    return _SIDE_COLORS[named.pop() if len(named) == 1 else "middle"]


def draw_skeleton(
    image: np.ndarray,
    keypoints2d_px: np.ndarray,
    visible: np.ndarray | None = None,
    names: Sequence[str] = COCOPLUS,
    bones: Sequence[tuple[int, int]] = COCOPLUS_BONES,
) -> np.ndarray:
    """Keypoints and bones over a picture; the person's left is blue, the right orange.

    Args:
        image: (H, W, 3) uint8 RGB.
        keypoints2d_px: (K, 2) picture pixels; points that are not finite are left out.
        visible: (K,) bool; all if None.
        names: K joint names, for the colours.
        bones: pairs of indices.

    Returns:
        A drawn copy of the picture.
    """
    points = np.asarray(keypoints2d_px, np.float64)
    shown = np.array(np.isfinite(points).all(axis=1) & (np.abs(points) < 1e5).all(axis=1))
    if visible is not None:
        shown &= np.asarray(visible) > 0
    canvas = np.ascontiguousarray(image).copy()
    thickness = max(1, round(_extent(points[shown]) / 90))
    lines = [(a, b, side_color(names[a], names[b])) for a, b in bones if shown[a] and shown[b]]
    for outline in (True, False):
        for a, b, color in lines:
            _line(canvas, points[a], points[b], _OUTLINE if outline else color, thickness, outline)
    for index in map(int, np.flatnonzero(shown)):
        _dot(canvas, points[index], thickness + 2.5, _OUTLINE)
        _dot(canvas, points[index], thickness + 1.5, side_color(names[index]))
    return canvas


def _extent(points: np.ndarray) -> float:
    return float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0


def _fixed_point(point: np.ndarray) -> tuple[int, int]:
    x, y = np.rint(point * (1 << _SUBPIXEL_BITS)).astype(int)
    return int(x), int(y)


def _line(
    canvas: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    color: tuple[int, int, int],
    thickness: int,
    outline: bool,
) -> None:
    width = thickness + 2 if outline else thickness
    ends = _fixed_point(start), _fixed_point(end)
    cv2.line(canvas, *ends, color, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def _dot(canvas: np.ndarray, point: np.ndarray, radius: float, color: tuple[int, int, int]) -> None:
    fixed_radius = round(radius * (1 << _SUBPIXEL_BITS))
    center = _fixed_point(point)
    cv2.circle(canvas, center, fixed_radius, color, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)


def overlay(
    image: np.ndarray,
    people_vertices_px: Sequence[np.ndarray],
    faces: np.ndarray,
    opacity: float = 0.92,
) -> np.ndarray:
    """Bodies over a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        people_vertices_px: per person (6890, 3) picture pixels, and depth in pixels. People
            are drawn in the order of their size, the largest (nearest) last.
        faces: (F, 3).
        opacity: of the bodies, 0 to 1.
    """
    heights = [np.ptp(vertices[:, 1]) for vertices in people_vertices_px]
    for index in np.argsort(heights, kind="stable"):
        vertices = people_vertices_px[index]
        image = render_mesh(vertices, faces, image, color=person_color(index), opacity=opacity)
    return image


def body_over_crop(
    image: np.ndarray, vertices_m: np.ndarray, camera: np.ndarray, faces: np.ndarray
) -> np.ndarray:
    """A body over its 224-pixel crop; the crop alone where the camera's scale is not positive.

    Args:
        image: (224, 224, 3) uint8 RGB.
        vertices_m: (6890, 3) camera's axes.
        camera: (3,) s, tx, ty of the crop.
        faces: (F, 3).
    """
    try:
        placed = weak_perspective_px(camera, _WHOLE_CROP).project(vertices_m)
    except UserError:  # a camera of negative scale shows no body, and the picture says so
        return image
    return render_mesh(placed, faces, image)


def turn(points_m: np.ndarray, angle_deg: float) -> np.ndarray:
    """Turns points (N, 3), camera's axes, about the vertical through the middle of their box."""
    points = np.asarray(points_m, np.float64)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    angle = np.radians(angle_deg)
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return (points - middle) @ rotation.T + middle


def turned_view(
    vertices_m: np.ndarray,
    faces: np.ndarray,
    angle_deg: float,
    height: int,
    width: int,
    color: tuple[int, int, int] = SKIN_BLUE,
) -> np.ndarray:
    """The body alone on white, turned about the vertical and fitted to the picture.

    Args:
        vertices_m: (6890, 3) camera's axes.
        faces: (F, 3).
        angle_deg: 0 as in the photograph; 90 shows the side that is right in the photograph.
        height: of the picture in pixels.
        width: of the picture in pixels.
        color: RGB.
    """
    turned = turn(vertices_m, angle_deg)
    low, high = turned.min(axis=0), turned.max(axis=0)
    # The same scale for every angle: the largest distance from the axis must fit.
    reach = np.linalg.norm((vertices_m - (low + high) / 2)[:, [0, 2]], axis=1).max()
    room = (1 - 2 * _MARGIN) * np.array([width / (2 * reach), height / (high - low)[1]])
    vertices_px = (turned - (low + high) / 2) * room.min()
    vertices_px[:, :2] += np.array([width - 1, height - 1]) / 2
    return render_mesh(vertices_px, faces, np.full((height, width, 3), 255, np.uint8), color)


def zoomed(image: np.ndarray, box: CropBox, size: int) -> tuple[np.ndarray, CropBox]:
    """Cuts out the person's square at another resolution: (size, size, 3), and its box."""
    return crop_image(image, CropBox(box.center_px, box.scale * size / CROP_SIZE), size)


def person_row(
    image: np.ndarray,
    box: CropBox,
    keypoints2d_px: np.ndarray,
    vertices_m: np.ndarray,
    weak: WeakCamera,
    faces: np.ndarray,
    size: int = 288,
    color: tuple[int, int, int] = SKIN_BLUE,
) -> np.ndarray:
    """One person: the crop, its skeleton, its body, and the body from both sides and from behind.

    Args:
        image: the whole picture.
        box: the person's square.
        keypoints2d_px: (19, 2) picture pixels.
        vertices_m: (6890, 3) camera's axes.
        weak: the picture's camera.
        faces: (F, 3).
        size: of each square, pixels.
        color: of the body.

    Returns:
        (size, 6 * size, 3) uint8 RGB.
    """
    crop, crop_box = zoomed(image, box, size)
    skeleton = draw_skeleton(crop, crop_box.to_crop(keypoints2d_px, size))
    vertices_px = weak.project(vertices_m)
    vertices_px[:, :2] = crop_box.to_crop(vertices_px[:, :2], size)
    vertices_px[:, 2] *= crop_box.scale
    body = render_mesh(vertices_px, faces, crop, color=color)
    views = [turned_view(vertices_m, faces, angle, size, size, color) for angle in _TURNS_DEG]
    return np.concatenate([crop, skeleton, body, *views], axis=1)


def side_by_side(
    image: np.ndarray, people_vertices_m: Sequence[np.ndarray], faces: np.ndarray
) -> np.ndarray:
    """A square per person: everyone from the right-hand side of the picture, on white.

    Returns:
        (H, H * max(people, 1), 3) uint8 RGB, H the picture's height, from 224 to 1080.
    """
    size = min(max(image.shape[0], CROP_SIZE), _LARGEST_VIEW_PX)
    views = [
        turned_view(vertices, faces, 90.0, size, size, person_color(index))
        for index, vertices in enumerate(people_vertices_m)
    ]
    return np.concatenate(views, axis=1) if views else np.full((size, size, 3), 255, np.uint8)


def shrink_to_fit(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture, made smaller if it is wider or higher than so many pixels."""
    ratio = min(width / image.shape[1], height / image.shape[0])
    if ratio >= 1:
        return image
    size = max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
