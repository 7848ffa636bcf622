"""Errors that a user can mend are one line and exit code 2, whatever the input holds."""

import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hmr.errors import EXIT_CODES, EXIT_INTERRUPTED, UserError, run_verb


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
    faq = (Path(__file__).parents[1] / "docs" / "faq.md").read_text()
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


def test_a_defect_keeps_its_traceback():
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_verb(fail)


def test_a_verb_takes_ctrl_c_although_the_script_that_started_it_ignores_it():
    work = "lambda: [print('on', flush=True), time.sleep(60)]"
    verb = f"from hmr.errors import run_verb; import time; run_verb({work})"
    script = f"trap '' INT; exec {sys.executable} -c \"{verb}\""
    with subprocess.Popen(
        ["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout.readline() == b"on\n"
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=20) == EXIT_INTERRUPTED
