"""A camera's bodies, calmed frame by frame, see `hmr.motion.online`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from hmr.body.smpl import SMPL
from hmr.geometry.camera import pinhole
from hmr.geometry.crop import CROP_SIZE, from_normalized
from hmr.geometry.projection import project
from hmr.motion.online import OneEuro
from hmr.motion.smooth import cutoff_hz
from hmr.prediction.result import Body, Result

# One pass of an on-line filter calms less than two of the off-line one.
_CUTOFF_OF_OFFLINE = 0.3


class LiveSmoother:
    """Keeps a filter for each id.

    Args:
        smpl: the body.
        strength: as of the off-line smoothing, 0 to 1.
    """

    def __init__(self, smpl: SMPL, strength: float):
        self._smpl, self._cutoff = smpl, _CUTOFF_OF_OFFLINE * cutoff_hz(strength)
        self._filters: dict[str, tuple[OneEuro, OneEuro, OneEuro]] = {}

    def calm(self, result: Result, seconds: float) -> Result:
        """The result with calmed poses, shapes and places; `theta` stays the network's."""
        bodies = [self._calm(person, result, seconds) for person in result.bodies]
        return replace(result, bodies=bodies)

    def _calm(self, person: Body, result: Result, seconds: float) -> Body:
        make = OneEuro(self._cutoff, unit=True), OneEuro(self._cutoff), OneEuro(self._cutoff / 10)
        turn, place, shape = self._filters.setdefault(person.label, make)
        quaternions = turn(Rotation.from_matrix(person.rotations).as_quat(), seconds)
        pose = Rotation.from_quat(quaternions).as_rotvec().reshape(72).astype(np.float32)
        beta = shape(person.beta, seconds).astype(np.float32)
        weak, box = person.weak_camera, person.box
        size = np.log(weak.scale_px_per_m)
        # As shares of the picture, and a logarithm: numbers near one, as the filter expects.
        width = result.width
        *middle, size = place(np.append(weak.offset_px / width, size), seconds)
        per_metre = np.exp(size) * box.scale
        shift = (box.to_crop(np.array(middle) * width) - CROP_SIZE / 2) / per_metre
        camera = np.append(2 * per_metre / CROP_SIZE, shift).astype(np.float32)
        posed = {key: np.asarray(v)[0] for key, v in self._smpl(pose[None], beta[None]).items()}
        keypoints = np.asarray(project(posed["joints3d"][None], camera[None]))[0]
        size_px = result.height, result.width
        return replace(
            person,
            pose=pose,
            beta=beta,
            camera_crop=camera,
            rotations=posed["rotations"],
            joints3d_m=posed["joints3d"],
            smpl_joints_m=posed["smpl_joints"],
            vertices_m=posed["vertices"],
            keypoints2d_px=box.to_image(from_normalized(keypoints)).astype(np.float32),
            translation_full_m=pinhole(camera, box, *size_px, person.focal_px).translation_m,
            translation_room_m=pinhole(camera, box, *size_px, person.focal_room_px).translation_m,
        )
