"""`make docs` builds: links and headings are there, the reference has the docstrings."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs", "models/README.md",
          "tests/golden/README.md", "src", "tfrecords_tools")  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not (find_spec("sphinx") and find_spec("myst_nb")), reason="the extra docs")
def test_the_site_builds_without_a_warning(tmp_path):
    """Without running the notebook, which tests/docs/test_notebook.py does."""
    source, site = tmp_path / "source", tmp_path / "site"
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, source / name)
    recipe = re.search(r"-m (sphinx .*) site$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    command = [sys.executable, "-m", *recipe.split(), site, "-D", "nb_execution_mode=off"]
    ended = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-4000:]
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / "docs" / f"{page.stem}.html").is_file()
    assert "prediction, drawing" in (site / "docs/README.html").read_text()
    projection = (site / "docs/api/hmr/hmr.geometry.camera.html").read_text()
    assert "long_focal_px" in projection and "perspective moves points by less" in projection
