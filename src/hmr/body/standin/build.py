"""The stand-in body: SMPL's exact structure around an invented figure, free of any licence.

Everything is made here by code, from tables of measurements: no scan, no fit, no SMPL data. The
same code gives the same arrays each time, in a few seconds.
"""

import numpy as np

from hmr.body.joints import SMPL_PARENTS
from hmr.body.model_file import NUM_VERTICES, BodyModel, body_from_arrays
from hmr.body.standin.correctives import pose_blend_shapes
from hmr.body.standin.form import body_field
from hmr.body.standin.mesh import adjacency, simplify, to_surface
from hmr.body.standin.regressors import Figure, cocoplus_regressor, joint_regressor
from hmr.body.standin.relax import mirror_partners, mirror_whole, relax
from hmr.body.standin.rig import rest_joints_m, skinning_weights
from hmr.body.standin.shapes import shape_blend_shapes
from hmr.body.standin.surface import half_surface

SOURCE = "stand-in body (generated, licence-free)"


def build_surface() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rest vertices (6890, 3) m, faces (13776, 3), index of each vertex's mirror image (6890,)."""
    vertices_m, faces = half_surface(body_field)
    vertices_m, faces = simplify(to_surface(vertices_m, steps=2), faces, NUM_VERTICES)
    vertices_m, faces = relax(vertices_m, faces)
    partners = mirror_partners(vertices_m)
    return *mirror_whole(vertices_m, faces), partners


def build_figure(vertices_m: np.ndarray, faces: np.ndarray, mirror: np.ndarray) -> Figure:
    """Skeleton, skinning weights and blend shapes for a surface from `build_surface`."""
    joints_m = rest_joints_m()
    links = adjacency(faces, len(vertices_m))
    weights = skinning_weights(vertices_m, links)
    shapes, joint_shapes = shape_blend_shapes(vertices_m, joints_m, weights, links)
    pose_shapes = pose_blend_shapes(vertices_m, joints_m, weights)
    return Figure(vertices_m, joints_m, weights, shapes, joint_shapes, pose_shapes, mirror)


def build_standin_body() -> BodyModel:
    """Makes the stand-in body; deterministic, a few seconds.

    Returns:
        A `BodyModel`: 1.7 m tall in T-pose, SMPL's axes and joint tree. Its ten betas are named in
        `standin_shapes.SHAPE_NAMES`, each about one standard deviation of adults per unit.
    """
    vertices_m, faces, mirror = build_surface()
    figure = build_figure(vertices_m, faces, mirror)
    arrays = {
        "v_template": figure.vertices_m,
        "shapedirs": figure.shapes,
        "posedirs": figure.pose_shapes,
        "joint_regressor": joint_regressor(figure),
        "lbs_weights": figure.weights,
        "cocoplus_regressor": cocoplus_regressor(figure),
        "faces": faces,
        "parents": np.array(SMPL_PARENTS),
    }
    return body_from_arrays(arrays, SOURCE)
