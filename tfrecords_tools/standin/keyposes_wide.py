"""Key poses that `--poses wide` adds: lying, crawling, sports, work on the floor.

The columns and angles are those of `keyposes`. The keys follow its own in every table, so that the
pairs reserved for held-out people there stay reserved.
"""

from __future__ import annotations

from tfrecords_tools.standin.keyposes import ARMS, CENTRAL_RANGES, LEGS, TRUNKS

WIDE_CENTRAL_RANGES = {**CENTRAL_RANGES, "lean": (-115, 115), "roll": (-110, 110)}
"""The whole body may lie: lean and roll are no joints. The ranges of the joints stay."""

WIDE_LEGS = {
    **LEGS,
    "lie_back": ({"lean": -88}, (3, 8, 15, 5, -20), (3, 8, 15, 5, -20)),
    "lie_back_knees_up": ({"lean": -88}, (55, 10, 5, 100, 0), (50, 10, 5, 95, 0)),
    "lie_back_one_up": ({"lean": -85}, (95, 12, 10, 20, 0), (5, 8, 10, 10, -15)),
    "lie_front": ({"lean": 88}, (-2, 10, 15, 8, -30), (-2, 10, 15, 8, -30)),
    "lie_front_feet_up": ({"lean": 84}, (-5, 10, 5, 85, -20), (-5, 10, 5, 70, -20)),
    "lie_front_one_bent": ({"lean": 88}, (40, 50, 30, 80, -20), (0, 8, 12, 8, -30)),
    "lie_side": ({"roll": 88}, (15, 5, 3, 25, -10), (30, 2, 3, 45, -10)),
    "sleep_curled": ({"roll": 88, "lean": 5}, (95, 5, 3, 110, 0), (75, 2, 3, 95, 0)),
    "crawl": ({"lean": 78}, (80, 8, 5, 88, -30), (88, 8, 5, 92, -30)),
    "crawl_stride": ({"lean": 76}, (110, 10, 5, 105, -20), (55, 8, 5, 75, -30)),
    "plank": ({"lean": 76}, (2, 5, 5, 5, 22), (2, 5, 5, 5, 22)),
    "bridge": ({"lean": -95}, (-15, 12, 8, 85, 5), (-15, 12, 8, 85, 5)),
    "heel_sit": ({"lean": 0}, (75, 10, 5, 135, -35), (75, 10, 5, 135, -35)),
    "kneel_low": ({"lean": 35}, (85, 12, 8, 115, -25), (85, 12, 8, 115, -25)),
    "sit_stool": ({"lean": 0}, (70, 14, 10, 75, 0), (60, 14, 10, 60, 0)),
    "sit_reclined": ({"lean": -28}, (60, 12, 12, 45, -10), (65, 12, 12, 65, -5)),
    "sit_legs_apart": ({"lean": 5}, (85, 38, 25, 85, 0), (85, 38, 25, 85, 0)),
    "sit_ankle_on_knee": ({"lean": -10}, (88, 8, 8, 85, 0), (80, 55, 45, 110, 0)),
    "crouch": ({"lean": 40}, (115, 12, 8, 132, 25), (105, 12, 8, 120, 10)),
    "crouch_one_back": ({"lean": 30}, (112, 10, 8, 115, 20), (60, 8, 5, 125, -20)),
    "cycle": ({"lean": 38}, (100, 5, 5, 105, 0), (62, 5, 5, 40, -10)),
    "cycle_low": ({"lean": 58}, (112, 5, 5, 100, 0), (78, 5, 5, 35, -15)),
    "ride": ({"lean": 2}, (65, 38, 10, 70, 10), (65, 38, 10, 70, 10)),
    "ski": ({"lean": 32}, (75, 8, 3, 80, 22), (70, 8, 3, 78, 22)),
    "ski_edge": ({"lean": 28, "roll": 22}, (85, 5, 3, 95, 20), (50, 15, 3, 45, 18)),
    "surf": ({"lean": 22, "roll": 6}, (70, 40, 28, 85, 15), (60, 35, 5, 80, 18)),
    "skateboard": ({"lean": 12}, (40, 28, 22, 50, 15), (32, 28, 15, 42, 15)),
    "skate_push": ({"lean": 28}, (62, 6, 8, 62, 15), (-18, 28, 18, 25, -20)),
    "bat": ({"lean": 14, "roll": -5}, (32, 26, 18, 35, 8), (38, 30, 12, 40, 10)),
    "pitch_windup": ({"lean": -8}, (102, 8, 5, 92, -10), (4, 6, 10, 8, 0)),
    "pitch_stride": ({"lean": 30}, (72, 10, 8, 55, 8), (-22, 22, 25, 35, -25)),
    "serve": ({"lean": -10, "roll": -8}, (12, 12, 10, 22, -20), (5, 14, 12, 30, -25)),
    "tennis_reach": ({"lean": 16, "roll": 14}, (62, 25, 15, 65, 8), (-8, 42, 20, 22, -15)),
    "hurdle": ({"lean": 35}, (102, 8, 5, 12, 0), (60, 58, 35, 105, 10)),
    "high_kick": ({"lean": -28, "roll": -8}, (116, 18, 15, 8, -25), (-5, 8, 20, 8, -10)),
    "splits": ({"lean": 4}, (92, 8, 5, 5, -25), (-25, 12, 12, 10, -30)),
    "straddle": ({"lean": 20}, (75, 58, 25, 3, -20), (75, 58, 25, 3, -20)),
    "arabesque": ({"lean": 55}, (-24, 10, 15, 6, -35), (52, 4, 10, 5, 5)),
    "climb": ({"lean": 5}, (95, 42, 35, 105, 5), (10, 25, 20, 25, -10)),
    "step_up": ({"lean": 15}, (78, 6, 6, 78, 5), (5, 5, 6, 12, -15)),
    "side_bend": ({"roll": 28}, (4, 24, 12, 5, 0), (4, 24, 12, 5, 0)),
    "fall": ({"lean": -40, "roll": 25}, (70, 25, 15, 50, -10), (40, 30, 15, 70, -15)),
    "dive": ({"lean": 100}, (5, 6, 5, 6, -32), (5, 6, 5, 6, -32)),
}

WIDE_ARMS = {
    **ARMS,
    "overhead": (84, 15, 0, 5),
    "overhead_front": (70, 75, 0, 20),
    "behind_head": (48, 5, -80, 138),
    "crossed": (-45, 55, 45, 105),
    "on_knees": (-38, 62, 0, 25),
    "prop_front": (-8, 88, 0, 5),
    "prop_back": (-48, -30, 20, 8),
    "serve_up": (72, -15, -50, 60),
    "throw_back": (10, -22, -90, 98),
    "throw_follow": (-20, 115, 25, 30),
    "bat_grip": (-25, 80, -10, 85),
    "backhand": (-15, 120, 30, 50),
    "forehand": (-8, -18, -20, 30),
    "draw_bow": (5, -5, 5, 138),
    "pray": (-48, 62, 20, 112),
    "chin": (-40, 62, -30, 140),
    "pocket": (-68, -8, 30, 42),
    "handlebar": (-22, 72, 5, 25),
    "pole": (-42, 48, -8, 62),
    "wing": (25, -25, -5, 12),
    "hug": (-8, 112, 10, 55),
    "pillow": (30, 60, -40, 125),
    "reach_side_low": (-30, -20, 0, 4),
    "reach_across": (-5, 122, 10, 12),
}

WIDE_TRUNKS = {
    **TRUNKS,
    "turn_far": (8, 4, 44),
    "lean_far": (8, 29, 10),
    "arch_turned": (-20, 10, 25),
    "slump": (34, 14, 8),
}
