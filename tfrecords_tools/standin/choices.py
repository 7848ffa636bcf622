"""What the pictures can look like: the flags of the command, their values and presets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tfrecords_tools.standin.backgrounds import STYLES
from tfrecords_tools.standin.clothes import CLOTH_KINDS
from tfrecords_tools.standin.framing import FRAMINGS, PERSON_PX
from tfrecords_tools.standin.light import LIGHTS
from tfrecords_tools.standin.photos import describe_photos, find_photos
from tfrecords_tools.standin.scene import CAMERAS, SceneStyle
from tfrecords_tools.standin.sensor import SENSORS

POSES = ("usual", "wide")
LOOKS: dict[str, tuple[Any, tuple[str, ...] | type, str]] = {
    "views": (75.0, float, "people turn away by at most this, degrees"),
    "backgrounds": (STYLES[0], STYLES, "what is behind people"),
    "backgrounds_dir": (None, Path, "folder of photographs without people, for most backgrounds"),
    "occluders": (0.2, float, "share of pictures with things in front of people"),
    "frame_px": (320, int, "MPI-INF-3DHP frame size"),
    "poses": (POSES[0], POSES, "wide: also lying, crawling, sports; for the mocap set as well"),
    "cameras": (CAMERAS[0], CAMERAS, "any: from below to from above, rolled, wide to telephoto"),
    "framing": (FRAMINGS[0], FRAMINGS, "cut: also only upper bodies, legs or halves of people"),
    "truncation": (0.1, float, "share of pictures whose people are partly outside"),
    "bystanders": (0.0, float, "share of pictures with others around the person"),
    "clothes": (CLOTH_KINDS[0], CLOTH_KINDS, "loose: clothes and hair that stand off the body"),
    "light": (LIGHTS[0], LIGHTS, "varied: coloured lamps from several sides"),
    "sensor": (SENSORS[0], SENSORS, "rough: blur, grain, colour casts, JPEG from quality 30"),
}
"""Flag -> default, type or possible values, help."""
PRESETS: dict[str, dict[str, Any]] = {
    "demo": {},
    "photo": {
        "views": 180.0,
        "backgrounds": "rich",
        "occluders": 0.3,
        "poses": "wide",
        "cameras": "any",
        "framing": "cut",
        "truncation": 0.35,
        "bystanders": 0.25,
        "clothes": "loose",
        "light": "varied",
        "sensor": "rough",
    },
}
"""Values of flags that are chosen together; "photo" is for weights that meet photographs."""
LATER_FLAGS = tuple(list(LOOKS)[5:]) + ("backgrounds_dir",)
"""Flags that the manifest names only where they are not at their defaults."""


def add_look_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the preset and the flags of `LOOKS`."""
    looks = parser.add_argument_group("how hard")
    looks.add_argument(
        "--preset",
        choices=PRESETS,
        default="demo",
        help="photo: everything that pictures of real people may show (%(default)s)",
    )
    for name, (default, kind, what) in LOOKS.items():
        text = f"{what} (%(default)s)"
        if isinstance(kind, tuple):
            looks.add_argument(f"--{name}", choices=kind, default=default, help=text)
        else:
            looks.add_argument(f"--{name}", type=kind, default=default, help=text)


def parse_with_preset(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Reads the command line; a preset changes the defaults of other flags."""
    parser.set_defaults(**PRESETS[parser.parse_args().preset])
    return parser.parse_args()


def scene_style(arguments: argparse.Namespace) -> SceneStyle:
    """The style that the flags describe; reads the folder of backgrounds."""
    folder = arguments.backgrounds_dir
    return SceneStyle(
        max_yaw_deg=arguments.views,
        person_px=PERSON_PX[arguments.framing],
        backgrounds=arguments.backgrounds,
        occluder_odds=arguments.occluders,
        truncation_odds=arguments.truncation,
        bystander_odds=arguments.bystanders,
        poses=arguments.poses,
        cameras=arguments.cameras,
        framing=arguments.framing,
        clothes=arguments.clothes,
        light=arguments.light,
        sensor=arguments.sensor,
        photos=find_photos(folder) if folder else (),
    )


def look_settings(arguments: argparse.Namespace, style: SceneStyle) -> dict[str, Any]:
    """What the manifest says of the looks: it names newer flags only where they matter."""
    settings = {name: getattr(arguments, name) for name in LOOKS}
    if style.photos:
        settings["backgrounds_dir"] = describe_photos(style.photos)
    return {
        name: value
        for name, value in settings.items()
        if name not in LATER_FLAGS or value != LOOKS[name][0]
    }
