"""Errors that a user can mend are one line and exit code 2, whatever the input holds."""

import importlib
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hmr.errors import EXIT_CODES, EXIT_INTERRUPTED, UserError, VerbParser, run_verb
from hmr.files.whole import whole_file

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines.jpg", r"two\nlines.jpg"),
        ("a\r\x1b[31m\u2028b", r"a\r\x1b[31m\u2028b"),
        ("\udcff.png", r"\udcff.png"),
        ("Übung 写真.jpg", "Übung 写真.jpg"),
    ],
)
def test_a_message_is_one_line_whatever_a_files_name_holds(name, shown, capsys):
    def fail():
        raise UserError(f"{name}: not found")

    with pytest.raises(SystemExit) as stop:
        run_verb(fail)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {shown}: not found\n"


def test_a_message_passes_unchanged_from_process_to_process():
    error = UserError("a\nb\\n")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == r"a\nb\n"


def test_the_exit_codes_are_one_table():
    faq = (ROOT / "docs" / "faq.md").read_text()
    rows = {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.*) \|$", faq, re.M)}
    assert rows == EXIT_CODES


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_the_exit_code_is_what_the_verb_returns(returned, code):
    with pytest.raises(SystemExit) as stop:
        run_verb(lambda: returned)
    assert stop.value.code == code


def test_an_interruption_is_said_and_has_its_own_exit_code(capsys):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        run_verb(stop)
    assert stopped.value.code == 130 and capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("verb", "module"),
    [("src.predict", "hmr.loading"), ("src.main", "ml_collections"), ("benchmarks", "argparse"),
     ("tfrecords_tools.lsp", "numpy"), ("tests.helpers.fuzz", "tests.helpers.mutations")],
)  # fmt: skip
def test_an_interruption_while_a_verb_is_imported_is_one_line(tmp_path, verb, module):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"
    command = [sys.executable, "-m", verb, "--help"]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path},
                         capture_output=True, text=True)  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (EXIT_INTERRUPTED, "", "interrupted\n")


class Deaf:
    """Python drops what is raised while this is deleted."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_an_interruption_that_python_drops_is_made_up_for(capsys):
    def work():
        Deaf()
        time.sleep(20)

    with pytest.raises(SystemExit) as stopped:
        run_verb(work)
    assert stopped.value.code == EXIT_INTERRUPTED and capsys.readouterr().err == "interrupted\n"


def test_what_is_half_written_is_removed_when_an_import_is_interrupted(tmp_path, monkeypatch):
    (tmp_path / "interrupted_module.py").write_text("import signal; signal.raise_signal(2)")
    monkeypatch.syspath_prepend(tmp_path)

    def work():
        with whole_file(tmp_path / "result") as partial:
            partial.write_text("half")
            importlib.import_module("interrupted_module")

    with pytest.raises(SystemExit) as stopped:
        run_verb(work)
    assert stopped.value.code == EXIT_INTERRUPTED
    assert [path.name for path in tmp_path.glob("[!_]*")] == ["interrupted_module.py"]


def test_what_is_typed_wrong_is_said_in_one_line(capsys):
    parser = VerbParser(prog="hmr walk")
    parser.add_argument("--kind", choices=["fast"])
    for words in (["--no\nflag\x1b[31m"], ["--kind", "a\r\nb"], ["two\nlines\x07"]):
        with pytest.raises(SystemExit) as stop:
            run_verb(lambda words=words: parser.parse_args(words))
        message = capsys.readouterr().err
        assert stop.value.code == 2 and message.removesuffix("\n").isprintable()
        assert message.startswith("error: ") and message.endswith("See hmr walk --help\n")


def test_what_the_system_refuses_is_one_line(tmp_path, capsys):
    for path in (tmp_path / ("a" * 300), tmp_path / "two\nlines"):
        with pytest.raises(SystemExit) as stop:
            run_verb(lambda path=path: path.open())
        message = capsys.readouterr().err
        assert stop.value.code == 2 and message.removesuffix("\n").isprintable()


def test_a_defect_keeps_its_traceback():
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_verb(fail)


def test_a_verb_takes_ctrl_c_although_the_script_that_started_it_ignores_it(tmp_path):
    work = """lambda: exec("print('on', flush=True); time.sleep(60)")"""
    (tmp_path / "verb.py").write_text(
        f"from hmr.errors import run_verb; import time; run_verb({work})"
    )
    script = f"trap '' INT; exec {sys.executable} -m verb"
    with subprocess.Popen(
        ["sh", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout.readline() == b"on\n"
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=20) == EXIT_INTERRUPTED
