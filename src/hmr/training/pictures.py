"""Pictures of fixed samples while training: what the network sees, and what it makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hmr.data.augment import prepare_person
from hmr.data.records import parse_person
from hmr.evaluation.sample_views import body_over_crop, read_records
from hmr.geometry.crop import CROP_SIZE, from_normalized
from hmr.geometry.crop_train import no_jitter
from hmr.network.hmr import HMR
from hmr.network.regressor import BETA, CAMERA, POSE
from hmr.rendering.draw import draw_skeleton, stack_rows, turned_view
from hmr.tensor import Tensor

_SIDE_DEG = 90.0


class Gallery:
    """The same records, drawn again and again.

    Args:
        paths: shards.
        num_records: how many of their records to choose from.
        count: how many to draw, spread evenly; 0 for none.
    """

    def __init__(self, paths: Sequence[str], num_records: int, count: int) -> None:
        wanted = np.linspace(0, num_records - 1, min(count, num_records)).astype(int).tolist()
        records = read_records(paths, set(wanted)) if wanted else {}
        self._people = [parse_person(records[index]) for index in wanted]

    def draw(self, model: HMR) -> np.ndarray | None:
        """A row for each record, (N * 224, W, 3) uint8 RGB; None without records.

        From left to right: the crop, the true keypoints (visible ones), the estimated ones, the
        body of every iteration over the crop, and the last one from the side.
        """
        if not self._people:
            return None
        small = [self._crop(person, model.input_size)["images"] for person in self._people]
        outputs = model(np.stack(small))
        theta = np.asarray(outputs["theta"])
        keypoints_px = from_normalized(np.asarray(outputs["keypoints2d"]))
        rows = [
            _row(self._crop(person, CROP_SIZE), keypoints_px[index], theta[index], model)
            for index, person in enumerate(self._people)
        ]
        return stack_rows(rows)

    @staticmethod
    def _crop(person: dict[str, Tensor], size: int) -> dict[str, np.ndarray]:
        sample = prepare_person(person, no_jitter(), size)
        return {key: np.asarray(value) for key, value in sample.items()}


def _row(
    sample: dict[str, np.ndarray], keypoints_px: np.ndarray, theta: np.ndarray, model: HMR
) -> np.ndarray:
    image = np.rint((sample["images"] + 1.0) * 127.5).astype(np.uint8)
    true_px = from_normalized(sample["keypoints2d"])
    cells = [
        image,
        draw_skeleton(image, true_px, sample["visibility"]),
        draw_skeleton(image, keypoints_px),
    ]
    faces = model.smpl.body.faces
    if len(faces):
        vertices_m = np.asarray(model.smpl(theta[:, POSE], theta[:, BETA])["vertices"])
        cells += [
            body_over_crop(image, vertices, camera, faces)
            for vertices, camera in zip(vertices_m, theta[:, CAMERA], strict=True)
        ]
        cells.append(turned_view(vertices_m[-1], faces, _SIDE_DEG, CROP_SIZE, CROP_SIZE))
    return np.concatenate(cells, axis=1)
