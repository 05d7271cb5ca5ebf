"""The rates that the paper compares, and the exact error of any pattern on mean estimation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reprise.shuffling.closed_forms import epoch_weights


@dataclass(frozen=True)
class Rate:
    """Exponents of a rate with and without FlipFlop, on strongly convex quadratics (recalled).

    Attributes
    ----------
    order : str
        The order that FlipFlop is applied to.
    plain, flipflop : str
        The rates in LaTeX, logarithms and condition numbers hidden.
    plain_exponent, flipflop_exponent : int
        Power of 1/K before the term 1/(n^2 K^2) takes over.
    """

    order: str
    plain: str
    flipflop: str
    plain_exponent: int
    flipflop_exponent: int


def rate_table() -> list[Rate]:
    """The rates that the paper compares (recalled; log and condition numbers hidden)."""
    both = r"\frac{1}{n^2K^2} + "
    return [
        Rate("random_reshuffling", both + r"\frac{1}{nK^3}", both + r"\frac{1}{nK^5}", 3, 5),
        Rate("single_shuffle", r"\frac{1}{nK^2}", both + r"\frac{1}{nK^4}", 2, 4),
        Rate("incremental", r"\frac{1}{K^2}", both + r"\frac{1}{K^3}", 2, 3),
    ]


def pattern_error(
    pattern: Sequence[int], n: int, K: int, step_size: float, sum_squares: float
) -> float:
    """Exact E|x_K - x*|^2 on mean estimation, started at x*, a fresh permutation for each pattern.

    The weights of a block are those of its epochs, each decayed by the epochs after it; a uniform
    permutation turns their spread into variance.

    Parameters
    ----------
    pattern : sequence of 1 or -1
        As for `follow_pattern`.
    n, K : int
        K a multiple of the pattern's length.
    step_size, sum_squares : float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If K is not a multiple of the pattern's length.
    """
    if K < 1 or K % len(pattern):
        raise ValueError(f"K must be a multiple of {len(pattern)}, got {K}")
    rho = (1 - step_size) ** n
    w = epoch_weights(n, step_size)
    block = np.zeros(n)
    for way in pattern:
        block = rho * block + w[::way]
    variance = sum_squares / (n - 1) * float(((block - block.mean()) ** 2).sum())
    ratio = rho ** (2 * len(pattern))
    return variance * (1 - ratio ** (K // len(pattern))) / (1 - ratio)
