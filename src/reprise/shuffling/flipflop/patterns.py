"""Orders made of others: patterns of a permutation and its reverse, herding, orders on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import check_integer
from reprise.shuffling.orders import OrderName, draw_orders
from reprise.shuffling.problems import FiniteSum
from reprise.shuffling.simulate import run_sgd

Array = NDArray[np.float64]
Permutations = NDArray[np.int64]


def flipflop(permutations: ArrayLike) -> Permutations:
    """Follow every permutation by its reverse.

    Parameters
    ----------
    permutations : array_like of int, shape (..., P, n)

    Returns
    -------
    ndarray of int64, shape (..., 2P, n)
    """
    return follow_pattern(permutations, (1, -1))


def follow_pattern(permutations: ArrayLike, pattern: Sequence[int]) -> Permutations:
    """Walk every permutation as often as the pattern is long: 1 forwards, -1 backwards.

    FlipFlop is the pattern (1, -1); (1, -1, -1, 1) goes on as the Thue-Morse sequence does.

    Parameters
    ----------
    permutations : array_like of int, shape (..., P, n)
    pattern : sequence of 1 or -1

    Returns
    -------
    ndarray of int64, shape (..., P * len(pattern), n)

    Raises
    ------
    ValueError
        If ``permutations`` has fewer than two axes or the pattern holds something else.
    """
    rows = np.asarray(permutations, dtype=np.int64)
    if rows.ndim < 2:
        raise ValueError(f"permutations must have shape (..., P, n), got {rows.shape}")
    if not len(pattern) or any(way not in (1, -1) for way in pattern):
        raise ValueError(f"pattern must hold 1 and -1, got {tuple(pattern)}")
    walked = np.stack([rows[..., ::way] for way in pattern], axis=-2)  # (..., P, pattern, n)
    return walked.reshape(*rows.shape[:-2], -1, rows.shape[-1])


def prefix_reversals(order: ArrayLike, count: int) -> Permutations:
    """``count`` orders between an order and its reverse: longer and longer prefixes reversed.

    Parameters
    ----------
    order : array_like of int, shape (n,)
    count : int
        At least 2; the first is the order itself, the last its reverse.

    Returns
    -------
    ndarray of int64, shape (count, n)
    """
    order = np.asarray(order, dtype=np.int64)
    check_integer("count", count, 2)
    lengths = np.linspace(0, len(order), count).round().astype(int)
    return np.stack([np.concatenate([order[:m][::-1], order[m:]]) for m in lengths])


def orders(
    name: OrderName, n: int, epochs: int, runs: int, *, rng: np.random.Generator
) -> Permutations:
    """Write out the component indices that a named order visits: int64 (runs, epochs, n).

    Raises
    ------
    ValueError
        As for `reprise.shuffling.orders.draw_orders`.
    """
    return draw_orders(name, n, epochs=epochs, runs=runs, rng=rng)


def herded_order(gradients: Array, order: Permutations) -> Permutations:
    """The order for the next epoch from this one's gradients, by balancing signs.

    Walk ``order``; give each centred gradient the sign that keeps the running sum small. Those with
    + come first, those with - last and reversed, so that partial sums of the new order are smaller.

    Parameters
    ----------
    gradients : float64 (n, d)
    order : int64 (n,)

    Returns
    -------
    ndarray of int64, shape (n,)

    References
    ----------
    Lu, Guo, De Sa (2022), "GraB: Finding provably better data permutations than random
    reshuffling".
    """
    centred = gradients - gradients.mean(axis=0)
    total = np.zeros(gradients.shape[1])
    front, back = [], []
    for i in order:
        along = float(total @ centred[i])
        (back if along > 0 else front).append(i)
        total += -centred[i] if along > 0 else centred[i]
    return np.array(front + back[::-1], dtype=np.int64)


def run_adaptively(
    problem: FiniteSum,
    choose: Callable[[Array, Permutations], Permutations],
    *,
    epochs: int,
    step_size: float,
    x0: ArrayLike | None = None,
) -> Array:
    """One run whose order is chosen anew before each epoch, from where the run is.

    Parameters
    ----------
    problem : FiniteSum
    choose : callable
        ``choose(x, order)`` takes the iterate (d,) and the last order (n,), returns the next order.
    epochs : int
    step_size : float
    x0 : array_like, optional

    Returns
    -------
    ndarray of float64, shape (d,)
    """
    x = np.broadcast_to(np.zeros(problem.dim) if x0 is None else x0, (problem.dim,))
    order = np.arange(problem.n)
    nothing_drawn = np.random.default_rng(0)
    for _ in range(epochs):
        order = choose(x, order)
        x = run_sgd(
            problem,
            order[None],
            epochs=1,
            step_size=step_size,
            runs=1,
            x0=x,
            rng=nothing_drawn,
            threads=1,
        ).x[0]
    return x
