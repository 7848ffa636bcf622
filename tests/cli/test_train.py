"""The training verb from the outside: flags and exit codes."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from hmr.cli.train import _check_what_is_cheap
from hmr.errors import EXIT_INTERRUPTED, UserError
from hmr.settings import CHOICES, Experiment
from hmr.training import recipe
from tests.helpers.in_process import run_python

ROOT = Path(__file__).parents[2]


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
        (("--config=demo", "--config.train.epochs.x=3"), "has no fields, it is 12"),
        (("--config=demo", "--config.train.batch_size=many"), "many"),
        (("--config=src/configs/nothing.py",), "nothing.py"),
        (("--config=dmeo",), "no experiment is called dmeo. There are ablation_no_prior, "),
        (("--config=dmeo.py",), "no file at dmeo.py"),
        (("--config=src/hmr/configs/demoo.py",), "Did you mean src/hmr/configs/demo.py?"),
        (("--config.train.epochs=3",), "config"),
        (("--config=demo", "--config.train.batch_size=0"), "config.train.batch_size must be at"),
        (("--config=demo", "--config.optimizer.schedule=x"), "config.optimizer.schedule must be"),
        (("--config=demo", "--config.validation.best_by=pck"), "config.validation.best_by must"),
        (("--config=demo", "--config.data.train.3dwp=0"), "config.data.train has no field 3dwp"),
        (("--config=demo", "--config.data.root=nowhere"), "python -m tfrecords_tools --"),
    ],
)
def test_a_wrong_flag_gives_one_line_and_exit_code_2(arguments, expected, tmp_path, capsys):
    words = ("-m", "src.main", *arguments, f"--workdir={tmp_path / 'run'}")
    assert run_python(words, ROOT) == 2
    errors = capsys.readouterr().err
    message = errors[errors.rindex("error: ") :]
    assert len(message.strip().splitlines()) == 1 and expected in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def get_config(:\n", "own.py, line 1: invalid syntax"),
        ("def get_config():\n    pass\n\n\nodd\n", "own.py, line 5: NameError: name 'odd'"),
        ("x = 1\n", "own.py defines no get_config()"),
    ],
)
def test_a_mistake_in_an_experiment_is_said_with_its_line(text, expected, tmp_path, capsys):
    (tmp_path / "own.py").write_text(text)
    assert run_python(("-m", "src.main", "--config", str(tmp_path / "own.py")), ROOT) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: --config: ")
    assert expected in errors and len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [("=0",), ("", "0.5")])
def test_a_dataset_whose_name_begins_with_a_digit_is_overridden(words, tmp_path, capsys):
    (tmp_path / "own.py").write_text(
        "from hmr.configs.demo import get_config as demo\n\ndef get_config():\n"
        "    config = demo()\n    config.data.train['3dpw'] = 2.0\n    return config\n"
    )
    option, *rest = (f"--config.data.train.3dpw{words[0]}", *words[1:])
    probe = (
        "from hmr.cli import train; "
        "train._run = lambda _: print(train._CONFIG.value.data.train['3dpw']); train.main()"
    )
    assert run_python(("-c", probe, f"--config={tmp_path / 'own.py'}", option, *rest), ROOT) == 0
    assert float(capsys.readouterr().out) == float((rest or [words[0][1:]])[0])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"data.service": "first:5050"}, "config.data.service must be grpc://HOST:PORT"),
        ({"model.body": "no_such.npz"}, "hmr convert-smpl"),
        ({"mean_params": "no_such.h5"}, "no mean parameters at no_such.h5"),
        ({"initial_model": "no_such"}, "no model in no_such"),
        ({"initial_encoder": "no_such.h5"}, "no file at no_such.h5. The paper starts from"),
    ],
)
def test_what_is_cheap_is_checked(tiny_config, change, expected):
    tiny_config.model.encoder = "resnet50_v2"
    tiny_config.update_from_flattened_dict(change)
    with pytest.raises(UserError) as told:
        _check_what_is_cheap(tiny_config)
    assert expected in str(told.value)


def test_the_choices_are_those_of_the_parts_that_use_them():
    from hmr.training.adam import SCHEDULES
    from hmr.training.devices import STRATEGIES

    assert tuple(SCHEDULES) == CHOICES["optimizer.schedule"]
    assert tuple(STRATEGIES) == CHOICES["strategy"]


def test_a_terminated_training_saves_and_says_how_to_resume(
    tiny_config, tmp_path, monkeypatch, capsys
):
    class Terminator(recipe.ProgressLine):
        def on_train_batch_end(self, batch, logs=None):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(recipe, "ProgressLine", Terminator)
    workdir = tmp_path / "run"
    words = [f"--config.{key}={value}" for key, value in _overrides(tiny_config).items()]
    command = ("-m", "src.main", "--config=demo", f"--workdir={workdir}", *words)
    assert run_python(command, ROOT) == EXIT_INTERRUPTED
    assert "run the same command to resume" in capsys.readouterr().err
    assert (workdir / "checkpoints" / "ckpt-1.index").is_file()
    assert not (workdir / "model").exists()


def _overrides(config):
    return {
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


def test_missing_records_of_the_validation_are_said_before_tensorflow_is_imported(tmp_path):
    config = ConfigDict(dataclasses.asdict(Experiment()))
    config.data.root, config.data.train, config.data.mocap = str(tmp_path), {}, {}
    with pytest.raises(UserError, match=r"mpi_inf_3dhp\" \(val\) .* Or train unwatched: "):
        _check_what_is_cheap(config)
