#!/usr/bin/env python3
"""Writes models/*/model.json: what each file eats and gives, its digest and size, its labels.

    python3 manifests.py
"""
import ast
import hashlib
import json
import re

import sources
import tabular
from cnn_numpy import LABELS as CLOTHES

MODELS = sources.HERE.parent
SCORES = {"scores": {"name": "logits", "as": "logits", "activation": "softmax"}, "features": {"name": "features"}}


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def sentence(name):
    return name[:1].upper() + name[1:]


def imagenet():
    """1,000 classes: the first synonym; where two classes share it, what tells them apart comes behind."""
    script = sources.path("imagenet/classes").read_text()
    body = script[script.index("IMAGENET_CLASSES = {") + len("IMAGENET_CLASSES = "):script.rindex("}") + 1]
    # The table is also a Python literal once "'a ' + 'b'" is joined to "'a ' 'b'".
    classes = ast.literal_eval(re.sub(r"(['\"])\s*\+\s*(?=['\"])", r"\1 ", body))
    names = [classes[i].split(", ")[0].strip() for i in range(1000)]
    apart = {134: "crane (bird)", 517: "crane (machine)", 638: "maillot", 639: "maillot (tank suit)",
             264: "Cardigan (Welsh corgi)", 474: "cardigan (knitwear)"}
    for place, name in apart.items():
        assert names[place] == name.split(" (")[0], (place, names[place])
        names[place] = name
    return [{"id": slug(name), "name": sentence(name)} for name in names]


def symbols():
    """411 symbols: Typst's first name of each as the id, the sign itself before it as the name."""
    return [{"id": s["names"][0], "name": f"{s['char']} {s['names'][0]}"}
            for s in json.loads(sources.path("detypify/symbols").read_text())]


def image(name, side, channels, mean, std, resize):
    return {"kind": "image", "name": name, "width": side, "height": side, "channels": channels, "layout": "nchw",
            "mean": mean, "std": std, "resize": resize}


def all_models():
    """Directory to what is particular about its manifest."""
    return {
        "fashion-cnn": {
            "input": image("image", 28, 1, [0.0], [1.0], "stretch"),
            "labels": [{"id": slug(n), "name": n} for n in CLOTHES],
            "question": "Which piece of clothing is this?", "licence": "MIT"},
        "weather-mlp": {
            "input": {"kind": "numbers", "name": "x", "columns": tabular.COLUMNS},
            "labels": [{"id": n, "name": sentence(n)} for n in tabular.LABELS],
            "question": "What was the weather on this day?", "licence": "MIT OR Apache-2.0"},
        "efficientnet-lite0": {
            # (pixel - 127) / 128, said in torchvision's units.
            "input": image("image", 224, 3, [127 / 255] * 3, [128 / 255] * 3, "cover"),
            "labels": imagenet(),
            "question": "What is on the photo?", "licence": "Apache-2.0"},
        "effnet-lite0-b10": {
            "input": image("image", 96, 3, [127 / 255] * 3, [128 / 255] * 3, "stretch"),
            "outputs": {"features": {"name": "features"}},
            "labels": [{"id": slug(n), "name": n} for n in CLOTHES],
            "question": "Which piece of clothing is this?", "licence": "Apache-2.0"},
        "detypify": {
            "input": image("x", 224, 1, [0.0], [1.0], "contain"),
            "labels": symbols(),
            "question": "Which symbol is drawn?", "licence": "MIT"},
    }


def write(name, particular):
    model = (MODELS / name / "model.onnx").read_bytes()
    manifest = {"schema": "hitl-labeler/model/1", "name": name, "version": "1.0.0", "file": "model.onnx",
                "sha256": hashlib.sha256(model).hexdigest(), "bytes": len(model),
                "input": particular["input"], "outputs": particular.get("outputs", SCORES), "question": particular["question"],
                "licence": particular["licence"], "card": "MODEL_CARD.md", "labels": particular["labels"]}
    # One key a line, one label a line: long lists stay readable and a change shows as one line.
    lines = []
    for key, value in manifest.items():
        if key == "labels":
            inside = ",\n".join("    " + json.dumps(label, ensure_ascii=False) for label in value)
            lines.append(f'  "labels": [\n{inside}\n  ]')
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    (MODELS / name / "model.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    for name, particular in all_models().items():
        write(name, particular)
        print(name, len(particular["labels"]), "labels")
