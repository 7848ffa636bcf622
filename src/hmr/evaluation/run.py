"""One evaluation from start to end: records, predictions, scores, files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from hmr.body.model_file import BodyModel, open_body
from hmr.body.smpl import SMPL
from hmr.data.shards import find_shards
from hmr.errors import UserError
from hmr.evaluation.protocols import (
    Evaluation,
    Protocol,
    choices,
    select_sequences,
)
from hmr.evaluation.references import FLAGS, open_reference
from hmr.evaluation.report import HTML_FILE, table, write_html, write_report
from hmr.evaluation.sample_views import DrawnSample, draw_samples, find_extremes, write_extremes
from hmr.evaluation.samples import (
    Prediction,
    Truth,
    moved_onto_keypoints,
    predict_split,
    read_predictions,
    read_truth,
)
from hmr.evaluation.scoring import Scores, score
from hmr.fitting.fit import Fitter


@dataclass(frozen=True)
class EvaluationResult:
    """Scores, and the samples that they come from.

    Attributes:
        evaluation: what was asked for.
        scores: the protocol's numbers.
        prediction, truth: the samples.
        paths: the shards that these come from.
        choices: name -> text of every choice behind the numbers.
        body: of the predicted meshes; None where only joints or keypoints were given.
    """

    evaluation: Evaluation
    scores: Scores
    prediction: Prediction
    truth: Truth
    paths: list[str]
    choices: dict[str, str]
    body: BodyModel | None = None

    def table(self) -> str:
        """The protocol's choices and numbers, for people."""
        return table(self.scores, self.choices)

    def draw(self, indices: Sequence[int]) -> list[DrawnSample]:
        """The samples of these indices, drawn."""
        faces = self.body.faces if self.body else None
        return draw_samples(indices, self.scores, self.prediction, self.truth, self.paths, faces)

    def save(self, folder: Path) -> list[Path]:
        """Writes metrics.json, sequences.csv, samples.csv, best.jpg, worst.jpg and index.html."""
        source = asdict(self.evaluation)
        files = write_report(folder, self.scores, self.truth, source, self.choices)
        extremes = {name: self.draw(found) for name, found in find_extremes(self.scores).items()}
        files += write_extremes(folder, extremes)
        write_html(folder / HTML_FILE, self.scores, self.choices, extremes)
        return [*files, folder / HTML_FILE]


def evaluate(evaluation: Evaluation) -> EvaluationResult:
    """Scores a model or a file of predictions.

    Raises:
        UserError: protocol, records, model, predictions or other files are missing or do not fit.
    """
    protocol = evaluation.chosen()
    reference = open_reference(protocol, {flag: getattr(evaluation, flag) for flag in FLAGS})
    paths = find_shards(evaluation.data, protocol.dataset, protocol.split)
    predict = _run_model if evaluation.checkpoint else _read_file
    prediction, labels, smpl = predict(evaluation, protocol, paths)
    body, network = smpl.body if smpl else None, prediction
    if evaluation.fit and smpl:
        prediction = moved_onto_keypoints(Fitter(smpl), prediction, labels)
    prediction, truth = reference.complete(prediction, labels, body)
    constant = _constant_source(protocol, evaluation.data)
    scores = score(protocol, prediction, truth, constant)
    if evaluation.fit:
        alone = score(protocol, *reference.complete(network, labels, body))
        scores = replace(scores, network=alone.measures)
    notes = {**_source(evaluation), **reference.notes()}
    if protocol.baseline_split and not constant:
        notes["constant"] = f"none: no 3D joints in {protocol.dataset}/{protocol.baseline_split}"
    stated = choices(protocol, len(truth), notes)
    return EvaluationResult(evaluation, scores, prediction, truth, paths, stated, body)


Samples = tuple[Prediction, Truth, SMPL | None]


def _run_model(evaluation: Evaluation, protocol: Protocol, paths: list[str]) -> Samples:
    from hmr.network.checkpoint import load_model

    model = load_model(str(evaluation.checkpoint), evaluation.body)
    prediction, truth = predict_split(
        model, paths, evaluation.batch_size, evaluation.limit, protocol.selection
    )
    return prediction, truth, model.smpl


def _read_file(evaluation: Evaluation, protocol: Protocol, paths: list[str]) -> Samples:
    """Reads the rows of all records first: a file has them for unselected records too."""
    smpl = SMPL(open_body(evaluation.body)) if evaluation.body else None
    truth = read_truth(paths, evaluation.limit)
    prediction = read_predictions(str(evaluation.predictions), truth, smpl)
    chosen = np.flatnonzero(select_sequences(protocol.selection, truth.sequence))
    if not len(chosen):
        raise UserError(
            f"{protocol.name} scores {protocol.selection}: none of the {len(truth)} records fits."
        )
    return prediction.take(chosen), truth.take(chosen), smpl


def _constant_source(protocol: Protocol, data: str) -> Truth | None:
    """Labels that the best constant answers are made from; None where the user has none."""
    if not protocol.baseline_split:
        return None
    try:
        paths = find_shards(data, protocol.dataset, protocol.baseline_split)
    except UserError:
        return None
    train = read_truth(paths)
    return train if train.has_joints3d.any() else None


def _source(evaluation: Evaluation) -> dict[str, str]:
    given = {"checkpoint": evaluation.checkpoint, "predicted": evaluation.predictions}
    texts = {key: str(path) for key, path in given.items() if path}
    if evaluation.fit:
        texts["fit"] = "bodies moved onto the true keypoints; network: before"
    if evaluation.limit:
        texts["limit"] = f"the first {evaluation.limit} records only"
    return texts
