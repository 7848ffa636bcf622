"""Stand-in people in the layout of 3DPW, whose labels the converter reads back."""

from argparse import Namespace
from itertools import pairwise

import numpy as np
import pytest

from hmr.body.joints import COCOPLUS
from hmr.body.model_file import save_body
from tfrecords_tools.common.pictures import Labels
from tfrecords_tools.pw3d import read_people, read_sequence
from tfrecords_tools.standin import pw3d
from tfrecords_tools.standin.scene import SceneStyle
from tfrecords_tools.standin.studio import Studio


@pytest.fixture(scope="module")
def root(tmp_path_factory, standin):
    """Sequences of 4 pictures, every second of them held out."""
    folder = tmp_path_factory.mktemp("made")
    body = folder / "standin_body.npz"
    save_body(body, standin)
    with pytest.MonkeyPatch.context() as patch, Studio(body, workers=1) as studio:
        patch.setattr(pw3d, "PICTURES_PER_SEQUENCE", 4)
        patch.setattr(pw3d, "HELD_OUT_EVERY", 2)
        pw3d.write_pw3d(folder / "3dpw", 14, SceneStyle(framing="cut"), 0, studio)
    return folder


def test_the_last_of_so_many_sequences_is_held_out(root):
    files = sorted(path.relative_to(root / "3dpw") for path in root.rglob("*.pkl"))
    names = [f"sequenceFiles/{'train' if n % 2 == 0 else 'validation'}/made_people_{n:05d}.pkl"
             for n in range(4)]  # fmt: skip
    assert [str(path) for path in files] == sorted(names)
    assert len(list(root.rglob("*.jpg"))) == 16


def test_bodies_project_onto_the_keypoints(root):
    paths = sorted((root / "3dpw" / "sequenceFiles" / "train").glob("*.pkl"))
    body = root / "standin_body.npz"
    found = list(read_people(Namespace(input=root / "3dpw", male=body, female=body), paths))
    people = [each for each in found if isinstance(each[1], Labels)]
    assert len(found) == 8 and len(people) >= 6
    limbs = [COCOPLUS.index(f"{side}_{name}") for side in ("left", "right")
             for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")]  # fmt: skip
    for _, labels in people:
        joints_m = labels.extras["joints3d_lsp_m"]  # LSP's joints are the first 14 of cocoplus
        focal_px, *center_px = labels.extras["intrinsics_px"]
        projected = focal_px * joints_m[:, :2] / joints_m[:, 2:] + center_px
        seen = [joint for joint in limbs if labels.visibility[joint]]
        assert seen
        np.testing.assert_allclose(
            projected[seen], labels.keypoints2d_px[seen], atol=0.02, err_msg=labels.name
        )


def test_joints_outside_the_picture_are_no_labels(root):
    sequences = [read_sequence(path) for path in sorted(root.rglob("*.pkl"))]
    confidence = np.concatenate([each.actors[0].keypoints[..., 2] for each in sequences])
    assert set(np.unique(confidence)) == {0.0, pw3d.GUESSED, pw3d.SEEN}
    shapes = [each.actors[0].beta for each in sequences]
    assert all((a != b).any() for a, b in pairwise(shapes))
