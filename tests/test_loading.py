"""How TensorFlow and Keras are loaded: what they write, and what they find."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def _loaded(level: str | None, script: str) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    environment |= {} if level is None else {"TF_CPP_MIN_LOG_LEVEL": level}
    command = [sys.executable, "-c", f"import hmr, sys; {script}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("level", [None, "3"])
def test_it_is_silent_and_our_own_lines_come_through(level):
    ended = _loaded(level, "import keras, tensorflow; print('ours', file=sys.stderr)")
    assert ended.returncode == 0 and ended.stderr.split() == ["ours"]


@pytest.mark.slow
def test_it_speaks_when_asked_to():
    assert "cudart" in _loaded("0", "import tensorflow").stderr


def test_a_failure_to_load_is_told(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('no such library')")
    ended = _loaded("3", f"sys.path.insert(0, {str(tmp_path)!r}); import tensorflow")
    assert ended.returncode == 1 and "no such library" in ended.stderr


def test_what_a_command_leaves_out_can_be_imported_afterwards(tmp_path):
    (tmp_path / "keras.py").write_text(
        "import gc\ncollected = gc.isenabled()\n"
        "try:\n    import rival\nexcept ImportError:\n    rival = None"
    )
    (tmp_path / "rival.py").write_text("")
    script = (
        f"sys.path.insert(0, {str(tmp_path)!r}); from hmr.loading import leave_out; import gc;"
        "leave_out(['rival']); import keras, rival;"
        "print(keras.rival, keras.collected, rival.__name__, gc.isenabled())"
    )
    assert _loaded("3", script).stdout.split() == ["None", "False", "rival", "True"]
