"""Trains HMR: python -m src.main --config demo

--config takes the name of an experiment of the package (hmr, demo, demo_long, ...) or a file.

Every field of the configuration can be overridden, e.g. --config.train.batch_size=16. The same
command resumes an interrupted training. Results go to --workdir (runs/<name of the config>).
"""

from __future__ import annotations

import argparse
import difflib
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from hmr import configs
from hmr.cli import check_keras_settings
from hmr.errors import UserError

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Experiment: a name, such as hmr or demo, or a file.", lock_config=True
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for checkpoints, logs and the model; runs/<name of the config>."
)
_NEXT_COMMAND = "See python -m src.main --help, and the fields in hmr/settings.py."
_CONFIGS = Path(configs.__file__).parent


def _parse(arguments: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
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
    return rest


def _file_of(experiment: str) -> str:
    """The file of an experiment, which is given as such or by the name of one of the package's."""
    own = _CONFIGS / f"{experiment}.py"
    if own.is_file() and not Path(experiment).is_file():
        return str(own)
    if experiment.isidentifier() and not Path(experiment).is_file():
        known = sorted(path.stem for path in _CONFIGS.glob("[a-z]*.py"))
        raise UserError(
            f"--config: no experiment is called {experiment}. There are {', '.join(known)}; a file "
            "of your own is given by its path."
        )
    return experiment


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
    from hmr.training.recipe import run

    name = Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
    workdir = Path(_WORKDIR.value or Path("runs") / name)
    summary = run(_CONFIG.value, workdir)
    print(
        f"trained {summary['steps']} steps on {summary['train_images']} images in "
        f"{summary['seconds']:.0f} s; model: {workdir / 'model'}, curves: tensorboard --logdir "
        f"{workdir / 'logs'}"
    )
    return 0


def main() -> None:
    """Entry point of the verb."""
    check_keras_settings()
    app.run(_run, argv=sys.argv, flags_parser=_parse)
