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

import json
import os
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Literal

from reprise.data import fetching
from reprise.data.fetching import ChecksumError, DataUnavailableError
from reprise.data.registry import REGISTRY
from reprise.data.sets import Arrays, Dataset, Mirror, Remote

__all__ = [
    "REGISTRY",
    "ChecksumError",
    "DataUnavailableError",
    "Dataset",
    "Loaded",
    "Mirror",
    "Record",
    "Remote",
    "Resolution",
    "load",
    "names",
    "resolve",
]

Form = Literal["embedded", "mirrored", "cached", "downloaded", "absent"]


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
    if files := fetching.mirror_files(dataset):
        return Resolution(
            "mirrored", fetching.fingerprint([fetching.checksum_of(*file) for file in files])
        )
    files = fetching.cache_files(dataset)
    if files and all(fetching.is_intact(*file) for file in files):
        return Resolution("cached", fetching.fingerprint([checksum for _, checksum in files]))
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
        files = fetching.mirror_files(dataset)
        for path, checksum in files:
            fetching.verify(path, checksum, fetching.checksum_of(path, checksum))
        arrays = (dataset.read_mirror or dataset.read)(*(path for path, _ in files))
    else:
        if found.form == "absent":
            try:
                fetching.download(dataset)
            except DataUnavailableError:
                _log_use(dataset.name, found)
                raise
            found = replace(resolve(dataset.name), form="downloaded")
        arrays = dataset.read(*(path for path, _ in fetching.cache_files(dataset)))
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
