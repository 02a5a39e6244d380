"""From an item to the tensor of a model, as its manifest says: the reference that the component is compared with.

Pixels are p/255, then (x - mean[c]) / std[c]. One channel is Pillow's "L" (ITU-R 601 luma of the sRGB values), three are
RGB. "stretch" goes to width x height, "cover" scales the shorter side and crops the centre (torchvision's Resize and
CenterCrop), "contain" fits the whole picture and pads with zero pixels. A picture that has the size already is not
resampled, so for such pictures the tensor is exact; otherwise the filter is bilinear with antialiasing (torchvision's
default) unless another is named.
"""
import base64
import io
import pathlib

import numpy as np
from PIL import Image


def open_image(reference, base):
    """A data URL or a path beside `base` as a Pillow image."""
    if reference.startswith("data:"):
        return Image.open(io.BytesIO(base64.b64decode(reference.split(",", 1)[1])))
    return Image.open(pathlib.Path(base, reference))


def fit(picture, width, height, resize, resample):
    """Exactly width x height, by one of the three ways."""
    if picture.size == (width, height):
        return picture
    if resize == "stretch":
        return picture.resize((width, height), resample)
    if resize == "cover":
        scale = max(width / picture.width, height / picture.height)
        grown = picture.resize((max(width, int(picture.width * scale)), max(height, int(picture.height * scale))), resample)
        left, top = round((grown.width - width) / 2), round((grown.height - height) / 2)
        return grown.crop((left, top, left + width, top + height))
    scale = min(width / picture.width, height / picture.height)
    small = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), resample)
    canvas = Image.new(picture.mode, (width, height), 0)
    canvas.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    return canvas


def tensor(manifest, item, base, resample=Image.Resampling.BILINEAR):
    """f32 [1, c, h, w] of an image item or [1, columns] of a numbers item."""
    spec = manifest["input"]
    if spec["kind"] == "numbers":
        return np.asarray([item["numbers"]], np.float32)
    picture = open_image(item["image"], base).convert("L" if spec["channels"] == 1 else "RGB")
    picture = fit(picture, spec["width"], spec["height"], spec["resize"], resample)
    pixels = np.asarray(picture, np.float32).reshape(spec["height"], spec["width"], spec["channels"]) / np.float32(255)
    scaled = (pixels - np.float32(spec["mean"])) / np.float32(spec["std"])
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None] if spec["layout"] == "nchw" else scaled[None])
