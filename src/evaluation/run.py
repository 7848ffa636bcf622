"""One evaluation from start to end: records, predictions, scores, files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.data.shards import find_shards
from src.errors import UserError
from src.evaluation.groups import select
from src.evaluation.pictures import draw_extremes
from src.evaluation.protocols import Protocol, find_protocol
from src.evaluation.report import table, write_report
from src.evaluation.samples import (
    Prediction,
    Truth,
    predict_split,
    read_predictions,
    read_truth,
)
from src.evaluation.scoring import Scores, score


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate. Exactly one of `checkpoint` and `predictions` is given.

    Attributes:
        protocol: name in `src.evaluation.protocols.PROTOCOLS`.
        data: folder of the records.
        checkpoint: model folder or training folder.
        predictions: .npz of any method, see `src.evaluation.samples.read_predictions`.
        body: another body file than the checkpoint's.
        batch_size: images at a time.
        limit: how many records, from the first; None for all.
    """

    protocol: str
    data: str
    checkpoint: str | None = None
    predictions: str | None = None
    body: str | None = None
    batch_size: int = 64
    limit: int | None = None

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
        model: `src.network.hmr.HMR`; None where predictions were given.
    """

    scores: Scores
    prediction: Prediction
    truth: Truth
    paths: list[str]
    model: Any = None

    def table(self) -> str:
        """The protocol's choices and numbers, for people."""
        return table(self.scores, len(self.truth))


def evaluate(evaluation: Evaluation) -> Outcome:
    """Scores a model or a file of predictions.

    Raises:
        UserError: protocol, records, model or predictions are missing or do not fit.
    """
    protocol = find_protocol(evaluation.protocol)
    paths = find_shards(evaluation.data, protocol.dataset, protocol.split)
    model = _model(evaluation)
    if model is None:
        prediction, truth = _given(evaluation, protocol, paths)
    else:
        prediction, truth = predict_split(
            model, paths, evaluation.batch_size, evaluation.limit, protocol.selection
        )
    train = _constant_source(protocol, evaluation.data)
    scores = score(protocol, prediction, truth, train)
    return Outcome(scores, prediction, truth, paths, model)


def save_outcome(outcome: Outcome, evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Writes metrics.json, sequences.csv, samples.csv, best.jpg and worst.jpg."""
    folder = Path(folder)
    return [
        *write_report(folder, outcome.scores, outcome.truth, asdict(evaluation)),
        *draw_extremes(
            folder,
            outcome.scores,
            outcome.prediction,
            outcome.truth,
            outcome.paths,
            outcome.model,
        ),
    ]


def _model(evaluation: Evaluation) -> Any:
    if not evaluation.checkpoint:
        return None
    from src.network.checkpoint import load_model

    return load_model(evaluation.checkpoint, evaluation.body)


def _given(
    evaluation: Evaluation, protocol: Protocol, paths: list[str]
) -> tuple[Prediction, Truth]:
    """Predictions of a file, which has a row for every record, selected or not."""
    truth = read_truth(paths, evaluation.limit)
    prediction = read_predictions(str(evaluation.predictions), truth)
    chosen = np.flatnonzero(select(protocol.selection, truth.sequences))
    if not len(chosen):
        raise UserError(
            f"{protocol.name} scores {protocol.selection}, and none of the {len(truth)} records is."
        )
    return prediction.take(chosen), truth.take(chosen)


def _constant_source(protocol: Protocol, data: str) -> Truth | None:
    if not protocol.baseline_split:
        return None
    return read_truth(find_shards(data, protocol.dataset, protocol.baseline_split))
