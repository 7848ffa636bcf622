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
    """All of it is read and its links are followed, but few pages of the reference are written.

    The notebook is run by tests/docs/test_notebook.py. Copies of the sources are left out.
    """
    source, site = tmp_path / "source", tmp_path / "site"
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, source / name)
    pages = sorted(path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md"))
    recipe = re.search(r"-m (sphinx .*) site$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    extensions = "sphinx.ext.apidoc,sphinx.ext.autodoc,sphinx.ext.napoleon,myst_nb"
    program, *words = [*recipe.split(), site]
    words = [program, "-D", "nb_execution_mode=off", "-D", f"extensions={extensions}", *words]
    _run(source, ["dummy" if word == "html" else word for word in words])
    # That some pages alone are written is a warning.
    words.remove("--fail-on-warning")
    _run(source, [*words, "README.md", *pages, "docs/api/hmr/hmr.geometry.camera.rst"])
    for page in pages:
        assert (site / page.with_suffix(".html")).is_file()
    assert "prediction, drawing" in (site / "docs/README.html").read_text()
    projection = (site / "docs/api/hmr/hmr.geometry.camera.html").read_text()
    assert "long_focal_px" in projection and "perspective moves points by less" in projection


def _run(source, words):
    command = [sys.executable, "-m", *map(str, words)]
    ended = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-4000:]
