"""Where a run gets its randomness, its threads, its device and its checkpoints from.

Everything random descends from one integer seed through `generator`, everything parallel asks
`thread_count`, everything written goes through `atomic_write`.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

PROFILES = ("smoke", "book", "paper")


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return the generator of one experiment, independent of those of all other names.

    Naming streams, rather than drawing from one in turn, keeps an experiment's numbers the same
    when a cell before it is added, removed or run twice.

    Parameters
    ----------
    seed : int
        The notebook's seed, not negative.
    *names : str
        What the stream is for, for example ``"C1"``.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    ValueError
        If ``seed`` is negative or not an integer.
    """
    # lengths first: ("ab",) and ("a", "b") must differ
    text = "".join(f"{len(name)}:{name}" for name in names)
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])
    return np.random.default_rng([check_integer("seed", seed, 0), key])


def torch_generator(seed: int, *names: str, device: str = "cpu") -> torch.Generator:
    """Return a ``torch.Generator`` seeded as `generator` is.

    Raises
    ------
    ValueError
        If ``seed`` is negative or not an integer.
    """
    import torch

    return torch.Generator(device).manual_seed(int(generator(seed, *names).integers(2**63)))


def device(name: str = "auto") -> torch.device:
    """Return the device to compute on: ``"auto"`` is CUDA where there is one, else the CPU.

    Raises
    ------
    ValueError
        If the named device is not available here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu" or (name.split(":")[0] == "cuda" and torch.cuda.is_available()):
        return torch.device(name)
    raise ValueError(f"device must be 'auto', 'cpu' or an available CUDA device, got {name!r}")


def is_integer(value: object) -> bool:
    """Return whether ``value`` is an integer of Python or numpy; True and False are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_integer(name: str, value: Any, least: int) -> int:
    """Return ``value``, which must be an integer, as an int.

    Raises
    ------
    ValueError
        If it is not an integer or below ``least``; the message names the parameter ``name``.
    """
    if not is_integer(value) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def check_positive(name: str, value: float) -> float:
    """Return ``value``, which must be positive and finite.

    Raises
    ------
    ValueError
        If it is not; the message names the parameter ``name``.
    """
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value!r}")
    return float(value)


def check_not_negative(name: str, value: float) -> float:
    """Return ``value``, which must be finite and at least 0.

    Raises
    ------
    ValueError
        If it is not; the message names the parameter ``name``.
    """
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and not negative, got {value!r}")
    return float(value)


def check_generator(*, rng: Any) -> np.random.Generator:
    """Return ``rng``, which must be a generator: a seed is not one.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy.random.Generator, as default_rng(0), got {rng!r}")
    return rng


def thread_count(threads: int | None = None) -> int:
    """Return how many worker threads to use.

    Parameters
    ----------
    threads : int, optional
        At least 1. By default ``REPRISE_THREADS``, else the cores this process may run on.

    Raises
    ------
    ValueError
        If ``threads`` or ``REPRISE_THREADS`` is not a positive integer.
    """
    if threads is not None:
        return check_integer("threads", threads, 1)
    name = "REPRISE_THREADS"
    text = os.environ.get(name)
    if not text:
        return _cores()
    return check_integer(name, int(text) if text.isdecimal() else text, 1)


def check_profile(profile: str) -> str:
    """Return ``profile`` if it is one of ``PROFILES``.

    Raises
    ------
    ValueError
        If it is not.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    return profile


def njit(**options: Any) -> Callable[[Callable], Callable]:
    """``numba.njit(cache=True, **options)`` where a cache can be, else without one.

    A read-only installation with no writable home has no place for a cache, and numba then refuses
    to compile at all.

    Parameters
    ----------
    **options
        As for ``numba.njit``.
    """
    import numba

    def decorate(function: Callable) -> Callable:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # "cannot cache function ...: no locator available"
            return numba.njit(**options)(function)

    return decorate


def progress(items: Iterable, description: str | None, total: int | None = None) -> Iterable:
    """Show a progress bar over ``items`` on standard error, which the book's pages leave out.

    A plain text bar rather than a widget: a widget's saved state would make the page fetch scripts
    from another host. ``TQDM_DISABLE=1`` turns bars off.

    Parameters
    ----------
    items : iterable
    description : str or None
        The bar's name; None shows none.
    total : int, optional
        Length, where ``items`` has none.
    """
    if description is None:
        return items
    from tqdm import tqdm

    # once a second is enough, and keeps the notebooks of long runs small
    return tqdm(items, desc=description, total=total, leave=False, mininterval=1.0)


def in_parallel(
    task: Callable[[Any], T],
    jobs: Iterable,
    threads: int | None = None,
    description: str | None = None,
) -> list[T]:
    """Call ``task`` with each job, side by side on a pool of threads.

    Only tasks that release the interpreter's lock gain by it, as numba's do with ``nogil``. The
    first error cancels the jobs that have not begun.

    Parameters
    ----------
    task : callable
    jobs : iterable
    threads : int, optional
        As for `thread_count`.
    description : str, optional
        As for `progress`.

    Returns
    -------
    list
        What the tasks return, in the order of the jobs.

    Raises
    ------
    ValueError
        If ``threads`` is not a positive integer.
    """
    jobs = list(jobs)
    workers = min(thread_count(threads), len(jobs))
    if workers <= 1:  # a pool would cost as much as a small job
        return [task(job) for job in progress(jobs, description)]
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(task, job) for job in jobs]
        try:
            for future in progress(as_completed(futures), description, total=len(futures)):
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [future.result() for future in futures]


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path in the same folder, moved to ``path`` only if the block succeeds.

    An interrupted writer leaves the old file, or none, but never half of a new one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the target's own suffix last: numpy and matplotlib go by it
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem}.part.", suffix=path.suffix, dir=path.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Checkpoint:
    """Arrays of a long run on disk, written whole or not at all.

    Parameters
    ----------
    path : path-like
        The ``.npz`` file.
    key : str
        What the run is (its parameters, say). A file with another key is not resumed.
    """

    def __init__(self, path: str | os.PathLike, key: str) -> None:
        self.path = Path(path)
        self.key = key

    def save(self, **arrays: Any) -> None:
        """Replace the checkpoint by ``arrays``.

        Raises
        ------
        ValueError
            If an array has dtype object, which could only be stored by pickling it.
        """
        stored = {"key": np.array(self.key)}
        for name, value in arrays.items():
            array = np.asarray(value)
            if array.dtype == object:
                raise ValueError(f"{name} must be a numeric or string array, got dtype object")
            stored[f"array {name}"] = array  # a prefix, so that no name meets savez's own arguments
        with atomic_write(self.path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **stored)

    def load(self) -> dict[str, np.ndarray] | None:
        """Return the saved arrays, or None where there are none for this key."""
        if not self.path.exists():
            return None
        with np.load(self.path, allow_pickle=False) as stored:
            if "key" not in stored.files or str(stored["key"]) != self.key:
                return None
            names = [name for name in stored.files if name.startswith("array ")]
            return {name.removeprefix("array "): stored[name] for name in names}


def _cores() -> int:
    """Cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _umask() -> int:
    """The process's umask (reading it needs setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
