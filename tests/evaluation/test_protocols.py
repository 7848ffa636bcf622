import numpy as np
import pytest

from hmr.errors import UserError
from hmr.evaluation.measures import MEASURES
from hmr.evaluation.protocols import PROTOCOLS, choices, find_protocol, select_sequences

SEQUENCES = ["S9_Directions_0_cam0", *["S11_Directions_1_cam3"] * 3, *["S9_Eating_0_cam3"] * 2]


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("h36m_p1", [1, 1, 1, 1, 1, 1]),
        ("h36m_p2", [0, 0, 0, 0, 1, 1]),
        ("h36m_p2_both_trials", [0, 1, 1, 1, 1, 1]),
    ],
)
def test_h36m_cameras_and_trials(protocol, expected):
    chosen = select_sequences(find_protocol(protocol).selection, np.array(SEQUENCES))
    np.testing.assert_array_equal(chosen, np.array(expected, bool))


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_every_protocol_names_measures_that_exist_and_says_its_choices(protocol):
    assert set(protocol.measures) <= MEASURES.keys()
    text = str(choices(protocol, 12, {}))
    for choice in (protocol.name, protocol.dataset, protocol.joints, protocol.root):
        assert choice in text


def test_an_unknown_protocol_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r"stand_in.*Received: 'p3'"):
        find_protocol("p3")
