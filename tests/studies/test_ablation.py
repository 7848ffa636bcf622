"""The comparison of three trainings: the claims by made numbers, the picture by tiny models."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hmr.body.model_file import NUM_FACES, save_body
from hmr.configs import ablation_no_prior, ablation_paired, ablation_unpaired
from hmr.errors import UserError
from hmr.files.images import read_image
from hmr.network.build import build_model
from hmr.network.checkpoint import save_model
from hmr.settings import ModelSpec
from hmr.studies import ablation
from tests.conftest import write_people
from tests.helpers.golden_inputs import made_body


def _results(mpjpe, pa_mpjpe, pixels):
    return {
        run: dict(zip(ablation.KEYS, numbers, strict=True))
        for run, numbers in zip(
            ablation.RUNS, zip(mpjpe, pa_mpjpe, pixels, strict=True), strict=True
        )
    }


@pytest.mark.parametrize(
    ("mpjpe", "pa_mpjpe", "pixels", "expected"),
    [
        ((1, 2, 3), (1, 2, 3), (5, 6, 6), [True, True, True]),
        ((1, 3, 2), (1, 2, 3), (5, 6, 1), [False, True, True]),
        ((1, 2, 3), (2, 1, 3), (5, 6, 6.2), [True, False, True]),
        ((1, 2, 2), (1, 1, 2), (5, 6, 6.4), [False, False, False]),
    ],
)
def test_claims(mpjpe, pa_mpjpe, pixels, expected):
    claims = ablation.check_claims(_results(mpjpe, pa_mpjpe, pixels))
    assert list(claims.values()) == expected


def test_the_three_configurations_differ_in_what_they_are_named_for():
    paired, unpaired, no_prior = (
        module.get_config() for module in (ablation_paired, ablation_unpaired, ablation_no_prior)
    )
    assert paired.loss.joints3d > 0 and paired.loss.adversarial > 0
    assert unpaired.loss.joints3d == unpaired.loss.smpl == 0
    assert unpaired.loss.adversarial == paired.loss.adversarial
    assert no_prior.loss.joints3d == no_prior.loss.smpl == no_prior.loss.adversarial == 0
    for config in (unpaired, no_prior):
        config.loss = paired.loss
        assert config.to_dict() == paired.to_dict()


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def body_path(tmp_path):
    """A body whose few triangles are quick to draw."""
    first = np.arange(0, 4000, 60)
    faces = np.zeros((NUM_FACES, 3), np.int32)
    faces[: len(first)] = np.column_stack([first, first + 24, first + 48])
    save_body(tmp_path / "body.npz", replace(made_body(), faces=faces))
    return tmp_path / "body.npz"


def test_table_claims_and_picture(tmp_path, body_path, capsys, monkeypatch):
    monkeypatch.setattr(ablation, "PEOPLE", 2)
    for split, count in (("val", 3), ("train", 2)):
        shard = tmp_path / "data" / "mpi_inf_3dhp" / f"{split}_00000.tfrecord"
        write_people(shard, "mpi_inf_3dhp", True, count)
    spec = ModelSpec("resnet14_v2_narrow", input_size=32, hidden_units=32, body=str(body_path))
    for index, run in enumerate(ablation.RUNS):
        folder = tmp_path / "runs" / run
        save_model(build_model(spec), spec, folder / "model")
        numbers = dict.fromkeys(ablation.KEYS, 100.0 + index)
        constant = {f"mean_body_{key}": 300.0 for key in ablation.KEYS}
        _write(folder / "evaluation" / "metrics.json", {"metrics": {**numbers, **constant}})
        _write(folder / "training.json", {"steps": 7, "seconds": 8.0, "train_images": 9})
    runs = tmp_path / "runs"
    assert ablation.main(["--workdir", str(runs), "--data", str(tmp_path / "data")]) == 0
    printed = capsys.readouterr().out
    assert "101.0" in printed and "300.0" in printed and "NO" not in printed
    assert json.loads((runs / "ablation.json").read_text())["runs"]["no_prior"]["mpjpe_mm"] == 102
    picture = read_image(runs / "ablation.jpg")
    assert picture.shape == (2 * 224, 7 * 224, 3)
    assert np.ptp(picture) > 200


def test_a_run_that_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match=r"paired/evaluation/metrics\.json is missing: .*make abl"):
        ablation.main(["--workdir", str(tmp_path)])
