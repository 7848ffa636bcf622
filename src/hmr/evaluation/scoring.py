"""Computes the numbers of a protocol from predictions and ground truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hmr.errors import UserError
from hmr.evaluation import metrics
from hmr.evaluation.baselines import constant_baseline, mean_keypoints
from hmr.evaluation.measures import MEASURES, SampleScores
from hmr.evaluation.protocols import Protocol, group_labels, sorted_groups
from hmr.evaluation.samples import Prediction, Truth


@dataclass(frozen=True)
class Scores:
    """The result of a protocol.

    Attributes:
        protocol: what was measured.
        measures: name -> values of all samples.
        constant: the same for the best constant answers; empty without a training split.
        groups: division -> group -> `samples`, and each measure's mean and median (`median_`).
        group_mean: measure -> mean over the groups of `protocol.mean_over`, each the mean of its
            sequences' means; empty if the protocol asks for none.
        network: measure -> values before bodies were fitted; empty where none were.
    """

    protocol: Protocol
    measures: dict[str, SampleScores]
    constant: dict[str, SampleScores] = field(default_factory=dict)
    groups: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    group_mean: dict[str, float] = field(default_factory=dict)
    network: dict[str, SampleScores] = field(default_factory=dict)

    def summary(self) -> dict[str, float]:
        """Name -> number: means over samples, and with a prefix their medians (`median_`), the
        constant answers' means (`mean_body_`), the means before a fit (`network_`) and the means
        over groups (`group_mean_`).
        """
        numbers = {name: values.mean() for name, values in self.measures.items()}
        numbers |= {f"median_{name}": values.median() for name, values in self.measures.items()}
        numbers |= {f"mean_body_{name}": values.mean() for name, values in self.constant.items()}
        numbers |= {f"network_{name}": values.mean() for name, values in self.network.items()}
        return numbers | {f"group_mean_{name}": value for name, value in self.group_mean.items()}


def score(
    protocol: Protocol, prediction: Prediction, truth: Truth, train: Truth | None = None
) -> Scores:
    """Scores predictions.

    Args:
        protocol: what to measure.
        prediction, truth: of the same samples.
        train: labels that the best constant answers are made from; None leaves these out.

    Raises:
        UserError: the prediction lacks everything that the protocol measures, or the records
            lack 3D joints that it needs.
    """
    names = [name for name in protocol.measures if _can_be_taken(name, prediction)]
    if not names:
        raise UserError(
            f"{protocol.name} measures {', '.join(protocol.measures)}; the predictions hold "
            "nothing that these need."
        )
    _require_labels(protocol, names, truth)
    if protocol.perspective and prediction.joints3d_lsp_m is not None:
        prediction = _turned_by_rays(prediction, truth, protocol)
    measured = _measure(names, prediction, truth, protocol.root)
    constant = _constant_scores(protocol, names, truth, train) if train is not None else {}
    divided = {d: group_labels(d, truth.sequence, truth.activity) for d in protocol.divisions}
    groups = {division: group_means(measured, labels) for division, labels in divided.items()}
    group_mean = _mean_over(protocol.mean_over, measured, truth) if protocol.mean_over else {}
    return Scores(protocol, measured, constant, groups, group_mean)


def _can_be_taken(name: str, prediction: Prediction) -> bool:
    return all(getattr(prediction, part) is not None for part in MEASURES[name].needs)


def group_means(
    measured: dict[str, SampleScores], groups: np.ndarray
) -> dict[str, dict[str, float]]:
    """Group name -> `samples`, and each measure's mean and median (`median_`), in order."""
    table = {}
    for group in sorted_groups(np.unique(groups).tolist()):
        chosen = groups == group
        row = {name: values.mean(chosen) for name, values in measured.items()}
        row |= {f"median_{name}": values.median(chosen) for name, values in measured.items()}
        table[str(group)] = {"samples": int(chosen.sum()), **row}
    return table


def _mean_over(division: str, measured: dict[str, SampleScores], truth: Truth) -> dict[str, float]:
    """Measure -> mean in which every group counts alike, and every sequence within its group."""
    of_sequence = group_means(measured, truth.sequence)
    labels = group_labels(division, np.array(list(of_sequence)), np.full(len(of_sequence), ""))

    def mean(measure: str) -> float:
        values = np.array([row[measure] for row in of_sequence.values()])
        return float(np.mean([values[labels == label].mean() for label in np.unique(labels)]))

    return {measure: mean(measure) for measure in measured}


def _require_labels(protocol: Protocol, names: list[str], truth: Truth) -> None:
    in_3d = [name for name in names if "joints3d_lsp_m" in MEASURES[name].needs]
    if in_3d and not truth.has_joints3d.any():
        raise UserError(
            f"{protocol.name} measures {', '.join(in_3d)}, but none of the {len(truth)} records of "
            f"{protocol.dataset}/{protocol.split} has 3D joints."
        )


def _turned_by_rays(prediction: Prediction, truth: Truth, protocol: Protocol) -> Prediction:
    known = np.isfinite(truth.ray).all(axis=1)
    if not known.all():
        raise UserError(
            f"{protocol.name} turns predictions by the camera's ray, but {(~known).sum()} of "
            f"{len(truth)} records lack the camera (image/cam). Convert the dataset again."
        )
    turned = metrics.turn_to_rays(np.asarray(prediction.joints3d_lsp_m), truth.ray)
    return replace(prediction, joints3d_lsp_m=turned)


def _measure(
    names: list[str], prediction: Prediction, truth: Truth, root: str
) -> dict[str, SampleScores]:
    return {name: MEASURES[name].compute(prediction, truth, root) for name in names}


def _constant_scores(
    protocol: Protocol, names: list[str], truth: Truth, train: Truth
) -> dict[str, SampleScores]:
    """The best constant answers: see `hmr.evaluation.baselines`."""
    answer = constant_baseline(train.joints3d_lsp_m[train.has_joints3d], protocol.root)
    keypoints = mean_keypoints(train.keypoints2d, train.visibility)

    def repeated(part: np.ndarray) -> np.ndarray:
        return np.broadcast_to(part, (len(truth), *part.shape))

    candidates = [
        Prediction(repeated(body), repeated(keypoints))
        for body in (answer.arithmetic, answer.procrustes)
    ]
    arithmetic, procrustes = (_measure(names, each, truth, protocol.root) for each in candidates)
    return {
        name: _stricter(name, arithmetic[name], procrustes[name])
        if name.startswith("pa_")
        else arithmetic[name]
        for name in names
    }


def _stricter(name: str, first: SampleScores, second: SampleScores) -> SampleScores:
    better = max if MEASURES[name].higher_is_better else min
    return better((first, second), key=lambda samples: samples.mean())
