"""One evaluation from start to end: records, predictions, scores, files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.library import open_body
from hmr.body.model_file import BodyModel
from hmr.body.smpl import SMPL
from hmr.data.shards import find_shards
from hmr.errors import UserError
from hmr.evaluation.protocols import Protocol, choices, find_protocol, select_sequences
from hmr.evaluation.references import FLAGS, open_reference
from hmr.evaluation.report import HTML_FILE, table, write_html, write_report
from hmr.evaluation.sample_views import Drawn, draw_samples, find_extremes, write_extremes
from hmr.evaluation.samples import Prediction, Truth, predict_split, read_predictions, read_truth
from hmr.evaluation.scoring import Scores, score


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate. Exactly one of `checkpoint` and `predictions` is given.

    Attributes:
        protocol: name in `hmr.evaluation.protocols.PROTOCOLS`.
        data: folder of the records.
        checkpoint: model folder or training folder.
        predictions: .npz of any method, see `hmr.evaluation.samples.read_predictions`.
        body: another body file than the checkpoint's.
        batch_size: images at a time.
        limit: how many records, from the first; None for all.
        segmentation: UPi-S1h's folder, for `lsp_segmentation`.
        parts: file with the part of every vertex; the skinning weights decide if None.
        male, female: bodies of 3DPW's ground truth.
        joint_regressor: Human3.6M's, for `3dpw_h36m_joints`.
    """

    protocol: str
    data: str
    checkpoint: str | None = None
    predictions: str | None = None
    body: str | None = None
    batch_size: int = 64
    limit: int | None = None
    segmentation: str | None = None
    parts: str | None = None
    male: str | None = None
    female: str | None = None
    joint_regressor: str | None = None

    def __post_init__(self) -> None:
        if bool(self.checkpoint) == bool(self.predictions):
            raise UserError(
                "give a model (--checkpoint runs/demo) or predictions (--predictions FILE.npz), "
                f"one of them. Received: {self.checkpoint!r} and {self.predictions!r}"
            )


@dataclass(frozen=True)
class Outcome:
    """Scores, and what is behind them.

    Attributes:
        scores: the protocol's numbers.
        prediction, truth: the samples.
        paths: the shards that these come from.
        choices: everything that was decided, by name, for people.
        body: of the predicted meshes; None where only joints or keypoints were given.
    """

    scores: Scores
    prediction: Prediction
    truth: Truth
    paths: list[str]
    choices: dict[str, str]
    body: BodyModel | None = None

    def table(self) -> str:
        """The protocol's choices and numbers, for people."""
        return table(self.scores, self.choices)

    def draw(self, indices: Sequence[int]) -> list[Drawn]:
        """The samples of these indices, drawn."""
        faces = self.body.faces if self.body else None
        return draw_samples(indices, self.scores, self.prediction, self.truth, self.paths, faces)


def evaluate(evaluation: Evaluation) -> Outcome:
    """Scores a model or a file of predictions.

    Raises:
        UserError: protocol, records, model, predictions or other files are missing or do not fit.
    """
    protocol = find_protocol(evaluation.protocol)
    reference = open_reference(
        protocol.reference, protocol.name, {flag: getattr(evaluation, flag) for flag in FLAGS}
    )
    paths = find_shards(evaluation.data, protocol.dataset, protocol.split)
    model = _model(evaluation)
    if model is None:
        smpl = SMPL(open_body(evaluation.body)) if evaluation.body else None
        prediction, truth = _given(evaluation, protocol, paths, smpl)
    else:
        smpl = model.smpl
        prediction, truth = predict_split(
            model, paths, evaluation.batch_size, evaluation.limit, protocol.selection
        )
    body = smpl.body if smpl else None
    prediction, truth = reference.complete(prediction, truth, body)
    train = _constant_source(protocol, evaluation.data)
    scores = score(protocol, prediction, truth, train)
    notes = {**_source(evaluation), **reference.notes()}
    return Outcome(scores, prediction, truth, paths, choices(protocol, len(truth), notes), body)


def save_outcome(outcome: Outcome, evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Writes metrics.json, sequences.csv, samples.csv, best.jpg, worst.jpg and index.html."""
    folder = Path(folder)
    files = write_report(folder, outcome.scores, outcome.truth, asdict(evaluation), outcome.choices)
    extremes = {name: outcome.draw(found) for name, found in find_extremes(outcome.scores).items()}
    files += write_extremes(folder, extremes)
    return [*files, write_html(folder / HTML_FILE, outcome.scores, outcome.choices, extremes)]


def _source(evaluation: Evaluation) -> dict[str, str]:
    given = {"checkpoint": evaluation.checkpoint, "predicted": evaluation.predictions}
    texts = {key: str(path) for key, path in given.items() if path}
    if evaluation.limit:
        texts["limit"] = f"the first {evaluation.limit} records only"
    return texts


def _model(evaluation: Evaluation) -> Any:
    if not evaluation.checkpoint:
        return None
    from hmr.network.checkpoint import load_model

    return load_model(evaluation.checkpoint, evaluation.body)


def _given(
    evaluation: Evaluation, protocol: Protocol, paths: list[str], body: SMPL | None
) -> tuple[Prediction, Truth]:
    """Predictions of a file, which has a row for every record, selected or not."""
    truth = read_truth(paths, evaluation.limit)
    prediction = read_predictions(str(evaluation.predictions), truth, body)
    chosen = np.flatnonzero(select_sequences(protocol.selection, truth.sequence))
    if not len(chosen):
        raise UserError(
            f"{protocol.name} scores {protocol.selection}, and none of the {len(truth)} records is."
        )
    return prediction.take(chosen), truth.take(chosen)


def _constant_source(protocol: Protocol, data: str) -> Truth | None:
    if not protocol.baseline_split:
        return None
    return read_truth(find_shards(data, protocol.dataset, protocol.baseline_split))
