#!/usr/bin/env python3
"""weather-mlp: a 16-unit MLP on npm vega-datasets 3.2.1 `data/weather.csv`, scaling inside the graph.

    python3 tabular.py [OUT.onnx]       default .rebuilt/weather-mlp.onnx; prints the 5-fold cross-validated accuracy

Input `x` f32 [N,7] in raw units (columns below). Outputs `probs`, `logits` [N,5], `features` [N,16].
"""
import csv
import datetime
import json
import math
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import sources

COLUMNS = ["is_seattle", "precipitation", "temp_max", "temp_min", "wind", "sin_day", "cos_day"]
LABELS = ["sun", "rain", "fog", "snow", "drizzle"]


def rows():
    """The file's rows in its order."""
    with open(sources.path("weather"), newline="") as file:
        return list(csv.DictReader(file))


def numbers(row):
    """The seven columns of one row; the day of the year becomes a point on a circle, so that December meets January."""
    turn = datetime.date.fromisoformat(row["date"]).timetuple().tm_yday * 2 * math.pi / 365.25
    return [float(row["location"] == "Seattle"), float(row["precipitation"]), float(row["temp_max"]),
            float(row["temp_min"]), float(row["wind"]), math.sin(turn), math.cos(turn)]


def build(mean, spread, mlp):
    def constant(name, value):
        return numpy_helper.from_array(np.ascontiguousarray(np.asarray(value, np.float32)), name)
    node, info = helper.make_node, helper.make_tensor_value_info
    nodes = [node("Sub", ["x", "mu"], ["xc"]), node("Mul", ["xc", "isd"], ["xs"]),
             node("Gemm", ["xs", "w1", "b1"], ["h"]), node("Relu", ["h"], ["features"]),
             node("Gemm", ["features", "w2", "b2"], ["logits"]), node("Softmax", ["logits"], ["probs"], axis=1)]
    graph = helper.make_graph(
        nodes, "weather_mlp.onnx", [info("x", TensorProto.FLOAT, ["N", len(COLUMNS)])],
        [info("probs", TensorProto.FLOAT, ["N", len(LABELS)]), info("logits", TensorProto.FLOAT, ["N", len(LABELS)]),
         info("features", TensorProto.FLOAT, ["N", mlp.coefs_[0].shape[1]])],
        [constant("mu", mean), constant("isd", 1 / spread), constant("w1", mlp.coefs_[0]),
         constant("b1", mlp.intercepts_[0]), constant("w2", mlp.coefs_[1]), constant("b2", mlp.intercepts_[1])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="tabular.py")
    model.ir_version = 8
    helper.set_model_props(model, {"labels": json.dumps(LABELS), "columns": json.dumps(COLUMNS)})
    onnx.checker.check_model(model, full_check=True)
    return model


def train():
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neural_network import MLPClassifier

    table = rows()
    x = np.asarray([numbers(r) for r in table], np.float32)
    y = np.asarray([LABELS.index(r["weather"]) for r in table])
    mean, spread = x.mean(0), x.std(0) + 1e-6
    z = (x - mean) / spread

    def mlp():
        return MLPClassifier((16,), max_iter=800, random_state=0, alpha=1e-2)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    unseen = cross_val_predict(mlp(), z, y, cv=folds, method="predict_proba")
    right = (unseen.argmax(1) == y)[np.argsort(-unseen.max(1), kind="stable")]
    for coverage in (1, 0.9, 0.7, 0.5):
        print(f"5-fold, coverage {coverage:.2f}: accuracy {right[:int(coverage * len(y))].mean():.4f}")
    for threshold in (0.5, 0.9, 0.95):
        sure = unseen.max(1) >= threshold
        print(f"5-fold, threshold {threshold}: {sure.sum()} of {len(y)} settled, accuracy {(unseen.argmax(1) == y)[sure].mean():.4f}")
    return build(mean, spread, mlp().fit(z, y))


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else sources.HERE / ".rebuilt/weather-mlp.onnx")
    target.parent.mkdir(exist_ok=True)
    onnx.save(train(), target)
    print(target, target.stat().st_size, "bytes")
