"""Weight-only int8: a quarter of the download, the arithmetic stays f32.

Each output channel's weights become int8 times one f32 scale (its largest magnitude / 127), written as
`Cast` and `Mul` over constants, which every runtime folds when it loads the model.
"""
import numpy as np
from onnx import TensorProto, helper, numpy_helper


def int8_constants(name, weights):
    """Initialisers and nodes that together yield `weights`, rounded, under `name`."""
    scale = np.abs(weights).reshape(len(weights), -1).max(1) / 127
    scale[scale == 0] = 1
    shape = (len(weights),) + (1,) * (weights.ndim - 1)
    rounded = np.clip(np.round(weights / scale.reshape(shape)), -127, 127).astype(np.int8)
    initialisers = [numpy_helper.from_array(rounded, name + "_q"),
                    numpy_helper.from_array(scale.reshape(shape).astype(np.float32), name + "_s")]
    nodes = [helper.make_node("Cast", [name + "_q"], [name + "_c"], to=TensorProto.FLOAT),
             helper.make_node("Mul", [name + "_c", name + "_s"], [name])]
    return initialisers, nodes
