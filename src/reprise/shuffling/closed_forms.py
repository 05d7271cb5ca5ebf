"""Step sizes, and exact errors where they are known."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reprise.runtime import check_integer, check_not_negative, check_positive
from reprise.shuffling.orders import OrderName


def log_step_size(n: int, K: int, factor: float = 1.0, mu: float = 1.0) -> float:
    """Step ``factor * log(nK) / (mu n K)``, constant over a run of K epochs.

    Parameters
    ----------
    n, K : int
        Components and epochs, ``n K >= 2``.
    factor : float
        c > 0; 4 in the authors' scripts.
    mu : float
        Strong convexity, positive.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a parameter is outside its range.
    """
    for name, value in (("n", n), ("K", K)):
        check_integer(name, value, 1)
    if n * K < 2:
        raise ValueError(f"n * K must be at least 2, got {n * K}")
    for name, value in (("factor", factor), ("mu", mu)):
        check_positive(name, value)
    return factor * math.log(n * K) / (mu * n * K)


def epoch_weights(n: int, eta: float) -> NDArray[np.float64]:
    """Weight ``eta (1 - eta)^(n - j)`` that step j of an epoch leaves on its component: (n,)."""
    return eta * (1 - eta) ** np.arange(n - 1, -1, -1.0)


def mean_estimation_error(
    n: int,
    K: int,
    step_size: float,
    sum_squares: float,
    initial_distance2: float,
    order: OrderName,
) -> float:
    """Exact ``E|x_K - x*|^2`` of SGD on ``f_i(x) = |x - b_i|^2 / 2``.

    Step j of an epoch leaves the weight ``w_j = eta (1 - eta)^(n - j)`` on the component it visits.
    A uniform permutation turns the weights' spread into variance; an epoch contracts by
    ``rho = (1 - eta)^n``. FlipFlop treats two epochs as one with weights ``rho w + reverse(w)``.

    Parameters
    ----------
    n, K : int
        Components and epochs; K even for FlipFlop, n >= 2.
    step_size : float
        Constant eta in (0, 2).
    sum_squares : float
        ``sum_i |b_i - mean|^2``.
    initial_distance2 : float
        ``|x_0 - x*|^2`` or its mean.
    order : str
        "with_replacement", "random_reshuffling", "single_shuffle", or FlipFlop of the last two.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a parameter is outside its range or the order has no closed form here.
    """
    check_integer("n", n, 2)
    check_integer("K", K, 1)
    if not 0 < step_size < 2:
        raise ValueError(f"step_size must lie in (0, 2), got {step_size}")
    for name, value in (("sum_squares", sum_squares), ("initial_distance2", initial_distance2)):
        check_not_negative(name, value)
    eta = step_size
    if order == "with_replacement":
        q = (1 - eta) ** 2
        power = q ** (n * K)
        return power * initial_distance2 + eta**2 * (sum_squares / n) * (1 - power) / (1 - q)
    w = epoch_weights(n, eta)
    rho, epochs = (1 - eta) ** n, K
    if order.startswith("flipflop_"):
        if K % 2:
            raise ValueError(f"epochs must be even for FlipFlop, got {K}")
        w, rho, epochs = rho * w + w[::-1], rho**2, K // 2
    variance = sum_squares / (n - 1) * float(((w - w.mean()) ** 2).sum())
    match order.removeprefix("flipflop_"):
        case "random_reshuffling":
            noise = variance * (1 - rho ** (2 * epochs)) / (1 - rho**2)
        case "single_shuffle":
            noise = variance * ((1 - rho**epochs) / (1 - rho)) ** 2
        case _:
            raise ValueError(f"order must be one with a closed form, got {order!r}")
    return rho ** (2 * epochs) * initial_distance2 + noise
