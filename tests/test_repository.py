"""What the repository promises about itself: verbs, packages, licences, no machine's traces."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from setuptools import find_packages

from tfrecords_tools.__main__ import CONVERTERS

ROOT = Path(__file__).parents[1]
VERBS = (
    "install", "demo", "tfrecords", "train", "evaluate", "predict", "export", "test", "lint",
    "bench", "doctor", "clean", "web",
)  # fmt: skip
MAX_FILE_BYTES, MAX_WEIGHTS_BYTES = 5 << 20, 16_000_000
# SMPL's files, mocap and datasets may not be passed on.
LICENSED = re.compile(
    r"(?i)(.*(basicmodel|smpl_?(neutral|male|female|h_|x_)|with_cocoplus).*|.*\.(pkl|cdf)"
    r"|.*_poses\.npz|annot\.mat|joints\.mat)"
)

# Imports run down this list, and never between two rooms of a line: what a room is made of can be
# read without knowing what is made of it. A module that stands apart from its room is named.
LAYERS = (
    "tfrecords_tools",
    "hmr.cli",
    "hmr.original hmr.studies hmr.web",
    "hmr.training",
    "hmr.prediction hmr.evaluation hmr.serving",
    "hmr.finding hmr.fitting hmr.motion hmr.rendering",
    "hmr.network hmr.data",
    "hmr.geometry",
    "hmr.body",
    "hmr.files hmr.configs",
    "hmr.settings",
    "hmr.errors hmr.tensor hmr.compiled hmr.processor hmr.loading hmr.ports hmr.progress "
    "hmr.version",
    "hmr.interruption",
)
LEVELS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms.split()}
# Who may be given a whole configuration; every other part is given its own settings.
TAKE_A_WHOLE_CONFIGURATION = ("hmr/training/recipe.py", "hmr/cli/train.py", "hmr/studies/")
# Who is given a class of `hmr.settings`: no section goes through more than two of these.
TAKE_SETTINGS = {
    "hmr/data/augment.py::draw_jitters(Augmentation)",
    "hmr/data/pipeline.py::training_dataset(DataSettings)",
    "hmr/network/build.py::build_model(ModelSpec)",
    "hmr/network/checkpoint.py::save_model(ModelSpec)",
    "hmr/training/losses.py::Criterion(LossWeights)",
    "hmr/training/state.py::_check_config(Experiment)",
    "hmr/training/state.py::open_workdir(Experiment)",
    "hmr/training/validation.py::Validation(ValidationSettings)",
    "hmr/training/validation.py::find_validations(ValidationSettings)",
}


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


def test_every_experiment_that_make_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    experiments = {path.stem for path in (ROOT / "src/hmr/configs").glob("*.py")}
    runs = re.search(r"^RUNS_OF_ABLATION := (.*)$", makefile, re.MULTILINE)[1].split()
    named = {f"ablation_{run}" for run in runs} | {"demo", "demo_long", "hmr"}
    assert named <= experiments
    assert set(re.findall(r"--config (\S+)", makefile)) == {
        "$(3)",
        "ablation_$$run",
        "$(CONFIG)",
        "people_free",
    }


def test_all_code_is_packaged():
    for root, top in ((ROOT / "src", "hmr"), (ROOT, "tfrecords_tools")):
        packages = set(find_packages(root, include=[f"{top}*"]))
        for module in (root / top).rglob("*.py"):
            assert ".".join(module.parent.relative_to(root).parts) in packages, module


def test_no_licensed_or_large_file_is_tracked(tracked):
    for path in tracked:
        assert not LICENSED.fullmatch(path.name), path
        is_weights = path.is_relative_to(ROOT / "models")
        limit = MAX_WEIGHTS_BYTES if is_weights else MAX_FILE_BYTES
        assert path.stat().st_size <= limit, path


def test_lock_names_versions_hashes_and_who_needs_them_and_no_host():
    text = (ROOT / "requirements.lock").read_text()
    entry = re.compile(
        r"[a-z0-9.-]+==[\w.+]+( ; .+)? \\\n"
        r"(    --hash=sha256:[0-9a-f]{64} \\\n)*    --hash=sha256:[0-9a-f]{64}\n"
        r"    # ((core|[a-z]+(, [a-z]+)*)\n)"
    )
    assert entry.sub("", text) == ""
    assert re.search("^tensorflow==.* ", text, re.MULTILINE)


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module's path, relative to src or the root, and what is in it."""
    for root, package in ((ROOT / "src", "hmr"), (ROOT, "tfrecords_tools")):
        for path in sorted((root / package).rglob("*.py")):
            yield path.relative_to(root).as_posix(), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    """Names that a module imports from the project, anywhere in it; `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name for name in names if name.split(".")[0] in ("hmr", "tfrecords_tools"))


def room_of(name: str) -> str:
    """The longest beginning of a dotted name that is a line of `LAYERS`."""
    parts = name.split(".")
    beginnings = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((room for room in beginnings if room in LEVELS), name)


def test_imports_run_one_way():
    wrong = []
    for path, tree in modules():
        if path == "hmr/__init__.py":
            continue  # the public names, imported when they are asked for
        room = room_of(path.removesuffix(".py").replace("/", "."))
        assert room in LEVELS, f"{path} is in no room of LAYERS"
        for name in imported(tree):
            there = room_of(name)
            if there != room and LEVELS.get(there, -1) <= LEVELS[room]:
                wrong.append(f"{path} imports {name}")
    assert wrong == []


def test_only_the_recipe_is_given_a_whole_configuration():
    takers = {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.annotation and "ConfigDict" in ast.unparse(argument.annotation)
    }
    assert {path for path in takers if not path.startswith(TAKE_A_WHOLE_CONFIGURATION)} == set()


def test_sections_of_a_configuration_go_straight_to_their_parts():
    trees = dict(modules())
    settings = {
        node.name for node in trees.pop("hmr/settings.py").body if isinstance(node, ast.ClassDef)
    }
    takers = set()
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                given = [part.annotation for part in ast.walk(node) if isinstance(part, ast.arg)]
                if isinstance(node, ast.ClassDef):
                    given += [part.annotation for part in node.body
                              if isinstance(part, ast.AnnAssign)]  # fmt: skip
                names = {each.id for part in filter(None, given) for each in ast.walk(part)
                         if isinstance(each, ast.Name)}  # fmt: skip
                takers |= {f"{path}::{node.name}({name})" for name in names & settings}
    assert takers == TAKE_SETTINGS
