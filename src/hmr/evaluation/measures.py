"""The columns of a protocol's table: each row of `MEASURES` applies a function of `metrics`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hmr.body.joints import LSP14
from hmr.evaluation import metrics
from hmr.evaluation.meshes import in_batches
from hmr.evaluation.samples import PixelCounts, Prediction, Truth
from hmr.geometry.crop import from_normalized

MM_PER_M = 1000.0
JOINTS = len(LSP14)


class SampleScores:
    """One number for each sample, and their average.

    Args:
        values: (N,), NaN where a sample does not count.
        weights: (N,) how much each counts, 0 where it does not.
    """

    def __init__(self, values: np.ndarray, weights: np.ndarray) -> None:
        self.values = values
        self.weights = weights.astype(np.float64)

    def mean(self, chosen: np.ndarray | slice = slice(None)) -> float:
        """The weighted mean of the chosen samples; NaN if none of them counts."""
        weights, values = self.weights[chosen], self.values[chosen]
        counted = weights > 0
        if not counted.any():
            return float("nan")
        return float(np.average(values[counted], weights=weights[counted]))

    def median(self, chosen: np.ndarray | slice = slice(None)) -> float:
        """Median over the chosen samples that count; NaN if none does."""
        counted = self.values[chosen][self.weights[chosen] > 0]
        return float(np.median(counted)) if len(counted) else float("nan")


class PooledF1(SampleScores):
    """F1 of each sample; its average is the F1 of all pixels pooled, see `metrics.f1`.

    Args:
        confusions: (N, C, C) pixels by annotation and prediction.
    """

    def __init__(self, confusions: np.ndarray) -> None:
        super().__init__(metrics.f1(confusions), confusions.sum(axis=(1, 2)) > 0)
        self._confusions = confusions

    def mean(self, chosen: np.ndarray | slice = slice(None)) -> float:
        """F1 of the chosen samples' pixels pooled; NaN if there are none."""
        return float(metrics.f1(self._confusions[chosen].sum(axis=0)))


Compute = Callable[[Prediction, Truth, str], SampleScores]
"""(prediction, truth, root) -> the samples' numbers."""


@dataclass(frozen=True)
class Measure:
    """A column of a protocol's table.

    Attributes:
        label: heading.
        compute: see `Compute`.
        needs: attributes of `Prediction` that it reads.
        higher_is_better: the sense of "best".
    """

    label: str
    compute: Compute
    needs: tuple[str, ...]
    higher_is_better: bool = False


def _of_joints(
    label: str,
    metric: Callable[[np.ndarray, np.ndarray, str], np.ndarray],
    higher_is_better: bool = False,
) -> Measure:
    """A measure of 3D joints: `metric` takes both sides in mm, and the root, and gives (N,)."""

    def compute(prediction: Prediction, truth: Truth, root: str) -> SampleScores:
        values = metric(*_joints_mm(prediction, truth), root)
        return _of_labelled(values, truth, JOINTS)

    return Measure(label, compute, ("joints3d_lsp_m",), higher_is_better)


def _of_keypoints(
    label: str,
    metric: Callable[..., SampleScores],
    higher_is_better: bool = False,
) -> Measure:
    """A measure of keypoints: `metric` takes both sides in px of 224, and the true visibility."""

    def compute(prediction: Prediction, truth: Truth, root: str) -> SampleScores:
        sides = (np.asarray(prediction.keypoints2d), truth.keypoints2d)
        return metric(*(from_normalized(side) for side in sides), truth.visibility)

    return Measure(label, compute, ("keypoints2d",), higher_is_better)


def _of_pixels(label: str, metric: Callable[[PixelCounts], SampleScores]) -> Measure:
    """A measure of drawn bodies, from the counts of their pixels."""

    def compute(prediction: Prediction, truth: Truth, root: str) -> SampleScores:
        assert prediction.pixels is not None
        return metric(prediction.pixels)

    return Measure(label, compute, ("pixels",), higher_is_better=True)


def _joints_mm(prediction: Prediction, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    return MM_PER_M * np.asarray(prediction.joints3d_lsp_m), MM_PER_M * truth.joints3d_lsp_m


def _of_labelled(values: np.ndarray, truth: Truth, points: int = 1) -> SampleScores:
    """Values (N,), each a mean over `points` points; samples without 3D labels do not count."""
    return SampleScores(np.where(truth.has_joints3d, values, np.nan), points * truth.has_joints3d)


def _aligned_errors(predicted_mm: np.ndarray, true_mm: np.ndarray) -> np.ndarray:
    return metrics.aligned_errors(predicted_mm[:, :JOINTS], true_mm[:, :JOINTS])


def _vertex_error_mm(prediction: Prediction, truth: Truth, root: str) -> SampleScores:
    """Mean over the vertices, each side about its own root."""
    assert prediction.meshes is not None and truth.meshes is not None
    roots_mm = [metrics.root_points(side, root) for side in _joints_mm(prediction, truth)]
    errors_mm = np.full(len(truth), np.nan)
    for chosen, predicted_m in in_batches(prediction.meshes, "comparing vertices"):
        sides_mm = (MM_PER_M * predicted_m, MM_PER_M * truth.meshes.vertices_m(chosen))
        errors_mm[chosen] = metrics.pve(*sides_mm, *(points[chosen] for points in roots_mm))
    return _of_labelled(errors_mm, truth)


def _keypoint_error_px(
    predicted_px: np.ndarray, true_px: np.ndarray, visible: np.ndarray
) -> SampleScores:
    errors_px = metrics.joint_errors(predicted_px, true_px)
    return SampleScores(metrics.mean_error(errors_px, 1, visible), visible.sum(axis=1))


def _keypoint_pck(share_of_box: float) -> Callable[..., SampleScores]:
    """PCK: the threshold is a share of the longer side of the visible keypoints' box."""

    def metric(predicted_px: np.ndarray, true_px: np.ndarray, visible: np.ndarray) -> SampleScores:
        errors_px = metrics.joint_errors(predicted_px, true_px)  # (N, 19)
        sides_px = metrics.box_sides(true_px, visible)  # (N, 1)
        counted = visible & (sides_px > 0)
        shares = np.divide(errors_px, sides_px, out=np.zeros_like(errors_px), where=counted)
        return SampleScores(metrics.pck(shares, share_of_box, 1, counted), counted.sum(axis=1))

    return metric


def _pixel_accuracy(right: np.ndarray, pixels: np.ndarray) -> SampleScores:
    return SampleScores(metrics.accuracy(right, pixels), pixels)


MEASURES: dict[str, Measure] = {
    "mpjpe_mm": _of_joints("MPJPE mm", lambda p, t, root: metrics.mpjpe(p, t, root, JOINTS)),
    "pa_mpjpe_mm": _of_joints(
        "PA-MPJPE mm", lambda p, t, root: metrics.pa_mpjpe(p[:, :JOINTS], t[:, :JOINTS])
    ),
    "pve_mm": Measure("PVE mm", _vertex_error_mm, ("meshes", "joints3d_lsp_m")),
    "pck150": _of_joints(
        "PCK@150 %",
        lambda p, t, root: metrics.pck(metrics.root_errors(p, t, root, JOINTS), axis=1),
        higher_is_better=True,
    ),
    "auc150": _of_joints(
        "AUC %",
        lambda p, t, root: metrics.auc(metrics.root_errors(p, t, root, JOINTS), axis=1),
        higher_is_better=True,
    ),
    "pa_pck150": _of_joints(
        "PA-PCK@150 %",
        lambda p, t, root: metrics.pck(_aligned_errors(p, t), axis=1),
        higher_is_better=True,
    ),
    "pa_auc150": _of_joints(
        "PA-AUC %",
        lambda p, t, root: metrics.auc(_aligned_errors(p, t), axis=1),
        higher_is_better=True,
    ),
    "keypoint_error_px": _of_keypoints("2D error px of 224", _keypoint_error_px),
    "pck2d_005": _of_keypoints("PCK@0.05 box %", _keypoint_pck(0.05), higher_is_better=True),
    "pck2d_010": _of_keypoints("PCK@0.10 box %", _keypoint_pck(0.10), higher_is_better=True),
    "foreground_accuracy": _of_pixels(
        "fg accuracy %",
        lambda c: _pixel_accuracy(np.trace(c.foreground, axis1=1, axis2=2), c.pixels),
    ),
    "foreground_f1": _of_pixels("fg F1 %", lambda counts: PooledF1(counts.foreground)),
    "parts_accuracy": _of_pixels(
        "parts accuracy %", lambda c: _pixel_accuracy(c.parts_right, c.pixels)
    ),
    "parts_f1": _of_pixels("parts F1 %", lambda counts: PooledF1(counts.parts)),
}
"""Name of a measure, with its unit -> how it is computed."""
