"""Whether a verb of this checkout can use the Python that runs this; the Makefile asks before each.

usage: PYTHON tools/environment.py mine          ends with 2 if it belongs to another checkout
       PYTHON tools/environment.py install [EXTRA ...]
                                                installs what is locked, if it is mine
       PYTHON tools/environment.py need [EXTRA ...]
                                                ends with 2 if packages are missing

Missing packages of extras are installed, if the environment is this checkout's own. There nothing
that is installed is replaced, and nothing is installed because a file is newer. Every file that is
downloaded has to have one of the hashes in requirements.lock.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTION = "hmr-tf2"
LOCK = ROOT / "requirements.lock"
CORE = "core"  # in the lock, what every installation needs
# Builds the project itself.
BUILDER = "setuptools"
PIP = [sys.executable, "-m", "pip", "install"]


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


def constants() -> dict[str, Any]:
    """CORE, a list, and EXTRAS, lists by name, of setup.py."""
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse((ROOT / "setup.py").read_text()).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("CORE", "EXTRAS")
    }


def requirements(extras: list[str]) -> list[str]:
    """The lines of setup.py for some extras, or for every installation."""
    lines = constants()
    return (
        [line for extra in extras for line in lines["EXTRAS"][extra]] if extras else lines["CORE"]
    )


def locked(extras: list[str]) -> list[str]:
    """The lock's entries, with hashes, of the packages that every installation and extras need."""
    wanted = {CORE, *extras}
    entries = re.findall(r"^(\S.*(?:\n +--.*)*)\n +# (.*)", LOCK.read_text(), re.MULTILINE)
    return [
        entry
        for entry, needed_by in entries
        if wanted & set(needed_by.split(", ")) or name_of(entry) == BUILDER
    ]


def name_of(requirement: str) -> str:
    """The package's name."""
    return re.match(r"[\w.-]+", requirement)[0]


def install(entries: list[str], *flags: str) -> int:
    """Installs entries of the lock; the exit code of pip."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(entries))
        file.flush()
        command = [*PIP, *flags, "--require-hashes", "--requirement", file.name]
        return subprocess.run(command, check=False).returncode


def is_missing(requirement: str) -> bool:
    """Whether no version of the package is installed."""
    try:
        metadata.version(name_of(requirement))
    except metadata.PackageNotFoundError:
        return True
    return False


def need(extras: list[str]) -> str | None:
    """What to do before the verb can run; None if it can."""
    missing = [line for line in requirements(extras) if is_missing(line)]
    if not missing:
        return None
    names = ", ".join(map(name_of, missing))
    command = "make install" + (f" EXTRAS={','.join(extras)}" if extras else "")
    if owner() not in (ROOT, None):
        return f"{sys.prefix} lacks {names}, and belongs to {owner()}. Run there: {command}"
    if not extras:
        return f"{sys.prefix} lacks {names}. Run: {command}"
    print(f"installing what this verb needs beyond `make install`: {names}", flush=True)
    install(list(filter(is_missing, locked(extras))), "--no-deps", "--quiet")
    failed = any(map(is_missing, missing))
    return f"{names} could not be installed. Run: {command}" if failed else None


def mine(_: list[str]) -> str | None:
    """Why nothing may be installed into the environment; None if it is this checkout's own."""
    if owner() in (ROOT, None):
        return None
    return (
        f"{sys.prefix} belongs to {owner()}: nothing is installed into it from here. Run make "
        f"install there, or give {ROOT} an environment of its own: make install VENV=.venv-own"
    )


def install_all(extras: list[str]) -> str | None:
    """Installs what is locked, and this checkout; what is wrong, if anything."""
    if problem := mine(extras):
        return problem
    unknown = sorted({*extras} - {*constants()["EXTRAS"]})
    if unknown:
        return f"there is no extra {unknown[0]}, but {', '.join(constants()['EXTRAS'])}"
    own = [*PIP, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    failed = install(locked(extras)) or subprocess.run(own, check=False).returncode
    return "the installation failed, see above" if failed else None


def main() -> int:
    """Entry point."""
    what, *rest = sys.argv[1:]
    problem = {"mine": mine, "need": need, "install": install_all}[what](rest)
    if problem:
        print(f"error: {problem}", file=sys.stderr)
    return 2 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
