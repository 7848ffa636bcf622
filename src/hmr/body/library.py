"""Opens a body by its path, making it first where the project has a recipe for it."""

from __future__ import annotations

import os
from pathlib import Path

from hmr.body.model_file import BodyModel, load_body, save_body

STANDIN_BODY = "standin_body.npz"


def _standin() -> BodyModel:
    from hmr.body.standin.build import build_standin_body

    return build_standin_body()


RECIPES = {STANDIN_BODY: _standin}


def open_body(path: str | os.PathLike) -> BodyModel:
    """Loads a body file; one with a recipe, such as the stand-in, is made if it is missing.

    Raises:
        UserError: the file is missing and has no recipe, or is no body file.
    """
    path = Path(path)
    if not path.is_file() and path.name in RECIPES:
        save_body(path, RECIPES[path.name]())
    return load_body(path)
