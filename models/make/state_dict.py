"""Reads a PyTorch state_dict file (zip or legacy format) into numpy arrays, without torch.

A .pth file is a pickle, and a pickle may run any code: this unpickler knows the few names that tensors need and
refuses every other.
"""
import collections
import io
import pickle
import zipfile

import numpy as np

STORAGE = {"FloatStorage": np.float32, "LongStorage": np.int64, "HalfStorage": np.float16, "DoubleStorage": np.float64,
           "IntStorage": np.int32, "ByteStorage": np.uint8, "BoolStorage": np.bool_}

Tensor = collections.namedtuple("Tensor", "storage offset size stride")


class TensorsOnly(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return lambda storage, offset, size, stride, *rest: Tensor(storage, offset, tuple(size), tuple(stride))
        if module == "torch" and name in STORAGE:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is nothing a state_dict needs")

    def persistent_load(self, key):
        return key[1], key[2]  # storage type, storage key


def load(path):
    """Name to array, in the file's order."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            root = next(n for n in archive.namelist() if n.endswith("data.pkl")).removesuffix("data.pkl")
            tensors = TensorsOnly(io.BytesIO(archive.read(root + "data.pkl"))).load()
            storages = {key: np.frombuffer(archive.read(f"{root}data/{key}"), STORAGE[kind])
                        for kind, key in {t.storage for t in tensors.values()}}
    else:
        with open(path, "rb") as file:
            for _ in ("magic number", "protocol", "system"):
                TensorsOnly(file).load()
            tensors = TensorsOnly(file).load()
            kinds = {key: kind for kind, key in (t.storage for t in tensors.values())}
            storages = {}
            for key in TensorsOnly(file).load():
                dtype = np.dtype(STORAGE[kinds[key]])
                count = int.from_bytes(file.read(8), "little")
                storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return {name: view(storages[t.storage[1]], t) for name, t in tensors.items()}


def view(storage, tensor):
    """A copy of the part of a storage that one tensor shows."""
    if not tensor.size:
        return storage[tensor.offset].copy()
    strides = [step * storage.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset:], tensor.size, strides).copy()
