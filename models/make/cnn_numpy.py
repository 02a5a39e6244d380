#!/usr/bin/env python3
"""fashion-cnn: trains a 52,138-parameter CNN in plain numpy on Fashion-MNIST and writes it as plain-operator ONNX.

    python3 cnn_numpy.py [OUT.onnx] [EPOCHS]        default .rebuilt/fashion-cnn.onnx, 6 epochs (2 to 3 minutes)

conv 3x3x8, relu, max-pool, conv 3x3x16, relu, max-pool, dense 64 (relu: output `features`), dense 10 (`logits`),
softmax (`probs`). Adam (Kingma and Ba 2015), learning rate 2e-3 falling linearly, batches of 128, seed 0.
The order of the floating-point sums depends on numpy's BLAS, so a rebuilt file has other bytes and nearly the same
accuracy; the committed file is the one the goldens belong to.
"""
import gzip
import json
import pathlib
import sys
import time

import numpy as np
import onnx
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper

import sources

LABELS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
BATCH = 128


def idx(name):
    """One IDX file (big-endian dimensions after a 4-byte magic) as a u8 array."""
    raw = gzip.open(sources.path(name)).read()
    rank = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def images(name):
    """Images as f32 [n, 28, 28, 1] in 0..1."""
    return (idx(name).astype(np.float32) / 255.0)[..., None]


def start(rng):
    """He-initialised weights; convolutions are matrices over (row, column, channel) patches."""
    def he(rows, columns):
        return (rng.standard_normal((rows, columns)) * np.sqrt(2 / rows)).astype(np.float32)
    return {"w1": he(9, 8), "b1": np.zeros(8, np.float32), "w2": he(72, 16), "b2": np.zeros(16, np.float32),
            "w3": he(784, 64), "b3": np.zeros(64, np.float32), "w4": he(64, 10), "b4": np.zeros(10, np.float32)}


def patches(x):
    """3x3 patches with a border of zeros: [n, h, w, c] to [n*h*w, 9*c]."""
    n, h, w, c = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = sliding_window_view(padded, (3, 3), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    return np.ascontiguousarray(windows).reshape(n * h * w, 9 * c)


def pool(x):
    """2x2 max-pool, with the mask of the winners for the way back."""
    n, h, w, c = x.shape
    blocks = x.reshape(n, h // 2, 2, w // 2, 2, c)
    best = blocks.max((2, 4))
    return best, blocks == best[:, :, None, :, None]


def forward(p, x):
    """Logits and everything the backward pass needs."""
    n = len(x)
    c1 = patches(x)
    a1 = np.maximum(c1 @ p["w1"] + p["b1"], 0).reshape(n, 28, 28, 8)
    p1, m1 = pool(a1)
    c2 = patches(p1)
    a2 = np.maximum(c2 @ p["w2"] + p["b2"], 0).reshape(n, 14, 14, 16)
    p2, m2 = pool(a2)
    flat = p2.reshape(n, 784)
    hidden = np.maximum(flat @ p["w3"] + p["b3"], 0)
    return hidden @ p["w4"] + p["b4"], (c1, a1, m1, c2, a2, m2, flat, hidden)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def gradients(p, z, kept, y):
    """Gradients of the mean cross-entropy."""
    c1, a1, m1, c2, a2, m2, flat, hidden = kept
    n, g = len(y), {}
    d = softmax(z)
    d[np.arange(n), y] -= 1
    d /= n
    g["w4"], g["b4"] = hidden.T @ d, d.sum(0)
    d = (d @ p["w4"].T) * (hidden > 0)
    g["w3"], g["b3"] = flat.T @ d, d.sum(0)
    d = (d @ p["w3"].T).reshape(n, 7, 7, 16)
    d = (d[:, :, None, :, None] * m2).reshape(n, 14, 14, 16) * (a2 > 0)
    rows = d.reshape(-1, 16)
    g["w2"], g["b2"] = c2.T @ rows, rows.sum(0)
    back = (rows @ p["w2"].T).reshape(n, 14, 14, 3, 3, 8)
    d = np.zeros((n, 16, 16, 8), np.float32)
    for i in range(3):
        for j in range(3):
            d[:, i:i + 14, j:j + 14] += back[:, :, :, i, j]
    d = (d[:, 1:15, 1:15][:, :, None, :, None] * m1).reshape(n, 28, 28, 8) * (a1 > 0)
    rows = d.reshape(-1, 8)
    g["w1"], g["b1"] = c1.T @ rows, rows.sum(0)
    return g


def accuracy(p, x, y):
    return np.mean([np.mean(forward(p, x[i:i + 500])[0].argmax(1) == y[i:i + 500]) for i in range(0, len(x), 500)])


def train(epochs):
    rng = np.random.default_rng(0)
    x, y = images("fashion/train-images"), idx("fashion/train-labels").astype(int)
    test_x, test_y = images("fashion/test-images"), idx("fashion/test-labels").astype(int)
    p = start(rng)
    first = {k: np.zeros_like(v) for k, v in p.items()}
    second = {k: np.zeros_like(v) for k, v in p.items()}
    step, steps, began = 0, epochs * (len(x) // BATCH), time.time()
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        for s in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[s:s + BATCH]
            z, kept = forward(p, x[chosen])
            g = gradients(p, z, kept, y[chosen])
            step += 1
            rate = 2e-3 * (1 - step / steps) + 1e-5
            for k in p:
                first[k] = 0.9 * first[k] + 0.1 * g[k]
                second[k] = 0.999 * second[k] + 0.001 * g[k] ** 2
                p[k] -= rate * (first[k] / (1 - 0.9 ** step)) / (np.sqrt(second[k] / (1 - 0.999 ** step)) + 1e-8)
        print(f"epoch {epoch + 1}: test accuracy {accuracy(p, test_x, test_y):.4f}, {time.time() - began:.0f} s", flush=True)
    return p


def write(p, out):
    """The same network in ONNX's orders: NCHW, and the dense layer's rows from (h, w, c) to (c, h, w)."""
    constants = {"w1": p["w1"].reshape(3, 3, 1, 8).transpose(3, 2, 0, 1), "b1": p["b1"],
                 "w2": p["w2"].reshape(3, 3, 8, 16).transpose(3, 2, 0, 1), "b2": p["b2"],
                 "w3": p["w3"].reshape(7, 7, 16, 64).transpose(2, 0, 1, 3).reshape(784, 64), "b3": p["b3"],
                 "w4": p["w4"], "b4": p["b4"]}
    node, info = helper.make_node, helper.make_tensor_value_info
    conv, half = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [node("Conv", ["image", "w1", "b1"], ["c1"], **conv), node("Relu", ["c1"], ["r1"]),
             node("MaxPool", ["r1"], ["p1"], **half),
             node("Conv", ["p1", "w2", "b2"], ["c2"], **conv), node("Relu", ["c2"], ["r2"]),
             node("MaxPool", ["r2"], ["p2"], **half),
             node("Flatten", ["p2"], ["f"], axis=1), node("Gemm", ["f", "w3", "b3"], ["h"]),
             node("Relu", ["h"], ["features"]), node("Gemm", ["features", "w4", "b4"], ["logits"]),
             node("Softmax", ["logits"], ["probs"], axis=1)]
    graph = helper.make_graph(
        nodes, "fashion_cnn", [info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [info("probs", TensorProto.FLOAT, ["N", 10]), info("logits", TensorProto.FLOAT, ["N", 10]),
         info("features", TensorProto.FLOAT, ["N", 64])],
        [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="cnn_numpy.py")
    model.ir_version = 8
    helper.set_model_props(model, {"labels": json.dumps(LABELS), "input": "float32 NCHW, grey 28x28, pixel/255"})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, out)


def report(out):
    """Accuracy of the written file in onnxruntime over all 10,000 test images, whole and at growing reserve."""
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    x, y = images("fashion/test-images").transpose(0, 3, 1, 2), idx("fashion/test-labels")
    probs = np.concatenate([session.run(["probs"], {"image": np.ascontiguousarray(x[i:i + 500])})[0]
                            for i in range(0, len(x), 500)])
    order = np.argsort(-probs.max(1), kind="stable")
    right = (probs.argmax(1) == y)[order]
    for coverage in (1, 0.95, 0.9, 0.8, 0.7, 0.5):
        print(f"{out}: coverage {coverage:.2f}, accuracy {right[:int(coverage * len(right))].mean():.4f}")


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else sources.HERE / ".rebuilt/fashion-cnn.onnx")
    target.parent.mkdir(exist_ok=True)
    write(train(int(sys.argv[2]) if len(sys.argv) > 2 else 6), target)
    report(target)
