"""In which order an epoch visits its components, as data.

Every order of the part is a *schedule*: for each epoch, where its permutation comes from (kept
from the epoch before, freshly drawn, or given) and whether it is walked backwards. Random
reshuffling draws in each epoch, single shuffle only in the first, FlipFlop reverses every second
epoch (Rajput, Lee, Papailiopoulos 2022). The simulator walks schedules and knows no names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reprise.shuffling import kernels

OrderName = Literal[
    "with_replacement",
    "single_shuffle",
    "random_reshuffling",
    "incremental",
    "flipflop_single_shuffle",
    "flipflop_random_reshuffling",
    "flipflop_incremental",
]
Order = OrderName | NDArray[np.int64]

ORDER_NAMES: tuple[str, ...] = OrderName.__args__


@dataclass(frozen=True)
class Schedule:
    """Where each epoch's order comes from and in which direction it is walked.

    Attributes
    ----------
    source : ndarray of int8, shape (epochs,)
        ``kernels.KEEP``, ``kernels.DRAW`` or ``kernels.GIVEN`` for each epoch.
    reverse : ndarray of bool, shape (epochs,)
        True where the epoch walks its order from the last entry to the first.
    replacement : bool
        True if a drawn order is n independent uniform indices, not a permutation.
    given : ndarray of int64, shape (1 or runs, 1 or epochs, n)
        The orders that epochs with source ``GIVEN`` read.
    """

    source: NDArray[np.int8]
    reverse: NDArray[np.bool_]
    replacement: bool
    given: NDArray[np.int64]

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return len(self.source)


def schedule(order: Order, n: int, *, epochs: int, runs: int = 1) -> Schedule:
    """Turn the name of an order, or an array of permutations, into a schedule.

    Parameters
    ----------
    order : str or ndarray of int, shape (epochs, n) or (runs, epochs, n)
        One of ``ORDER_NAMES``, or permutations of ``0..n-1``, one row an epoch.
    n, epochs, runs : int
        Components, epochs and independent runs, each at least 1.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        For an unknown name, ``epochs < 1``, ``runs < 1``, an odd number of epochs for FlipFlop, an
        array of the wrong shape, or a row that is not a permutation.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if runs < 1:
        raise ValueError(f"runs must be at least 1, got {runs}")
    source = np.full(epochs, kernels.KEEP, dtype=np.int8)
    reverse = np.zeros(epochs, dtype=bool)
    listed = np.arange(n, dtype=np.int64).reshape(1, 1, n)
    if not isinstance(order, str):
        source[:] = kernels.GIVEN
        return Schedule(source, reverse, False, _as_permutations(order, n, epochs, runs))
    if order not in ORDER_NAMES:
        raise ValueError(
            f"order must be one of {', '.join(ORDER_NAMES)} or an array, got {order!r}"
        )
    period = 1
    if order.startswith("flipflop_"):
        if epochs % 2:
            raise ValueError(f"epochs must be even for FlipFlop, got {epochs}")
        period = 2
        reverse[1::2] = True
    match order.removeprefix("flipflop_"):
        case "with_replacement" | "random_reshuffling":
            source[::period] = kernels.DRAW
        case "single_shuffle":
            source[0] = kernels.DRAW
        case "incremental":
            source[0] = kernels.GIVEN
    return Schedule(source, reverse, order == "with_replacement", listed)


def draw_orders(
    order: Order, n: int, *, epochs: int, runs: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Write out the component indices that ``order`` visits.

    Parameters
    ----------
    order : str or ndarray of int
        As for `schedule`.
    n, epochs, runs : int
        Components, epochs and independent runs.
    rng : numpy.random.Generator
        Seeds one stream for each run.

    Returns
    -------
    ndarray of int64, shape (runs, epochs, n)

    Raises
    ------
    ValueError
        As for `schedule`.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    plan = schedule(order, n, epochs=epochs, runs=runs)
    seed = np.uint64(rng.integers(2**64, dtype=np.uint64))
    out = np.empty((runs, epochs, n), dtype=np.int64)
    kernels.write_orders(
        plan.source, plan.reverse, plan.replacement, plan.given, seed, np.uint64(0), out
    )
    return out


def _as_permutations(order: NDArray, n: int, epochs: int, runs: int) -> NDArray[np.int64]:
    """Check user-given permutations and give them the shape (1 or runs, epochs, n)."""
    array = np.asarray(order)
    shapes = {(epochs, n), (runs, epochs, n)}
    if array.shape not in shapes:
        raise ValueError(
            f"order must have shape (epochs, n) = {(epochs, n)} or (runs, epochs, n) = "
            f"{(runs, epochs, n)}, got {array.shape}"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"order must hold integers, got dtype {array.dtype}")
    array = np.ascontiguousarray(array, dtype=np.int64).reshape(-1, epochs, n)
    wrong = np.flatnonzero((np.sort(array, axis=-1) != np.arange(n)).any(axis=-1))
    if wrong.size:
        row = array.reshape(-1, n)[wrong[0]]
        raise ValueError(
            f"order must hold permutations of 0..{n - 1}; row {wrong[0]} is {row[:10].tolist()}"
        )
    return array
