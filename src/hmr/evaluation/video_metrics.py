"""The measures of people in motion: who is who, how much bodies tremble, how far feet slide."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


def pairs_above(similar: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Pairs of row and column of (P, N) similarities with the largest sum; none below `least`."""
    rows, columns = linear_sum_assignment(-np.where(similar >= least, similar, -1.0))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [pair for pair in pairs if similar[pair] >= least]


def idf1(overlaps: np.ndarray, truths: np.ndarray, found: np.ndarray) -> tuple[int, int]:
    """Twice the frames with the right id, and all frames, true and found: IDF1 is their ratio.

    Ristani et al. 2016: each true person is paired with one found id, so that most frames fit.

    Args:
        overlaps: (P, I) frames in which person P and id I are in the same place.
        truths: (P,) frames in which each person is there; found: (I,) the same of each id.
    """
    right = overlaps[linear_sum_assignment(-overlaps)].sum()
    return int(2 * right), int(truths.sum() + found.sum())


def acceleration_errors(
    predicted_m: np.ndarray, truth_m: np.ndarray, counted: np.ndarray
) -> np.ndarray:
    """How far accelerations are from the truth, mm per frame squared, of inner frames that count.

    Kanazawa et al. 2019 (HMMR): the second difference of every joint.

    Args:
        predicted_m: (T, J, 3) moved to the root; truth_m the same.
        counted: (T,) frames that are known on both sides.

    Returns:
        (n,) of the frames whose neighbours count as well.
    """
    difference = np.diff(predicted_m - truth_m, 2, axis=0)  # (T - 2, J, 3)
    inner = counted[2:] & counted[1:-1] & counted[:-2]
    return 1000 * np.linalg.norm(difference, axis=-1).mean(axis=1)[inner]


def slides(feet_m: np.ndarray, contact: np.ndarray) -> np.ndarray:
    """How far standing feet move, mm per frame.

    Args:
        feet_m: (T, 2, 3) of the left and the right foot.
        contact: (T, 2) bool, whether it stands.

    Returns:
        (n,) of each foot from each frame in which it stands to the next one.
    """
    moved = 1000 * np.linalg.norm(np.diff(feet_m, axis=0), axis=-1)  # (T - 1, 2)
    return moved[contact[1:] & contact[:-1]]
