"""The chapter's step, and the terms of the error with constants and in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import check_integer, check_not_negative, check_positive

Array = NDArray[np.float64]


def step_size(M: int, N: int, K: int, mu: float = 1.0, c: float = 2.0) -> float:
    """Step of a single component, ``alpha = c log(M N K^2) / (mu N K)``.

    Parameters
    ----------
    M, N, K : int
        Workers, components of each, epochs; ``M N K^2 >= 2``.
    mu : float
        PL constant, positive.
    c : float
        Positive. 1/mu decides how far the start is forgotten: its share in x falls as
        ``(M N K^2)^-c``.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    References
    ----------
    The form is recalled; the logarithm's argument was not checked against the paper.
    """
    for name, value in (("M", M), ("N", N), ("K", K)):
        check_integer(name, value, 1)
    if M * N * K**2 < 2:
        raise ValueError(f"M N K^2 must be at least 2, got {M * N * K**2}")
    for name, value in (("mu", mu), ("c", c)):
        check_positive(name, value)
    return c * math.log(M * N * K**2) / (mu * N * K)


@dataclass(frozen=True)
class RateTerms:
    """The terms of a rate for F(x_K) - F*, constants, kappa and logarithms hidden.

    Attributes
    ----------
    noise : float
        Of the noise that all workers average: nu^2 / (M N K^2) with reshuffling.
    walk : float
        Of the noise that a worker collects alone within a round: nu^2 B / (N^2 K^2).
    drift : float
        Of the way to a worker's own optimum within a round: tau^2 B^2 / (N^2 K^2).
    """

    noise: float
    walk: float
    drift: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.noise + self.walk + self.drift


def rate_terms(
    method: Literal["minibatch", "local"],
    scheme: Literal["with_replacement", "random_reshuffling", "synchronized"],
    M: int,
    N: int,
    B: int,
    K: int,
    nu: float = 1.0,
    tau: float = 0.0,
) -> RateTerms:
    """The terms of the table of rates.

    With replacement only the noise nu^2 / (M N K) is listed; local SGD has drift terms beside it
    that are not known here. The reshuffling row is recalled; that of synchronized shuffling is
    derived for this book, for workers with equal components.

    Parameters
    ----------
    method : {"minibatch", "local"}
    scheme : {"with_replacement", "random_reshuffling", "synchronized"}
    M, N, B, K : int
        Workers, components of each, local steps, epochs.
    nu, tau : float
        Deviation within and between workers, not negative.

    Returns
    -------
    RateTerms

    Raises
    ------
    ValueError
        If a parameter is outside its range or the scheme is not in the table.
    """
    if method not in ("minibatch", "local"):
        raise ValueError(f"method must be 'minibatch' or 'local', got {method!r}")
    for name, value in (("M", M), ("N", N), ("B", B), ("K", K)):
        check_integer(name, value, 1)
    for name, value in (("nu", nu), ("tau", tau)):
        check_not_negative(name, value)
    match scheme:
        case "with_replacement":
            return RateTerms(nu**2 / (M * N * K), 0.0, 0.0)
        case "random_reshuffling":
            noise = nu**2 / (M * N * K**2)
        case "synchronized":
            noise = nu**2 / (M**2 * N * K**2)
        case _:
            raise ValueError(
                "scheme must be 'with_replacement', 'random_reshuffling' or 'synchronized', "
                f"got {scheme!r}"
            )
    if method == "minibatch":
        return RateTerms(noise, 0.0, 0.0)
    return RateTerms(noise, nu**2 * B / (N * K) ** 2, (tau * B) ** 2 / (N * K) ** 2)


def theory_rate(
    method: Literal["minibatch", "local"],
    scheme: Literal["with_replacement", "random_reshuffling", "synchronized"],
    M: int,
    N: int,
    B: int,
    K: int,
    nu: float = 1.0,
    tau: float = 0.0,
    L: float = 1.0,
    mu: float = 1.0,
) -> float:
    """``L^2 / mu^3`` times the sum of `rate_terms`: a rate without constants and logarithms.

    Raises
    ------
    ValueError
        As for `rate_terms`, and if L or mu is not positive.
    """
    for name, value in (("L", L), ("mu", mu)):
        check_positive(name, value)
    return L**2 / mu**3 * rate_terms(method, scheme, M, N, B, K, nu, tau).total


def crossover_batch(M: int, N: int, nu: float = 1.0, tau: float = 0.0) -> float:
    """The B at which local SGD's own terms equal the shared noise: tau^2 B^2 + nu^2 B = nu^2 N / M.

    Below it local SGD keeps up with minibatch SGD. N / M for equal workers.

    Raises
    ------
    ValueError
        If M or N is below 1, nu is not positive or tau is negative.
    """
    for name, value in (("M", M), ("N", N)):
        check_integer(name, value, 1)
    check_positive("nu", nu)
    check_not_negative("tau", tau)
    if tau == 0:
        return N / M
    root = math.sqrt(nu**4 + 4 * tau**2 * nu**2 * N / M)
    return 2 * nu**2 * N / M / (nu**2 + root)  # no difference of nearly equal numbers


@dataclass(frozen=True)
class ErrorModel:
    """``error / alpha^2 = a nu^2 N / M + b nu^2 B + c tau^2 B^2``: the terms with constants.

    Attributes
    ----------
    noise, walk, drift : float
        a, b and c, of which only a belongs to minibatch SGD.
    """

    noise: float
    walk: float
    drift: float

    def error(self, M: int, N: int, B: ArrayLike, nu: float, tau: ArrayLike, alpha: float) -> Array:
        """Predicted F(x_K) - F* of local SGD; B and tau broadcast."""
        B, tau = np.asarray(B, dtype=float), np.asarray(tau, dtype=float)
        own = self.walk * nu**2 * B + self.drift * (tau * B) ** 2
        return alpha**2 * (self.noise * nu**2 * N / M + own)


def fit_error_model(
    errors: ArrayLike, M: int, N: int, B: ArrayLike, nu: float, tau: ArrayLike, alpha: float
) -> ErrorModel:
    """Fit `ErrorModel` to measured errors of local SGD, by non-negative least squares.

    Parameters
    ----------
    errors : array_like, shape (points,)
        Positive.
    M, N : int
    B, tau : array_like, shape (points,)
    nu, alpha : float

    Returns
    -------
    ErrorModel
        Which minimises the sum of squared relative errors.

    Raises
    ------
    ValueError
        If the shapes differ or an error is not positive.
    """
    from scipy.optimize import nnls

    errors, B, tau = (np.asarray(v, dtype=float) for v in (errors, B, tau))
    if errors.ndim != 1 or not errors.shape == B.shape == tau.shape:
        raise ValueError(
            f"errors, B and tau must have one shape (points,), got {errors.shape}, {B.shape}, "
            f"{tau.shape}"
        )
    if not (errors > 0).all():
        raise ValueError(f"errors must be positive, got {errors.min()}")
    terms = np.column_stack([np.full(len(B), nu**2 * N / M), nu**2 * B, (tau * B) ** 2])
    scaled = terms * (alpha**2 / errors)[:, None]
    return ErrorModel(*(float(v) for v in nnls(scaled, np.ones(len(errors)))[0]))


def epoch_time(N: int, B: ArrayLike, latency: float, cost: float = 1.0) -> Array:
    """Time of an epoch: ``N / B`` rounds of ``latency`` and N gradients of ``cost`` on each worker.

    Parameters
    ----------
    N : int
        Components of a worker.
    B : int or array_like of int
        Local steps.
    latency, cost : float
        Time to meet once, and to compute one gradient, in one unit; not negative.

    Raises
    ------
    ValueError
        If a parameter is negative, or N or B not positive.
    """
    rounds = np.asarray(B, dtype=float)
    for name, value in (("latency", latency), ("cost", cost)):
        check_not_negative(name, value)
    if N < 1 or not (rounds >= 1).all():
        raise ValueError(f"N and B must be at least 1, got {N} and {B}")
    return N / rounds * latency + N * cost
