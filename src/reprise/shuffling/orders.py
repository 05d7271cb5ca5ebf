"""In which order an epoch visits its components, as data.

Every order of the part is a `Schedule`: for each epoch, where its permutation comes from (kept
from the epoch before, freshly drawn, or given) and whether it is walked backwards. Random
reshuffling draws in each epoch, single shuffle only in the first, FlipFlop reverses every second
epoch (Rajput, Lee, Papailiopoulos 2022). The simulator walks schedules and knows no names.

Where several workers hold n components each, every worker draws an order of its own, or all walk
one order with shifted starts: synchronized shuffling (Yun, Rajput, Sra 2022).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reprise.runtime import check_generator, check_integer
from reprise.shuffling import kernels
from reprise.shuffling.kernels import Schedule

OrderName = Literal[
    "with_replacement",
    "single_shuffle",
    "random_reshuffling",
    "incremental",
    "flipflop_single_shuffle",
    "flipflop_random_reshuffling",
    "flipflop_incremental",
]
SchemeName = Literal[OrderName, "synchronized", "flipflop_synchronized"]
Order = OrderName | NDArray[np.int64]
Scheme = SchemeName | NDArray[np.int64]

ORDER_NAMES: tuple[str, ...] = OrderName.__args__
SCHEME_NAMES: tuple[str, ...] = SchemeName.__args__


def schedule(
    order: Scheme, n: int, *, epochs: int, runs: int = 1, workers: int | None = None
) -> Schedule:
    """Turn the name of an order, or an array of permutations, into a schedule.

    Parameters
    ----------
    order : str or ndarray of int
        One of ``ORDER_NAMES``, or permutations of ``0..n-1``, one row an epoch: shape (epochs, n)
        or (runs, epochs, n). With ``workers`` also the other ``SCHEME_NAMES``, and shape
        (epochs, workers, n) or (runs, epochs, workers, n).
    n, epochs, runs : int
        Components (of one worker), epochs and independent runs, each at least 1.
    workers : int, optional
        Machines that walk side by side; by default one, which is plain SGD.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        For an unknown name, ``epochs < 1``, ``runs < 1``, an odd number of epochs for FlipFlop,
        synchronized orders whose workers do not divide n, an array of the wrong shape, or a row
        that is not a permutation.
    """
    epochs, runs = check_integer("epochs", epochs, 1), check_integer("runs", runs, 1)
    source = np.full(epochs, kernels.KEEP, dtype=np.int8)
    reverse = np.zeros(epochs, dtype=bool)
    listed = np.arange(n, dtype=np.int64).reshape(1, 1, 1, n)
    if not isinstance(order, str):
        source[:] = kernels.GIVEN
        given = _as_permutations(order, n, epochs, runs, workers)
        return Schedule(source, reverse, False, False, given)
    names = ORDER_NAMES if workers is None else SCHEME_NAMES
    if order not in names:
        raise ValueError(f"order must be one of {', '.join(names)} or an array, got {order!r}")
    period = 1
    if order.startswith("flipflop_"):
        if epochs % 2:
            raise ValueError(f"epochs must be even for FlipFlop, got {epochs}")
        period = 2
        reverse[1::2] = True
    shared = order.endswith("synchronized")
    if shared and n % workers:
        raise ValueError(f"workers must divide components to be synchronized, got {workers}, {n}")
    match order.removeprefix("flipflop_"):
        case "with_replacement" | "random_reshuffling" | "synchronized":
            source[::period] = kernels.DRAW
        case "single_shuffle":
            source[0] = kernels.DRAW
        case "incremental":
            source[0] = kernels.GIVEN
    return Schedule(source, reverse, order == "with_replacement", shared, listed)


def draw_orders(
    order: Scheme,
    n: int,
    *,
    epochs: int,
    runs: int,
    workers: int | None = None,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Write out the component indices that ``order`` visits.

    Parameters
    ----------
    order : str or ndarray of int
        As for `schedule`.
    n, epochs, runs : int
        Components (of one worker), epochs and independent runs.
    workers : int, optional
        As for `schedule`.
    rng : numpy.random.Generator
        Seeds one stream for each run and worker.

    Returns
    -------
    ndarray of int64, shape (runs, epochs, n) or, with ``workers``, (runs, epochs, workers, n)

    Raises
    ------
    ValueError
        As for `schedule`.
    """
    n = check_integer("n", n, 1)
    if workers is not None:
        workers = check_integer("workers", workers, 1)
    check_generator(rng=rng)
    plan = schedule(order, n, epochs=epochs, runs=runs, workers=workers)
    seed = np.uint64(rng.integers(2**64, dtype=np.uint64))
    out = np.empty((runs, epochs, workers or 1, n), dtype=np.int64)
    kernels.write_orders(plan, seed, out)
    return out[:, :, 0] if workers is None else out


def _as_permutations(
    order: NDArray, n: int, epochs: int, runs: int, workers: int | None
) -> NDArray[np.int64]:
    """Check given permutations; give them the shape (1 or runs, epochs, 1 or workers, n)."""
    array = np.asarray(order)
    row = (n,) if workers is None else (workers, n)
    if array.shape not in {(epochs, *row), (runs, epochs, *row)}:
        names = "n" if workers is None else "workers, n"
        raise ValueError(
            f"order must have shape (epochs, {names}) = {(epochs, *row)} or (runs, epochs, "
            f"{names}) = {(runs, epochs, *row)}, got {array.shape}"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"order must hold integers, got dtype {array.dtype}")
    array = np.ascontiguousarray(array, dtype=np.int64).reshape(-1, epochs, workers or 1, n)
    wrong = np.flatnonzero((np.sort(array, axis=-1) != np.arange(n)).any(axis=-1))
    if wrong.size:
        culprit = array.reshape(-1, n)[wrong[0]]
        raise ValueError(
            f"order must hold permutations of 0..{n - 1}; row {wrong[0]} is {culprit[:10].tolist()}"
        )
    return array
