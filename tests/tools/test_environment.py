"""Make does not surprise: what it installs, and into which environment."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABSENT = "no-such-package-of-anybody"
# Of the make that runs this test and of the place that it imports from, nothing is passed on.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
}


@pytest.fixture
def checkout(tmp_path):
    """A checkout to which the environment of this test does not belong."""
    folder = tmp_path / "checkout"
    (folder / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "environment.py", folder / "tools")
    shutil.copy(ROOT / "requirements.lock", folder)
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "setup.py").write_text(f"CORE = ['numpy']\nEXTRAS = {{'odd': ['{ABSENT}>=1']}}\n")
    return folder


@pytest.fixture
def own_python(checkout):
    """The Python of an environment of its own, in which nothing is installed."""
    command = [sys.executable, "-m", "venv", "--without-pip", str(checkout / ".venv")]
    subprocess.run(command, check=True, capture_output=True)
    return checkout / ".venv" / "bin" / "python"


def ask(python, checkout, *words, **environment):
    command = [str(python), str(checkout / "tools" / "environment.py"), *words]
    environment = {**ENVIRONMENT, **environment}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    return ended.returncode, ended.stdout, ended.stderr


def test_an_environment_of_another_checkout_is_used_as_it_is(checkout):
    assert ask(sys.executable, checkout, "need") == (0, "", "")
    code, _, errors = ask(sys.executable, checkout, "install", "odd")
    assert code == 2 and "belongs to" in errors and "VENV=.venv-own" in errors
    code, printed, errors = ask(sys.executable, checkout, "need", "odd")
    assert (code, printed) == (2, "")  # nothing was tried
    assert ABSENT in errors and "Run there: make install EXTRAS=odd" in errors


def test_an_environment_of_its_own_may_be_installed_into(checkout, own_python):
    assert ask(own_python, checkout, "mine") == (0, "", "")
    code, printed, errors = ask(own_python, checkout, "need")
    assert (code, printed) == (2, "") and "lacks numpy. Run: make install" in errors
    code, printed, errors = ask(own_python, checkout, "need", "odd")
    assert code == 2 and "installing" in printed and "make install EXTRAS=odd" in errors


def test_an_environment_elsewhere_belongs_to_whoever_names_it(checkout, tmp_path):
    command = [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "elsewhere")]
    subprocess.run(command, check=True, capture_output=True)
    python = tmp_path / "elsewhere" / "bin" / "python"
    assert ask(python, checkout, "mine") == (0, "", "")
    (site,) = (tmp_path / "elsewhere" / "lib").glob("python*/site-packages")
    record = site / "hmr_tf2-0.2.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: hmr-tf2\nVersion: 0.2.0\n")
    for place, code in ((checkout, 0), (ROOT, 2)):
        origin = {"url": place.as_uri(), "dir_info": {"editable": True}}
        (record / "direct_url.json").write_text(json.dumps(origin))
        assert ask(python, checkout, "mine")[0] == code


@pytest.mark.skipif(not Path(sys.prefix, "bin", "python").exists(), reason="no such Python")
def test_make_does_not_install_into_another_checkouts_environment(checkout):
    command = ["make", "install", f"VENV={sys.prefix}"]
    ended = subprocess.run(command, cwd=checkout, env=ENVIRONMENT, capture_output=True, text=True)
    assert ended.returncode == 2 and "belongs to" in ended.stderr and "pip" not in ended.stdout


def test_a_lock_that_is_newer_is_said_and_nothing_is_installed(checkout, own_python):
    """Of a verb that runs: the file beside the lock says what the environment was made from."""
    (checkout / "setup.py").write_text("CORE = []\nEXTRAS = {}\n")
    (checkout / "Makefile").write_text(
        (ROOT / "Makefile").read_text() + "\nprobe: ready\n\t@true\n"
    )
    command = ["make", "probe"]
    for installed_from, note in (("other", "note: requirements.lock"), (None, "")):
        text = installed_from or (ROOT / "requirements.lock").read_text()
        (checkout / ".venv" / ".installed.lock").write_text(text)
        ended = subprocess.run(
            command, cwd=checkout, env=ENVIRONMENT, capture_output=True, text=True
        )
        assert ended.returncode == 0 and ended.stdout == ""
        assert ended.stderr.startswith(note) and bool(ended.stderr) == bool(note)


@pytest.mark.slow
def test_a_file_of_another_hash_is_not_installed(checkout, tmp_path):
    """Of a wheel on the disk: pip is given no other place to look."""
    command = [sys.executable, "-m", "venv", str(checkout / ".venv")]
    subprocess.run(command, check=True, capture_output=True)
    wheel = tmp_path / f"{ABSENT.replace('-', '_')}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        info = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {ABSENT}\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    here = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    for hash_in_lock, code in (("0" * 64, 2), (digest, 0)):
        entry = f"{ABSENT}==1.0 \\\n    --hash=sha256:{hash_in_lock}\n    # odd\n"
        (checkout / "requirements.lock").write_text(entry)
        python = checkout / ".venv" / "bin" / "python"
        assert ask(python, checkout, "need", "odd", **here)[0] == code
