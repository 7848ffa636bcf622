import json
import pickle

import numpy as np
import pytest

from hmr.errors import UserError
from hmr.files import foreign
from hmr.files.safe_npz import load_npy, load_npz
from hmr.files.safe_pickle import safe_load
from hmr.prediction.people_files import open_people

BOX = {"image_id": 1, "bbox": [1, 2, 30, 40]}
CSV = "image,x,y,width,height\n" + "a.jpg,1,2,30,40\n"


@pytest.fixture
def limits_10_kb(monkeypatch):
    monkeypatch.setattr(foreign, "scale", lambda: 1e-5)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (json.dumps([BOX]), lambda path: open_people(boxes=str(path))),
        (json.dumps([[0.5]] * 9), foreign.read_json),
        (CSV, lambda path: open_people(boxes=str(path))),
    ],
)
def test_a_text_that_would_take_much_memory_is_refused_before_it_is_parsed(
    tmp_path, limits_10_kb, text, read
):
    path = tmp_path / "x"
    path.write_text(text)
    read(path)
    more = text + text.splitlines()[-1] * 9 if text == CSV else json.dumps(json.loads(text) * 9)
    path.write_text(more.replace("40a", "40\na"))
    with pytest.raises(UserError, match=r"x may take, .* bytes, .*HMR_FILE_GB=4 before"):
        read(path)


def test_arrays_and_objects_are_limited_alike(tmp_path, limits_10_kb):
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(20_000))
    np.save(tmp_path / "x.npy", np.zeros(2_000))
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([[] for _ in range(100)]))
    reads = (
        ("unpacks to", load_npz, "npz"),
        ("has", load_npy, "npy"),
        ("objects", safe_load, "pkl"),
    )
    for why, read, suffix in reads:
        with pytest.raises(UserError, match=why):
            read(tmp_path / f"x.{suffix}")


def test_the_environment_multiplies_the_limits(monkeypatch):
    monkeypatch.setenv("HMR_FILE_GB", "2.5")
    assert foreign.scale.__wrapped__() == 2.5
    for text in ("", "0", "-1", "nan", "much"):
        monkeypatch.setenv("HMR_FILE_GB", text)
        with pytest.raises(UserError, match="expected the GB"):
            foreign.scale.__wrapped__()
