#!/usr/bin/env python3
"""detypify: npm detypify-service 0.3.0 `train/model.onnx` (MIT) to plain-operator ONNX with int8 weights.

    python3 detypify_simplify.py [OUT.onnx]       default .rebuilt/detypify.onnx

Changes to the original: its Loop, Sequence and Range nodes (torch's `as_strided` of a [1,C,1,1] mean, an identity) are
left out, the mean becomes GlobalAveragePool, the batch becomes free, weights over 2,000 values become int8 per output
channel (weight_only_int8.py), and `features` and `logits` become outputs beside `probs`.
"""
import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import sources
from weight_only_int8 import int8_constants

KEPT = ("Conv", "Relu", "Gemm")
INT8_OVER = 2000
INDEX_ARITHMETIC = "indices_19"  # the only Add that belongs to as_strided's index computation


def build(original, names):
    initialisers = {i.name: numpy_helper.to_array(i) for i in original.graph.initializer}
    nodes, constants, taken = [], [], set()

    def take(name):
        if name in taken or name not in initialisers:
            return
        taken.add(name)
        value = initialisers[name]
        if value.dtype == np.float32 and value.size > INT8_OVER:
            new_constants, new_nodes = int8_constants(name, value)
            constants.extend(new_constants)
            nodes.extend(new_nodes)
        else:
            constants.append(numpy_helper.from_array(value, name))

    for node in original.graph.node:
        if node.op_type == "ReduceMean":
            nodes.append(helper.make_node("GlobalAveragePool", [node.input[0]], ["mean"]))
        elif node.op_type in KEPT or (node.op_type == "Add" and node.output[0] != INDEX_ARITHMETIC):
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            for name in copy.input:
                take(name)
            for place, name in enumerate(copy.input):
                copy.input[place] = "mean" if name == "as_strided" else name
            if copy.op_type == "Gemm":
                nodes.append(helper.make_node("Flatten", ["relu_29"], ["features"], axis=1))
                copy.input[0], copy.output[0] = "features", "logits"
                width, depth = initialisers[copy.input[1]].shape
            copy.name = ""
            del copy.metadata_props[:]
            nodes.append(copy)
    nodes.append(helper.make_node("Softmax", ["logits"], ["probs"], axis=1))

    info = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(nodes, "detypify", [info("x", TensorProto.FLOAT, ["N", 1, 224, 224])],
                          [info("probs", TensorProto.FLOAT, ["N", width]), info("logits", TensorProto.FLOAT, ["N", width]),
                           info("features", TensorProto.FLOAT, ["N", depth])], constants),
        opset_imports=[helper.make_opsetid("", 13)], producer_name="detypify_simplify.py")
    model.ir_version = 8
    helper.set_model_props(model, {
        "labels": json.dumps(names),
        "input": "1x224x224, white strokes (width 8) on black, /255, longest side 204 px centred",
        "source": "npm detypify-service@0.3.0, MIT (c) QuarticCat"})
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else sources.HERE / ".rebuilt/detypify.onnx")
    target.parent.mkdir(exist_ok=True)
    symbols = json.loads(sources.path("detypify/symbols").read_text())
    onnx.save(build(onnx.load(sources.path("detypify/model")), [s["names"][0] for s in symbols]), target)
    print(target, target.stat().st_size, "bytes")
