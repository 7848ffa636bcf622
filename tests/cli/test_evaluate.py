"""The verb, on tiny records and an untrained model."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hmr
from hmr.body.model_file import NO_FACES, save_body
from hmr.cli import evaluate as verb
from hmr.errors import UserError
from hmr.files.images import read_image
from hmr.network.build import build_model
from hmr.network.checkpoint import save_model
from hmr.settings import ModelSpec
from tests.conftest import write_people
from tests.helpers.golden_inputs import made_body


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluated")
    write_people(root / "mpi_inf_3dhp" / "val_00000.tfrecord", "mpi_inf_3dhp", True, count=5)
    write_people(root / "mpi_inf_3dhp" / "train_00000.tfrecord", "mpi_inf_3dhp", True, count=9)
    write_people(root / "lsp" / "test_00000.tfrecord", "lsp", False, count=3)
    write_people(root / "mine" / "test_00000.tfrecord", "mine", True, count=4)
    write_people(root / "flat" / "val_00000.tfrecord", "flat", False, count=3)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A model whose body has no faces: its pictures are skeletons only, and quick to draw."""
    folder = tmp_path_factory.mktemp("model")
    body_path = folder / "body.npz"
    save_body(body_path, replace(made_body(), faces=NO_FACES))
    spec = ModelSpec("resnet14_v2_narrow", input_size=32, hidden_units=32, body=str(body_path))
    save_model(build_model(spec), spec, folder)
    return folder


def _run(*flags):
    return verb.main([str(flag) for flag in flags])


def test_a_model(data, checkpoint, tmp_path, capsys):
    code = _run(
        "--protocol", "stand_in", "--checkpoint", checkpoint, "--data", data,
        "--output", tmp_path, "--batch_size", 2,
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert printed.index("hip_midpoint") < printed.index("MPJPE mm")
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    assert numbers["samples"] == 5
    for key in ("mpjpe_mm", "pa_mpjpe_mm", "keypoint_error_px"):
        assert numbers["metrics"][key] > 0 and numbers["metrics"][f"mean_body_{key}"] > 0
    with open(tmp_path / "samples.csv") as file:
        rows = list(csv.DictReader(file))
    mean = np.mean([float(row["mpjpe_mm"]) for row in rows])
    assert mean == pytest.approx(numbers["metrics"]["mpjpe_mm"], abs=1e-3)
    assert [row["filename"] for row in rows] == [f"{index}.jpg" for index in range(5)]
    assert not list(tmp_path.glob("*partial*"))
    for name in ("best.jpg", "worst.jpg"):  # skeletons of five people: true, predicted, in 3D
        assert read_image(tmp_path / name).shape == (5 * 224, 3 * 224, 3)
    assert "hip_midpoint" in (tmp_path / "index.html").read_text()


def test_predictions_of_a_file_score_as_the_model_that_made_them(data, checkpoint, tmp_path):
    from hmr.evaluation.protocols import Evaluation
    from hmr.evaluation.run import evaluate

    by_model = evaluate(Evaluation("stand_in", str(data), checkpoint=str(checkpoint)))
    file = tmp_path / "theirs.npz"
    np.savez(
        file,
        joints3d=by_model.prediction.joints3d_lsp_m,
        keypoints2d=by_model.prediction.keypoints2d,
        filename=by_model.truth.filename,
    )
    by_file = evaluate(Evaluation("stand_in", str(data), predictions=str(file)))
    assert by_file.scores.summary() == by_model.scores.summary()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"joints": np.zeros((5, 14, 3))}, "needs joints3d"),
        ({"joints3d": np.zeros((4, 14, 3))}, r"\(5, 14, 3\).*Received: float64 \(4, 14, 3\)"),
        ({"joints3d": np.full((5, 19, 3), np.nan)}, "not finite, first in row 0"),
        (
            {"joints3d": np.zeros((5, 14, 3)), "filename": np.array(["1.jpg"] * 5)},
            "Row 0: expected '0.jpg'",
        ),
    ],
)
def test_predictions_that_do_not_fit_are_refused(data, tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(UserError, match=message):
        _run("--predictions", tmp_path / "bad.npz", "--data", data, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_2d_protocol_on_records_without_3d(data, checkpoint, tmp_path):
    assert not _run(
        "--protocol", "keypoints2d", "--checkpoint", checkpoint, "--data", data,
        "--output", tmp_path,
    )  # fmt: skip
    numbers = json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    assert set(numbers) == {
        prefix + name
        for prefix in ("", "median_")
        for name in ("pck2d_005", "pck2d_010", "keypoint_error_px")
    }


@pytest.mark.parametrize(
    ("flags", "samples", "measures"),
    [
        (["keypoints2d", "--dataset", "mine"], 4, {"pck2d_005", "keypoint_error_px"}),
        (["keypoints2d", "--dataset", "flat", "--split", "val"], 3, {"pck2d_010"}),
        (["joints3d", "--dataset", "mine"], 4, {"mpjpe_mm", "pck150", "auc150"}),
        (["h36m_p1", "--dataset", "mine"], 4, {"mpjpe_mm", "pa_mpjpe_mm"}),
        (["stand_in", "--split", "train"], 9, {"mpjpe_mm", "mean_body_mpjpe_mm"}),
    ],
)
def test_any_records(data, checkpoint, tmp_path, capsys, flags, samples, measures):
    common = ("--checkpoint", checkpoint, "--data", data, "--output", tmp_path)
    assert not _run("--protocol", *flags, *common)
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    assert numbers["samples"] == samples
    assert measures <= numbers["metrics"].keys()
    dataset = flags[2] if flags[1] == "--dataset" else "mpi_inf_3dhp"
    assert f"{samples} of {dataset}/" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["h36m_p2", "--dataset", "mine"], "scores h36m only: it reads its names of sequences"),
        (["lsp_segmentation", "--dataset", "mine"], "--protocol joints3d or keypoints2d"),
        (["lsp_segmentation", "--segmentation", __file__], "it is a file, expected UPi-S1h's"),
        (["joints3d", "--dataset", "yours"], "from_labels --name yours --splits test"),
        (["joints3d", "--dataset", "flat", "--split", "val"], "none of the 3 records of flat/val"),
    ],
)
def test_records_that_a_protocol_cannot_score(data, checkpoint, tmp_path, flags, message):
    with pytest.raises(UserError, match=message):
        _run("--protocol", *flags, "--checkpoint", checkpoint, "--data", data, "--output", tmp_path)


def test_wrong_flags_are_answered_before_tensorflow_is_loaded():
    script = (
        "import sys\nfrom hmr.cli.evaluate import main\nfrom hmr.errors import UserError\n"
        "for flags in (['--protocol', 'p3'], ['--protocol', 'stand_in']):\n"
        "    try: main(flags)\n    except UserError as error: print(error)\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    package = Path(hmr.__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=package, capture_output=True, text=True
    )
    assert ended.returncode == 0
    unknown, contradicting = ended.stdout.splitlines()
    assert "Received: 'p3'" in unknown and "one of them" in contradicting


def test_missing_records_and_contradicting_flags_are_named(data, checkpoint):
    with pytest.raises(UserError, match="python -m tfrecords_tools --lsp"):
        _run("--protocol", "keypoints2d", "--checkpoint", checkpoint, "--data", data / "nothing")
    with pytest.raises(UserError, match="one of them"):
        _run("--data", data)


def test_a_damaged_record_is_named(data, checkpoint, tmp_path):
    good = (data / "mpi_inf_3dhp" / "val_00000.tfrecord").read_bytes()
    broken = tmp_path / "mpi_inf_3dhp" / "val_00000.tfrecord"
    broken.parent.mkdir()
    broken.write_bytes(good[:-40])
    with pytest.raises(UserError, match=r"record 4 of .*val_00000.tfrecord is truncated"):
        _run("--checkpoint", checkpoint, "--data", tmp_path, "--output", tmp_path / "out")


def test_fit_scores_the_network_alone_and_moved(data, checkpoint, tmp_path, capsys):
    common = ("--checkpoint", checkpoint, "--data", data, "--output", tmp_path, "--limit", 4)
    assert not _run(*common)
    alone = json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    assert not re.search(r"median +network", capsys.readouterr().out)
    assert not _run(*common, "--fit")
    moved = json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    for name in ("mpjpe_mm", "pa_mpjpe_mm", "keypoint_error_px"):
        assert moved[f"network_{name}"] == pytest.approx(alone[name], rel=1e-6)
    assert moved["keypoint_error_px"] < alone["keypoint_error_px"]
    assert moved["mean_body_mpjpe_mm"] == alone["mean_body_mpjpe_mm"]
    printed = capsys.readouterr().out
    assert re.search(r"mean +median +network +constant", printed)
    with pytest.raises(UserError, match="--fit moves a model's bodies"):
        _run("--predictions", tmp_path / "none.npz", "--data", data, "--fit")
