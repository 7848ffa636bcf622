"""What an evaluation leaves behind: a table to read, metrics.json, and a csv per sequence."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from src.evaluation.protocols import describe
from src.evaluation.samples import Truth
from src.evaluation.scoring import MEASURES, Scores, group_means

METRICS_FILE, SEQUENCES_FILE, SAMPLES_FILE = "metrics.json", "sequences.csv", "samples.csv"
_NO_SEQUENCE = "(single pictures)"


def table(scores: Scores, num_samples: int) -> str:
    """The protocol's choices, then its numbers."""
    lines = [describe(scores.protocol, num_samples), "", _row("", "mean", "median", "constant", "")]
    for name, values in scores.measures.items():
        constant = scores.constant.get(name)
        lines.append(
            _row(
                MEASURES[name].label,
                f"{values.mean():.2f}",
                f"{values.median():.2f}",
                f"{constant.mean():.2f}" if constant else "-",
                _compared(values.mean(), constant.mean()) if constant else "",
            )
        )
        if name in scores.group_mean:
            label = f"  mean over {scores.protocol.mean_over}s"
            lines.append(_row(label, f"{scores.group_mean[name]:.2f}", "", "", ""))
    lines += [_group_table(division, rows) for division, rows in scores.groups.items()]
    return "\n".join(lines)


def _group_table(division: str, rows: dict[str, dict[str, float]]) -> str:
    """One line for each group, one column for each measure."""
    names = [name for name in next(iter(rows.values())) if name != "samples"]
    lines = ["", f"{division:<22}" + "".join(f"{MEASURES[n].label:>15}" for n in names)]
    for group, row in rows.items():
        lines.append(f"{group or '(none)':<22}" + "".join(f"{row[n]:>15.2f}" for n in names))
    return "\n".join(lines)


def write_report(folder: Path, scores: Scores, truth: Truth, source: dict[str, Any]) -> list[Path]:
    """Writes metrics.json, sequences.csv and samples.csv.

    Args:
        folder: made if missing; a file appears under its name only when it is complete.
        scores: of the protocol.
        truth: the samples that were scored.
        source: what was evaluated, such as checkpoint and data folder; goes into metrics.json.

    Returns:
        the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sequences = np.where(truth.sequences == "", _NO_SEQUENCE, truth.sequences)
    numbers = {
        "protocol": asdict(scores.protocol),
        "source": source,
        "samples": len(truth),
        "metrics": scores.summary(),
        "groups": scores.groups,
    }
    text = json.dumps(_without_nan(numbers), indent=2) + "\n"
    return [
        _write(folder / METRICS_FILE, text),
        _write(folder / SEQUENCES_FILE, _sequences_csv(group_means(scores.measures, sequences))),
        _write(folder / SAMPLES_FILE, _samples_csv(scores, truth)),
    ]


def _row(label: str, *cells: str) -> str:
    return f"{label:<22}" + "".join(f"{cell:>10}" for cell in cells[:-1]) + f"  {cells[-1]}"


def _compared(value: float, constant: float) -> str:
    return f"{100.0 * (value / constant - 1.0):+.0f} %" if constant else ""


def _sequences_csv(groups: dict[str, dict[str, float]]) -> str:
    columns = ["sequence", *next(iter(groups.values()))]
    return _csv(columns, ([name, *row.values()] for name, row in groups.items()))


def _samples_csv(scores: Scores, truth: Truth) -> str:
    columns = ["record", "filename", "sequence", *scores.measures]
    per_sample = zip(*(values.values for values in scores.measures.values()), strict=True)
    rows = (
        [record, name, sequence, *numbers]
        for record, name, sequence, numbers in zip(
            truth.records, truth.names, truth.sequences, per_sample, strict=True
        )
    )
    return _csv(columns, rows)


def _csv(columns: list[str], rows: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"{cell:.4f}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue()


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: an average over nothing is null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _write(path: Path, text: str) -> Path:
    partial = path.with_name(f"{path.name}.partial{os.getpid()}")
    partial.write_text(text)
    os.replace(partial, path)
    return path
