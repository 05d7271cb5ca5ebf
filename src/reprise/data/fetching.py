"""Files of a set on this machine, and how they get here: checked, resumed, never half a file.

A file gets its final name only after its checksum matched, so that a broken download can never be
read.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from reprise.data.sets import Dataset, Remote

TIMEOUT_SECONDS = 10.0  # to connect, and between two pieces of the answer
TRIES = 3
BACKOFF_SECONDS = 0.5  # before the second try; doubled before each later one

logger = logging.getLogger("reprise.data")


class ChecksumError(ValueError):
    """A file does not hold the content that the registry expects."""


class DataUnavailableError(OSError):
    """A data set is not on this machine and its public address does not answer."""


def mirror_files(dataset: Dataset) -> list[tuple[Path, str]]:
    """Return the mirror's paths and expected checksums, or nothing if a file is missing."""
    if not (folder := os.environ.get("REPRISE_DATA")):
        return []
    files = [(Path(folder).expanduser() / m.path, m.checksum) for m in dataset.mirror]
    return files if all(path.is_file() for path, _ in files) else []


def cache_files(dataset: Dataset) -> list[tuple[Path, str]]:
    """Return the paths, present or not, and the expected checksums of the downloaded files."""
    return [(_cache_folder(dataset) / r.filename, r.checksum) for r in dataset.remotes]


def _cache_folder(dataset: Dataset) -> Path:
    if folder := os.environ.get("REPRISE_CACHE"):
        return Path(folder).expanduser() / dataset.name
    import pooch

    return Path(pooch.os_cache("reprise")) / dataset.name


def is_intact(path: Path, checksum: str) -> bool:
    """Return whether a file is there and holds what is expected."""
    return path.is_file() and checksum_of(path, checksum) == checksum


def verify(file: Path | str, expected: str, found: str) -> None:
    """Raise a `ChecksumError` that names the file if the two checksums differ."""
    if found != expected:
        raise ChecksumError(f"{file} has the checksum {found}, but {expected} is expected")


def checksum_of(path: Path, like: str) -> str:
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


def fingerprint(checksums: list[str]) -> str:
    """Return one string that stands for the content of all files of a set."""
    if len(checksums) == 1:
        return checksums[0]
    return "sha256:" + hashlib.sha256("\n".join(checksums).encode()).hexdigest()


def download(dataset: Dataset) -> None:
    """Bring all remote files of a set into the cache, or raise `DataUnavailableError`."""
    if not dataset.remotes:
        raise _unavailable(dataset, "it has no public address")
    folder = _cache_folder(dataset)
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / ".lock"):
        for remote in dataset.remotes:
            target = folder / remote.filename
            if not is_intact(target, remote.checksum):
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
    with path.open("w", encoding="utf-8") as file:
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
            verify(remote.url, remote.checksum, found)
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
