"""Reports of exports outlive the code that wrote them."""

import dataclasses
import json

import pytest

from hmr.errors import UserError
from hmr.serving import report
from hmr.serving.report import ExportReport, read_report, write_report

# As written before reports had a version.
FIRST = {
    "path": "runs/export/1",
    "export_max_abs_diff": 2e-6,
    "differences": {"from_crops": {"beta": 2e-6}},
    "megabytes": 100.5,
    "milliseconds": 25.0,
    "warmup_requests": 4,
    "source": "runs/demo",
    "signatures": {"from_crops": {"inputs": {"crops": "(B, S, S, 3)"}, "outputs": {}}},
}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_what_is_written_reads_back(tmp_path):
    written = ExportReport(
        "a", 1e-6, {"from_crops": {"beta": 1e-6}}, 3.5, 7.0, inputs={"crops": ""}
    )
    write_report(tmp_path / "a.json", written)
    assert read_report(tmp_path / "a.json") == written
    text = json.loads((tmp_path / "a.json").read_text())
    assert text["version"] == report.REPORT_VERSION and "outputs" not in text


def test_a_report_without_a_version_is_read(tmp_path):
    read = read_report(write(tmp_path / "export.json", FIRST))
    assert dataclasses.asdict(read) == {**FIRST, "inputs": {}, "outputs": {}, "version": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {**FIRST, "megabites": 1},
            r"export\.json: unknown field megabites. Did you mean megabytes",
        ),
        ({**FIRST, "version": 99}, r"export\.json has version 99, expected at most 1"),
        ({"path": "x"}, r"export\.json is not an export's report .*run python -m src\.export"),
        ("[1]", "is not an export's report"),
        ("{", "is not an export's report"),
    ],
)
def test_what_is_no_report_of_this_version_is_named(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read_report(write(tmp_path / "export.json", content))
