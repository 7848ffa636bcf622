"""Weights that come with the project are found from any folder."""

from pathlib import Path

from hmr.body import model_file
from hmr.files.shipped import cache_folder, find_shipped

ROOT = Path(__file__).parents[2]


def test_what_lies_in_the_working_directory_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = find_shipped("models/demo_standin")
    assert shipped.samefile(ROOT / "models" / "demo_standin")
    own = Path("models/demo_standin")
    own.mkdir(parents=True)
    assert find_shipped(own) == own


def test_only_models_are_shipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cli", "tests", "models/nothing_of_that_name", "other/models/demo_standin"):
        assert find_shipped(name) == Path(name)


def test_the_stand_in_body_is_made_once_for_all_folders(tmp_path, monkeypatch, body_path):
    body = model_file.load_body(body_path)
    made = []
    monkeypatch.setattr("hmr.body.standin.build.build_standin_body", lambda: made.append(1) or body)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        model_file.open_body("models/standin_body.npz")
    assert len(made) == 1 and not Path("models").exists()
    assert (cache_folder() / "standin_body.npz").is_file()
    Path("models").mkdir()
    model_file.open_body("models/standin_body.npz")
    assert len(made) == 2 and Path("models/standin_body.npz").is_file()


def test_where_nothing_can_be_kept_the_body_is_made_each_time(tmp_path, monkeypatch, body_path):
    body = model_file.load_body(body_path)
    monkeypatch.setattr("hmr.body.standin.build.build_standin_body", lambda: body)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.chdir(tmp_path)
    assert model_file.open_body("models/standin_body.npz") is body
