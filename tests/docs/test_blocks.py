"""Every shell and Python block of README and docs runs as it stands, or the source says why not.

The blocks of a page run in order, in one folder that looks like a fresh checkout. A comment before
a block, `<!-- not run: why -->`, leaves it out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.in_process import run_python, run_shell

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"bash", "python", "text", "bibtex", "js"}
# Language -> what runs a text in a folder, and returns its exit code.
RUN: dict[str, Callable[[str, Path], int]] = {
    "bash": run_shell,
    "python": lambda code, folder: run_python(["-c", code], folder),
}
BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<why>.+?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
# What a page's blocks need beyond the tests' packages.
NEEDS = {"serving.md": ("ai_edge_litert", "tf2onnx", "onnxruntime")}


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


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """The weights that come along; the stand-in body is made beside them once, for all pages."""
    folder = tmp_path_factory.mktemp("checkout") / "models"
    folder.mkdir()
    for path in filter(Path.is_dir, (ROOT / "models").iterdir()):
        (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture
def checkout(tmp_path, models, monkeypatch) -> Path:
    """A folder with the code, the pages and the weights."""
    for name in ("src", "tfrecords_tools", "tests", "benchmarks", "docs", "Makefile", "setup.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "models").symlink_to(models)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_name_their_language(page):
    fences = len(re.findall(r"^ *```", page.read_text(), re.MULTILINE))
    assert fences == 2 * len(blocks(page))
    assert {block.language for block in blocks(page)} <= LANGUAGES


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=lambda page: page.name)
def test_blocks_run(page, checkout):
    if missing := [name for name in NEEDS.get(page.name, ()) if not find_spec(name)]:
        pytest.skip(f"{page.name} needs {', '.join(missing)}")
    for block in runs(page):
        assert RUN[block.language](block.code, checkout) == 0, block.code


def test_the_pages_for_newcomers_run():
    """What README, prediction and training on one's own data are about is no block left out."""
    for name, least in (("README.md", 3), ("docs/own-data.md", 6), ("docs/prediction.md", 3)):
        assert len(runs(ROOT / name)) >= least
