"""The training verb from the outside: flags and exit codes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PYTHON = [sys.executable, "-m", "src.main"]


def _run(*arguments):
    return subprocess.run([*PYTHON, *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "--config is missing"),
        (
            ("--config=demo", "--config.train.batchsize=3"),
            "Did you mean batch_size?",
        ),
        (
            ("--config", "src/hmr/configs/demo.py", "--config.model.precision=x"),
            "config.model has no",
        ),
        (("--config=demo", "--config.train.epochs.x=3"), "has no fields, it is 19"),
        (("--config=demo", "--config.train.batch_size=many"), "many"),
        (("--config=src/configs/nothing.py",), "nothing.py"),
        (("--config=dmeo",), "no experiment is called dmeo. There are ablation_no_prior, "),
        (("--config.train.epochs=3",), "config"),
        (("--config=demo", "--config.data.root=nowhere"), "python -m tfrecords_tools --"),
    ],
)
def test_a_wrong_flag_gives_one_line_and_exit_code_2(arguments, expected, tmp_path):
    finished = _run(*arguments, f"--workdir={tmp_path / 'run'}")
    assert finished.returncode == 2
    message = finished.stderr[finished.stderr.rindex("error: ") :]
    assert len(message.strip().splitlines()) == 1 and expected in message
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_terminated_training_saves_and_resumes(tiny_config, tmp_path):
    workdir = tmp_path / "run"
    config = [f"--config.{key}={value}" for key, value in _overrides(tiny_config).items()]
    command = [*PYTHON, "--config=demo", f"--workdir={workdir}", *config]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    _wait_for(workdir / "metrics.jsonl", process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command to resume" in errors
    assert list((workdir / "checkpoints").glob("*.index"))
    assert not (workdir / "model").exists()


def _wait_for(path, process):
    deadline = time.monotonic() + 90
    while not path.is_file():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)


def _overrides(config):
    return {
        "model.encoder": config.model.encoder,
        "model.input_size": config.model.input_size,
        "model.hidden_units": config.model.hidden_units,
        "model.discriminator_units": config.model.discriminator_units,
        "model.body": config.model.body,
        "data.root": config.data.root,
        "data.train.coco": 0.0,
        "data.mocap.mocap_posePrior": 0.0,
        "train.batch_size": 4,
        "validation.dataset": "",
        "train.epochs": 1000.0,
        "train.log_every_steps": 1,
    }
