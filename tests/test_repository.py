"""What the repository promises about itself: verbs, packages, licences, no machine's traces."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from setuptools import find_packages

from tfrecords_tools.__main__ import CONVERTERS

ROOT = Path(__file__).parents[1]
VERBS = (
    "install", "demo", "tfrecords", "train", "evaluate", "predict", "export", "test", "lint",
    "bench", "doctor", "clean", "web",
)  # fmt: skip
MAX_FILE_BYTES = 5 << 20
# SMPL's files, mocap and datasets may not be passed on.
LICENSED = re.compile(
    r"(?i)(.*(basicmodel|smpl_?(neutral|male|female|h_|x_)|with_cocoplus).*|.*\.(pkl|cdf)"
    r"|.*_poses\.npz|annot\.mat|joints\.mat)"
)


@pytest.fixture(scope="module")
def tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_help_lists_every_verb():
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make ([a-z-]+)", printed.stdout, re.MULTILINE))
    assert set(VERBS) <= listed


def test_make_tfrecords_knows_every_converter():
    given = {converter.name: f"/data/{converter.name}" for converter in CONVERTERS}
    variables = [f"{name.upper()}={folder}" for name, folder in given.items()]
    command = ["make", "--dry-run", "tfrecords", f"PY={sys.executable}", *variables]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert dict(re.findall(r'--(\w+) "(/data/\w+)"', printed)) == given


def test_every_converter_of_a_dataset_is_in_the_table():
    modules = {path.stem for path in (ROOT / "tfrecords_tools").glob("*.py")
               if re.search(r"^CONVERTER = ", path.read_text(), re.MULTILINE)}  # fmt: skip
    assert modules - {"from_labels"} == {converter.name for converter in CONVERTERS}


def test_every_verb_that_a_page_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"]
    named = {
        verb
        for page in pages
        for verb in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert named
    assert {verb for verb in named if not re.search(rf"^{verb}:", makefile, re.MULTILINE)} == set()


def test_every_page_that_a_page_links_to_exists():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_all_code_is_packaged():
    for root, top in ((ROOT / "src", "hmr"), (ROOT, "tfrecords_tools")):
        packages = set(find_packages(root, include=[f"{top}*"]))
        for module in (root / top).rglob("*.py"):
            assert ".".join(module.parent.relative_to(root).parts) in packages, module


def test_no_licensed_or_large_file_is_tracked(tracked):
    for path in tracked:
        assert not LICENSED.fullmatch(path.name), path
        assert path.stat().st_size <= MAX_FILE_BYTES, path


def test_lock_names_versions_and_no_host():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert all(re.match(r"[a-z0-9.-]+==[\w.+]+( ; .+)?$", line) for line in lines)
    assert any(line.startswith("tensorflow==") for line in lines)
