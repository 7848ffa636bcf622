"""One html file with an evaluation's choices, numbers, and best and worst cases."""

from __future__ import annotations

import base64
import html
import io
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image

from hmr.evaluation.measures import MEASURES
from hmr.evaluation.report import group_table, main_table
from hmr.evaluation.sample_views import Drawn
from hmr.evaluation.scoring import Scores
from hmr.files.whole import write_text

PAGE_FILE = "index.html"
_QUALITY = 88


def write_page(
    path: Path, scores: Scores, choices: dict[str, str], extremes: dict[str, list[Drawn]]
) -> Path:
    """Writes the page, which needs no other file.

    Args:
        path: of the html file; it appears when it is complete.
        scores: the numbers.
        choices: name -> text, shown beside the numbers.
        extremes: heading -> samples.

    Returns:
        the file.
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
    page = template.substitute(parts)
    write_text(path, page)
    return path


def _table(rows: list[list[str]]) -> str:
    heading, *body = rows
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heading)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _choice(key: str, text: str) -> str:
    return f"<dt>{html.escape(key)}</dt><dd>{html.escape(text)}</dd>"


def _figure(sample: Drawn) -> str:
    numbers = "".join(
        f"<span>{html.escape(MEASURES[name].label)} {value:.1f}</span>"
        for name, value in sample.numbers.items()
    )
    views = "".join(
        f'<div class="view"><img alt="{html.escape(title)}" src="{_jpeg_url(picture)}">'
        f"<span>{html.escape(title)}</span></div>"
        for title, picture in sample.views.items()
    )
    return (
        f'<figure class="card"><figcaption><b>record {sample.record}: {html.escape(sample.name)}'
        f'</b>{numbers}</figcaption><div class="views">{views}</div></figure>'
    )


def _jpeg_url(picture: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
