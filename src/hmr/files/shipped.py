"""Where the weights that come with the project lie: in a checkout's `models`, or in the package."""

from __future__ import annotations

import os
from pathlib import Path

from hmr.errors import UserError
from hmr.version import VERSION

_PACKAGE = Path(__file__).parents[1]
# Folders that hold a `models`: an installed package, then the checkout of an editable one.
_HOMES = (_PACKAGE, _PACKAGE.parents[1])


def find_shipped(path: str | os.PathLike) -> Path:
    """The path itself if something is there, and otherwise what the project ships by that name.

    Args:
        path: such as models/demo_standin, relative to the working directory.
    Returns:
        `path` as it was given where neither exists.
    """
    path = Path(path)
    places = (path, *(home / path for home in _HOMES if path.parts[:1] == ("models",)))
    return next((place for place in places if place.exists()), path)


def cache_folder() -> Path:
    """The user's folder for what this version makes once and reads again; it need not exist.

    Raises:
        UserError: the user has none.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # others are to be ignored, by the XDG Base Directory Specification
        try:
            base = Path.home() / ".cache"
        except RuntimeError as error:
            raise UserError("this user has no home folder: set XDG_CACHE_HOME=/folder") from error
    return base / "hmr" / VERSION
