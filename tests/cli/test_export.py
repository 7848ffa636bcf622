"""What the export verb refuses, before it does anything."""

import pytest

from hmr.cli import export as verb
from hmr.errors import UserError


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(UserError, match=r"model\.json"):
        verb.main(["--checkpoint", str(tmp_path), "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_unknown_formats_are_named(tmp_path):
    with pytest.raises(UserError, match="received caffe"):
        verb.main(["--format", "savedmodel,caffe", "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
