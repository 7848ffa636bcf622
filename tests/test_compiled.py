"""Compiled loops where nothing may be written."""

from __future__ import annotations

import subprocess
import sys

import numba
import pytest

from hmr.compiled import compiled


@pytest.mark.parametrize("writable", [True, False])
def test_without_a_place_for_the_cache_it_is_compiled_all_the_same(monkeypatch, writable):
    njit = numba.njit

    def refusing(cache: bool = False, **options):
        if cache and not writable:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(cache=cache, **options)

    monkeypatch.setattr(numba, "njit", refusing)

    @compiled()
    def double(number):
        return 2 * number

    assert double(21) == 42 and len(double.signatures) == 1


@pytest.mark.slow
def test_commands_start_without_the_second_that_numba_takes():
    verbs = (
        *(f"hmr.cli.{verb}" for verb in ("train", "predict", "evaluate", "export")),
        "tfrecords_tools.__main__",
    )
    script = f"import sys, {', '.join(verbs)}; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=120).returncode == 0


@pytest.mark.slow
def test_one_picture_waits_for_no_library_that_videos_need():
    needless = ("scipy.optimize", "scipy.signal", "scipy.stats")
    script = f"import sys, hmr.prediction.run; sys.exit(any(m in sys.modules for m in {needless}))"
    assert subprocess.run([sys.executable, "-c", script], timeout=120).returncode == 0
