#!/usr/bin/env python3
"""Recomputes everything that models/ and www/demo/data claim, and exits 1 at the first file that is not so.

    python3 verify.py         needs numpy, onnx, onnxruntime and pillow of requirements.txt; no network, no data set
"""
import base64
import hashlib
import json
import pathlib
import struct
import sys
import zlib

import numpy as np
import onnx
import onnxruntime
from PIL import Image

from preprocess import tensor

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS, DATA = ROOT / "models", ROOT / "www/demo/data"
# Another onnxruntime or another processor adds in another order; anything more is another model or another input.
TOLERANCE = {"logits": 1e-3, "probabilities": 1e-4, "features": 1e-3}
ITEM_SETS = {"fashion-cnn": DATA / "fashion", "weather-mlp": DATA / "weather"}
REFERENCE = {0.5: (979, 0.908), 0.9: (730, 0.981), 0.95: (652, 0.991)}
FIVE_MB = 5_000_000
checks = 0


def check(holds, *what):
    global checks
    checks += 1
    if not holds:
        sys.exit("verify: " + " ".join(str(w) for w in what))


def close(name, measured, golden, tolerance):
    golden = np.asarray(golden, np.float64).reshape(np.shape(measured))
    difference = float(np.abs(measured - golden).max())
    check(difference <= tolerance, name, "differs by", difference, "allowed", tolerance)
    return difference


def load(folder):
    """The manifest against the file that it describes; gives both."""
    manifest = json.loads((folder / "model.json").read_text())
    raw = (folder / manifest["file"]).read_bytes()
    check(manifest["schema"] == "hitl-labeler/model/1" and manifest["name"] == folder.name, folder, "schema or name")
    check(manifest["bytes"] == len(raw), folder, "bytes: found", len(raw))
    check(manifest["sha256"] == hashlib.sha256(raw).hexdigest(), folder, "sha256 is another file's")
    check((folder / manifest["card"]).exists(), folder, "has no", manifest["card"])
    onnx.checker.check_model(onnx.load_from_string(raw), full_check=True)
    session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    taken, given = session.get_inputs(), {o.name: o.shape for o in session.get_outputs()}
    spec, scores = manifest["input"], manifest["outputs"].get("scores")
    shape = [len(spec["columns"])] if spec["kind"] == "numbers" else [spec["channels"], spec["height"], spec["width"]]
    check([i.name for i in taken] == [spec["name"]] and all(side in (wanted, "H", "W") for side, wanted in zip(taken[0].shape[1:], shape, strict=True)), folder, "input is", taken[0].shape)
    ids = [label["id"] for label in manifest["labels"]]
    check(scores is None or given[scores["name"]][-1] == len(ids), folder, "has", len(ids), "labels for", given)
    check(len(set(ids)) == len(ids) and len({label["name"] for label in manifest["labels"]}) == len(ids), folder, "labels repeat")
    check(all(label["id"].strip() and label["name"].strip() for label in manifest["labels"]), folder, "a label is empty")
    check(manifest["outputs"]["features"]["name"] in given, folder, "has no features output")
    return manifest, session, ids


def run(manifest, session, x):
    outputs = manifest["outputs"]
    if "scores" not in outputs:
        return {"features": session.run([outputs["features"]["name"]], {manifest["input"]["name"]: x})[0][0]}
    logits, features, graph_probs = session.run(
        [outputs["scores"]["name"], outputs["features"]["name"], "probs"], {manifest["input"]["name"]: x})
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    probabilities = powers / powers.sum(1, keepdims=True)
    close("softmax of the logits and the graph's own probs", probabilities, graph_probs, 1e-5)
    return {"logits": logits[0], "probabilities": probabilities[0], "features": features[0]}


def check_input(name, x, golden):
    check(list(x.shape) == golden["shape"], name, "input shape", x.shape)
    for key, value in (("min", x.min()), ("max", x.max()), ("mean", x.mean(dtype=np.float64)), ("std", x.std(dtype=np.float64))):
        check(abs(float(value) - golden[key]) <= 1e-5, name, "input", key, value, "golden", golden[key])


def check_exact(folder, manifest, session, ids):
    """golden.json, item by item."""
    golden = json.loads((folder / "golden/golden.json").read_text())
    check(golden["model"]["sha256"] == manifest["sha256"], folder, "golden.json belongs to another model")
    # What the model is for: its probabilities, or of an embedder its features.
    main = "probabilities" if "scores" in manifest["outputs"] else "features"
    worst = 0.0
    for item in golden["items"]:
        x = tensor(manifest, item, folder / "golden")
        check_input(item["id"], x, item["input"])
        measured = run(manifest, session, x)
        for key in measured:
            tolerance = TOLERANCE[key]
            difference = close(f"{folder.name} {item['id']} {key}", measured[key], item[key], tolerance)
            worst = max(worst, difference if key == main else 0.0)
        check("top" not in item or ids[int(measured["probabilities"].argmax())] == item["top"][0]["label"], item["id"], "top-1")
    print(f"{folder.name}: golden.json {len(golden['items'])} items, {main} within {worst:.1e}")


def check_items(folder):
    """Well-formed lines, unique ids, no label inside, pictures that are there and free of colour chunks."""
    items = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    check(len({i["id"] for i in items}) == len(items), folder, "ids repeat")
    for item in items:
        check(set(item) <= {"id", "image", "numbers", "meta"}, folder, item["id"], "has unknown keys")
        check(not {"label", "truth", "weather"} & set(item.get("meta", {})), folder, item["id"], "tells its label")
        reference = item.get("image")
        if reference and reference.startswith("data:"):
            check(chunks(base64.b64decode(reference.split(",", 1)[1])) == ["IHDR", "IDAT", "IEND"], item["id"], "has extra PNG chunks")
        elif reference:
            check((folder / reference).stat().st_size <= 30_000, folder / reference, "is over 30 kB")
            with Image.open(folder / reference) as picture:
                check(max(picture.size) <= 320 and not picture.getexif(), folder / reference, "is too large or carries EXIF")
    return items


def chunks(png):
    """Kinds of a PNG's chunks; each checksum is checked."""
    place, kinds = 8, []
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place:place + 8])
        body = png[place + 4:place + 8 + length]
        check(zlib.crc32(body) == struct.unpack(">I", png[place + 8 + length:place + 12 + length])[0], "PNG checksum")
        kinds.append(kind.decode())
        place += 12 + length
    return kinds


def check_set(folder, manifest, session, ids, data):
    """probabilities.bin over the whole item set, the accuracy and the counts at each threshold."""
    items, told = check_items(data), json.loads((folder / "golden/probabilities.json").read_text())
    truth = json.loads((folder / "golden/truth.json").read_text())
    raw = (folder / "golden" / told["file"]).read_bytes()
    check(told["sha256"] == hashlib.sha256(raw).hexdigest() and told["columns"] == ids, folder, "probabilities.json")
    golden = np.frombuffer(raw, "<f4").reshape(told["shape"])
    check(len(items) == len(truth) == len(golden) and set(truth) <= set(ids), folder, "item, truth and golden counts")
    measured = np.stack([run(manifest, session, tensor(manifest, item, data))["probabilities"] for item in items])
    worst = close(f"{folder.name} probabilities.bin", measured, golden, TOLERANCE["probabilities"])
    right = np.array([ids[k] for k in measured.argmax(1)]) == np.array(truth)
    check(abs(right.mean() - told["accuracy"]) < 2 / len(items), folder, "accuracy", right.mean())
    for row in told["thresholds"]:
        sure = measured.max(1) >= row["accept_at"]
        check(abs(int(sure.sum()) - row["settled"]) <= 2, folder, "at", row["accept_at"], "settles", sure.sum())
        check(abs(right[sure].mean() - row["accuracy_of_settled"]) < 0.005, folder, "accuracy at", row["accept_at"])
    if folder.name == "fashion-cnn":
        check(round(float(right.mean()), 3) == 0.898, "fashion accuracy", right.mean())
        for threshold, (count, accuracy) in REFERENCE.items():
            sure = measured.max(1) >= threshold
            check((int(sure.sum()), round(float(right[sure].mean()), 3)) == (count, accuracy), "fashion at", threshold)
    print(f"{folder.name}: {len(items)} items, probabilities within {worst:.1e}, accuracy {right.mean():.4f};",
          ", ".join(f"{r['accept_at']}: {r['settled']} at {r['accuracy_of_settled']}" for r in told["thresholds"]))


def check_photos(folder, manifest, session, ids):
    """photos.json: the JPEG files through bilinear resampling."""
    golden = json.loads((folder / "golden/photos.json").read_text())
    items = check_items(DATA / "photos")
    check([i["id"] for i in items] == [g["id"] for g in golden["items"]], "photos.json lists other photos")
    licences = (DATA / "photos/LICENSES.md").read_text()
    for item, told in zip(items, golden["items"]):
        check(f"`{item['image']}`" in licences, item["image"], "is not in LICENSES.md")
        x = tensor(manifest, item, DATA / "photos")
        check_input(item["id"], x, told["input"])
        probabilities = run(manifest, session, x)["probabilities"]
        for place in told["top"]:
            close(f"{item['id']} {place['label']}", probabilities[ids.index(place["label"])], place["p"], 1e-4)
    print(f"{folder.name}: {len(items)} photos as photos.json says")


def main():
    folders = sorted(p.parent for p in MODELS.glob("*/model.json"))
    check(len(folders) == 5, "expected five models, found", folders)
    for folder in folders:
        manifest, session, ids = load(folder)
        check_exact(folder, manifest, session, ids)
        if folder.name in ITEM_SETS:
            check_set(folder, manifest, session, ids, ITEM_SETS[folder.name])
        if folder.name == "efficientnet-lite0":
            check_photos(folder, manifest, session, ids)
    for top in (MODELS, DATA):
        for path in top.rglob("*"):
            if path.is_file() and not {".sources", ".rebuilt", "__pycache__"} & set(path.parts):
                check(path.stat().st_size <= FIVE_MB, path, "is over 5 MB")
    print(f"all {checks} checks hold (onnxruntime {onnxruntime.__version__})")


if __name__ == "__main__":
    main()
