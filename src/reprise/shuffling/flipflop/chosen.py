"""Permutations chosen backwards from the minimiser: exponentially fast in one dimension."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import check_integer, check_positive

Array = NDArray[np.float64]
Permutations = NDArray[np.int64]

NEWTON_STEPS = 12  # at most; two to six are enough to invert a step


class NoCoverError(ValueError):
    """No choice of the given orders keeps the backward iterates near the minimiser.

    Attributes
    ----------
    step_size : float
    epoch : int
        Backward epoch at which the iterate left the allowed radius.
    """

    def __init__(self, step_size: float, epoch: int, max_radius: float) -> None:
        super().__init__(
            f"step_size {step_size:g} is too large for these orders: the backward iterate left "
            f"the radius {max_radius:g} around the minimiser at epoch {epoch}"
        )
        self.step_size = step_size
        self.epoch = epoch


@dataclass(frozen=True)
class FastPermutations:
    """Permutations that lead to the minimiser exponentially fast.

    Attributes
    ----------
    permutations : ndarray of int64, shape (K, n)
        In the order in which the epochs are run. Those of fewer epochs k are the last k rows.
    backward : ndarray of float64, shape (K + 1,)
        The iterates y_0 = x*, y_1, ... of the backward walk.
    contraction : float
        Product of ``1 - eta f_i''(x*)``: what an epoch does to a small distance.
    """

    permutations: Permutations
    backward: Array
    contraction: float


def fast_permutations(
    gradient: Callable[[NDArray[np.int64], Array], Array],
    hessian: Callable[[NDArray[np.int64], Array], Array],
    x_star: float,
    n: int,
    epochs: int,
    step_size: float,
    orders: ArrayLike | None = None,
    max_radius: float = 5.0,
) -> FastPermutations:
    """Choose permutations backwards from x*, so that any start is led to x* exponentially fast.

    ``y_0 = x*``; y_k is the preimage of y_(k-1) under one epoch, with the order whose preimage lies
    nearest to x*. Run forwards with the choices reversed, a start at y_K would end at x* exactly,
    and every epoch contracts the distance to it.

    Parameters
    ----------
    gradient, hessian : callable
        First and second derivative: ``(i, x)``, int (P,) and float64 (P,) -> float64 (P,).
    x_star : float
        The minimiser, to the last bit.
    n, epochs : int
        At least 2 and 1.
    step_size : float
        Below 1 / max f_i''.
    orders : array_like of int, shape (P, n), optional
        Orders to choose from; by default the components by ascending gradient at x*, whose epoch
        drifts left because the pushes to the left come last, and the reverse.
    max_radius : float
        Largest distance from x* allowed to the backward iterates.

    Returns
    -------
    FastPermutations

    Raises
    ------
    NoCoverError
        If the backward iterate leaves ``max_radius``.
    ValueError
        If a parameter is outside its range.
    """
    n, epochs = check_integer("n", n, 2), check_integer("epochs", epochs, 1)
    if not isinstance(x_star, float | int | np.number) or not math.isfinite(x_star):
        raise ValueError(f"x_star must be a finite number, got {x_star!r}")
    check_positive("step_size", step_size)
    everyone, at_star = np.arange(n), np.full(n, float(x_star))
    bend = _checked_curvature(hessian(everyone, at_star), step_size)
    slopes = gradient(everyone, at_star)
    away = slopes.sum() / bend.sum()  # a step of Newton's method
    if abs(away) > 1e-6 * max(1.0, abs(x_star)):
        raise ValueError(f"x_star must be the minimiser, got {x_star!r}, {away:.3g} away from it")
    if orders is None:
        rising = np.argsort(slopes, kind="stable")
        orders = np.stack([rising, rising[::-1]])
    orders = np.asarray(orders)
    whole = np.issubdtype(orders.dtype, np.integer)
    fits = whole and orders.ndim == 2 and orders.shape[1] == n and len(orders) > 0
    if not fits or (np.sort(orders, axis=1) != everyone).any():
        raise ValueError(f"orders must hold permutations, shape (P, {n}), got {orders.shape}")
    backward, choices = [float(x_star)], []
    for epoch in range(1, epochs + 1):
        preimages = _before_epoch(gradient, hessian, orders, backward[-1], step_size)
        nearest = _nearest(preimages, x_star)
        if not abs(preimages[nearest] - x_star) <= max_radius:
            raise NoCoverError(step_size, epoch, max_radius)
        backward.append(float(preimages[nearest]))
        choices.append(nearest)
    return FastPermutations(
        orders[choices[::-1]], np.array(backward), float(np.prod(1 - step_size * bend))
    )


def _nearest(preimages: Array, x_star: float) -> int:
    """Index of the preimage that lies nearest to x*; the first of equals."""
    return int(np.abs(preimages - x_star).argmin())


def _before_epoch(
    gradient: Callable, hessian: Callable, orders: Permutations, end: float, step_size: float
) -> Array:
    """Where an epoch in each of the orders started if it ended at ``end``: float64 (P,)."""
    u = np.full(len(orders), end)
    for i in orders.T[::-1]:
        v = u.copy()  # solve u - eta f_i'(u) = v
        for _ in range(NEWTON_STEPS):
            bend = _checked_curvature(hessian(i, u), step_size)
            step = (u - step_size * gradient(i, u) - v) / (1 - step_size * bend)
            u = u - step
            if (np.abs(step) <= 1e-17 + 1e-16 * np.abs(u)).all():
                break
    return u


def _checked_curvature(bend: Array, step_size: float) -> Array:
    """Refuse a step at which an epoch cannot be inverted."""
    if not step_size * bend.max() < 1:
        raise ValueError(
            f"step_size must be below 1 / max hessian = {1 / bend.max():.6g}, got {step_size}"
        )
    return bend
