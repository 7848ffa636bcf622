"""How well two sets of keypoints agree: COCO's object keypoint similarity."""

from __future__ import annotations

import numpy as np

from hmr.body.joints import COCO17_SIGMAS

# A person's area as a share of their box's squared diagonal, where no segment tells it.
AREA_OF_DIAGONAL = 0.25


def oks(
    points_px: np.ndarray, reference_px: np.ndarray, area_px: np.ndarray, counted: np.ndarray
) -> np.ndarray:
    """Object keypoint similarity of COCO's keypoint evaluation.

    The mean over the counted keypoints of exp(-distance^2 / (2 area (2 sigma)^2)); sigma says how
    far annotators scatter at that joint, relative to the person's size.

    Args:
        points_px: (..., 17, 2) in COCO's order.
        reference_px: (..., 17, 2) the same keypoints elsewhere.
        area_px: (...,) of the person, square pixels (COCO: of the segment).
        counted: (..., 17) bool; in COCO those that are labelled in the reference.

    Returns:
        (...,) from 0 to 1, and 0 where nothing counts.
    """
    distance2 = ((points_px - reference_px) ** 2).sum(axis=-1)  # (..., 17)
    variance = np.asarray(area_px)[..., None] * (2 * COCO17_SIGMAS) ** 2
    agreement = np.exp(-distance2 / (2 * np.maximum(variance, 1e-12))) * counted
    return agreement.sum(axis=-1) / np.maximum(np.sum(counted, axis=-1), 1)
