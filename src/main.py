"""Trains HMR: python -m src.main --config src/configs/demo.py

Every field of the configuration can be overridden, e.g. --config.train.batch_size=16. The same
command resumes an interrupted training. Results go to --workdir (runs/<name of the config>).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags
from ml_collections import config_flags

from src.errors import UserError, run_verb

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Experiment file, such as src/configs/hmr.py.", lock_config=True
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for checkpoints, logs and the model; runs/<name of the config>."
)
_NEXT_COMMAND = "See python -m src.main --help, and the fields in src/configs/hmr.py."


def _parse(arguments: Sequence[str]) -> list[str]:
    try:
        rest = flags.FLAGS(list(arguments))
        missing = _CONFIG.value is None or not _CONFIG.value.keys()
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        reason = " ".join(str(error.args[0] if error.args else error).split())
        raise UserError(f"{reason} {_NEXT_COMMAND}") from error
    if missing:
        raise UserError(f"--config is missing, e.g. --config src/configs/demo.py. {_NEXT_COMMAND}")
    return rest


def _run(_: Sequence[str]) -> int:
    from src.training.experiment import run_experiment

    name = Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
    workdir = Path(_WORKDIR.value or Path("runs") / name)
    summary = run_experiment(_CONFIG.value, workdir)
    print(
        f"trained {summary['steps']} steps on {summary['train_images']} images in "
        f"{summary['seconds']:.0f} s; model: {workdir / 'model'}, curves: tensorboard --logdir "
        f"{workdir / 'logs'}"
    )
    return 0


def main() -> None:
    """Entry point of the verb."""
    app.run(_run, argv=sys.argv, flags_parser=_parse)


if __name__ == "__main__":
    run_verb(main)
