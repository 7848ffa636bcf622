"""Every shell and Python block of README and docs runs as it stands, or the source says why not.

The blocks of a page run in order, in one folder that looks like a fresh checkout with a
`photo.jpg`. A comment before a block, `<!-- not run: why -->`, leaves it out.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"bash", "python", "text", "bibtex", "js"}
RUN = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<why>.+?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
# What a page's blocks need beyond the tests' packages.
NEEDS = {"serving.md": ("ai_edge_litert", "tf2onnx", "onnxruntime")}
SECONDS_PER_BLOCK = 900


@dataclass(frozen=True)
class Block:
    """A block of code: its language, its text, and why it does not run, or ""."""

    language: str
    code: str
    why_not: str


def blocks(page: Path) -> list[Block]:
    return [
        Block(
            match["language"],
            re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE),
            match["why"] or "",
        )
        for match in BLOCK.finditer(page.read_text())
    ]


def runs(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in RUN and not block.why_not]


def checkout(folder: Path) -> Path:
    """A folder with the code, the shipped weights, which a page may add to, and a photograph."""
    for name in ("src", "tfrecords_tools", "tests", "benchmarks", "Makefile", "setup.py"):
        (folder / name).symlink_to(ROOT / name)
    shipped = (path for path in (ROOT / "models").iterdir() if path.is_dir())
    (folder / "models").mkdir()
    for path in shipped:
        (folder / "models" / path.name).symlink_to(path)
    shutil.copy(ROOT / "src/hmr/web/samples/standing.jpg", folder / "photo.jpg")
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_name_their_language(page):
    fences = len(re.findall(r"^ *```", page.read_text(), re.MULTILINE))
    assert fences == 2 * len(blocks(page))
    assert {block.language for block in blocks(page)} <= LANGUAGES


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=lambda page: page.name)
def test_blocks_run(page, tmp_path):
    if missing := [name for name in NEEDS.get(page.name, ()) if not find_spec(name)]:
        pytest.skip(f"{page.name} needs {', '.join(missing)}")
    folder = checkout(tmp_path)
    programs = Path(sys.executable).parent
    paths = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    for block in runs(page):
        ended = subprocess.run(
            [*RUN[block.language], block.code],
            cwd=folder,
            env={**os.environ, **paths},
            capture_output=True,
            text=True,
            timeout=SECONDS_PER_BLOCK,
        )
        assert ended.returncode == 0, (
            f"{block.code}\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"
        )


def test_the_pages_for_newcomers_run():
    """What README, prediction and training on one's own data are about is no block left out."""
    for name, least in (("README.md", 4), ("docs/own-data.md", 6), ("docs/prediction.md", 3)):
        assert len(runs(ROOT / name)) >= least
