"""The command `hmr`, `python -m src.NAME` of a checkout, and what a wheel holds."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hmr.cli import __main__ as hmr_command
from hmr.version import VERSION

ROOT = Path(__file__).parents[2]
CODE = (
    "src", "tfrecords_tools", "models", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md",
    "LICENSE",
)  # fmt: skip
SHIPPED = ("demo_standin", "encoders", "finder", "people_free")
# `python -m src.NAME` where it is not called as the verb is.
MODULES = {
    "data-service": "data_service",
    "train": "main",
    "convert-smpl": "convert_smpl",
    "convert-checkpoint": "convert_checkpoint",
}


def call(monkeypatch, capsys, *arguments):
    """Exit code, output and errors of `hmr ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["/usr/bin/hmr", *arguments])
    with pytest.raises(SystemExit) as stop:
        hmr_command.main()
    return stop.value.code, *capsys.readouterr()


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_it_lists_its_verbs(monkeypatch, capsys, arguments):
    code, printed, _ = call(monkeypatch, capsys, *arguments)
    assert code == 0 and printed.startswith("usage: hmr VERB")
    listed = re.findall(r"^  ([a-z-]+) +\S", printed, re.MULTILINE)
    assert listed == list(hmr_command.VERBS)
    verbs = {path.stem for path in (ROOT / "src/hmr/cli").glob("[!_]*.py")}
    assert {module for module, _ in hmr_command.VERBS.values()} == verbs


def test_an_unknown_verb_is_an_error_that_lists_the_known_ones(monkeypatch, capsys):
    code, printed, errors = call(monkeypatch, capsys, "predikt")
    assert code == 2 and printed == ""
    assert "error: hmr has no verb 'predikt'" in errors and "  predict " in errors


@pytest.mark.parametrize("verb", hmr_command.VERBS)
def test_a_verbs_help_says_how_it_was_called(monkeypatch, capsys, verb):
    code, printed, _ = call(monkeypatch, capsys, verb, "--help")
    assert code == 0 and printed.startswith(f"usage: hmr {verb} [-h]")


@pytest.mark.parametrize("verb", hmr_command.VERBS)
def test_every_verb_is_a_module_of_a_checkout(verb):
    name = MODULES.get(verb, verb)
    assert f'"python -m src.{name}"' in (ROOT / "src" / f"{name}.py").read_text()


def test_the_help_of_a_checkouts_module_says_how_it_was_called():
    command = [sys.executable, "-m", "src.predict", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.startswith("usage: python -m src.predict [-h]")


CALLS_WITHOUT = """
import contextlib, io, json, sys
calls, hidden = map(json.loads, sys.argv[1:])
sys.modules.update(dict.fromkeys(hidden))
from hmr.cli.__main__ import main
for words in calls:
    sys.argv = ["hmr", *words.split()]
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            main()
        except SystemExit as end:
            print(json.dumps((end.code, errors.getvalue())))
"""


def calls_without(hidden, calls):
    """Exit code and errors of each call of `hmr`, in one new process that lacks these packages."""
    command = [sys.executable, "-c", CALLS_WITHOUT, json.dumps(calls), json.dumps(hidden)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(answers) == len(calls), ended.stderr
    return zip(calls, answers, strict=True)


def test_a_package_that_is_not_installed_is_named_in_one_line():
    calls = ["predict x.jpg", "train --config=demo", "evaluate", "export", "web",
             "convert-smpl x.pkl", "convert-checkpoint --input x --output no_such"]  # fmt: skip
    for words, (code, errors) in calls_without(["numpy", "absl"], calls):
        assert code == 2 and errors.count("\n") == 1, words
        assert re.match(r"error: the package (numpy|absl) is not installed in .*: make", errors)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The files of a wheel made from a copy of the code, unpacked."""
    copy, made = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    for name in CODE:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, copy)
    # What a user keeps beside the weights that may be passed on.
    (copy / "models" / "smpl_neutral.npz").write_bytes(b"licensed")
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"]
    command += ["--disable-pip-version-check", "--wheel-dir", str(made), str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = made.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(made / "site")
    return made / "site"


def test_a_wheel_holds_all_of_both_packages_and_none_called_src(wheel):
    tops = {path.name.partition(".")[0] for path in wheel.iterdir()}
    assert tops == {"hmr", "tfrecords_tools", "hmr_tf2-0"}
    for package in (ROOT / "src/hmr", ROOT / "tfrecords_tools"):
        for file in package.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert (wheel / package.name / file.relative_to(package)).is_file(), file


def test_a_wheel_holds_the_weights_that_may_be_passed_on_and_no_others(wheel):
    there = {name for name in SHIPPED if (ROOT / "models" / name).is_dir()}
    assert {path.name for path in (wheel / "hmr" / "models").iterdir()} == there | {"README.md"}
    for name in ("demo_standin/model.weights.h5", "finder/movenet_multipose.npz"):
        packed, own = wheel / "hmr" / "models" / name, ROOT / "models" / name
        assert packed.read_bytes() == own.read_bytes()


@pytest.mark.slow
def test_a_wheel_predicts_far_from_any_checkout_and_keeps_the_body_it_makes(wheel, tmp_path):
    samples = wheel / "hmr" / "web" / "samples"
    shutil.copy(samples / "striding.jpg", tmp_path / "photo.jpg")
    cache = tmp_path / "cache"
    environment = {**os.environ, "PYTHONPATH": str(wheel), "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-m", "hmr.cli", "predict", "photo.jpg", "--save", "json"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "people 1," in ended.stdout and not (tmp_path / "models").exists()
    assert (tmp_path / "runs" / "predictions" / "photo.json").is_file()
    assert len([*cache.glob("hmr/*/standin_body.npz"), *cache.glob("hmr/*/traced/*.npz")]) == 2


def test_the_version_is_stated_once(monkeypatch, capsys):
    code, printed, _ = call(monkeypatch, capsys, "--version")
    assert code == 0 and printed == f"hmr {VERSION}\n"
    assert f"version: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text()


def test_a_wheel_runs_beside_a_folder_called_src(wheel, tmp_path):
    decoy = tmp_path / "src" / "hmr"
    decoy.mkdir(parents=True)
    for folder in (decoy.parent, decoy):
        (folder / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    probe = "import hmr.cli.train, tfrecords_tools.__main__, sys; print(hmr.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    for arguments in (["-c", probe], ["-m", "hmr.cli", "export", "--help"]):
        command = [sys.executable, *arguments]
        shown = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout
        assert shown.startswith((str(wheel), "usage: hmr export"))


CHEAP_TO_CHECK = {
    "export --format caffe": "--format knows",
    "convert-checkpoint --input x --output docs": "docs exists already",
    "convert-smpl x.pkl y.txt": "must end in .npz",
    "convert-checkpoint --input no_such --output no_such_too": "no TF1 checkpoint",
    "export --checkpoint no_such": "no model in no_such",
    "web --checkpoint no_such": "no model in no_such",
    "evaluate --checkpoint no_such": "no model in no_such",
    "evaluate --predictions no_such.npz": "--predictions no_such.npz: no such file",
    "predict no_such.jpg": "no such file or folder",
    "predict README.md": "README.md is not a picture",
    "predict README.md --checkpoint no_such": "no model in no_such",
    "predict README.md --body no_such.npz": "No body model found",
    "predict README.md --batch_size 0": "--batch_size must be at least 1",
}


def test_what_is_cheap_to_check_is_checked_before_tensorflow_is_imported():
    for words, (code, errors) in calls_without(["tensorflow"], list(CHEAP_TO_CHECK)):
        assert code == 2 and errors.startswith("error: "), words
        assert CHEAP_TO_CHECK[words] in errors
