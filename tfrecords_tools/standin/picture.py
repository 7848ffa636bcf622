"""Renders one picture of posed bodies and annotates what is really seen in it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hmr.body.joints import COCOPLUS, SMPL_JOINTS
from hmr.body.model_file import BodyModel
from hmr.rendering.rasterise import Raster, rasterize, vertex_normals
from tfrecords_tools.standin import scene
from tfrecords_tools.standin.backgrounds import choose_background
from tfrecords_tools.standin.light import Lighting, darken_corners, sample_lighting, shade
from tfrecords_tools.standin.paint import Landmarks, find_landmarks
from tfrecords_tools.standin.scene import Lens
from tfrecords_tools.standin.sensor import expose_roughly, rough_quality
from tfrecords_tools.standin.shells import Shell, build_shell
from tfrecords_tools.standin.shots import Shot
from tfrecords_tools.standin.surfaces import (
    Look,
    Surface,
    bare_surface,
    colours,
    dressed_surface,
    sample_look,
)

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
        shell: structure of loose clothes.
        depth_tolerance_m: (43,) how far behind the surface a joint lies that counts as visible.
    """

    body: BodyModel
    marks: Landmarks
    shell: Shell
    depth_tolerance_m: np.ndarray


def measure_template(body: BodyModel) -> BodyTemplate:
    """Measures a body: a joint's tolerance is 1.5 times its depth below the skin plus 25 mm."""
    regressor = np.concatenate([body.cocoplus_regressor, body.joint_regressor])
    joints = regressor @ body.v_template
    distance = np.linalg.norm(joints[:, None] - body.v_template[None], axis=-1)
    depth = np.sort(distance, axis=1)[:, :NEAREST_VERTICES].mean(axis=1)
    marks = find_landmarks(body)
    return BodyTemplate(body, marks, build_shell(body, marks), 1.5 * depth + SURFACE_MARGIN_M)


def render_picture(template: BodyTemplate, shot: Shot, bodies: PosedBodies) -> GroundTruth:
    """Renders a shot, writes its file and returns its ground truth."""
    rng = np.random.default_rng(shot.seed)
    style, (height, width) = shot.style, (shot.lens.height, shot.lens.width)
    picture = choose_background(rng, height, width, style.backgrounds, style.photos)
    depth_m = np.full((height, width), np.inf, np.float32)
    owner = np.full((height, width), NOBODY, np.int16)
    light = _sample_light(rng, picture, style.light)
    looks = [sample_look(rng, posed.character, style.clothes) for posed in shot.people]
    surface = _surface(template, looks, bodies, style.clothes)
    window, raster = _rasterize(shot.lens, surface)
    depth_m[window], owner[window] = raster.depth, _owners(surface, raster)
    _draw_people(picture[window], raster, template.marks, surface, looks, light)
    if style.clothes != "tight":
        # Joints are labelled as visible under cloth: what hides them is the bodies.
        window, bare = _rasterize(shot.lens, bare_surface(template.body, bodies.vertices_m))
        depth_m[:] = np.inf
        depth_m[window] = bare.depth
    hidden = np.zeros((height, width), bool)
    if raster.covered.any() and rng.random() < style.occluder_odds:
        people_box = cv2.boundingRect((owner != NOBODY).astype(np.uint8))
        hidden = scene.draw_occluders(rng, picture, people_box, style.backgrounds)
    owner[hidden] = NOBODY
    shot.path.write_bytes(_develop(rng, picture, style.sensor))
    return _annotate(template, shot, bodies, depth_m, owner, hidden)


def _surface(
    template: BodyTemplate, looks: list[Look], bodies: PosedBodies, clothes: str
) -> Surface:
    if clothes == "tight":
        return bare_surface(template.body, bodies.vertices_m)
    return dressed_surface(
        template.body, template.shell, template.marks, looks, bodies.vertices_m, bodies.joints_m
    )


def _develop(rng: np.random.Generator, picture: np.ndarray, kind: str) -> bytes:
    """The JPEG file of a picture as lens and sensor see it."""
    if kind == "rough":
        return scene.jpeg_bytes(expose_roughly(rng, picture), rough_quality(rng))
    return scene.jpeg_bytes(scene.expose(rng, picture), scene.sample_quality(rng))


def _window(lens: Lens, points_px: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that hold the people: nothing else has to be rasterised."""
    x, y = points_px[..., 0], points_px[..., 1]
    frame = (lens.width, lens.height)
    left, top = np.clip(np.floor([x.min(), y.min()]).astype(int), 0, frame)
    right, bottom = np.clip(np.ceil([x.max(), y.max()]).astype(int) + 1, 0, frame)
    return slice(top, max(bottom, top)), slice(left, max(right, left))


def _rasterize(lens: Lens, surface: Surface) -> tuple[tuple[slice, slice], Raster]:
    """The part of the picture that holds the people, and what it shows."""
    points_px, depth_m = lens.project(surface.vertices_m), surface.vertices_m[..., 2]
    num_people, num_vertices, _ = points_px.shape
    rows, columns = window = _window(lens, points_px)
    inside_px = points_px - (columns.start, rows.start)
    vertices_px = np.concatenate([inside_px, depth_m[..., None]], axis=-1).reshape(
        -1, 3
    )  # (P * V, 3)
    shift = np.arange(num_people)[:, None, None] * num_vertices
    faces = (surface.faces[None] + shift).reshape(-1, 3)  # (P * F, 3)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return window, rasterize(vertices_px, faces, height, width, cull=True)


def _owners(surface: Surface, raster: Raster) -> np.ndarray:
    """(H, W) index of the person whom each pixel shows."""
    return np.where(raster.covered, raster.face_id // len(surface.faces), NOBODY)


Light = tuple[np.ndarray, float] | Lighting


def _draw_people(
    picture: np.ndarray,
    raster: Raster,
    marks: Landmarks,
    surface: Surface,
    looks: list[Look],
    light: Light,
) -> None:
    """Paints and lights the people, in place."""
    owners, faces = _owners(surface, raster), surface.faces
    for index, (look, vertices) in enumerate(zip(looks, surface.vertices_m, strict=True)):
        own = owners == index
        face_ids = raster.face_id[own] % len(faces)
        seen = faces[np.flatnonzero(np.bincount(face_ids, minlength=1))]
        attributes = np.hstack([surface.rest_m, vertex_normals(vertices, seen)])
        points = np.einsum("pk,pkc->pc", raster.barycentric[own], attributes[faces[face_ids]])
        colour = colours(points[:, :3], marks, look)
        picture[own] = np.clip(255 * colour * _shade(points[:, 3:], light), 0, 255)
    if isinstance(light, Lighting):
        factor = darken_corners(raster.depth, light.corners)[..., None]
        picture[:] = np.where(raster.covered[..., None], picture * factor, picture)


def _sample_light(rng: np.random.Generator, picture: np.ndarray, kind: str) -> Light:
    """Direction towards the light, (3,) in the camera frame, and the ambient share."""
    if kind == "varied":
        return sample_lighting(rng, picture)
    direction = np.array([rng.normal(0, 0.7), -abs(rng.normal(0.6, 0.5)), -1.0])
    return direction / np.linalg.norm(direction), float(rng.uniform(0.35, 0.7))


def _shade(normals: np.ndarray, light: Light) -> np.ndarray:
    """(P, 1) brightness by Lambert's law, or (P, 3) in coloured light."""
    if isinstance(light, Lighting):
        return shade(normals, light)
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
