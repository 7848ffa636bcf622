"""Draws records on a sheet: keypoints on the picture, 3D joints from the side, bodies over it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hmr.body.joints import COCOPLUS, LSP14
from hmr.files.images import read_image
from hmr.rendering.draw import draw_skeleton, turned_view
from hmr.rendering.shade import render_mesh

CELL_PX = 300
COLUMNS = 4
_CAPTION_PX = 22
_CHARACTER_PX = 6
_FRONT_TO_CAMERA = (np.pi, 0.0, 0.0)


def draw_person(person: dict[str, Any], caption: str, body_path: Path | None) -> np.ndarray:
    """The picture with skeleton; beside it the 3D joints from the side, or the body over it."""
    image = read_image(person["image_bytes"])
    skeleton = draw_skeleton(image, person["keypoints2d_px"], person["visibility"])
    center = tuple(int(value) for value in person["center_px"])
    cv2.drawMarker(skeleton, center, (255, 0, 255), cv2.MARKER_CROSS, 12, 2)
    panels = [_fit(skeleton)]
    if person["has_smpl"] > 0 and body_path is not None:
        panels.append(_fit(draw_body(image, person, body_path)))
    elif person["has_joints3d"] > 0:
        panels.append(draw_joints3d(person["joints3d_lsp_m"]))
    return _with_caption(np.concatenate(panels, axis=1), caption)


def draw_joints3d(joints3d_lsp_m: np.ndarray) -> np.ndarray:
    """The joints (14, 3), camera frame, turned by 90 degrees, fitted into a square."""
    side_view = np.stack([-joints3d_lsp_m[:, 2], joints3d_lsp_m[:, 1]], axis=1)
    side_view -= (side_view.min(axis=0) + side_view.max(axis=0)) / 2
    reach = max(float(np.abs(side_view).max()), 1e-6)
    points = side_view * (0.42 * CELL_PX / reach) + CELL_PX / 2
    canvas = np.full((CELL_PX, CELL_PX, 3), 255, np.uint8)
    padded = np.full((len(COCOPLUS), 2), np.nan)
    padded[: len(LSP14)] = points
    return draw_skeleton(canvas, padded)


def draw_body(image: np.ndarray, person: dict[str, Any], body_path: Path) -> np.ndarray:
    """The record's SMPL body over its picture, placed where its joints meet the keypoints best."""
    vertices_m, joints_m, faces = _pose_body(person["pose"], person["beta"], body_path)
    shown = person["visibility"] > 0
    scale, offset = fit_weak_perspective(joints_m[shown, :2], person["keypoints2d_px"][shown])
    vertices_px = vertices_m * scale
    vertices_px[:, :2] += offset
    return render_mesh(vertices_px, faces, image, opacity=0.8)


def fit_weak_perspective(points: np.ndarray, pixels: np.ndarray) -> tuple[float, np.ndarray]:
    """Scale s and offset t (2,) that bring s * points + t closest to pixels, both (N, 2)."""
    middle, target = points.mean(axis=0), pixels.mean(axis=0)
    centred = points - middle
    scale = float((centred * (pixels - target)).sum() / max((centred**2).sum(), 1e-12))
    return scale, target - scale * middle


@functools.lru_cache(maxsize=1)
def _open_body(path: Path) -> tuple[Any, np.ndarray]:
    from hmr.body.library import open_body
    from hmr.body.smpl import SMPL

    body = open_body(path)
    return SMPL(body), body.faces


def _pose_body(
    pose: np.ndarray, beta: np.ndarray, path: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (6890, 3) m, joints (19, 3) m and faces of a posed body."""
    smpl, faces = _open_body(path)
    posed = smpl(pose[None], beta[None])
    return np.array(posed["vertices"][0]), np.array(posed["joints3d"][0]), faces


def draw_mocap(pose: np.ndarray, beta: np.ndarray, name: str, body_path: Path) -> np.ndarray:
    """A body from the front and from the side, its root rotation left out."""
    upright = np.concatenate([_FRONT_TO_CAMERA, pose[3:]]).astype(np.float32)
    vertices_m, _, faces = _pose_body(upright, beta, body_path)
    views = [turned_view(vertices_m, faces, angle, CELL_PX, CELL_PX) for angle in (0, 90)]
    return _with_caption(np.concatenate(views, axis=1), name)


def _fit(image: np.ndarray) -> np.ndarray:
    """The picture inside a square of `CELL_PX` on grey."""
    scale = CELL_PX / max(image.shape[:2])
    size = [max(1, round(scale * length)) for length in image.shape[1::-1]]
    canvas = np.full((CELL_PX, CELL_PX, 3), 128, np.uint8)
    resized = cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    canvas[: size[1], : size[0]] = resized
    return canvas


def _with_caption(image: np.ndarray, text: str) -> np.ndarray:
    strip = np.full((_CAPTION_PX, image.shape[1], 3), 255, np.uint8)
    cv2.putText(
        strip,
        text[: image.shape[1] // _CHARACTER_PX],
        (4, 15),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.36,
        0,
        1,
    )
    return np.concatenate([strip, image], axis=0)


def contact_sheet(cells: list[np.ndarray], columns: int = COLUMNS) -> np.ndarray:
    """Cells in rows; smaller ones are filled up with white."""
    height, width = (max(cell.shape[axis] for cell in cells) for axis in (0, 1))
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * height, min(columns, len(cells)) * width, 3), 255, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // columns * height, index % columns * width
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet
