"""What progress bars write where nobody watches them."""

from __future__ import annotations

import io
import re
import sys
import time
from pathlib import Path

from hmr import progress
from hmr.progress import progress_bar

ROOT = Path(__file__).parents[1]


def _log(monkeypatch, terminal=False):
    file = io.StringIO()
    file.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", file)
    return file


def test_a_log_gets_the_first_and_the_last_state_of_a_short_job(monkeypatch):
    log = _log(monkeypatch)
    for _ in progress_bar(range(10_000), desc="train", unit="step", disable=False):
        pass
    first, last = log.getvalue().splitlines()
    assert first.startswith("train:   0%") and last.startswith("train: 100%")
    assert "\r" not in log.getvalue()


def test_a_log_gets_a_line_every_so_many_seconds(monkeypatch):
    log = _log(monkeypatch)
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.1)
    with progress_bar(total=100, disable=False) as bar:
        for _ in range(100):
            time.sleep(0.005)
            bar.update()
    lines = log.getvalue().splitlines()
    assert 4 <= len(lines) <= 9
    assert "100/100" in lines[-1]


def test_a_terminal_gets_a_line_that_is_redrawn(monkeypatch):
    log = _log(monkeypatch, terminal=True)
    for _ in progress_bar(range(3), disable=False):
        pass
    assert log.getvalue().count("\r") >= 2


def test_no_bar_is_made_without_it():
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tfrecords_tools").rglob("*.py")]
    makers = {path.name for path in files if re.search(r"\b(tqdm|trange)\(", path.read_text())}
    assert makers == {"progress.py"}
