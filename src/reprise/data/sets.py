"""What a data set is: where its files are, what they must hold, how they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]


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
