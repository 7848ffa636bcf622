"""Renders one picture of posed bodies and annotates what is really seen in it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hmr.body.joints import COCOPLUS, SMPL_JOINTS
from hmr.body.model_file import BodyModel
from hmr.rendering.rasterise import Raster, rasterize, vertex_normals
from tfrecords_tools.standin import scene
from tfrecords_tools.standin.backgrounds import draw_background
from tfrecords_tools.standin.characters import sample_outfit
from tfrecords_tools.standin.paint import Landmarks, find_landmarks, paint
from tfrecords_tools.standin.scene import Lens
from tfrecords_tools.standin.shots import Shot

ALL_JOINTS = (*COCOPLUS, *(f"smpl_{name}" for name in SMPL_JOINTS))
"""The 43 joints that a picture is annotated with: 19 cocoplus keypoints, then SMPL's 24 joints."""
SURFACE_MARGIN_M = 0.025
NEAREST_VERTICES = 12
NOBODY = -1


@dataclass(frozen=True)
class Silhouette:
    """The pixels that show a person.

    Attributes:
        polygons: outlines, each x1, y1, x2, y2, ... in pixels; specks are left out.
        bbox: x, y, width, height.
        area: number of pixels.
    """

    polygons: list[list[float]]
    bbox: tuple[float, float, float, float]
    area: int


def trace_silhouette(mask: np.ndarray) -> Silhouette:
    """Outlines a (H, W) bool mask."""
    image = mask.astype(np.uint8)
    contours, _ = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    polygons = [
        contour.reshape(-1).astype(float).tolist() for contour in contours if len(contour) > 2
    ]
    x, y, width, height = (float(value) for value in cv2.boundingRect(image))
    return Silhouette(polygons, (x, y, width, height), int(mask.sum()))


def run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """COCO's uncompressed run lengths of a (H, W) bool mask: column-major, the first of zeros."""
    flat = mask.reshape(-1, order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


@dataclass(frozen=True)
class GroundTruth:
    """What is true of a picture, for each of its P annotated people.

    Attributes:
        joints_m: (P, 43, 3) `ALL_JOINTS` in the camera frame, metres.
        joints_px: (P, 43, 2) their projection, pixels.
        visible: (P, 43) bool: inside the picture and hidden by nothing, not even the own body.
        silhouettes: of the P people, as far as they are seen.
        crowd: the crowd's silhouette and run lengths, None where no crowd is seen.
    """

    joints_m: np.ndarray
    joints_px: np.ndarray
    visible: np.ndarray
    silhouettes: tuple[Silhouette, ...]
    crowd: tuple[Silhouette, dict[str, list[int]]] | None


@dataclass(frozen=True)
class PosedBodies:
    """The posed bodies of a shot's people: vertices (P, V, 3), joints (P, 43, 3), metres."""

    vertices_m: np.ndarray
    joints_m: np.ndarray


@dataclass(frozen=True)
class BodyTemplate:
    """The body at rest, as every picture needs it.

    Attributes:
        body: its arrays.
        marks: where clothes and face are.
        depth_tolerance_m: (43,) how far behind the surface a joint lies that counts as visible.
    """

    body: BodyModel
    marks: Landmarks
    depth_tolerance_m: np.ndarray


def measure_template(body: BodyModel) -> BodyTemplate:
    """Measures a body: a joint's tolerance is 1.5 times its depth below the skin plus 25 mm."""
    regressor = np.concatenate([body.cocoplus_regressor, body.joint_regressor])
    joints = regressor @ body.v_template
    distance = np.linalg.norm(joints[:, None] - body.v_template[None], axis=-1)
    depth = np.sort(distance, axis=1)[:, :NEAREST_VERTICES].mean(axis=1)
    return BodyTemplate(body, find_landmarks(body), 1.5 * depth + SURFACE_MARGIN_M)


def render_picture(template: BodyTemplate, shot: Shot, bodies: PosedBodies) -> GroundTruth:
    """Renders a shot, writes its file and returns its ground truth."""
    rng = np.random.default_rng(shot.seed)
    height, width = shot.lens.height, shot.lens.width
    picture = draw_background(rng, height, width, shot.style.backgrounds)
    depth_m = np.full((height, width), np.inf, np.float32)
    owner = np.full((height, width), NOBODY, np.int16)
    points_px = shot.lens.project(bodies.vertices_m)
    window = _window(shot.lens, points_px)
    raster = _rasterize(template, window, points_px, bodies.vertices_m[..., 2])
    depth_m[window], owner[window] = raster.depth, _owners(template, raster)
    _draw_people(rng, picture[window], raster, template, shot, bodies)
    hidden = np.zeros((height, width), bool)
    if raster.covered.any() and rng.random() < shot.style.occluder_odds:
        people_box = cv2.boundingRect((owner != NOBODY).astype(np.uint8))
        hidden = scene.draw_occluders(rng, picture, people_box, shot.style.backgrounds == "loud")
    owner[hidden] = NOBODY
    shot.path.write_bytes(scene.jpeg_bytes(rng, scene.expose(rng, picture)))
    return _annotate(template, shot, bodies, depth_m, owner, hidden)


def _window(lens: Lens, points_px: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that hold the people: nothing else has to be rasterised."""
    x, y = points_px[..., 0], points_px[..., 1]
    frame = (lens.width, lens.height)
    left, top = np.clip(np.floor([x.min(), y.min()]).astype(int), 0, frame)
    right, bottom = np.clip(np.ceil([x.max(), y.max()]).astype(int) + 1, 0, frame)
    return slice(top, max(bottom, top)), slice(left, max(right, left))


def _rasterize(
    template: BodyTemplate, window: tuple[slice, slice], points_px: np.ndarray, depth_m: np.ndarray
) -> Raster:
    num_people, num_vertices, _ = points_px.shape
    rows, columns = window
    inside_px = points_px - (columns.start, rows.start)
    vertices_px = np.concatenate([inside_px, depth_m[..., None]], axis=-1).reshape(
        -1, 3
    )  # (P * V, 3)
    shift = np.arange(num_people)[:, None, None] * num_vertices
    faces = (template.body.faces[None] + shift).reshape(-1, 3)  # (P * F, 3)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return rasterize(vertices_px, faces, height, width, cull=True)


def _owners(template: BodyTemplate, raster: Raster) -> np.ndarray:
    """(H, W) index of the person whom each pixel shows."""
    return np.where(raster.covered, raster.face_id // len(template.body.faces), NOBODY)


def _draw_people(
    rng: np.random.Generator,
    picture: np.ndarray,
    raster: Raster,
    template: BodyTemplate,
    shot: Shot,
    bodies: PosedBodies,
) -> None:
    """Paints and lights the people, in place."""
    light = _sample_light(rng)
    owners, faces = _owners(template, raster), template.body.faces
    for index, (posed, vertices) in enumerate(zip(shot.people, bodies.vertices_m, strict=True)):
        outfit = sample_outfit(rng)
        own = owners == index
        face_ids = raster.face_id[own] % len(faces)
        seen = faces[np.flatnonzero(np.bincount(face_ids, minlength=1))]
        attributes = np.hstack([template.body.v_template, vertex_normals(vertices, seen)])
        points = np.einsum("pk,pkc->pc", raster.barycentric[own], attributes[faces[face_ids]])
        colour = paint(points[:, :3], template.marks, posed.character, outfit)
        picture[own] = np.clip(255 * colour * _shade(points[:, 3:], light), 0, 255)


def _sample_light(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Direction towards the light, (3,) in the camera frame, and the ambient share."""
    direction = np.array([rng.normal(0, 0.7), -abs(rng.normal(0.6, 0.5)), -1.0])
    return direction / np.linalg.norm(direction), float(rng.uniform(0.35, 0.7))


def _shade(normals: np.ndarray, light: tuple[np.ndarray, float]) -> np.ndarray:
    """(P, 1) brightness by Lambert's law."""
    direction, ambient = light
    cosine = np.clip(normals @ direction, 0.0, 1.0)[:, None]
    return ambient + (1.15 - ambient) * cosine


def _annotate(
    template: BodyTemplate,
    shot: Shot,
    bodies: PosedBodies,
    depth_m: np.ndarray,
    owner: np.ndarray,
    hidden: np.ndarray,
) -> GroundTruth:
    count = shot.num_annotated
    joints_m = bodies.joints_m[:count]
    joints_px = shot.lens.project(joints_m)
    crowd = owner >= count
    return GroundTruth(
        joints_m=joints_m,
        joints_px=joints_px,
        visible=visible_joints(joints_m, joints_px, depth_m, hidden, template.depth_tolerance_m),
        silhouettes=tuple(trace_silhouette(owner == index) for index in range(count)),
        crowd=(trace_silhouette(crowd), run_lengths(crowd)) if crowd.any() else None,
    )


def visible_joints(
    joints_m: np.ndarray,
    joints_px: np.ndarray,
    depth_m: np.ndarray,
    hidden: np.ndarray,
    tolerance_m: np.ndarray,
) -> np.ndarray:
    """Which joints can be seen.

    Args:
        joints_m: (..., J, 3) camera frame, metres.
        joints_px: (..., J, 2) their pixels.
        depth_m: (H, W) depth of the nearest surface, inf where there is none.
        hidden: (H, W) bool, pixels covered by an occluder.
        tolerance_m: (J,) how far behind the nearest surface a joint lies that is seen.
    Returns:
        (..., J) bool.
    """
    height, width = depth_m.shape
    column, row = np.moveaxis(np.rint(joints_px).astype(int), -1, 0)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    at = (np.clip(row, 0, height - 1), np.clip(column, 0, width - 1))
    in_front = joints_m[..., 2] <= depth_m[at] + tolerance_m
    return inside & in_front & ~hidden[at]
