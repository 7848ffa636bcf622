"""Ground truth that records do not hold: annotations and bodies from the user's own files.

A protocol names its reference; a reference opens its files before anything is predicted, and then
completes prediction and ground truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hmr.body.joints import H36M17_REGRESSED, LSP14, joint_map
from hmr.body.model_file import NUM_VERTICES, BodyModel, open_body, require_faces
from hmr.body.smpl import SMPL
from hmr.errors import UserError
from hmr.evaluation.meshes import Meshes, PosedBodies, regress
from hmr.evaluation.parts import vertex_parts
from hmr.evaluation.protocols import Protocol
from hmr.evaluation.samples import Prediction, Truth
from hmr.evaluation.segmentation import FOLDER, count_pixels
from hmr.files.safe_npz import load_npy

Completed = tuple[Prediction, Truth]


class Reference:
    """Ground truth from the records alone; the base class of the sources that read more.

    Attributes:
        flags: of `python -m src.evaluate`, those that name its files.
        required: the flags among these that must be given.
    """

    flags: tuple[str, ...] = ()
    required: tuple[str, ...] = ()

    def __init__(self, files: Mapping[str, str | None]):
        self.files = files

    def complete(self, prediction: Prediction, truth: Truth, body: BodyModel | None) -> Completed:
        """Prediction and ground truth, completed with what the protocol's measures need.

        Args:
            prediction, truth: of the same samples.
            body: of the predictions, if known.

        Raises:
            UserError: files or records do not fit.
        """
        return prediction, truth

    def notes(self) -> dict[str, str]:
        """Name -> text of its choices, which are printed above the numbers."""
        return {}


class Segmentation(Reference):
    """UPi-S1h's foreground and part annotations of LSP pictures (Lassner et al. 2017)."""

    flags = ("segmentation", "parts")
    required = ("segmentation",)

    def __init__(self, files: Mapping[str, str | None]):
        super().__init__(files)
        self._root = Path(str(files["segmentation"]))
        if not (self._root / FOLDER).is_dir():
            raise UserError(
                f"--segmentation {self._root} must be the folder of upi-s1h.zip, which holds "
                f"{FOLDER}/im1001_segmentation.png and so on. Received: no folder "
                f"{self._root / FOLDER}"
            )
        self._notes = {"annotated": str(self._root / FOLDER)}

    def complete(self, prediction: Prediction, truth: Truth, body: BodyModel | None) -> Completed:
        """See `Reference`."""
        if body is None or prediction.meshes is None or prediction.camera is None:
            raise UserError(
                "lsp_segmentation draws meshes: predictions need camera, and vertices or pose and "
                "beta, and --body the body file with their faces."
            )
        if not truth.whole.all():
            raise UserError(
                f"lsp_segmentation needs whole pictures, but {(~truth.whole).sum()} of "
                f"{len(truth)} records hold a scaled or cut one. Convert LSP again: python -m "
                "tfrecords_tools --lsp /path/to/lsp_dataset"
            )
        parts = vertex_parts(body, self.files["parts"])
        meshes, camera, faces = prediction.meshes, prediction.camera, require_faces(body)
        pixels = count_pixels(meshes, camera, truth, self._root, faces, parts.labels)
        self._notes |= {"parts": f"labels of vertices from {parts.source}"}
        if pixels.notes:
            self._notes["sizes"] = "; ".join(pixels.notes)
        return replace(prediction, pixels=pixels), truth

    def notes(self) -> dict[str, str]:
        """See `Reference`."""
        return self._notes


class GenderedBodies(Reference):
    """3DPW's bodies (von Marcard et al. 2018): the records' pose and beta on male and female SMPL.

    The joints are those of each body's own keypoint regressor.
    """

    flags: tuple[str, ...] = ("male", "female")
    required: tuple[str, ...] = flags

    def __init__(self, files: Mapping[str, str | None]):
        super().__init__(files)
        paths = {"m": files["male"], "f": files["female"]}
        self.layers = {gender: SMPL(open_body(str(path))) for gender, path in paths.items()}

    def complete(self, prediction: Prediction, truth: Truth, body: BodyModel | None) -> Completed:
        """See `Reference`."""
        known = np.isin(truth.gender, list(self.layers))
        if not known.all():
            raise UserError(
                f"gendered bodies need records with SMPL parameters and the gender m or f, but "
                f"{(~known).sum()} of {len(truth)} lack them. Convert the dataset again: make "
                "tfrecords PW3D=/path/to/3DPW"
            )
        meshes = PosedBodies(self.layers, truth.gender, truth.pose, truth.beta)
        truth = replace(truth, meshes=meshes, has_joints3d=np.ones(len(truth), bool))
        return self.with_joints(prediction, truth, meshes)

    def with_joints(self, prediction: Prediction, truth: Truth, meshes: PosedBodies) -> Completed:
        """Sets the true joints; here the prediction keeps its own."""
        joints = np.zeros((len(truth), len(LSP14), 3))
        for gender, layer in self.layers.items():
            rows = np.flatnonzero(truth.gender == gender)
            if len(rows):
                regressor = layer.body.cocoplus_regressor[: len(LSP14)]
                joints[rows] = regress(meshes.take(rows), regressor, "true joints")
        return prediction, replace(truth, joints3d_lsp_m=joints)

    def notes(self) -> dict[str, str]:
        """See `Reference`."""
        return {"true bodies": f"male {self.files['male']}, female {self.files['female']}"}


class GenderedBodiesH36M(GenderedBodies):
    """3DPW's bodies, with the joints of Human3.6M's regressor on both sides (as in SPIN, 2019)."""

    flags = (*GenderedBodies.flags, "joint_regressor")
    required = flags

    def __init__(self, files: Mapping[str, str | None]):
        super().__init__(files)
        self._regressor = read_regressor(str(files["joint_regressor"]))

    def with_joints(self, prediction: Prediction, truth: Truth, meshes: PosedBodies) -> Completed:
        """14 LSP joints and the pelvis, regressed from both meshes."""
        if prediction.meshes is None:
            raise UserError(
                "Human3.6M's joints are regressed from meshes: predictions need vertices, or pose "
                "and beta with --body."
            )

        def joints(side: Meshes, what: str) -> np.ndarray:
            return regress(side, self._regressor, what)

        predicted, true = joints(prediction.meshes, "joints"), joints(meshes, "true joints")
        return replace(prediction, joints3d_lsp_m=predicted), replace(truth, joints3d_lsp_m=true)

    def notes(self) -> dict[str, str]:
        """See `Reference`."""
        return {**super().notes(), "regressor": str(self.files["joint_regressor"])}


def read_regressor(path: str | Path) -> np.ndarray:
    """LSP's 14 joints and the pelvis (15, 6890) of Human3.6M's regressor, an .npy (17, 6890).

    Raises:
        UserError: the file is missing or holds something else.
    """
    if not Path(path).is_file():
        raise UserError(f"no joint regressor at {path}. It is SPIN's J_regressor_h36m.npy.")
    rows = load_npy(path)
    if rows.shape != (len(H36M17_REGRESSED), NUM_VERTICES) or not np.isfinite(rows).all():
        raise UserError(
            f"{path} must be finite, of shape ({len(H36M17_REGRESSED)}, {NUM_VERTICES}). "
            f"Received: {rows.shape}"
        )
    return np.asarray(rows, np.float64)[joint_map(H36M17_REGRESSED, (*LSP14, "pelvis"))]


REFERENCES: dict[str, type[Reference]] = {
    "": Reference,
    "segmentation": Segmentation,
    "gendered bodies": GenderedBodies,
    "gendered bodies, Human3.6M's joints": GenderedBodiesH36M,
}
"""`Protocol.reference` -> the source of its ground truth."""

FLAGS = tuple(dict.fromkeys(flag for kind in REFERENCES.values() for flag in kind.flags))


def open_reference(protocol: Protocol, files: Mapping[str, str | None]) -> Reference:
    """Opens the source of a protocol's ground truth.

    Args:
        protocol: names the source.
        files: flag -> path, of all `FLAGS`; None where it was not given.

    Raises:
        UserError: a flag is missing, or given though the protocol does not read it, or its file
            does not fit.
    """
    kind = REFERENCES[protocol.reference]
    missing = [flag for flag in kind.required if not files[flag]]
    if missing:
        raise UserError(
            f"{protocol.name} needs {', '.join(f'--{flag}' for flag in missing)}: see python -m "
            "src.evaluate --help."
        )
    unread = [flag for flag in FLAGS if files[flag] and flag not in kind.flags]
    if unread:
        raise UserError(
            f"{protocol.name} does not read {', '.join(f'--{flag}' for flag in unread)}."
        )
    return kind(files)
