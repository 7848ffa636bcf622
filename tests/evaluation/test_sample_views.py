import numpy as np
import pytest

from hmr.data.pipeline import evaluation_batches
from hmr.evaluation.protocols import find_protocol
from hmr.evaluation.report import write_html
from hmr.evaluation.sample_views import (
    captioned_row,
    draw_case,
    draw_from_side,
    draw_samples,
    find_extremes,
    write_extremes,
)
from hmr.evaluation.samples import Prediction, read_truth
from hmr.evaluation.scoring import score
from hmr.files.images import read_image
from tests.conftest import write_people
from tests.helpers.golden_inputs import made_body


@pytest.fixture(scope="module")
def faces():
    """Small triangles all over the made body."""
    first = np.arange(0, 4000, 60)
    return np.column_stack([first, first + 24, first + 48])


def _case(faces, camera=(0.9, 0.0, 0.0)):
    rng = np.random.default_rng(0)
    return {
        "image": np.full((224, 224, 3), 90, np.uint8),
        "true_px": rng.uniform(40, 180, (19, 2)),
        "visible": np.ones(19, bool),
        "predicted_px": rng.uniform(40, 180, (19, 2)),
        "mesh": (made_body().v_template * np.array([1.0, -1.0, -1.0]), np.array(camera), faces),
        "joints3d_lsp_m": tuple(rng.uniform(-0.5, 0.5, (2, 14, 3))),
    }


def test_views_of_labels_prediction_and_the_body_from_three_sides(faces):
    labels, prediction, body, left, right, side = draw_case(**_case(faces)).values()
    for view in (labels, prediction, body):
        assert 0.002 < (view != 90).any(axis=-1).mean() < 0.6
    assert not np.array_equal(labels, prediction)
    for view in (left, right, side):
        assert 0.5 < (view == 255).all(axis=-1).mean() < 0.999


def test_what_is_not_known_is_not_drawn(faces):
    case = _case(faces)
    assert list(draw_case(case["image"], case["true_px"], case["visible"])) == ["labels"]


def test_a_camera_that_shows_no_body_leaves_the_crop(faces):
    assert (draw_case(**_case(faces, camera=(-0.3, 0, 0)))["body"] == 90).all()


def test_from_the_side_the_viewer_of_the_photograph_stands_at_the_right():
    joints = np.zeros((14, 3))
    joints[12:] = [0.0, -0.5, -0.8]  # neck and head top towards the viewer, upwards
    painted = np.argwhere((draw_from_side(joints, joints) != 255).any(axis=-1))
    assert painted[:, 1].max() > 112 + 70 and painted[:, 1].min() > 112 - 10
    assert painted[:, 0].min() < 112 - 40 and painted[:, 0].max() < 112 + 10


def test_the_true_skeleton_is_pale():
    low = np.zeros((14, 3))
    high = low.copy()
    high[12:] = [0.0, -0.9, 0.9]
    top = np.s_[:60]  # only the higher skeleton reaches there
    assert draw_from_side(high, low)[top].min() > 150
    assert draw_from_side(low, high)[top].min() < 60


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Four records, of which the second is predicted best and the first worst."""
    file = tmp_path_factory.mktemp("drawn") / "mpi_inf_3dhp" / "val_00000.tfrecord"
    write_people(file, "mpi_inf_3dhp", has_3d=True, count=4)
    truth = read_truth([str(file)])
    rng = np.random.default_rng(0)
    noise_m = np.array([0.3, 0.01, 0.2, 0.1])[:, None, None] * rng.normal(size=(4, 14, 3))
    prediction = Prediction(truth.joints3d_lsp_m + noise_m, truth.keypoints2d)
    scores = score(find_protocol("stand_in"), prediction, truth)
    extremes = {
        name: draw_samples(indices, scores, prediction, truth, [str(file)])
        for name, indices in find_extremes(scores, count=2).items()
    }
    return file, scores, extremes


def test_the_rows_are_the_best_and_the_worst_records(evaluated, tmp_path):
    file, _, extremes = evaluated
    for path, index in zip(write_extremes(tmp_path, extremes), (1, 0), strict=True):
        shown = read_image(path)[30:224, :224].astype(float)
        differences = [np.abs(shown - crop[30:]).mean() for crop in _crops(file)]
        assert int(np.argmin(differences)) == index
        assert read_image(path).shape == (2 * 224, 3 * 224, 3)


def test_a_caption_is_written_over_the_row(evaluated):
    sample = evaluated[2]["best"][0]
    row = captioned_row(sample)
    assert (row[:20, :224] > 250).all(axis=-1).any()
    np.testing.assert_array_equal(row[20:, :224], sample.views["labels"][20:])


def test_the_page_holds_choices_numbers_and_pictures(evaluated, tmp_path):
    _, scores, extremes = evaluated
    page = tmp_path / "index.html"
    write_html(page, scores, {"root": "<hips> & more"}, extremes)
    text = page.read_text()
    assert "&lt;hips&gt; &amp; more" in text and "<hips>" not in text
    assert f"{scores.measures['mpjpe_mm'].mean():.2f}" in text
    assert text.count("data:image/jpeg;base64,") == 4 * 3
    assert text.index("record 1: 1.jpg") < text.index("record 0: 0.jpg")
    assert "$" not in text
    assert "http" not in text


def _crops(file):
    (batch,) = evaluation_batches([str(file)], 224, 4)
    return (batch["images"] + 1) * 127.5
