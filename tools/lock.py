"""Renews requirements.lock to the newest versions that fit: `make lock`.

It needs uv (pip install uv). The lock holds every extra, for every supported Python and platform,
with the hashes of all files of each release. The comment below a package names the extras that need
it, or core.
"""

from __future__ import annotations

import re
import subprocess
import sys

from environment import CORE, LOCK, ROOT, constants

COMPILE = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--quiet"]
COMPILE += ["--no-annotate", "--no-header", "--no-emit-index-url", "setup.py"]


def main() -> None:
    """Entry point; --keep renews hashes and extras alone."""
    newest = [] if "--keep" in sys.argv else ["--upgrade"]
    command = [*COMPILE, *newest, "--all-extras", "--generate-hashes", "--output-file", str(LOCK)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    needed = {CORE: names([])} | {
        extra: names(["--extra", extra]) for extra in constants()["EXTRAS"]
    }
    blocks = re.findall(r"^\S.*(?:\n .*)*", LOCK.read_text(), re.MULTILINE)
    LOCK.write_text("".join(f"{block}\n    # {extras_of(block, needed)}\n" for block in blocks))


def names(flags: list[str]) -> set[str]:
    """The packages that an installation needs, of those in the lock."""
    command = [*COMPILE, *flags, "--constraint", str(LOCK)]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^([\w.-]+)==", printed, re.MULTILINE))


def extras_of(block: str, needed: dict[str, set[str]]) -> str:
    """Who needs a package; an extra is left out where every installation does."""
    package = block.partition("==")[0]
    extras = [extra for extra, packages in needed.items() if package in packages]
    return CORE if CORE in extras else ", ".join(extras)


if __name__ == "__main__":
    main()
