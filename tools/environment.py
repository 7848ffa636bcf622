"""Whether a verb of this checkout can use the Python that runs this; the Makefile asks before each.

usage: PYTHON tools/environment.py mine          ends with 2 if it belongs to another checkout
       PYTHON tools/environment.py need [EXTRA ...]
                                                ends with 2 if packages are missing

Missing packages of extras are installed, if the environment is this checkout's own. Nothing that is
installed is replaced, and nothing is installed because a file is newer.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTION = "hmr-tf2"
PIP = [sys.executable, "-m", "pip", "install", "--constraint", str(ROOT / "requirements.lock")]


def owner() -> Path | None:
    """The checkout that is installed in the environment, or that it lies in; None if neither.

    An environment elsewhere in which no checkout is installed is anybody's who names it.
    """
    prefix = Path(sys.prefix).resolve()
    # Not on PYTHONPATH, where a checkout's own egg-info may lie.
    installed = metadata.distributions(name=DISTRIBUTION, path=[sysconfig.get_path("purelib")])
    for distribution in installed:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        checkout = Path(unquote(urlparse(origin.get("url", "")).path))
        if origin.get("dir_info", {}).get("editable") and checkout.is_dir():
            return checkout.resolve()
    return prefix.parent if (prefix.parent / "setup.py").is_file() else None


def requirements(extras: list[str]) -> list[str]:
    """The lines of setup.py for some extras, or for every installation."""
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse((ROOT / "setup.py").read_text()).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("CORE", "EXTRAS")
    }
    if not extras:
        return constants["CORE"]
    return [line for extra in extras for line in constants["EXTRAS"][extra]]


def is_missing(requirement: str) -> bool:
    """Whether no version of the package is installed."""
    try:
        metadata.version(re.match(r"[\w.-]+", requirement)[0])
    except metadata.PackageNotFoundError:
        return True
    return False


def need(extras: list[str]) -> str | None:
    """What to do before the verb can run; None if it can."""
    missing = [line for line in requirements(extras) if is_missing(line)]
    if not missing:
        return None
    names = ", ".join(re.match(r"[\w.-]+", line)[0] for line in missing)
    command = "make install" + (f" EXTRAS={','.join(extras)}" if extras else "")
    if owner() not in (ROOT, None):
        return f"{sys.prefix} lacks {names}, and belongs to {owner()}. Run there: {command}"
    if not extras:
        return f"{sys.prefix} lacks {names}. Run: {command}"
    print(f"installing what this verb needs beyond `make install`: {names}", flush=True)
    ended = subprocess.run([*PIP, "--quiet", *missing], check=False)
    return f"{names} could not be installed. Run: {command}" if ended.returncode else None


def main() -> int:
    """Entry point."""
    what, *rest = sys.argv[1:]
    if what == "need":
        problem = need(rest)
    elif owner() in (ROOT, None):
        problem = None
    else:
        problem = (
            f"{sys.prefix} belongs to {owner()}: nothing is installed into it from here. Run make "
            f"install there, or give {ROOT} an environment of its own: make install VENV=.venv-own"
        )
    if problem:
        print(f"error: {problem}", file=sys.stderr)
    return 2 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
