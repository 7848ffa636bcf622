"""Stand-in pictures in the layout of COCO 2014 person keypoints, training split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import COCO17, COCOPLUS, joint_map
from tfrecords_tools.standin.framing import place_person
from tfrecords_tools.standin.picture import GroundTruth, Silhouette
from tfrecords_tools.standin.scene import Lens, SceneStyle, sample_lens
from tfrecords_tools.standin.shots import (
    Cast,
    Shot,
    bystanders,
    portrait,
    pose_character,
    sample_cast,
    sample_view,
)
from tfrecords_tools.standin.studio import Studio

DATASET_SEED = 2
HELD_OUT_SEED = 7
HELD_OUT_FRAME_PX = 400
UNLABELLED, OCCLUDED, VISIBLE = 0, 1, 2
PERSON_CATEGORY = 1
PAIR_ODDS, CROWD_ODDS = 0.25, 0.03
CROWD_SIZE, CROWD_DEPTHS = 4, (2.5, 4.0)
SKIPPED_LABELS = 0.3
"""Share of the hidden keypoints that the annotators leave out instead of guessing."""
MAX_PEOPLE = 2 + CROWD_SIZE
SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
    (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip


def write_coco(root: Path, count: int, style: SceneStyle, seed: int, studio: Studio) -> None:
    """Writes `count` pictures of one or two people, some in front of a crowd, and labels."""
    (root / "train2014").mkdir(parents=True)
    (root / "annotations").mkdir()
    rng = np.random.default_rng([seed, DATASET_SEED])
    cast = sample_cast(rng, count * MAX_PEOPLE, held_out=False, style=style)
    shots = [_plan(rng, root, number, cast, style, seed) for number in range(count)]
    truths = list(studio.render(shots, "coco"))
    labels = np.random.default_rng([seed, DATASET_SEED, count])
    path = root / "annotations" / "person_keypoints_train2014.json"
    path.write_text(json.dumps(coco_document(labels, shots, truths)))


def write_held_out(folder: Path, count: int, style: SceneStyle, seed: int, studio: Studio) -> None:
    """Writes `count` pictures of one person each to `images/`, and COCO's `keypoints.json`."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng([seed, HELD_OUT_SEED])
    cast = sample_cast(rng, count, held_out=True, style=style)
    shots = []
    for index in range(count):
        lens, view = (
            sample_lens(rng, HELD_OUT_FRAME_PX, HELD_OUT_FRAME_PX, style),
            sample_view(rng, style),
        )
        path, shot_seed = folder / "images" / f"{index + 1:03d}.jpg", (seed, HELD_OUT_SEED, index)
        shots.append(portrait(rng, path, shot_seed, cast, index, lens, view, style))
    truths = list(studio.render(shots, "held out"))
    labels = np.random.default_rng([seed, HELD_OUT_SEED, count])
    (folder / "keypoints.json").write_text(json.dumps(coco_document(labels, shots, truths)))


def _plan(
    rng: np.random.Generator, root: Path, number: int, cast: Cast, style: SceneStyle, seed: int
) -> Shot:
    width, height = ((320, 240), (240, 320), (320, 320))[rng.integers(3)]
    lens = sample_lens(rng, width, height, style)
    num_people = 2 if rng.random() < PAIR_ODDS else 1
    pelvises = [place_person(rng, lens, style) for _ in range(num_people)]
    if rng.random() < CROWD_ODDS:
        pelvises += _crowd(rng, lens, pelvises[0])
    view = sample_view(rng, style)
    first_pose = number * MAX_PEOPLE
    people = tuple(
        pose_character(rng, cast, first_pose + index, view, pelvis, style)
        for index, pelvis in enumerate(pelvises)
    )
    near = bystanders(rng, cast, view, pelvises[0], style)
    people, num_people = (*people[:num_people], *near, *people[num_people:]), num_people + len(near)
    path = root / "train2014" / f"COCO_train2014_{number + 1:012d}.jpg"
    shot_seed = (seed, DATASET_SEED, number)
    return Shot(path, shot_seed, lens, people, style, num_people)


def _crowd(rng: np.random.Generator, lens: Lens, pelvis_m: np.ndarray) -> list[np.ndarray]:
    """Pelvises of people who stand side by side, far behind the others."""
    depth = pelvis_m[2] * rng.uniform(*CROWD_DEPTHS)
    middle = lens.unproject(lens.project(pelvis_m), depth)
    offsets = np.linspace(-0.9, 0.9, CROWD_SIZE) + rng.normal(0, 0.1, CROWD_SIZE)
    return [middle + np.array([offset, 0.0, rng.normal(0, 0.3)]) for offset in offsets]


def coco_document(
    rng: np.random.Generator, shots: list[Shot], truths: list[GroundTruth]
) -> dict[str, Any]:
    """An annotation file of COCO keypoints for the pictures, numbered from 1."""
    images, annotations = [], []
    for number, (shot, truth) in enumerate(zip(shots, truths, strict=True), start=1):
        size = {"width": shot.lens.width, "height": shot.lens.height}
        images.append({"id": number, "file_name": shot.path.name, "license": 0, **size})
        annotations += [
            {"image_id": number, "category_id": PERSON_CATEGORY, **entry}
            for entry in (*_people(rng, truth), *_crowds(truth))
        ]
    for identity, annotation in enumerate(annotations, start=1):
        annotation["id"] = identity
    info = {"description": "Stand-in for COCO 2014: rendered people, free of any licence"}
    category = {"id": PERSON_CATEGORY, "name": "person", "supercategory": "person"}
    category |= {"keypoints": list(COCO17), "skeleton": [list(bone) for bone in SKELETON]}
    licences: list[Any] = []
    document = {"info": info, "licenses": licences, "images": images, "annotations": annotations}
    return {**document, "categories": [category]}


def _people(rng: np.random.Generator, truth: GroundTruth) -> list[dict[str, Any]]:
    """Annotations of the people of whom something is seen."""
    order = joint_map(COCOPLUS, COCO17)
    entries: list[dict[str, Any]] = []
    for person, silhouette in enumerate(truth.silhouettes):
        if not silhouette.polygons:
            continue
        points, flags = truth.joints_px[person, order], truth.visible[person, order]
        keypoints = label_keypoints(rng, points, flags, silhouette)
        labels = {
            "keypoints": keypoints.reshape(-1).tolist(),
            "num_keypoints": int((keypoints[:, 2] > 0).sum()),
            "segmentation": silhouette.polygons,
        }
        entries.append({**labels, **_extent(silhouette), "iscrowd": 0})
    return entries


def _extent(silhouette: Silhouette) -> dict[str, Any]:
    return {"bbox": list(silhouette.bbox), "area": silhouette.area}


def label_keypoints(
    rng: np.random.Generator, points_px: np.ndarray, visible: np.ndarray, seen: Silhouette
) -> np.ndarray:
    """Keypoints as COCO's annotators mark them.

    Args:
        points_px: (17, 2) true places.
        visible: (17,) bool.
        seen: what is seen of the person; hidden points far outside its box are not guessed.
    Returns:
        (17, 3) of x, y, v; unlabelled rows are zero.
    """
    x, y, width, height = seen.bbox
    margin = 0.1 * max(width, height)
    low, high = np.array([x, y]) - margin, np.array([x + width, y + height]) + margin
    guessable = ((points_px >= low) & (points_px <= high)).all(axis=1)
    guessed = guessable & (rng.random(len(points_px)) >= SKIPPED_LABELS)
    flags = np.where(visible, VISIBLE, np.where(guessed, OCCLUDED, UNLABELLED))
    places = np.where(flags[:, None] == UNLABELLED, 0.0, np.round(points_px, 2))
    return np.concatenate([places, flags[:, None]], axis=1)


def _crowds(truth: GroundTruth) -> list[dict[str, Any]]:
    if truth.crowd is None:
        return []
    silhouette, segmentation = truth.crowd
    entry = {"keypoints": [0] * (3 * len(COCO17)), "num_keypoints": 0, "iscrowd": 1}
    return [{**entry, "segmentation": segmentation, **_extent(silhouette)}]
