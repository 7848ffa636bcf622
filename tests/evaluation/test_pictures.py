from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from src.data.batches import evaluation_batches
from src.evaluation.pictures import Case, draw_case, draw_extremes
from src.evaluation.protocols import find_protocol
from src.evaluation.samples import Prediction, read_truth
from src.evaluation.scoring import score
from src.imaging.images import read_image
from tests.conftest import write_people
from tests.golden_inputs import made_body


@pytest.fixture(scope="module")
def model():
    """What the drawing needs of a model: a body of small triangles."""
    first = np.arange(0, 4000, 60)
    triangles = np.column_stack([first, first + 24, first + 48])
    body = replace(made_body(), faces=np.resize(triangles, (13776, 3)))
    return SimpleNamespace(smpl=SimpleNamespace(body=body))


def _case(camera=(0.9, 0.0, 0.0)):
    rng = np.random.default_rng(0)
    turned_over = made_body().v_template * np.array([1.0, -1.0, -1.0])
    return Case(
        caption="#3: 81.2",
        image=np.full((224, 224, 3), 90, np.uint8),
        true_px=rng.uniform(40, 180, (19, 2)),
        visible=np.ones(19, bool),
        predicted_px=rng.uniform(40, 180, (19, 2)),
        outputs={"vertices": turned_over, "camera": np.array(camera)},
    )


def test_a_row_shows_truth_prediction_and_the_body_from_three_sides(model):
    cells = np.split(draw_case(_case(), model), 5, axis=1)
    for cell in cells[:3]:
        changed = (cell[20:] != 90).any(axis=-1).mean()
        assert 0.002 < changed < 0.6
    assert (cells[0][:20] == 255).any()  # the caption
    assert not np.array_equal(cells[0], cells[1])
    for view in cells[3:]:
        assert (view == 255).all(axis=-1).mean() > 0.5


def test_a_camera_that_shows_no_body_leaves_the_crop(model):
    cells = np.split(draw_case(_case(camera=(-0.3, 0, 0)), model), 5, axis=1)
    assert (cells[2] == 90).all()


def test_the_rows_are_the_best_and_the_worst_records(tmp_path):
    file = tmp_path / "mpi_inf_3dhp" / "val_00000.tfrecord"
    write_people(file, "mpi_inf_3dhp", has_3d=True, count=4)
    truth = read_truth([str(file)])
    rng = np.random.default_rng(0)
    noise_m = np.array([0.3, 0.01, 0.2, 0.1])[:, None, None] * rng.normal(size=(4, 14, 3))
    prediction = Prediction(truth.joints3d_m + noise_m, truth.keypoints2d)
    scores = score(find_protocol("stand_in"), prediction, truth)
    files = draw_extremes(tmp_path, scores, prediction, truth, [str(file)], count=1)
    for path, index in zip(files, (1, 0), strict=True):
        shown = read_image(path)[30:, :224].astype(float)
        assert shown.shape == (194, 224, 3)
        differences = [np.abs(shown - crop[30:]).mean() for crop in _crops(file)]
        assert int(np.argmin(differences)) == index


def _crops(file):
    (batch,) = evaluation_batches([str(file)], 224, 4)
    return (batch["images"] + 1) * 127.5
