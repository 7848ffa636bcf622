"""The measurements run, in small, and the table says what was measured."""

import itertools
import json
import time

import pytest

from benchmarks import records, serving, timing
from benchmarks.__main__ import main
from benchmarks.serving import BATCH_SIZES
from benchmarks.timing import Row, compare, report, table
from hmr.errors import UserError
from hmr.serving import saved_model
from hmr.serving.report import FROM_CROPS, FROM_IMAGES
from hmr.serving.signatures import crop_requests
from tests.helpers.tiny_encoder import register_tiny_encoder


def test_ratio_and_table():
    text = table([Row("ours", 5.0, "theirs", 10.0)])
    assert "0.50" in text.splitlines()[1]


def test_a_program_gets_the_machine_and_the_medians_with_their_spread():
    rows = [compare("x", lambda: None, "y", lambda: time.sleep(0.001), repeats=3)]
    content = json.loads(report(rows, as_json=True))
    assert {"processor", "cores", "switches"} <= set(content["machine"])
    (row,) = content["rows"]
    low, high = row["rival_spread_ms"]
    assert 1.0 <= low <= row["rival_ms"] <= high and row["ratio"] < 1
    shown = report(rows, as_json=False)
    assert f"processor: {content['machine']['processor']}" in shown and f"{low:.1f} to" in shown


def test_both_sides_are_called_in_turns():
    calls = []

    def side(name, seconds):
        calls.append(name)
        time.sleep(seconds)

    row = compare("x", lambda: side("a", 0.03), "y", lambda: side("b", 0.01), repeats=3)
    assert [name for name, _ in itertools.groupby(calls)] == ["a", "b"] * 5
    # What fills a tenth of a second, after two calls to warm up.
    assert 2 < calls.count("a") - 2 <= 3 * 4 and calls.count("b") > calls.count("a")
    assert row.ours_ms > 25 and row.ours_ms > row.rival_ms


@pytest.mark.slow
def test_every_row_in_small(body_path, records_root, capsys, monkeypatch):
    formats = [kind for kind in serving.installed_formats() if kind == "tflite"]
    monkeypatch.setattr(serving, "installed_formats", lambda: formats)
    # Finding people in pictures has no row, and takes most of an export's time.
    inputs = {name: saved_model._INPUTS[name] for name in (FROM_IMAGES, FROM_CROPS)}
    monkeypatch.setattr(saved_model, "_INPUTS", inputs)
    monkeypatch.setattr(saved_model, "example_requests", crop_requests)
    monkeypatch.setattr(timing, "PAUSE_S", 0.0)
    monkeypatch.setattr(timing, "BLOCK_S", 0.0)
    monkeypatch.setattr(records, "BATCHES", 2)
    flags = [f"--encoder={register_tiny_encoder()}", "--input-size=32", "--batch=2", "--repeats=1"]
    flags += ["--poses=50"]
    assert main([*flags, f"--body={body_path}", f"--data={records_root}"]) == 0
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if " ms " in line]
    assert sum(row.startswith("SavedModel") for row in rows) == len(BATCH_SIZES)
    assert sum(row.startswith("tflite") for row in rows) == len(formats)
    with_smplx = 0 if "their rows are left out" in printed else 2
    assert len(rows) == 8 + with_smplx + len(BATCH_SIZES) + len(formats)


def test_no_repeats():
    with pytest.raises(UserError, match="at least 1"):
        main(["--repeats=0"])
