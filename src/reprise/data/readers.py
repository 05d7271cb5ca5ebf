"""Readers: the paths of a set's files -> its arrays. Nothing that was downloaded is unpickled."""

from __future__ import annotations

import gzip
import math
import struct
import tarfile
from pathlib import Path

import numpy as np

from reprise.data.sets import Arrays


def read_breast_cancer() -> Arrays:
    """Read the set that scikit-learn ships."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return {"features": data.data, "labels": data.target}


def read_digits() -> Arrays:
    """Read the set that scikit-learn ships."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return {"features": data.data, "images": data.images, "labels": data.target}


def read_svmlight(path: Path, n_features: int) -> Arrays:
    """Read two classes of svmlight text; the larger label becomes +1, the other -1.

    The labels of mushrooms are 1 (poisonous) and 2 (edible), so edible becomes +1.
    """
    from sklearn.datasets import load_svmlight_file

    sparse, labels = load_svmlight_file(str(path), n_features=n_features, dtype=np.float64)
    classes = np.unique(labels)
    if len(classes) != 2:
        raise ValueError(f"{path} has {len(classes)} distinct labels, but 2 are expected")
    signs = np.where(labels == classes[1], 1, -1).astype(np.int64)
    return {"features": sparse.toarray(), "labels": signs}


def read_npz(path: Path) -> Arrays:
    """Read all arrays of an archive that holds no pickles."""
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def read_mnist_idx(x_train: Path, y_train: Path, x_test: Path, y_test: Path) -> Arrays:
    """Read the four compressed files of MNIST."""
    files = {"x_train": (x_train, 3), "y_train": (y_train, 1)}
    files |= {"x_test": (x_test, 3), "y_test": (y_test, 1)}
    return {
        key: parse_idx(gzip.decompress(path.read_bytes()), n_axes)
        for key, (path, n_axes) in files.items()
    }


def parse_idx(raw: bytes, n_axes: int) -> np.ndarray:
    """Parse the idx format: 0, 0, type, number of axes, big-endian lengths, then the bytes.

    Raises
    ------
    ValueError
        If the magic number is not that of unsigned bytes with `n_axes` axes, or if the body is
        shorter or longer than the lengths say.
    """
    magic, start = bytes([0, 0, 8, n_axes]), 4 + 4 * n_axes
    if raw[:4] != magic:
        raise ValueError(f"idx magic number is {raw[:4].hex()}, but {magic.hex()} is expected")
    if len(raw) < start:
        raise ValueError(f"idx header has {len(raw)} bytes, but {start} are expected")
    shape = struct.unpack(f">{n_axes}I", raw[4:start])
    if len(raw) - start != math.prod(shape):
        raise ValueError(f"idx body has {len(raw) - start} bytes, but its shape is {shape}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()  # writable


def read_cifar_binary(path: Path) -> Arrays:
    """Read the binary version: a record is a label and three planes of 32 x 32 bytes.

    Members are read by name and never written to disk. The better known Python version holds
    pickles, which the book does not open.
    """
    splits = {
        "train": [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)],
        "test": ["cifar-10-batches-bin/test_batch.bin"],
    }
    arrays = {}
    with tarfile.open(path) as archive:
        for split, members in splits.items():
            raw = b"".join(archive.extractfile(member).read() for member in members)
            records = np.frombuffer(raw, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
            pixels = records[:, 1:].reshape(-1, 3, 32, 32)
            arrays[f"x_{split}"] = np.ascontiguousarray(np.moveaxis(pixels, 1, 3))
            arrays[f"y_{split}"] = records[:, 0].copy()
    return arrays


def read_cifar_jpeg(path: Path) -> Arrays:
    """Decode the JPEG files that the mirror holds end to end."""
    import io

    from PIL import Image

    stored, arrays = read_npz(path), {}
    for split in ("train", "test"):
        raw, offsets = stored[f"{split}_jpeg"].tobytes(), stored[f"{split}_offsets"]
        pixels = np.empty((len(offsets) - 1, 32, 32, 3), np.uint8)
        for i in range(len(pixels)):
            with Image.open(io.BytesIO(raw[offsets[i] : offsets[i + 1]])) as picture:
                pixels[i] = picture
        arrays[f"x_{split}"] = pixels
        arrays[f"y_{split}"] = stored[f"{split}_labels"].astype(np.uint8)
    return arrays
