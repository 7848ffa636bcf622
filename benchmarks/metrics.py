"""The measures of many poses beside the singular value decompositions that they cannot avoid."""

from __future__ import annotations

import numpy as np

from benchmarks.timing import Row, compare
from hmr.evaluation import metrics


def metrics_row(poses: int, repeats: int) -> Row:
    """MPJPE, PA-MPJPE, PCK and AUC of `poses` skeletons of 14 joints."""
    rng = np.random.default_rng(0)
    truth_mm = 400 * rng.standard_normal((poses, 14, 3))
    predicted_mm = truth_mm + 80 * rng.standard_normal(truth_mm.shape)
    products = np.einsum("nji,njk->nik", predicted_mm, truth_mm)

    def measure() -> None:
        errors_mm = metrics.root_errors(predicted_mm, truth_mm)
        metrics.pa_mpjpe(predicted_mm, truth_mm)
        metrics.pck(errors_mm)
        metrics.auc(errors_mm)

    return compare(
        f"MPJPE, PA-MPJPE, PCK, AUC of {poses:,} poses",
        measure,
        "bare 3 x 3 decompositions",
        lambda: np.linalg.svd(products),
        repeats,
    )
