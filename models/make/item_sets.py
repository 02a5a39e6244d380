#!/usr/bin/env python3
"""Writes the demo's item sets under www/demo/data and the true labels (never part of the items) under models/*/golden.

    python3 item_sets.py [fashion] [weather] [photos]       default: all three
"""
import base64
import io
import json
import struct
import sys
import zlib

import numpy as np
import zopfli.zlib
from PIL import Image

import sources
import tabular
from cnn_numpy import LABELS as CLOTHES
from cnn_numpy import idx
from manifests import slug

MODELS = sources.HERE.parent
DATA = MODELS.parent / "www/demo/data"
FASHION_ITEMS = 1000
WEATHER_EVERY = 7  # coprime with the year, so that all seasons and both cities come
LONGEST_SIDE = 320
LIMIT = 30_000

# name: (crop box or None, credit, licence)
PHOTOS = {
    "chelsea": (None, "Stéfan van der Walt", "CC0-1.0"),
    "coffee": (None, "Rachel Michetti, courtesy of Pikolo Espresso Bar", "CC0-1.0"),
    "camera": (None, "Lav Varshney", "CC0-1.0"),
    "china": (None, "danielbuechele on Flickr", "CC-BY-2.0"),
    "flower": (None, "vultilion on Flickr", "CC-BY-2.0"),
    "rocket": (None, "SpaceX", "public domain"),
    "astronaut": (None, "NASA", "public domain"),
    "clock": (None, "Stéfan van der Walt", "public domain"),
    "coins": (None, "Brooklyn Museum", "no known copyright restrictions"),
}


def write_lines(folder, items):
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(item, ensure_ascii=False, separators=(",", ":")) + "\n" for item in items)
    (folder / "items.jsonl").write_text(text)
    print(f"{folder.name}: {len(items)} items, {len(text)} bytes")


def write_truth(model, labels):
    (MODELS / model / "golden").mkdir(parents=True, exist_ok=True)
    (MODELS / model / "golden/truth.json").write_text(json.dumps(labels, indent=0) + "\n")


def chunk(kind, body):
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def filtered(pixels, choose):
    """Rows after PNG's five filters (None, Sub, Up, Average, Paeth), one of them chosen for each row."""
    rows, above = [], np.zeros(pixels.shape[1], int)
    for row in pixels.astype(int):
        left, corner = np.append(0, row[:-1]), np.append(0, above[:-1])
        guess = left + above - corner
        distances = np.abs([guess - left, guess - above, guess - corner])
        paeth = np.choose(distances.argmin(0), [left, above, corner])  # argmin takes the first of equals, as PNG asks
        candidates = [(row - p) % 256 for p in (0, left, above, (left + above) // 2, paeth)]
        best = choose(candidates)
        rows.append(bytes([best]) + bytes(candidates[best].astype(np.uint8)))
        above = row
    return b"".join(rows)


def small_png(pixels):
    """The smallest lossless PNG found: 8-bit grey, only IHDR, IDAT and IEND, so no gamma can change a pixel."""
    def least_sum(candidates):
        return int(np.argmin([np.minimum(c, 256 - c).sum() for c in candidates]))
    ways = [lambda _, k=k: k for k in range(5)] + [least_sum]
    chosen = min((filtered(pixels, way) for way in ways), key=lambda rows: len(zlib.compress(rows, 9)))
    body = zopfli.zlib.compress(chosen, numiterations=15)
    height, width = pixels.shape
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) \
        + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    again = Image.open(io.BytesIO(png))
    assert again.mode == "L" and again.tobytes() == pixels.tobytes()
    return png


def fashion():
    """The first 1,000 test images."""
    pictures = idx("fashion/test-images")[:FASHION_ITEMS]
    write_lines(DATA / "fashion", [
        {"id": f"fashion-{n:04}", "image": "data:image/png;base64," + base64.b64encode(small_png(p)).decode()}
        for n, p in enumerate(pictures)])
    write_truth("fashion-cnn", [slug(CLOTHES[k]) for k in idx("fashion/test-labels")[:FASHION_ITEMS]])


def weather():
    """Every seventh day of the two cities' four years."""
    days = tabular.rows()[::WEATHER_EVERY]
    write_lines(DATA / "weather", [
        {"id": f"{slug(d['location'])}-{d['date']}", "numbers": [round(v, 6) for v in tabular.numbers(d)],
         "meta": {"place": d["location"], "date": d["date"]}} for d in days])
    write_truth("weather-mlp", [d["weather"] for d in days])


def photos():
    """Nine small photos; `image` is relative to items.jsonl."""
    folder = DATA / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for name, (box, credit, licence) in PHOTOS.items():
        picture = Image.open(sources.path(f"photo/{name}"))
        picture = picture.convert("L" if picture.mode == "L" else "RGB").crop(box or (0, 0, *picture.size))
        scale = LONGEST_SIDE / max(picture.size)
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
        picture.info.clear()  # neither colour profile nor EXIF
        picture.save(folder / f"{name}.jpg", "JPEG", quality=85, optimize=True)
        assert (folder / f"{name}.jpg").stat().st_size <= LIMIT, name
        items.append({"id": name, "image": f"{name}.jpg", "meta": {"credit": credit, "licence": licence}})
    write_lines(folder, items)


if __name__ == "__main__":
    for name in sys.argv[1:] or ("fashion", "weather", "photos"):
        {"fashion": fashion, "weather": weather, "photos": photos}[name]()
