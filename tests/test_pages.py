"""Pages: every file, function and module that they name exists, and tables are whole."""

from __future__ import annotations

import ast
import pkgutil
import re
from functools import cache
from pathlib import Path

import pytest

from hmr.data.datasets import CONVERTERS
from tests.test_repository import LAYERS

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "models/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "tests").glob("*/README.md")),
]
ARCHITECTURE = ROOT / "docs/architecture.md"
CODE = ("src/hmr", "tfrecords_tools")
# Where a page may name a file from, and what a page may name that the repository does not hold.
BASES = ("", "src", "src/hmr", "src/hmr/configs", "docs", "tests/golden", "tests/frozen")
SUFFIXES = ("py", "md", "toml", "lock")
OF_OTHERS = {"akanazawa/hmr", "src/configs/NAME.py", "my_training.py"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def spans(page: Path) -> list[str]:
    """What stands in backticks outside blocks of code, line breaks as spaces."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def exists(name: str) -> bool:
    return any((ROOT / base / name).exists() for base in BASES)


@cache
def definitions(path: Path) -> dict[str, ast.AST]:
    """Functions, classes and constants of a module; methods and attributes as Class.name."""
    found: dict[str, ast.AST] = {}

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[prefix + node.name] = node
            if isinstance(node, ast.ClassDef):
                collect(node.body, f"{prefix}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
            names = [name.id for each in targets if isinstance(each, ast.AST)
                     for name in ast.walk(each) if isinstance(name, ast.Name)]  # fmt: skip
            found.update({prefix + name: node for name in names})

    collect(ast.parse(path.read_text()).body, "")
    return found


@cache
def words_of_the_code() -> frozenset[str]:
    """Every name, module and string in the package and the converters."""
    words: set[str] = set()
    for top in CODE:
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                keys = ("id", "arg", "attr", "name", "value", "module")
                values = (getattr(node, key, None) for key in keys)
                words.update(w for v in values if isinstance(v, str) for w in v.split("."))
    return frozenset(words)


@each_page
def test_files_that_a_page_names_exist(page):
    named = {span for span in spans(page) if re.fullmatch(r"[\w./-]+", span)}
    ending = re.compile(rf"[\w./-]*\w\.({'|'.join(SUFFIXES)})")
    files = {name for name in named if ending.fullmatch(name)}
    files |= {name for name in named if re.match(r"(src|tests|docs|tfrecords_tools)/", name)}
    chosen_by_the_reader = {name for name in files if "NAME" in name}
    assert [
        name for name in sorted(files - chosen_by_the_reader - OF_OTHERS) if not exists(name)
    ] == []


@each_page
def test_modules_that_a_page_names_exist(page):
    blocks = page.read_text()
    dotted = set(re.findall(r"(?<![\w/.])hmr(?:\.[a-z_]\w*)+(?:\.[A-Z]\w*)*", blocks))
    dotted |= set(re.findall(r"(?<![\w/.])tfrecords_tools(?:\.[a-z_]\w*)+", blocks))
    dotted -= {name for name in dotted if name.endswith((".tflite", ".onnx", ".NAME"))}
    for name in sorted(dotted):
        pkgutil.resolve_name(name)
    commands = set(re.findall(r"python -m src\.([a-z_]+)", blocks))
    assert [name for name in sorted(commands) if not exists(f"src/{name}.py")] == []


def test_every_verb_that_a_page_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    named = {
        verb
        for page in PAGES
        for verb in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert named
    assert {verb for verb in named if not re.search(rf"^{verb}:", makefile, re.MULTILINE)} == set()


@each_page
def test_every_page_that_a_page_links_to_exists(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_experiments_that_pages_name_exist():
    pages = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"--config ([a-z_]+)\b(?!\.py)", pages))
    assert {"hmr", "demo"} <= named
    assert [name for name in named if not exists(f"configs/{name}.py")] == []


def test_the_architecture_names_what_exists():
    places = [
        span.split("::") for span in spans(ARCHITECTURE) if "::" in span and span != "FILE::NAME"
    ]
    assert len(places) > 30
    wrong = [f"{file}::{name}" for file, name in places
             if not exists(file) or name not in definitions(_module(file))]  # fmt: skip
    assert wrong == []


def test_the_words_of_the_architecture_are_the_codes():
    words = {span for span in spans(ARCHITECTURE) if re.fullmatch(r"[A-Za-z][\w.]*", span)}
    files = {
        word
        for word in words
        if re.search(rf"\.({'|'.join(SUFFIXES)}|json|npz|h5|tfrecord)$", word)
    }
    parts = {part for word in words - files for part in word.split(".")}
    assert sorted(parts - words_of_the_code()) == []


def _module(file: str) -> Path:
    return next(ROOT / base / file for base in BASES if (ROOT / base / file).is_file())


def test_the_architecture_shows_the_rooms_of_the_table():
    """Each row of its map is a line of `LAYERS`, in the same order."""
    rows = re.findall(r"^\| \d+ \| (.*?) \|", ARCHITECTURE.read_text(), re.MULTILINE)
    shown = [re.findall(r"`([\w.]+)`", row) for row in rows]
    rooms = [[room for room in line.split() if _is_there(room)] for line in LAYERS]
    assert shown == [line for line in rooms if line]


def test_the_readme_shows_every_room_and_folder():
    tree = re.search(r"^src/ .*?^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)[
        0
    ]
    inside = [path for path in (ROOT / "src/hmr").iterdir() if path.name[0] not in "._"]
    rooms = {path.name for path in inside if path.is_dir()}
    assert [room for room in sorted(rooms) if not re.search(rf"\b{room}\b", tree)] == []
    tops = {path.parent.name for path in ROOT.glob("[a-z]*/__init__.py")} | {"models", "docs"}
    assert [top for top in sorted(tops) if f"{top}/" not in tree] == []


def _is_there(room: str) -> bool:
    path = room.replace(".", "/")
    return exists(path) or exists(f"{path}.py")


def test_every_converter_has_a_row_in_the_page_of_datasets():
    rows = re.findall(
        r"^\| `([A-Z0-9_]+)` \|", (ROOT / "docs/datasets.md").read_text(), re.MULTILINE
    )
    assert {row.lower() for row in rows} == set(CONVERTERS)
