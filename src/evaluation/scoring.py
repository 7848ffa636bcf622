"""From predictions and ground truth to the numbers of a protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from src.errors import UserError
from src.evaluation import metrics
from src.evaluation.baselines import constant_baseline, mean_keypoints
from src.evaluation.groups import divide
from src.evaluation.protocols import Protocol
from src.evaluation.samples import Prediction, Truth
from src.imaging.crop import CROP_SIZE, from_normalized

MM_PER_M = 1000.0

Errors = tuple[np.ndarray, np.ndarray]
"""Distances (N, K), and which of them count (N, K)."""


@dataclass(frozen=True)
class Values:
    """One number for each sample, (N,), and how much each counts in the average, (N,)."""

    values: np.ndarray
    weights: np.ndarray

    def mean(self, chosen: np.ndarray | slice = slice(None)) -> float:
        """Weighted mean over the chosen samples; NaN if none of them counts."""
        weights, values = self.weights[chosen], self.values[chosen]
        counted = weights > 0
        if not counted.any():
            return float("nan")
        return float(np.average(values[counted], weights=weights[counted]))

    def median(self) -> float:
        """Median over the samples that count."""
        return float(np.median(self.values[self.weights > 0]))


@dataclass(frozen=True)
class Measure:
    """A column of a protocol's table.

    Attributes:
        label: heading.
        errors: (prediction, truth, root) -> distances (N, K) and which of them count (N, K).
        of_error: distances -> what is averaged, of the same shape.
        needs: attribute of `Prediction` that it reads.
        higher_is_better: the sense of "best".
    """

    label: str
    errors: Callable[[Prediction, Truth, str], Errors]
    of_error: Callable[[np.ndarray], np.ndarray]
    needs: str = "joints3d_m"
    higher_is_better: bool = False

    def __call__(self, prediction: Prediction, truth: Truth, root: str) -> Values:
        """Mean over each sample's joints; a sample weighs as many joints as count."""
        errors, counted = self.errors(prediction, truth, root)
        weights = counted.sum(axis=1).astype(np.float64)
        totals = np.where(counted, self.of_error(errors), 0.0).sum(axis=1)
        values = np.divide(totals, weights, out=np.full(len(totals), np.nan), where=weights > 0)
        return Values(values, weights)


@dataclass(frozen=True)
class Scores:
    """The result of a protocol.

    Attributes:
        protocol: what was measured.
        measures: name -> values of all samples.
        constant: the same of constant answers; empty without a training split.
        groups: division -> group -> `samples` and the mean of each measure.
        group_mean: measure -> mean over the groups of `protocol.mean_over`, each the mean of its
            sequences' means; empty if the protocol asks for none.
    """

    protocol: Protocol
    measures: dict[str, Values]
    constant: dict[str, Values] = field(default_factory=dict)
    groups: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    group_mean: dict[str, float] = field(default_factory=dict)

    def summary(self) -> dict[str, float]:
        """Flat name -> number: means over samples, and with a prefix medians (`median_`), constant
        answers (`mean_body_`) and means over groups (`group_mean_`).
        """
        numbers = {name: values.mean() for name, values in self.measures.items()}
        numbers |= {f"median_{name}": values.median() for name, values in self.measures.items()}
        numbers |= {f"mean_body_{name}": values.mean() for name, values in self.constant.items()}
        return numbers | {f"group_mean_{name}": value for name, value in self.group_mean.items()}


def score(
    protocol: Protocol, prediction: Prediction, truth: Truth, train: Truth | None = None
) -> Scores:
    """Scores predictions.

    Args:
        protocol: what to measure.
        prediction, truth: of the same samples.
        train: the split that constant answers come from; None leaves them out.

    Raises:
        UserError: the prediction lacks everything that the protocol measures, or the records
            lack 3D joints that it needs.
    """
    names = [
        name for name in protocol.measures if getattr(prediction, MEASURES[name].needs) is not None
    ]
    if not names:
        raise UserError(
            f"{protocol.name} measures {', '.join(protocol.measures)}; the predictions hold "
            "nothing that these need."
        )
    _require_labels(protocol, names, truth)
    if protocol.perspective and prediction.joints3d_m is not None:
        prediction = _turned_by_rays(prediction, truth, protocol)
    measured = _measure(names, prediction, truth, protocol.root)
    constant = _constant_scores(protocol, names, truth, train) if train is not None else {}
    divided = {d: divide(d, truth.sequences, truth.activities) for d in protocol.divisions}
    groups = {division: group_means(measured, labels) for division, labels in divided.items()}
    group_mean = _mean_over(protocol.mean_over, measured, truth) if protocol.mean_over else {}
    return Scores(protocol, measured, constant, groups, group_mean)


def group_means(measured: dict[str, Values], groups: np.ndarray) -> dict[str, dict[str, float]]:
    """Group name -> measure -> mean over the group's samples, with `samples`, sorted by name."""
    table = {}
    for group in np.unique(groups):
        chosen = groups == group
        row = {name: values.mean(chosen) for name, values in measured.items()}
        table[str(group)] = {"samples": int(chosen.sum()), **row}
    return table


def _mean_over(division: str, measured: dict[str, Values], truth: Truth) -> dict[str, float]:
    """Every group counts alike, and within it every sequence."""
    of_sequence = group_means(measured, truth.sequences)
    names = np.array(list(of_sequence))
    labels = divide(division, names, np.full(len(names), ""))
    return {
        measure: float(
            np.mean(
                [
                    np.mean([of_sequence[str(name)][measure] for name in names[labels == label]])
                    for label in np.unique(labels)
                ]
            )
        )
        for measure in measured
    }


def _require_labels(protocol: Protocol, names: list[str], truth: Truth) -> None:
    in_3d = [name for name in names if MEASURES[name].needs == "joints3d_m"]
    if in_3d and not truth.has_joints3d.any():
        raise UserError(
            f"{protocol.name} measures {', '.join(in_3d)}, but none of the {len(truth)} records of "
            f"{protocol.dataset}/{protocol.split} has 3D joints."
        )


def _turned_by_rays(prediction: Prediction, truth: Truth, protocol: Protocol) -> Prediction:
    known = np.isfinite(truth.rays).all(axis=1)
    if not known.all():
        raise UserError(
            f"{protocol.name} turns predictions by the camera's ray, but {(~known).sum()} of "
            f"{len(truth)} records lack the camera (image/cam). Convert the dataset again."
        )
    turned = metrics.turn_to_rays(np.asarray(prediction.joints3d_m), truth.rays)
    return replace(prediction, joints3d_m=turned)


def _measure(
    names: list[str], prediction: Prediction, truth: Truth, root: str
) -> dict[str, Values]:
    return {name: MEASURES[name](prediction, truth, root) for name in names}


def _constant_scores(
    protocol: Protocol, names: list[str], truth: Truth, train: Truth
) -> dict[str, Values]:
    """The best constant answers: see `src.evaluation.baselines`."""
    answer = constant_baseline(train.joints3d_m[train.has_joints3d], protocol.root)
    keypoints = mean_keypoints(train.keypoints2d, train.visibility)
    candidates = [
        Prediction(
            *(np.broadcast_to(part, (len(truth), *part.shape)) for part in (body, keypoints))
        )
        for body in (answer.arithmetic, answer.procrustes)
    ]
    arithmetic, procrustes = (_measure(names, each, truth, protocol.root) for each in candidates)
    return {
        name: _stricter(name, arithmetic[name], procrustes[name])
        if name.startswith("pa_")
        else arithmetic[name]
        for name in names
    }


def _stricter(name: str, first: Values, second: Values) -> Values:
    better = max if MEASURES[name].higher_is_better else min
    return better((first, second), key=Values.mean)


def _root_errors_mm(prediction: Prediction, truth: Truth, root: str) -> Errors:
    predicted, target = _joints_mm(prediction, truth)
    errors = metrics.joint_errors(metrics.centre(predicted, root), metrics.centre(target, root))
    return errors, _every_joint(truth)


def _aligned_errors_mm(prediction: Prediction, truth: Truth, root: str) -> Errors:
    predicted, target = _joints_mm(prediction, truth)
    aligned = metrics.procrustes_align(predicted, target)
    return metrics.joint_errors(aligned, target), _every_joint(truth)


def _keypoint_errors_px(prediction: Prediction, truth: Truth, root: str) -> Errors:
    predicted, target = (
        from_normalized(np.asarray(side.keypoints2d), CROP_SIZE) for side in (prediction, truth)
    )
    return metrics.joint_errors(predicted, target), truth.visibility


def _keypoint_errors_of_box(prediction: Prediction, truth: Truth, root: str) -> Errors:
    """Distances over the longer side of the box around each sample's visible keypoints."""
    errors, visible = _keypoint_errors_px(prediction, truth, root)
    target = from_normalized(truth.keypoints2d, CROP_SIZE)
    shown = visible[..., None]
    high = np.where(shown, target, -np.inf).max(axis=1)
    low = np.where(shown, target, np.inf).min(axis=1)
    side = (high - low).max(axis=1, keepdims=True)
    counted = visible & (side > 0)
    return np.divide(errors, side, out=np.zeros_like(errors), where=counted), counted


def _joints_mm(prediction: Prediction, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    return MM_PER_M * np.asarray(prediction.joints3d_m), MM_PER_M * truth.joints3d_m


def _every_joint(truth: Truth) -> np.ndarray:
    return np.broadcast_to(truth.has_joints3d[:, None], truth.joints3d_m.shape[:2])


def _percent_under(threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda errors: 100.0 * (errors < threshold)


def _auc_share(errors: np.ndarray) -> np.ndarray:
    return np.asarray(metrics.auc(errors[..., None], axis=-1))


_PCK = _percent_under(metrics.PCK_THRESHOLD_MM)

MEASURES: dict[str, Measure] = {
    "mpjpe_mm": Measure("MPJPE mm", _root_errors_mm, np.asarray),
    "pa_mpjpe_mm": Measure("PA-MPJPE mm", _aligned_errors_mm, np.asarray),
    "pck150": Measure("PCK@150 %", _root_errors_mm, _PCK, higher_is_better=True),
    "auc150": Measure("AUC %", _root_errors_mm, _auc_share, higher_is_better=True),
    "pa_pck150": Measure("PA-PCK@150 %", _aligned_errors_mm, _PCK, higher_is_better=True),
    "pa_auc150": Measure("PA-AUC %", _aligned_errors_mm, _auc_share, higher_is_better=True),
    "keypoint_error_px": Measure(
        "2D error px of 224", _keypoint_errors_px, np.asarray, "keypoints2d"
    ),
    "pck2d_005": Measure(
        "PCK@0.05 box %", _keypoint_errors_of_box, _percent_under(0.05), "keypoints2d", True
    ),
    "pck2d_010": Measure(
        "PCK@0.10 box %", _keypoint_errors_of_box, _percent_under(0.10), "keypoints2d", True
    ),
}
"""Name of a measure, with its unit -> how it is computed."""
