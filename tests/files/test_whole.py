"""Files and folders appear complete or not at all, and nothing is left lying beside them."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hmr.errors import UserError
from hmr.files.whole import (
    make_folder,
    partial_path,
    scratch_folder,
    take_name,
    whole_file,
    whole_folder,
    write_text,
    write_whole,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_at_the_end_and_replaces_the_one_before(tmp_path):
    target = tmp_path / "new" / "model.weights.h5"
    for text in ("one", "two"):
        with whole_file(target) as partial:
            partial.write_text(text)
            assert partial.name.endswith(".weights.h5")
            assert not target.exists() or target.read_text() == "one"
        assert target.read_text() == text
    assert names(target.parent) == [target.name]


def test_a_folder_takes_its_name_at_the_end(tmp_path):
    target = tmp_path / "out"
    target.mkdir()  # an empty one may be there
    with whole_folder(target) as folder:
        (folder / "a").write_text("a")
        assert names(target) == []
    assert names(target) == ["a"] and names(tmp_path) == ["out"]


def test_a_folder_that_holds_something_is_replaced_only_where_asked(tmp_path):
    write_text(tmp_path / "out" / "old", "old")
    with pytest.raises(UserError, match=r"out cannot be written"), whole_folder(tmp_path / "out"):
        pass
    assert names(tmp_path / "out") == ["old"]
    with whole_folder(tmp_path / "out", overwrite=True) as folder:
        (folder / "new").touch()
        assert names(tmp_path / "out") == ["old"]
    assert names(tmp_path / "out") == ["new"] and names(tmp_path) == ["out"]


def test_what_is_in_a_scratch_folder_can_take_names_and_the_rest_goes(tmp_path):
    with scratch_folder(tmp_path / "hmr") as scratch:
        for name in ("kept", "other"):
            (scratch / name).touch()
        take_name(scratch / "kept", tmp_path / "kept")
    assert names(tmp_path) == ["kept"]


def _break_file(path):
    def write(file):
        file.write(b"half")
        raise RuntimeError("the writer's own fault")

    write_whole(path, write)


def _break_folder(path):
    with whole_folder(path) as folder:
        (folder / "half").touch()
        raise RuntimeError("the writer's own fault")


@pytest.mark.parametrize("break_it", [_break_file, _break_folder])
def test_a_failure_keeps_its_error_and_the_earlier_content_alone(tmp_path, break_it):
    with pytest.raises(RuntimeError, match="own fault"):
        break_it(tmp_path / "a")
    assert names(tmp_path) == []


def test_a_full_disk_is_one_line_and_leaves_the_earlier_file(tmp_path):
    write_text(tmp_path / "a.txt", "before")

    def full(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match=r"a\.txt cannot be written: No space left on device$"):
        write_whole(tmp_path / "a.txt", full)
    assert names(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "before"


def test_another_file_that_cannot_be_read_is_not_taken_for_the_written_one(tmp_path):
    with pytest.raises(FileNotFoundError), whole_folder(tmp_path / "out"):
        (tmp_path / "absent").read_text()
    with (
        pytest.raises(UserError, match="out cannot be written"),
        whole_folder(tmp_path / "out") as f,
    ):
        (f / "absent" / "x").write_text("")
    assert names(tmp_path) == []


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"a\.txt cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "")
    with pytest.raises(UserError, match="cannot be made"):
        make_folder(tmp_path / "file" / "folder")
    with (
        pytest.raises(UserError, match="file cannot be written"),
        whole_folder(tmp_path / "file", overwrite=True),
    ):
        pass


def _partial_of(path, host, process):
    mine = f"{socket.gethostname()}-{os.getpid()}"
    partial = partial_path(path)
    return partial.with_name(partial.name.replace(mine, f"{host}-{process}"))


def test_what_killed_writers_of_this_machine_left_is_removed(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    here = socket.gethostname()
    dead = _partial_of(tmp_path / "a.npz", here, child.pid)
    dead_folder = _partial_of(tmp_path / "folder", here, child.pid)
    running = _partial_of(tmp_path / "b.npz", here, os.getppid())
    elsewhere = _partial_of(tmp_path / "c.npz", "elsewhere", child.pid)
    (dead_folder / "inside").mkdir(parents=True)
    for path in (dead, running, elsewhere):
        path.touch()
    write_text(tmp_path / "other.txt", "")
    assert names(tmp_path) == sorted([running.name, elsewhere.name, "other.txt"])


def test_what_a_killed_process_of_the_same_number_left_is_no_obstacle(tmp_path):
    (partial_path(tmp_path / "out") / "old").mkdir(parents=True)
    with whole_folder(tmp_path / "out") as folder:
        assert names(folder) == []
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("files", [1, 100])
def test_bytes_are_on_disk_before_they_take_their_name(tmp_path, monkeypatch, files):
    """Of few files each is synchronised, of many the whole system; the name's folder comes last."""
    calls = []
    paths = {}
    real_open, real_replace = os.open, os.replace

    def opened(path, flags, *rest, **more):
        descriptor = real_open(path, flags, *rest, **more)
        paths[descriptor] = Path(path).name
        return descriptor

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append(paths[descriptor]))
    monkeypatch.setattr(os, "sync", lambda: calls.append("all"))
    monkeypatch.setattr(os, "replace", lambda *a: (calls.append("rename"), real_replace(*a)))
    with whole_folder(tmp_path / "out") as folder:
        for number in range(files):
            (folder / f"{number}.bin").write_bytes(b"x")
    before, after = calls[: calls.index("rename")], calls[calls.index("rename") + 1 :]
    assert before == (["0.bin", folder.name] if files == 1 else ["all"])
    assert after == [tmp_path.name]
