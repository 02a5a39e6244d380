#!/usr/bin/env python3
"""Hand-like drawings of twelve symbols, for detypify's goldens and for comparing its int8 file with the original.

    python3 drawings.py       prints: int8 against the npm package's own file on 36 drawings

A drawing is strokes in a unit square, scaled so that the longer side takes 204 of the 224 pixels, centred, white on
black, 8 pixels wide: what the package's own front end draws.
"""
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw

import sources

TURN = np.linspace(0, 2 * np.pi, 60)
SHAPES = {
    "circle": [[(np.cos(a), np.sin(a)) for a in TURN]],
    "plus": [[(-1, 0), (1, 0)], [(0, -1), (0, 1)]],
    "arrow.r": [[(-1, 0), (1, 0)], [(.5, -.4), (1, 0), (.5, .4)]],
    "forall": [[(-1, -1), (0, 1), (1, -1)], [(-.5, 0), (.5, 0)]],
    "sum": [[(1, -1), (-1, -1), (0, 0), (-1, 1), (1, 1)]],
    "infinity": [[(np.sin(a), .5 * np.sin(a) * np.cos(a)) for a in TURN]],
    "exists": [[(-.6, -1), (.6, -1), (.6, 1), (-.6, 1)], [(-.5, 0), (.6, 0)]],
    "in": [[(.8, -.8), (0, -.8), (-.7, -.3), (-.7, .3), (0, .8), (.8, .8)], [(-.7, 0), (.7, 0)]],
    "alpha": [[(1, -.8), (.3, .3), (-.2, .7), (-.8, .5), (-.9, 0), (-.6, -.6), (0, -.6), (.5, .1), (1, .8)]],
    "pi": [[(-1, -.7), (1, -.7)], [(-.4, -.7), (-.5, .8)], [(.4, -.7), (.5, .8)]],
    "int": [[(.5, -1), (.2, -1.1), (0, -.8), (0, .8), (-.2, 1.1), (-.5, 1)]],
    "approx": [[(-1, -.3), (-.5, -.5), (.5, -.1), (1, -.3)], [(-1, .3), (-.5, .1), (.5, .5), (1, .3)]],
}


def draw(strokes, jitter=0.0, rng=None):
    """A 224x224 grey picture; `jitter` is the standard deviation of each point's shift in units of the square."""
    if jitter:
        strokes = [[(x + rng.normal(0, jitter), y + rng.normal(0, jitter)) for x, y in stroke] for stroke in strokes]
    points = np.array([point for stroke in strokes for point in stroke])
    centre = (points.min(0) + points.max(0)) / 2
    scale = 204 / (points.max(0) - points.min(0)).max()
    picture = Image.new("L", (224, 224), 0)
    pen = ImageDraw.Draw(picture)
    for stroke in strokes:
        pen.line([tuple((np.array(point) - centre) * scale + 112) for point in stroke], fill=255, width=8, joint="curve")
    return picture


def compare():
    """The committed int8 file against the package's f32 file."""
    names = [s["names"][0] for s in json.loads(sources.path("detypify/symbols").read_text())]
    original = onnxruntime.InferenceSession(sources.path("detypify/model"), providers=["CPUExecutionProvider"])
    ours = onnxruntime.InferenceSession(sources.HERE.parent / "detypify/model.onnx", providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    total = same = among_three = 0
    for name, strokes in SHAPES.items():
        for jitter in (0, .02, .04):
            x = (np.asarray(draw(strokes, jitter, rng), np.float32) / 255)[None, None]
            theirs, probs = original.run(None, {"x": x})[0][0], ours.run(["probs"], {"x": x})[0][0]
            best = probs.argsort()[::-1][:3]
            total += 1
            same += theirs.argmax() == best[0]
            among_three += any(names[k].startswith(name) for k in best)
            print(f"{name:9s} jitter {jitter:.2f}:", ", ".join(f"{names[k]} {probs[k]:.2f}" for k in best))
    print(f"top-1 as the original: {same}/{total}; drawn name, or one that begins with it, in the first three: {among_three}/{total}")


if __name__ == "__main__":
    compare()
