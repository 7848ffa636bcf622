"""Joint ranges and key poses of the stand-in people, as data.

Angles are degrees of named degrees of freedom (DOFs), zero in SMPL's rest pose (T-pose):

lean, roll          whole body forwards / to its left
spine_*, head_*     forwards, to the left (side, tilt), turn to the left (twist, turn)
hip_flex, hip_out   thigh forwards / away from the other; hip_twist turns the toes outwards
knee, ankle         flexion of the shank / toes up
arm_elevation       of the upper arm: -90 hangs down, 0 horizontal, 90 straight up
arm_forward         of the upper arm about the body's axis: 0 to the side, 90 to the front
arm_twist           of the upper arm about itself: negative turns a bent forearm upwards
elbow, forearm_twist, wrist   flexion / turn of the palm / flexion
"""

from __future__ import annotations

CENTRAL_RANGES = {
    "lean": (-30, 80),
    "roll": (-25, 25),
    "spine_flex": (-25, 65),
    "spine_side": (-30, 30),
    "spine_twist": (-45, 45),
    "head_flex": (-35, 40),
    "head_turn": (-60, 60),
    "head_tilt": (-25, 25),
}
LIMB_RANGES = {
    "hip_flex": (-25, 118),
    "hip_out": (-12, 60),
    "hip_twist": (-20, 45),
    "knee": (0, 138),
    "ankle": (-35, 25),
    "arm_elevation": (-85, 85),
    "arm_forward": (-30, 125),
    "arm_twist": (-95, 60),
    "elbow": (0, 142),
    "forearm_twist": (-60, 60),
    "wrist": (-45, 45),
}
"""Low and high end of every DOF within normal human range; limbs have one set per side."""

ARM_DOFS = ("arm_elevation", "arm_forward", "arm_twist", "elbow", "forearm_twist", "wrist")
LEG_DOFS = ("hip_flex", "hip_out", "hip_twist", "knee", "ankle")

ARMS = {
    "hang": (-76, 10, 0, 12),
    "loose": (-62, 15, 0, 35),
    "on_hip": (-42, -12, 35, 105),
    "reach_front": (0, 85, 0, 10),
    "reach_up": (78, 40, 0, 8),
    "reach_down_front": (-45, 70, 0, 12),
    "side": (2, 5, 0, 5),
    "side_up": (42, 10, 0, 10),
    "side_low": (-35, 5, 0, 8),
    "surrender": (-2, 15, -85, 92),
    "wave": (12, 20, -80, 65),
    "hand_on_head": (38, 45, -55, 130),
    "hand_to_ear": (-35, 45, -60, 138),
    "typing": (-62, 45, -5, 85),
    "carry": (-55, 60, 10, 75),
    "across_chest": (-38, 80, 25, 100),
    "behind_back": (-68, -28, 55, 62),
    "punch": (5, 98, 20, 15),
    "guard": (-38, 65, -30, 128),
    "run_front": (-55, 70, 0, 95),
    "run_back": (-50, -28, 5, 85),
    "point_up_side": (60, -5, 0, 5),
    "overhead_bent": (65, 50, -15, 75),
    "swing_back": (-45, -30, 0, 10),
}
"""One arm: arm_elevation, arm_forward, arm_twist, elbow."""

LEGS = {
    "stand": ({}, (4, 4, 8, 5, 0), (0, 4, 8, 3, 0)),
    "stand_wide": ({}, (4, 22, 15, 5, 0), (4, 22, 15, 5, 0)),
    "contrapposto": ({"roll": 4}, (0, 2, 8, 0, 0), (18, 12, 20, 32, -8)),
    "walk": ({"lean": 3}, (28, 3, 5, 8, 8), (-18, 3, 5, 12, 5)),
    "walk_pass": ({"lean": 3}, (22, 3, 5, 55, 5), (-4, 3, 5, 5, 5)),
    "run_reach": ({"lean": 12}, (58, 3, 3, 60, 5), (-22, 3, 3, 45, -15)),
    "run_drive": ({"lean": 14}, (78, 3, 3, 100, 5), (-20, 3, 3, 12, -30)),
    "run_back": ({"lean": 12}, (35, 3, 3, 20, 5), (-8, 3, 3, 112, -15)),
    "sit": ({"lean": -4}, (86, 10, 8, 88, 0), (86, 10, 8, 88, 0)),
    "sit_crossed": ({"lean": -8}, (88, 4, 5, 85, 0), (98, 8, 30, 70, -10)),
    "sit_floor": ({"lean": -12}, (88, 12, 12, 12, -5), (88, 12, 12, 12, -5)),
    "sit_tailor": ({"lean": -5}, (88, 45, 40, 128, 0), (88, 45, 40, 128, 0)),
    "sit_knee_up": ({"lean": -18}, (82, 14, 12, 20, -5), (108, 8, 8, 125, 0)),
    "squat": ({"lean": 25}, (112, 22, 18, 120, 22), (112, 22, 18, 120, 22)),
    "half_squat": ({"lean": 18}, (65, 16, 12, 70, 18), (65, 16, 12, 70, 18)),
    "lunge": ({"lean": 6}, (82, 5, 6, 85, 5), (-15, 5, 6, 40, -25)),
    "side_lunge": ({"lean": 15, "roll": 8}, (68, 32, 25, 82, 12), (12, 52, 10, 4, 0)),
    "kneel": ({"lean": -3}, (4, 8, 5, 95, -35), (4, 8, 5, 95, -35)),
    "kneel_one": ({"lean": 4}, (88, 8, 8, 90, 0), (4, 8, 5, 92, -30)),
    "kick_front": ({"lean": -14}, (92, 5, 8, 12, -20), (6, 5, 8, 8, 0)),
    "kick_side": ({"roll": -18}, (25, 58, 15, 6, -15), (4, 4, 15, 8, 0)),
    "kick_back": ({"lean": 35}, (-22, 8, 5, 30, -30), (36, 4, 8, 10, 5)),
    "knee_up": ({}, (92, 10, 10, 98, -5), (0, 4, 8, 4, 0)),
    "tree": ({}, (55, 55, 42, 122, -10), (0, 2, 6, 2, 0)),
    "bend": ({"lean": 48}, (50, 8, 8, 8, 5), (50, 8, 8, 8, 5)),
    "deep_bend": ({"lean": 74}, (76, 12, 8, 12, 5), (76, 12, 8, 12, 5)),
    "jump_star": ({}, (10, 42, 12, 8, -25), (10, 42, 12, 8, -25)),
    "jump_tuck": ({"lean": 15}, (95, 10, 8, 110, -20), (95, 10, 8, 110, -20)),
    "stride_leap": ({"lean": 5}, (88, 8, 8, 15, -25), (-25, 8, 8, 15, -30)),
    "fencing": ({"roll": 3}, (45, 12, 8, 50, 8), (8, 38, 30, 10, 5)),
}
"""Central DOFs, then left and right leg: hip_flex, hip_out, hip_twist, knee, ankle."""

TRUNKS = {
    "upright": (0, 0, 0),
    "slouch": (18, 0, 0),
    "stoop": (42, 0, 0),
    "curl": (62, 0, 0),
    "arch": (-22, 0, 0),
    "lean_left": (5, 26, 0),
    "turn_left": (4, 0, 40),
    "reach_over": (24, 18, 26),
    "coil": (12, -16, 32),
}
"""spine_flex, spine_side, spine_twist."""

COMMON = {
    *("stand", "stand_wide", "contrapposto", "walk", "walk_pass", "sit", "half_squat"),
    *("hang", "loose", "side_low", "typing", "carry", "on_hip", "reach_down_front"),
    "upright",
}
COMMON_ODDS = 20.0
"""What people do most of the day is drawn this many times as often as the rest."""
