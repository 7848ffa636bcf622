"""The SMPL layer against the original's figures, smplx on PyTorch, and itself on other backends."""

import numpy as np
import pytest
import tensorflow as tf

from hmr.body.rotations import rodrigues
from hmr.body.smpl import SMPL
from tests.helpers.golden_inputs import golden, made_body

GOLDEN_TOLERANCE_M = 2e-6


@pytest.fixture(scope="module")
def figures():
    return golden("smpl")


@pytest.fixture(scope="module")
def smpl():
    return SMPL(made_body())


@pytest.fixture(scope="module")
def posed(smpl, figures):
    return {key: np.asarray(v) for key, v in smpl(figures["thetas"], figures["betas"]).items()}


def test_vertices(posed, figures):
    chosen = posed["vertices"][figures["vertices_items"]][:, figures["vertex_ids"]]
    np.testing.assert_allclose(chosen, figures["vertices"], atol=GOLDEN_TOLERANCE_M)


def test_sums_over_all_vertices(posed, figures):
    vertices = posed["vertices"].astype(np.float64)
    count = vertices.shape[1]
    np.testing.assert_allclose(vertices.sum(1) / count, figures["verts_sum"] / count, atol=1e-6)
    mean_absolute = np.abs(vertices).sum((1, 2)) / count
    np.testing.assert_allclose(mean_absolute, figures["verts_abs"] / count, atol=1e-6)


@pytest.mark.parametrize(
    ("key", "figure"),
    [("joints3d", "joints19"), ("smpl_joints", "J_transformed"), ("rotations", "Rs")],
)
def test_joints_and_rotations(posed, figures, key, figure):
    np.testing.assert_allclose(posed[key], figures[figure], atol=GOLDEN_TOLERANCE_M)


def test_the_short_way_to_keypoints(smpl, figures):
    keypoints = smpl.keypoints(figures["thetas"], figures["betas"])["joints3d"]
    np.testing.assert_allclose(keypoints, figures["joints19"], atol=GOLDEN_TOLERANCE_M)


@pytest.mark.parametrize("way", ["call", "keypoints"])
def test_gradients_of_pose_and_shape(smpl, figures, way):
    pose, beta = tf.constant(figures["thetas"]), tf.constant(figures["betas"])
    with tf.GradientTape() as tape:
        tape.watch([pose, beta])
        joints = getattr(smpl, way)(pose, beta)["joints3d"]
        total = tf.reduce_sum(joints * figures["grad_coef"])
    pose_gradient, beta_gradient = tape.gradient(total, [pose, beta])
    np.testing.assert_allclose(pose_gradient, figures["grad_thetas"], atol=2e-5)
    np.testing.assert_allclose(beta_gradient, figures["grad_betas"], atol=2e-5)


def test_rodrigues(figures):
    np.testing.assert_allclose(
        rodrigues(figures["rodrigues_in"]), figures["rodrigues_out"], atol=1e-6
    )


def test_pose_features(posed, figures):
    features = (posed["rotations"][:, 1:] - np.eye(3)).reshape(-1, 207)
    np.testing.assert_allclose(features, figures["lrotmin"], atol=1e-6)


def test_smplx_gives_the_same_bodies(posed, figures):
    """`smplx` (PyTorch) is an independent implementation of the same function."""
    torch = pytest.importorskip("torch", reason="the comparison with smplx needs torch")
    lbs = pytest.importorskip("smplx.lbs", reason="the comparison needs smplx").lbs
    body = made_body()
    vertices, joints = lbs(
        *(torch.tensor(figures[key]) for key in ("betas", "thetas")),
        v_template=torch.tensor(body.v_template[None]),
        shapedirs=torch.tensor(body.shapedirs),
        posedirs=torch.tensor(body.posedirs.reshape(-1, 207).T.copy()),
        J_regressor=torch.tensor(body.joint_regressor),
        parents=torch.tensor(body.parents.astype(np.int64)),
        lbs_weights=torch.tensor(body.lbs_weights),
    )
    np.testing.assert_allclose(posed["vertices"], vertices.numpy(), atol=5e-6)
    np.testing.assert_allclose(posed["smpl_joints"], joints.numpy(), atol=5e-6)
