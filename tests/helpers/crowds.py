"""Pictures of many stand-in people, rendered for the tests of the finder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmr.body.joints import COCO17, COCOPLUS, take_joints
from hmr.body.model_file import BodyModel
from hmr.files.images import read_image
from tfrecords_tools.standin.picture import measure_template, render_picture
from tfrecords_tools.standin.scene import BODY_HEIGHT_M, SceneStyle, sample_lens
from tfrecords_tools.standin.shots import Shot, pose_character, sample_cast, sample_view
from tfrecords_tools.standin.studio import pose_bodies

STYLE = SceneStyle(pitch_deg=(-5.0, 10.0), occluder_odds=0.0, truncation_odds=0.0)


@dataclass(frozen=True)
class Crowd:
    """A picture and where its P people are: keypoints (P, 17, 3) x, y, visible; areas (P,)."""

    image: np.ndarray
    keypoints_px: np.ndarray
    areas_px: np.ndarray


def render_crowd(
    body: BodyModel,
    folder: Path,
    count: int,
    heights_px: tuple[float, float],
    size_px: tuple[int, int],
    seed: int,
) -> Crowd:
    """People of random heights (pixels, drawn evenly on a logarithmic scale) who hardly overlap.

    Args:
        size_px: width and height of the picture.
    """
    from hmr.body.smpl import SMPL

    rng = np.random.default_rng(seed)
    lens, view, cast = (
        sample_lens(rng, *size_px, STYLE),
        sample_view(rng, STYLE),
        sample_cast(rng, count, False, STYLE),
    )
    people = tuple(
        pose_character(
            rng,
            cast,
            index,
            view,
            lens.unproject(middle, lens.focal_px * BODY_HEIGHT_M / height),
            STYLE,
        )
        for index, (middle, height) in enumerate(_places(rng, count, heights_px, size_px))
    )
    shot = Shot(folder / f"crowd_{seed}.jpg", (seed,), lens, people, STYLE, count)
    truth = render_picture(measure_template(body), shot, pose_bodies(SMPL(body), [shot])[0])
    named = np.concatenate([truth.joints_px, truth.visible[..., None]], axis=-1)[:, : len(COCOPLUS)]
    areas = np.array([silhouette.area for silhouette in truth.silhouettes], np.float64)
    return Crowd(read_image(shot.path), take_joints(named, COCOPLUS, COCO17), areas)


def _places(
    rng: np.random.Generator, count: int, heights_px: tuple[float, float], size_px: tuple[int, int]
) -> Iterator[tuple[np.ndarray, float]]:
    """Middles and heights of people whose upright boxes do not overlap, the tallest first."""
    taken: list[tuple[np.ndarray, np.ndarray]] = []
    for height in sorted(np.exp(rng.uniform(*np.log(heights_px), count)), reverse=True):
        half = np.array([0.25, 0.55]) * height
        for _ in range(2000):
            middle = rng.uniform(half, size_px - half)
            if all((np.abs(middle - other) > half + wide).any() for other, wide in taken):
                taken.append((middle, half))
                yield middle, float(height)
                break
        else:
            raise AssertionError("the picture is too small for so many people")
