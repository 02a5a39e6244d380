"""Runs an improved model in onnxruntime: FOLDER holds model.onnx, model.json and said.json of the page.

Prints how many items were compared and the largest difference of a probability.
"""

import base64
import io
import json
import sys
from pathlib import Path

import numpy
import onnxruntime
from PIL import Image

folder = Path(sys.argv[1])
manifest = json.loads((folder / "model.json").read_text())
session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
scores = manifest["outputs"]["scores"]
mean = numpy.float32(manifest["input"]["mean"][0])
std = numpy.float32(manifest["input"]["std"][0])
largest = 0.0
said = json.loads((folder / "said.json").read_text())
for item in said:
    picture = Image.open(io.BytesIO(base64.b64decode(item["png"]))).convert("L")
    pixels = numpy.asarray(picture, dtype=numpy.float32)[None, None] / 255
    row = session.run([scores["name"]], {session.get_inputs()[0].name: (pixels - mean) / std})[0][0].astype(float)
    if scores["as"] == "logits":
        row = numpy.exp(row - row.max())
        row /= row.sum()
    for label, p in item["top"]:
        largest = max(largest, abs(row[label] - p))
print(json.dumps({"items": len(said), "largest": largest}))
