"""Numbers with their uncertainty: fits of rates, bootstrap intervals, Wilson intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000


@dataclass(frozen=True)
class RateFit:
    """Least-squares fit of ``log(err) = intercept + slope * log(x)``.

    Attributes
    ----------
    slope, intercept : float
        Of the straight line in natural logarithms (slope: the exponent, dimensionless).
    low, high : float
        95% interval of the slope over bootstrap resamples of the runs; NaN without runs.
    r2 : float
        Share of the variance of ``log(err)`` that the line explains.
    """

    slope: float
    intercept: float
    low: float
    high: float
    r2: float

    @property
    def interval(self) -> tuple[float, float]:
        """``(low, high)``."""
        return self.low, self.high


def fit_rate(
    x: ArrayLike,
    err: ArrayLike,
    *,
    log_power: float = 0.0,
    log_argument: ArrayLike | None = None,
    runs: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> RateFit:
    """Fit the exponent of ``err ~ x^slope``, by least squares on logarithms.

    Parameters
    ----------
    x : array_like, shape (points,)
        Positive, at least 3 distinct values.
    err : array_like, shape (points,)
        Positive errors.
    log_power : float
        p: divide ``err`` by ``log(log_argument)^p`` first.
    log_argument : array_like, shape (points,), optional
        Argument of that logarithm, above 1; ``x`` by default.
    runs : array_like, shape (points, runs), optional
        Errors of single runs, whose means are ``err``. With them the slope gets an interval:
        the 2.5% and 97.5% quantiles over 1000 bootstrap resamples of the runs at each point.
    rng : numpy.random.Generator, optional
        Required with ``runs``.

    Returns
    -------
    RateFit

    Raises
    ------
    ValueError
        If shapes disagree, an entry is not positive and finite, fewer than 3 values of x differ,
        or ``rng`` is missing.
    """
    x = _positive("x", x)
    err = _positive("err", err)
    if x.shape != err.shape or x.ndim != 1:
        raise ValueError(f"x and err must have one shape (points,), got {x.shape} and {err.shape}")
    if len(np.unique(x)) < 3:
        raise ValueError(f"x must hold at least 3 distinct values, got {np.unique(x).tolist()}")
    correction = np.zeros_like(x)
    if log_power:
        argument = x if log_argument is None else _positive("log_argument", log_argument)
        if argument.shape != x.shape or argument.min() <= 1:
            raise ValueError(
                f"log_argument must have shape {x.shape} and exceed 1, got {argument.tolist()[:5]}"
            )
        correction = log_power * np.log(np.log(argument))
    u = np.log(x) - np.log(x).mean()
    y = np.log(err) - correction
    slope = float(u @ y / (u @ u))
    intercept = float(y.mean() - slope * np.log(x).mean())
    total = float(((y - y.mean()) ** 2).sum())
    residual = float(((y - intercept - slope * np.log(x)) ** 2).sum())
    r2 = 1.0 - residual / total if total > 0 else 1.0
    low = high = math.nan
    if runs is not None:
        means = bootstrap_means(runs, rng=rng)  # (RESAMPLES, points)
        if means.shape[1] != len(x):
            raise ValueError(
                f"runs must have one row a point, got {means.shape[1]} rows for {len(x)} points"
            )
        slopes = (np.log(_positive("runs", means)) - correction) @ u / (u @ u)
        low, high = (float(q) for q in np.quantile(slopes, (0.025, 0.975)))
    return RateFit(slope, intercept, low, high, r2)


def slope(x: ArrayLike, y: ArrayLike) -> float:
    """Least-squares slope of y on x: array_like (points,), (points,)."""
    return float(np.polyfit(x, y, 1)[0])


def log_slope(x: ArrayLike, err: ArrayLike) -> NDArray[np.float64]:
    """Least-squares slope of ``log(err)`` on ``log(x)``, for many rows of errors at once.

    Parameters
    ----------
    x : array_like, shape (points,)
        Positive, at least 2 distinct values.
    err : array_like, shape (..., points)

    Returns
    -------
    ndarray of float64, shape (...)
        NaN where an error is not positive.
    """
    u = np.log(_positive("x", x))
    u = u - u.mean()
    err = np.asarray(err, dtype=np.float64)
    logs = np.log(np.where(err > 0, err, np.nan))
    return logs @ u / (u @ u)


@dataclass(frozen=True)
class Estimate:
    """A number computed from mean errors, with its 95% interval.

    Attributes
    ----------
    value, low, high : float
    """

    value: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """``(low, high)``."""
        return self.low, self.high


def estimate(
    function: Callable[[NDArray[np.float64]], ArrayLike],
    runs: ArrayLike,
    *,
    rng: np.random.Generator,
    paired: bool = False,
) -> Estimate:
    """Apply a function to the mean errors of some points, and bootstrap its interval over the runs.

    Parameters
    ----------
    function : callable
        Takes means, float64 (..., points), and returns (...).
    runs : array_like, shape (points, runs)
        Errors of single runs.
    rng : numpy.random.Generator
    paired : bool
        True if run r met the same orders at every point, so that runs are resampled together.

    Returns
    -------
    Estimate
        With the 2.5% and 97.5% quantiles over 1000 resamples.

    Raises
    ------
    ValueError
        As for `bootstrap_means`.
    """
    sample = np.asarray(runs, dtype=np.float64)
    resampled = function(bootstrap_means(sample, rng=rng, paired=paired))
    low, high = (float(q) for q in np.quantile(resampled, (0.025, 0.975)))
    return Estimate(float(function(sample.mean(axis=1))), low, high)


def bootstrap_means(
    runs: ArrayLike,
    *,
    rng: np.random.Generator | None,
    resamples: int = RESAMPLES,
    paired: bool = False,
) -> NDArray[np.float64]:
    """Means over bootstrap resamples of the runs, drawn independently at each point.

    More than 1000 runs are first averaged in at most 1000 batches of equal size (one run more or
    less), which keeps the work bounded and the law of the mean, to first order.

    Parameters
    ----------
    runs : array_like, shape (points, runs)
        At least 2 runs a point.
    rng : numpy.random.Generator
    resamples : int
    paired : bool
        Draw the same runs at every point instead.

    Returns
    -------
    ndarray of float64, shape (resamples, points)

    Raises
    ------
    ValueError
        If ``runs`` has another shape or ``rng`` is missing.
    """
    runs = np.asarray(runs, dtype=np.float64)
    if runs.ndim != 2 or runs.shape[1] < 2:
        raise ValueError(f"runs must have shape (points, at least 2), got {runs.shape}")
    if rng is None:
        raise ValueError("rng must be a numpy.random.Generator where runs are resampled, got None")
    points, count = runs.shape
    sizes = np.ones(count)
    if count > 1000:
        starts = np.linspace(0, count, 1000, endpoint=False).astype(np.int64)
        runs = np.add.reduceat(runs, starts, axis=1)
        sizes = np.diff(np.append(starts, count)).astype(np.float64)
        count = 1000
    out = np.empty((resamples, points))
    for p in range(points):
        if p == 0 or not paired:
            picks = rng.integers(count, size=(resamples, count))
        out[:, p] = runs[p][picks].sum(axis=1) / sizes[picks].sum(axis=1)
    return out


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95% interval of a probability after so many successes (Wilson's score interval).

    Raises
    ------
    ValueError
        If the counts are not integers with 0 <= successes <= trials, trials >= 1.
    """
    from scipy import stats

    interval = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def _positive(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return ``values`` as a float64 array of positive finite entries."""
    array = np.asarray(values, dtype=np.float64)
    wrong = ~(np.isfinite(array) & (array > 0))
    if array.size == 0 or wrong.any():
        culprit = array[wrong][0] if array.size else "an empty array"
        raise ValueError(f"{name} must be positive and finite everywhere, got {culprit}")
    return array
