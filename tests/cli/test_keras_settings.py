"""What the user has set for all of Keras is named where HMR cannot work with it."""

import json

import pytest

from hmr.cli import check_keras_settings
from hmr.errors import UserError


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "keras.json"


def test_no_settings_and_usual_ones_are_taken(settings, monkeypatch):
    check_keras_settings()
    for text in ("{", "[]", json.dumps({"backend": "tensorflow"})):
        settings.write_text(text)
        check_keras_settings()
    settings.write_text(json.dumps({"backend": "absent_backend"}))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    check_keras_settings()


def test_a_backend_that_is_not_installed_is_named_with_its_place(settings, monkeypatch):
    settings.write_text(json.dumps({"backend": "absent_backend"}))
    with pytest.raises(UserError, match=r"absent_backend by .*keras\.json"):
        check_keras_settings()
    monkeypatch.setenv("KERAS_BACKEND", "other_backend")
    with pytest.raises(UserError, match="other_backend by the environment variable KERAS_BACKEND"):
        check_keras_settings()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("image_data_format", "channels_first", "channels_last"),
        ("floatx", "float16", "float32"),
        ("epsilon", 1, "1e-07"),
        ("nnx_enabled", True, "False"),
    ],
)
def test_settings_that_would_change_results_are_named(settings, key, value, expected):
    settings.write_text(json.dumps({key: value}))
    with pytest.raises(UserError, match=rf"keras\.json.*{key}.*{value}.*{expected}"):
        check_keras_settings()


def test_a_backend_that_cannot_train_is_named(settings):
    settings.write_text(json.dumps({"backend": "numpy"}))
    with pytest.raises(UserError, match=r"numpy by .*keras\.json"):
        check_keras_settings()
