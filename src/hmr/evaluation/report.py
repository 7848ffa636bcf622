"""What an evaluation leaves behind: a table to read, metrics.json, csv files and an HTML page."""

from __future__ import annotations

import csv
import html
import io
import json
import math
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from hmr.evaluation.measures import MEASURES
from hmr.evaluation.sample_views import DrawnSample
from hmr.evaluation.samples import Truth
from hmr.evaluation.scoring import Scores, group_means
from hmr.files.images import jpeg_url
from hmr.files.whole import make_folder, write_text

METRICS_FILE, SEQUENCES_FILE, SAMPLES_FILE = "metrics.json", "sequences.csv", "samples.csv"
HTML_FILE = "index.html"
_NO_SEQUENCE = "(single pictures)"


def table(scores: Scores, choices: dict[str, str]) -> str:
    """Text for the terminal: the choices (`hmr.evaluation.protocols.choices`), then the numbers."""
    tables = [main_table(scores), *(group_table(*pair) for pair in scores.groups.items())]
    lines = [f"{key:<11}{text}" for key, text in choices.items()]
    return "\n".join([*lines, *(line for rows in tables for line in ["", *_aligned(rows)])])


def main_table(scores: Scores) -> list[list[str]]:
    """Rows of cells, the heading first: each measure's mean, median and what it compares with."""
    group = f"mean of {scores.protocol.mean_over}s" if scores.group_mean else ""
    rows = [["", "mean", "median", "network", "", "constant", "", group]]
    for name, samples in scores.measures.items():
        cells = [f"{samples.mean():.2f}", f"{samples.median():.2f}"]
        for other in (scores.network.get(name), scores.constant.get(name)):
            told = (f"{other.mean():.2f}", _compared(samples.mean(), other.mean())) if other else ()
            cells += told or ("-", "")
        over_groups = scores.group_mean.get(name)
        rows.append([MEASURES[name].label, *cells, f"{over_groups:.2f}" if over_groups else ""])
    return _without_empty_columns(rows)


def group_table(division: str, groups: dict[str, dict[str, float]]) -> list[list[str]]:
    """Rows of cells, the heading first: one for each group, mean and median of each measure."""
    names = [name for name in next(iter(groups.values())) if name in MEASURES]
    heading = [cell for name in names for cell in (MEASURES[name].label, "median")]
    rows = [[division, "samples", *heading]]
    for group, numbers in groups.items():
        cells = [f"{numbers[key]:.2f}" for name in names for key in (name, f"median_{name}")]
        rows.append([group or "(none)", f"{numbers['samples']:.0f}", *cells])
    return rows


def _without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    kept = [i for i in range(len(rows[0])) if any(row[i].strip("-") for row in rows[1:])]
    return [[row[i] for i in kept] for row in rows]


def _aligned(rows: list[list[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


def write_report(
    folder: Path, scores: Scores, truth: Truth, source: dict[str, Any], choices: dict[str, str]
) -> list[Path]:
    """Writes metrics.json, sequences.csv and samples.csv.

    Args:
        folder: made if missing. Each file is written atomically.
        scores: of the protocol.
        truth: the samples that were scored.
        source: what was evaluated, such as checkpoint and data folder; goes into metrics.json.
        choices: every choice behind the numbers, see `table`.

    Returns:
        the paths of the files.
    """
    make_folder(folder)
    sequences = np.where(truth.sequence == "", _NO_SEQUENCE, truth.sequence)
    numbers = {
        "protocol": asdict(scores.protocol),
        "source": source,
        "choices": choices,
        "samples": len(truth),
        "metrics": scores.summary(),
        "groups": scores.groups,
    }
    texts = {
        METRICS_FILE: json.dumps(_without_nan(numbers), indent=2) + "\n",
        SEQUENCES_FILE: _sequences_csv(group_means(scores.measures, sequences)),
        SAMPLES_FILE: _samples_csv(scores, truth),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def _compared(value: float, constant: float) -> str:
    return f"{100.0 * (value / constant - 1.0):+.0f} %" if constant else ""


def _sequences_csv(groups: dict[str, dict[str, float]]) -> str:
    columns = ["sequence", *next(iter(groups.values()))]
    return _csv(columns, ([name, *row.values()] for name, row in groups.items()))


def _samples_csv(scores: Scores, truth: Truth) -> str:
    columns = ["record", "filename", "sequence", *scores.measures]
    values = (samples.values for samples in scores.measures.values())
    return _csv(columns, zip(truth.record, truth.filename, truth.sequence, *values, strict=True))


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


def write_html(
    path: Path, scores: Scores, choices: dict[str, str], extremes: dict[str, list[DrawnSample]]
) -> None:
    """Writes the whole evaluation as one page that needs no other file.

    Args:
        path: of the html file.
        scores: the numbers.
        choices: name -> text, shown beside the numbers.
        extremes: heading -> samples.
    """
    samples = [sample for group in extremes.values() for sample in group]
    first = next(iter(scores.measures))
    parts = {
        "title": html.escape(f"{scores.protocol.name}: {scores.protocol.title}"),
        "table": _table(main_table(scores)),
        "choices": "".join(map(_choice, choices, choices.values())),
        "groups": "".join(
            f'<h2>By {html.escape(division)}</h2><div class="card">'
            f"{_table(group_table(division, groups))}</div>"
            for division, groups in scores.groups.items()
        ),
        "extremes": "".join(
            f"<h2>The {html.escape(name)} by {html.escape(MEASURES[first].label)}</h2>"
            + "".join(map(_figure, group))
            for name, group in extremes.items()
        ),
        "columns": str(max((len(sample.views) for sample in samples), default=1)),
    }
    template = Template((files("hmr.evaluation") / "report.html").read_text(encoding="utf-8"))
    write_text(path, template.substitute(parts))


def _table(rows: list[list[str]]) -> str:
    heading, *body = rows
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heading)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _choice(key: str, text: str) -> str:
    return f"<dt>{html.escape(key)}</dt><dd>{html.escape(text)}</dd>"


def _figure(sample: DrawnSample) -> str:
    numbers = "".join(
        f"<span>{html.escape(MEASURES[name].label)} {value:.1f}</span>"
        for name, value in sample.numbers.items()
    )
    views = "".join(
        f'<div class="view"><img alt="{html.escape(title)}" src="{jpeg_url(picture)}">'
        f"<span>{html.escape(title)}</span></div>"
        for title, picture in sample.views.items()
    )
    return (
        f'<figure class="card"><figcaption><b>record {sample.record}: {html.escape(sample.name)}'
        f'</b>{numbers}</figcaption><div class="views">{views}</div></figure>'
    )
