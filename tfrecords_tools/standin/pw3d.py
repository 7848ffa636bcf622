"""Stand-in pictures in the layout of 3DPW: people whose SMPL pose and shape are labels.

A "sequence" shows one character through one lens, in a pose and a place of its own in every
picture. The last sixteenth of the sequences, the split "validation", shows characters and
combinations of key poses that the rest never shows.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from hmr.body.joints import COCOPLUS, OPENPOSE18
from tfrecords_tools.standin.framing import place_person
from tfrecords_tools.standin.picture import GroundTruth
from tfrecords_tools.standin.scene import SceneStyle, sample_lens
from tfrecords_tools.standin.shots import (
    Cast,
    Shot,
    bystanders,
    pose_character,
    sample_cast,
    sample_view,
)
from tfrecords_tools.standin.studio import Studio

DATASET_SEED = 8
PICTURES_PER_SEQUENCE = 16
HELD_OUT_EVERY = 16
SHAPES = ((320, 240), (240, 320), (320, 320))
SEEN, GUESSED = 1.0, 0.5


def write_pw3d(root: Path, count: int, style: SceneStyle, seed: int, studio: Studio) -> None:
    """Writes `count` pictures or a few more, and the pickles of their sequences."""
    sequences = [
        _plan(root, number, style, seed) for number in range(-(-count // PICTURES_PER_SEQUENCE))
    ]
    truths = studio.render([shot for shots in sequences for shot in shots], "3dpw")
    for number, shots in enumerate(sequences):
        split = "validation" if _is_held_out(number) else "train"
        path = root / "sequenceFiles" / split / f"{shots[0].path.parent.name}.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        labels = _labels(path.stem, shots, [next(truths) for _ in shots], studio)
        path.write_bytes(pickle.dumps(labels, protocol=2))


def _is_held_out(number: int) -> bool:
    return number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


def _plan(root: Path, number: int, style: SceneStyle, seed: int) -> list[Shot]:
    rng = np.random.default_rng([seed, DATASET_SEED, number])
    lens = sample_lens(rng, *SHAPES[rng.integers(len(SHAPES))], style)
    cast = sample_cast(rng, PICTURES_PER_SEQUENCE, _is_held_out(number), style)
    alone = Cast(cast.characters[:1], cast.poses)
    folder = root / "imageFiles" / f"made_people_{number:05d}"
    folder.mkdir(parents=True)
    shots = []
    for index in range(PICTURES_PER_SEQUENCE):
        path, shot_seed = folder / f"image_{index:05d}.jpg", (seed, DATASET_SEED, number, index)
        view, pelvis_m = sample_view(rng, style), place_person(rng, lens, style)
        people = (
            pose_character(rng, alone, index, view, pelvis_m, style),
            *bystanders(rng, cast, view, pelvis_m, style),
        )
        shots.append(Shot(path, shot_seed, lens, people, style, num_annotated=1))
    return shots


def _labels(name: str, shots: list[Shot], truths: list[GroundTruth], studio: Studio) -> dict:
    """What the pickle of a sequence holds; its world is the camera's frame."""
    people = [shot.people[0] for shot in shots]
    beta = people[0].character.beta
    pelvis_m = np.array([person.pelvis_m for person in people])  # (N, 3)
    return {
        "sequence": name,
        "genders": ["m"],
        "betas": [beta],
        "poses": [np.array([person.pose for person in people])],
        "trans": [pelvis_m - studio.rest_pelvis_m(beta)],
        "poses2d": [np.array([_keypoints(*pair) for pair in zip(shots, truths, strict=True)])],
        "campose_valid": [np.ones(len(shots), np.int64)],
        "cam_poses": np.tile(np.eye(4), (len(shots), 1, 1)),
        "cam_intrinsics": shots[0].lens.intrinsics(),
        "img_frame_ids": np.arange(len(shots)),
    }


def _keypoints(shot: Shot, truth: GroundTruth) -> np.ndarray:
    """OpenPose's x, y, confidence (3, 18), zero outside the picture."""
    size = np.array([shot.lens.width, shot.lens.height])
    points = np.zeros((len(OPENPOSE18), 3))
    for row, joint in enumerate(OPENPOSE18):
        if joint in COCOPLUS:
            place = truth.joints_px[0, COCOPLUS.index(joint)]
            seen = truth.visible[0, COCOPLUS.index(joint)]
            if (place > -0.5).all() and (place < size - 0.5).all():
                points[row] = *place, SEEN if seen else GUESSED
    return points.T
