"""Trains HMR, or resumes a training.

--config takes the name of an experiment of the package (hmr, demo, from_scratch, ...) or a file.

Every field of the configuration can be overridden, e.g. --config.train.batch_size=16. The same
command resumes an interrupted training. Results go to --workdir (runs/<name of the config>).

examples:
  hmr train --config demo
  hmr train --config hmr --config.data.train.h36m=0 --workdir runs/without_h36m
  hmr train --config /path/to/experiment.py
"""

from __future__ import annotations

import difflib
import functools
import re
import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from hmr import configs
from hmr.body.mean_params import read_mean_params
from hmr.cli import check_folder, check_keras_settings
from hmr.data.shards import find_shards, unwatched_offered
from hmr.errors import UserError, VerbParser
from hmr.network.description import (
    check_body,
    check_encoder_name,
    find_encoder,
    model_folder,
    read_spec,
)
from hmr.settings import read_experiment

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Experiment: a name, such as hmr or demo, or a file.", lock_config=True
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for checkpoints, logs and the model; runs/<name of the config>."
)
_NEXT_COMMAND = "See hmr train --help, and the fields in hmr/settings.py."
_CONFIGS = Path(configs.__file__).parent


def _parse(numbered: Sequence[tuple[str, str]], arguments: Sequence[str]) -> list[str]:
    parser = VerbParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", nargs="?")
    given, (program, *overrides) = parser.parse_known_args(list(arguments))
    config_file = _file_of(given.config) if given.config else None
    chosen = [f"--config={config_file}"] if config_file else []
    try:
        rest = flags.FLAGS([program, *chosen, *overrides])
        missing = _CONFIG.value is None or not _CONFIG.value.keys()
    except (AttributeError, KeyError) as error:
        raise UserError(
            f"{_unknown_field(config_file or '', overrides) or _in_a_line(error)} {_NEXT_COMMAND}"
        ) from error
    except (flags.Error, TypeError, ValueError, OSError) as error:
        raise UserError(f"{_in_a_line(error)} {_NEXT_COMMAND}") from error
    if missing:
        raise UserError(f"--config is missing, e.g. --config demo. {_NEXT_COMMAND}")
    if flags.FLAGS["verbosity"].using_default_value:
        logging.set_verbosity(logging.WARNING)  # `app.run` would show what TensorFlow notes, too
    for option, text in numbered:
        _override(_CONFIG.value, option, text)
    return rest


def _without_numbered(overrides: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Takes out overrides such as --config.data.train.3dpw=0.

    ml_collections cannot read names that begin with a digit.

    Returns:
        the other words; option and text of each that was taken out.
    """
    others: list[str] = []
    taken: list[tuple[str, str]] = []
    words = iter(overrides)
    for word in words:
        option, equals, text = word.partition("=")
        if re.fullmatch(r"--config(\.\w+)*\.\d\w*", option):
            taken.append((option, text if equals else next(words, "")))
        else:
            others.append(word)
    return others, taken


def _override(config: ConfigDict, option: str, text: str) -> None:
    *groups, name = option.split(".")[1:]
    group = config
    for each in groups:
        group = group.get(each, ConfigDict())
    fault = _fault(config, option)
    if fault:
        raise UserError(f"{fault} {_NEXT_COMMAND}")
    try:
        group[name] = type(group[name])(text)
    except ValueError as error:
        raise UserError(f"{option}: {error}. {_NEXT_COMMAND}") from error


def _file_of(experiment: str) -> str:
    """The file of an experiment, which is given as such or by the name of one of the package's."""
    own = _CONFIGS / f"{experiment}.py"
    if own.is_file() and not Path(experiment).is_file():
        return str(own)
    known = sorted(path.stem for path in _CONFIGS.glob("[a-z]*.py"))
    if experiment.isidentifier() and not Path(experiment).is_file():
        raise UserError(
            f"--config: no experiment is called {experiment}. There are {', '.join(known)}; a file "
            "of your own is given by its path."
        )
    path = Path(experiment.partition(":")[0])  # what follows a colon is handed to get_config
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else Path()
        close = difflib.get_close_matches(path.name, [p.name for p in folder.glob("*.py")], 1)
        hint = f" Did you mean {folder / close[0]}?" if close else ""
        raise UserError(
            f"--config: no file at {path}.{hint} The package's experiments are {', '.join(known)}."
        )
    _check_file(path)
    return experiment


def _check_file(path: Path) -> None:
    """Runs a user's experiment, so that its own mistakes are said with their line.

    Raises:
        UserError: it cannot be run, or defines no get_config.
    """
    try:
        defined = runpy.run_path(str(path))
    except SyntaxError as error:
        raise UserError(f"--config: {path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:  # anything that a user's own file may raise
        line = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{line.filename}, line {line.lineno}"
        raise UserError(f"--config: {where}: {type(error).__name__}: {error}") from error
    if not callable(defined.get("get_config")):
        raise UserError(f"--config: {path} defines no get_config(); see hmr/configs/demo.py")


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error.args[0] if error.args else error).split())


def _unknown_field(config_file: str, overrides: Sequence[str]) -> str | None:
    """Says which overridden field the configuration lacks, and what it has instead."""
    try:
        config = runpy.run_path(config_file)["get_config"]()
    except (AttributeError, KeyError, TypeError, OSError):
        return None  # the file itself is at fault, which the first error says
    options = (override.partition("=")[0] for override in overrides)
    faults = (_fault(config, option) for option in options if option.startswith("--config."))
    return next(filter(None, faults), None)


def _fault(config: ConfigDict, option: str) -> str | None:
    group, place = config, "config"
    for name in option.split(".")[1:]:
        if not isinstance(group, ConfigDict):
            return f"{option}: {place} has no fields, it is {group!r}."
        if name not in group:
            close = difflib.get_close_matches(name, group.keys(), 1)
            hint = f"Did you mean {close[0]}?" if close else f"It has {', '.join(group)}."
            return f"{option}: {place} has no field {name}. {hint}"
        group, place = group[name], f"{place}.{name}"
    return None


def _run(_: Sequence[str]) -> int:
    name = Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
    workdir = Path(_WORKDIR.value or Path("runs") / name)
    _check_what_is_cheap(_CONFIG.value)
    check_folder(workdir)

    from hmr.training.devices import lost_workers_named
    from hmr.training.recipe import run

    with lost_workers_named():
        summary = run(_CONFIG.value, workdir)
    print(
        f"trained {summary['steps']} steps on {summary['train_images']} images; the steps took "
        f"{summary['seconds']:.0f} s; model: {workdir / 'model'}, curves: tensorboard --logdir "
        f"{workdir / 'logs'}"
    )
    return 0


def _check_what_is_cheap(config: ConfigDict) -> None:
    """Values, records, body and first weights, before TensorFlow is imported.

    Raises:
        UserError: a value cannot be meant, or something is not there.
    """
    experiment = read_experiment(config.to_dict())
    for name, weight in (experiment.data.train | experiment.data.mocap).items():
        if weight > 0:
            find_shards(experiment.data.root, name, "train")
    held_out = experiment.validation
    if held_out.dataset:
        with unwatched_offered():
            find_shards(experiment.data.root, held_out.dataset, held_out.split)
    check_encoder_name(experiment.model.encoder)
    check_body(experiment.model.body)
    if experiment.mean_params != "mocap":
        read_mean_params(experiment.mean_params)
    if experiment.initial_model:
        read_spec(model_folder(experiment.initial_model))
    elif experiment.initial_encoder:
        find_encoder(experiment.initial_encoder)


def main() -> None:
    """Entry point of the verb."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        usage = (
            f"usage: {sys.argv[0]} [-h] --config NAME|FILE [--workdir DIR] [--config.X=VALUE ...]"
        )
        print(f"{usage}\n\n{__doc__}\nfields: hmr/settings.py; experiments: hmr/configs")
        return
    check_keras_settings()
    # ml_collections reads overrides in sys.argv itself.
    sys.argv, numbered = _without_numbered(sys.argv)
    app.run(_run, argv=sys.argv, flags_parser=functools.partial(_parse, numbered))
