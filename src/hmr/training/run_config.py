"""The configuration that a working directory belongs to: written once, compared when resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from hmr.errors import UserError
from hmr.files.whole import write_text

CONFIG_FILE = "config.json"
# What may differ between a checkpoint's configuration and the one that resumes it.
FREE_TO_CHANGE = (
    "train.checkpoint_every_steps",
    "train.checkpoints_kept",
    "train.log_every_steps",
    "validation.pictures",
)


def check_config(config: ConfigDict, workdir: Path) -> None:
    """Compares `config` with the one that `workdir` was made with, if there is one.

    Raises:
        UserError: naming the field and both values.
    """
    path = workdir / CONFIG_FILE
    if not path.is_file():
        return
    current = _flatten(json.loads(config.to_json_best_effort()))
    stored = _flatten(json.loads(path.read_text()))
    for key in sorted(set(current) | set(stored)):
        if stored.get(key) != current.get(key) and key not in FREE_TO_CHANGE:
            raise UserError(
                f"{workdir} was trained with config.{key} = {stored.get(key)!r}, this run has "
                f"{current.get(key)!r}. Use the same value to resume, or another --workdir."
            )


def write_config(config: ConfigDict, workdir: Path) -> None:
    """Writes `config.json`."""
    write_json(workdir / CONFIG_FILE, json.loads(config.to_json_best_effort()))


def write_json(path: Path, content: dict) -> None:
    """Writes a file whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def _flatten(tree: dict, prefix: str = "") -> dict:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        nested = isinstance(value, dict)
        flat |= _flatten(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat
