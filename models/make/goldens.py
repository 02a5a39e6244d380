#!/usr/bin/env python3
"""Writes models/*/golden: what onnxruntime gives on stated inputs. Run after manifests.py and item_sets.py.

    python3 goldens.py

`golden.json` holds items whose tensor is exact (numbers, or pictures of the model's own size) with logits,
probabilities and features in full. `probabilities.bin` holds the probabilities of a whole demo item set as f32
little-endian, `probabilities.json` says its shape and what a threshold would settle. `photos.json` (EfficientNet) holds
photos that must be resampled: top-5, tensor statistics, and how much the choice of the filter alone moves them.
"""
import hashlib
import json
import pathlib
import shutil

import numpy as np
import onnxruntime
import PIL
from PIL import Image

import drawings
import sources
from preprocess import fit, tensor

MODELS = sources.HERE.parent
DATA = MODELS.parent / "www/demo/data"
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
PREPROCESSING = {
    "fashion-cnn": "grey PNG of 28x28, no resampling; x = p/255; [1,1,28,28]",
    "weather-mlp": "the seven numbers as f32, unscaled; [1,7]",
    "efficientnet-lite0": "RGB PNG of 224x224, no resampling; x = (p/255 - 127/255) / (128/255) = (p - 127)/128; [1,3,224,224]",
    "effnet-lite0-b10": "RGB PNG of 96x96, no resampling; x = (p/255 - 127/255) / (128/255) = (p - 127)/128; [1,3,96,96]",
    "detypify": "grey PNG of 224x224, no resampling; x = p/255; [1,1,224,224]",
}


class Model:
    """A committed model with its manifest, in onnxruntime on the processor."""

    def __init__(self, name):
        self.name, self.folder = name, MODELS / name
        self.golden = self.folder / "golden"
        self.manifest = json.loads((self.folder / "model.json").read_text())
        self.labels = [label["id"] for label in self.manifest["labels"]]
        self.session = onnxruntime.InferenceSession(self.folder / self.manifest["file"], providers=["CPUExecutionProvider"])

    def run(self, x):
        """Logits, probabilities (softmax in f64, rounded to f32), features of one batch."""
        outputs = self.manifest["outputs"]
        if "scores" not in outputs:
            features, = self.session.run([outputs["features"]["name"]], {self.manifest["input"]["name"]: x})
            return None, None, features
        logits, features = self.session.run([outputs["scores"]["name"], outputs["features"]["name"]],
                                            {self.manifest["input"]["name"]: x})
        powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
        return logits, (powers / powers.sum(1, keepdims=True)).astype(np.float32), features

    def top(self, probabilities, count=5):
        return [{"label": self.labels[k], "p": number(probabilities[k])}
                for k in np.argsort(-probabilities, kind="stable")[:count]]


def number(value):
    """The shortest decimal that reads back as the same f32."""
    return float(str(np.float32(value)))


def numbers(values):
    return [number(v) for v in np.asarray(values).ravel()]


def statistics(x):
    """Enough of a tensor to find a wrong mean, order of channels or crop without storing it."""
    stats = {"shape": list(x.shape), "min": number(x.min()), "max": number(x.max()),
             "mean": float(x.mean(dtype=np.float64)), "std": float(x.std(dtype=np.float64))}
    if x.ndim == 4:
        stats["mean_per_channel"] = [float(v) for v in x.mean((0, 2, 3), dtype=np.float64)]
        stats["centre_row_first_8"] = numbers(x[0, 0, x.shape[2] // 2, :8])
    return stats


def exact(model, items, base):
    """golden.json's entries."""
    entries = []
    for item in items:
        x = tensor(model.manifest, item, base)
        logits, probabilities, features = model.run(x)
        entry = {**item, "input": statistics(x)}
        if logits is not None:
            entry |= {"top": model.top(probabilities[0]), "logits": numbers(logits[0]),
                      "probabilities": numbers(probabilities[0])}
        entries.append(entry | {"features": numbers(features[0])})
    return entries


def head(model):
    return {"schema": "hitl-labeler/golden/1", "model": {"name": model.name, "sha256": model.manifest["sha256"]},
            "made_with": {"onnxruntime": onnxruntime.__version__, "pillow": PIL.__version__, "provider": "CPUExecutionProvider"}}


def write(path, header, entries):
    """Pretty header, one item a line."""
    text = json.dumps(header, indent=2, ensure_ascii=False)
    lines = ",\n".join("    " + json.dumps(e, ensure_ascii=False) for e in entries)
    path.write_text(text.removesuffix("\n}") + f',\n  "items": [\n{lines}\n  ]\n}}\n')


def write_exact(model, items, base):
    write(model.golden / "golden.json",
          {**head(model), "preprocessing": PREPROCESSING[model.name], "tolerance": {"probabilities": 1e-4}},
          exact(model, items, base))


def read_items(folder):
    return [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]


def settled(probabilities, right):
    """What each threshold would settle, and how near the next confidence is: who computes in another order of sums may
    differ by the items within `margin`."""
    confidence, rows = probabilities.max(1).astype(np.float64), []
    for threshold in THRESHOLDS:
        sure = confidence >= threshold
        rows.append({"accept_at": threshold, "settled": int(sure.sum()), "deferred": int((~sure).sum()),
                     "accuracy_of_settled": round(float(right[sure].mean()), 4),
                     "nearest_confidence_away": float(f"{np.abs(confidence - threshold).min():.2e}")})
    return rows


def whole_set(model, folder):
    """probabilities.bin and its description; gives the probabilities and which are right."""
    items, truth = read_items(folder), json.loads((model.golden / "truth.json").read_text())
    probabilities = np.concatenate([model.run(tensor(model.manifest, item, folder))[1] for item in items])
    right = np.array([model.labels[k] for k in probabilities.argmax(1)]) == np.array(truth)
    raw = probabilities.astype("<f4").tobytes()
    (model.golden / "probabilities.bin").write_bytes(raw)
    description = {**head(model), "items": str((folder / "items.jsonl").relative_to(MODELS.parent)), "truth": "truth.json",
                   "file": "probabilities.bin", "sha256": hashlib.sha256(raw).hexdigest(), "type": "f32 little-endian",
                   "shape": list(probabilities.shape), "columns": model.labels,
                   "accuracy": round(float(right.mean()), 4), "thresholds": settled(probabilities, right)}
    (model.golden / "probabilities.json").write_text(json.dumps(description, indent=2) + "\n")
    print(model.name, "accuracy", description["accuracy"], *description["thresholds"], sep="\n  ")
    return items, probabilities, right


def telling(probabilities, right):
    """Eight items worth keeping in full: plain ones, the least and the most sure, the most sure mistake, the two next
    to the default threshold."""
    confidence = probabilities.max(1)
    above, below = np.where(confidence >= 0.9, confidence, 2), np.where(confidence < 0.9, confidence, -1)
    return list(dict.fromkeys(int(k) for k in (0, 1, 2, confidence.argmin(), confidence.argmax(),
                                               np.where(right, -1, confidence).argmax(), above.argmin(), below.argmax())))


def cuttings(model):
    """The middle of three photos at the exact size, for a model that gives features only."""
    folder, inputs = DATA / "photos", model.golden / "inputs"
    shutil.rmtree(inputs, ignore_errors=True)
    inputs.mkdir(parents=True)
    side = model.manifest["input"]["width"]
    for name in ("chelsea", "coffee", "camera"):
        picture = fit(Image.open(folder / f"{name}.jpg").convert("RGB"), side, side, "cover", Image.Resampling.BICUBIC)
        picture.save(inputs / f"{name}.png", "PNG", optimize=True)
    header = {**head(model), "preprocessing": PREPROCESSING[model.name], "tolerance": {"features_of_the_greatest": 1e-4}}
    items = [{"id": n, "image": f"inputs/{n}.png"} for n in ("chelsea", "coffee", "camera")]
    write(model.golden / "golden.json", header, exact(model, items, model.golden))


def photos(model):
    """Three photos at the exact size, and all demo photos as they are."""
    folder, inputs = DATA / "photos", model.golden / "inputs"
    shutil.rmtree(inputs, ignore_errors=True)
    inputs.mkdir()
    items = read_items(folder)
    for name in ("chelsea", "coffee", "camera"):
        picture = fit(Image.open(folder / f"{name}.jpg").convert("RGB"), 224, 224, "cover", Image.Resampling.BICUBIC)
        picture.save(inputs / f"{name}.png", "PNG", optimize=True)
    write_exact(model, [{"id": n, "image": f"inputs/{n}.png"} for n in ("chelsea", "coffee", "camera")], model.golden)
    entries = []
    for item in items:
        x = tensor(model.manifest, item, folder)
        probabilities = model.run(x)[1][0]
        others = {name: model.run(tensor(model.manifest, item, folder, resample))[1][0] for name, resample in FILTERS.items()}
        entries.append({"id": item["id"], "image": item["image"], "input": statistics(x), "top": model.top(probabilities),
                        "first_by_filter": {name: model.top(p, 1)[0] for name, p in others.items()},
                        "largest_difference_between_filters":
                            number(max(np.abs(p - probabilities).max() for p in others.values()))})
        print(" ", item["id"], ", ".join(f"{t['label']} {t['p']:.3f}" for t in entries[-1]["top"]),
              f"| filters differ by {entries[-1]['largest_difference_between_filters']:.3f}")
    write(model.golden / "photos.json",
          {**head(model), "base": str(folder.relative_to(MODELS.parent)),
           "preprocessing": "JPEG decoded by libjpeg, grey to RGB; shorter side to 224 (bilinear, antialiased), centre crop 224x224; "
                            "x = (p/255 - 127/255) / (128/255); another decoder or filter moves probabilities by about "
                            "largest_difference_between_filters, so compare these loosely"}, entries)


def main():
    fashion = Model("fashion-cnn")
    items, probabilities, right = whole_set(fashion, DATA / "fashion")
    write_exact(fashion, [items[k] for k in telling(probabilities, right)], DATA / "fashion")

    weather = Model("weather-mlp")
    items, probabilities, right = whole_set(weather, DATA / "weather")
    write_exact(weather, [items[k] for k in telling(probabilities, right)], DATA / "weather")

    photos(Model("efficientnet-lite0"))
    cuttings(Model("effnet-lite0-b10"))

    detypify = Model("detypify")
    inputs = pathlib.Path(detypify.golden, "inputs")
    shutil.rmtree(inputs, ignore_errors=True)
    inputs.mkdir()
    for name in ("alpha", "circle", "forall", "infinity", "pi", "sum"):
        drawings.draw(drawings.SHAPES[name]).save(inputs / f"{name}.png", "PNG", optimize=True)
    write_exact(detypify, [{"id": p.stem, "image": f"inputs/{p.name}"} for p in sorted(inputs.glob("*.png"))], detypify.golden)


if __name__ == "__main__":
    main()
