"""Minibatch and local SGD with shuffling: M workers, N components each, K epochs.

An epoch has N/B rounds. Minibatch SGD takes one step a round, along the mean of M B gradients;
local SGD lets every worker take B steps alone and then averages. With reshuffling both fall as
1/K^2 where sampling with replacement falls as 1/K. Local SGD pays for the noise and the drift that
a worker collects within a round. Where the workers' data agree, walking one order from M starting
points (synchronized shuffling) averages the noise out within the epoch.

Yun, Rajput, Sra, "Minibatch vs Local SGD with Shuffling: Tight Convergence Bounds and Beyond", ICLR
2022, arXiv 2110.10342.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.shuffling.simulate import (
    FederatedSum,
    GluedSum,
    LogisticSum,
    RippledSum,
    Scheme,
    SGDResult,
    draw_orders,
    run_rounds,
)

Array = NDArray[np.float64]
Method = Literal["minibatch", "local"]

METHODS: tuple[Method, ...] = ("minibatch", "local")


# --- problems -------------------------------------------------------------------------------------


def kinked_problem(
    workers: int,
    components: int,
    curvature: float = 4.0,
    noise: float = 1.0,
    heterogeneity: float = 0.0,
    mixing: float = 0.0,
    rng: np.random.Generator | None = None,
    *,
    arrangements: int = 1,
) -> FederatedSum:
    """The hard instance: glued parabolas, balanced noise in a worker, opposite drifts between two.

    ``f_i^m(x) = c(x) x^2 / 2 + (s_i^m nu + t_m tau) x``, c = ``curvature`` for x > 0 and 1
    otherwise, ``t_m = +1, -1, +1, ...``. The noise is ``s_i^m = (1 - lambda) s_i + lambda e_i^m``:
    s_i = +1 for the first half of the components and -1 for the rest, the same on all workers, and
    e^m an independent random arrangement of it. F(x) = c(x) x^2 / 2 with minimiser 0.

    Parameters
    ----------
    workers, components : int
        M and N; N even, M even with heterogeneity.
    curvature : float
        L, positive.
    noise, heterogeneity : float
        nu and tau, not negative.
    mixing : float
        lambda in [0, 1]: the share of each worker's noise that is its own.
    rng : numpy.random.Generator, optional
        Draws the arrangements; required with mixing.
    arrangements : int
        How many independent e to draw; run r of a simulation uses the r-th, modulo their number.
        1 or more; without mixing only 1.

    Returns
    -------
    FederatedSum

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    References
    ----------
    Derived for this book, in the spirit of the paper's lower bounds, whose own functions differ.
    """
    _check_federation(workers, components)
    for name, value in (("noise", noise), ("heterogeneity", heterogeneity)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and not negative, got {value}")
    if not 0 <= mixing <= 1:
        raise ValueError(f"mixing must lie in [0, 1], got {mixing}")
    if heterogeneity > 0 and workers % 2:
        raise ValueError(f"workers must be even with heterogeneity, got {workers}")
    if arrangements < 1 or (arrangements > 1 and mixing == 0):
        raise ValueError(f"arrangements must be 1, or more with mixing, got {arrangements}")
    signs = np.broadcast_to(_balanced(components), (arrangements, workers, components))
    if mixing > 0:
        if rng is None:
            raise ValueError("rng must be a numpy.random.Generator with mixing, got None")
        signs = (1 - mixing) * signs + mixing * rng.permuted(signs, axis=-1)
    sides = np.where(np.arange(workers) % 2 == 0, 1.0, -1.0)
    drift = heterogeneity * sides if heterogeneity > 0 else None
    base = GluedSum(noise * signs.reshape(-1), curvature)
    return FederatedSum(base, workers, drift=drift, arrangements=arrangements)


def pl_problem(workers: int, components: int, noise: float = 1.0) -> FederatedSum:
    """A sum that is not convex but satisfies the PL condition: F(x) = x^2 + 3 sin^2 x.

    Components are F with the balanced linear noise +-nu x of `kinked_problem`.

    Raises
    ------
    ValueError
        If components are odd or a number is outside its range.
    """
    _check_federation(workers, components)
    if not (math.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise must be finite and not negative, got {noise}")
    return FederatedSum(RippledSum(noise * np.tile(_balanced(components), workers)), workers)


def logistic_problem(
    X: Array,
    y: ArrayLike,
    workers: int,
    split: Literal["iid", "by_label"] = "iid",
    l2: float = 1e-2,
    *,
    multiple: int = 16,
    rng: np.random.Generator,
) -> FederatedSum:
    """Regularised logistic regression on a data set, dealt out to workers.

    Features are standardised and rows scaled to mean length 1. What does not divide evenly is left
    out, drawn at random.

    Parameters
    ----------
    X : float64 (rows, d)
    y : array_like, shape (rows,)
        Two classes: the larger value is the positive one.
    workers : int
    split : {"iid", "by_label"}
        Deal rows out at random, or sorted by label, so that most workers see one class.
    l2 : float
        Positive regularisation; it is the strong convexity mu.
    multiple : int
        N becomes a multiple of it, so that its divisors can be local steps.
    rng : numpy.random.Generator

    Returns
    -------
    FederatedSum

    Raises
    ------
    ValueError
        For an unknown split, other than two classes, too few rows, or ``l2`` not positive.
    """
    if split not in ("iid", "by_label"):
        raise ValueError(f"split must be 'iid' or 'by_label', got {split!r}")
    if not (math.isfinite(l2) and l2 > 0):
        raise ValueError(f"l2 must be positive and finite, got {l2}")
    features, labels = np.asarray(X, dtype=np.float64), np.asarray(y)
    classes = np.unique(labels)
    if len(classes) != 2:
        raise ValueError(f"y must hold two classes, got {classes[:5].tolist()}")
    for name, value in (("workers", workers), ("multiple", multiple)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    block = workers * multiple
    if len(features) < block:
        raise ValueError(
            f"workers * multiple must be at most {len(features)}, the rows, "
            f"got {workers} * {multiple}"
        )
    kept = rng.permutation(len(features))[: len(features) // block * block]
    rows = features[kept] - features[kept].mean(axis=0)
    rows /= np.maximum(rows.std(axis=0), 1e-9)
    rows /= np.linalg.norm(rows, axis=1).mean()
    signs = np.where(labels[kept] == classes[1], 1.0, -1.0)
    if split == "by_label":
        by_label = np.argsort(signs, kind="stable")
        rows, signs = rows[by_label], signs[by_label]
    return FederatedSum(LogisticSum(rows, signs, l2=l2), workers)


# --- the algorithms -------------------------------------------------------------------------------


def shuffle_orders(
    scheme: Scheme,
    workers: int,
    components: int,
    epochs: int,
    runs: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Write out what every worker visits: int64 (runs, epochs, M, N).

    With replacement: uniform indices. Random reshuffling: a fresh permutation for each worker and
    epoch. Single shuffle: one for each worker, kept. Synchronized: one permutation sigma and one pi
    of the workers in each epoch; worker m visits ``sigma((i + (N / M) pi(m)) mod N)``.

    The stream depends on generator, scheme, run, epoch and worker only, so that two methods, batch
    sizes or steps can be given the same orders.

    Raises
    ------
    ValueError
        As for `reprise.shuffling.orders.schedule`.
    """
    return draw_orders(scheme, components, epochs=epochs, runs=runs, workers=workers, rng=rng)


def minibatch_sgd(
    problem: FederatedSum,
    *,
    local_steps: int,
    epochs: int,
    step_size: ArrayLike,
    scheme: Scheme,
    runs: int,
    x0: ArrayLike | None = None,
    rng: np.random.Generator,
    record: Sequence[int] | None = None,
    threads: int | None = None,
) -> SGDResult:
    """Minibatch SGD: one step of size alpha B along the mean of M B gradients, N/B times an epoch.

    Parameters
    ----------
    problem : FederatedSum
    local_steps : int
        B, gradients a worker sends in a round; divides N.
    epochs : int
        K.
    step_size : float or array_like
        alpha, the step of a single component; shapes as for `run_sgd`.
    scheme : str or ndarray of int, shape (epochs, M, N) or (runs, epochs, M, N)
        A name from ``SCHEME_NAMES`` or orders of your own.
    runs, x0, rng, record, threads
        As for `run_sgd`.

    Returns
    -------
    SGDResult

    Raises
    ------
    ValueError
        If a parameter is outside its range; the message names it.
    """
    options = {"x0": x0, "rng": rng, "record": record, "threads": threads, "runs": runs}
    rounds = {"method": "minibatch", "local_steps": local_steps}
    return run_rounds(problem, scheme, epochs=epochs, step_size=step_size, **rounds, **options)


def local_sgd(
    problem: FederatedSum,
    *,
    local_steps: int,
    epochs: int,
    step_size: ArrayLike,
    scheme: Scheme,
    runs: int,
    x0: ArrayLike | None = None,
    rng: np.random.Generator,
    record: Sequence[int] | None = None,
    threads: int | None = None,
) -> SGDResult:
    """Local SGD (federated averaging): B steps of size alpha on every worker, then the mean.

    Parameters and errors are those of `minibatch_sgd`.
    """
    options = {"x0": x0, "rng": rng, "record": record, "threads": threads, "runs": runs}
    rounds = {"method": "local", "local_steps": local_steps}
    return run_rounds(problem, scheme, epochs=epochs, step_size=step_size, **rounds, **options)


# --- theory ---------------------------------------------------------------------------------------


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
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if M * N * K**2 < 2:
        raise ValueError(f"M N K^2 must be at least 2, got {M * N * K**2}")
    for name, value in (("mu", mu), ("c", c)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, got {value}")
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
    method: Method,
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
    _check_method(method)
    for name, value in (("M", M), ("N", N), ("B", B), ("K", K)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    for name, value in (("nu", nu), ("tau", tau)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and not negative, got {value}")
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
    method: Method,
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
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, got {value}")
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
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not (math.isfinite(nu) and nu > 0):
        raise ValueError(f"nu must be positive and finite, got {nu}")
    if not (math.isfinite(tau) and tau >= 0):
        raise ValueError(f"tau must be finite and not negative, got {tau}")
    if tau == 0:
        return N / M
    root = math.sqrt(nu**4 + 4 * tau**2 * nu**2 * N / M)
    return 2 * nu**2 * N / M / (nu**2 + root)  # no difference of nearly equal numbers


# --- exact values ---------------------------------------------------------------------------------


def enumerate_exact(
    problem: FederatedSum,
    method: Method,
    scheme: Scheme,
    B: int,
    step_size: float,
    x0: float,
    *,
    epochs: int = 1,
) -> float:
    """E[F(x_K)] without sampling: every outcome of the shuffles, all equally likely.

    Independent of the simulator: it lists the permutations itself and steps with
    ``component_gradients``.

    Parameters
    ----------
    problem : FederatedSum
        In one dimension.
    method : {"minibatch", "local"}
    scheme : {"with_replacement", "random_reshuffling", "single_shuffle", "synchronized"}
    B : int
        Local steps.
    step_size, x0 : float
    epochs : int
        At most a few: the outcomes multiply.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For an unknown method or scheme, more than one dimension, or more than 2,000,000 outcomes.
    """
    _check_method(method)
    if problem.dim != 1:
        raise ValueError(f"problem must have one dimension, got {problem.dim}")
    M, N = problem.workers, problem.components
    if B < 1 or N % B:
        raise ValueError(f"B must divide components, got {B} and {N}")
    shuffles = math.factorial(N)
    outcomes = {
        "with_replacement": N ** (N * M * epochs),
        "random_reshuffling": shuffles ** (M * epochs),
        "single_shuffle": shuffles**M,
        "synchronized": (shuffles * math.factorial(M)) ** epochs,
    }
    if not isinstance(scheme, str) or scheme not in outcomes:
        raise ValueError(f"scheme must be one of {', '.join(outcomes)}, got {scheme!r}")
    if outcomes[scheme] > 2_000_000:
        raise ValueError(
            f"components must be few enough for 2,000,000 outcomes, got {outcomes[scheme]}"
        )
    each = list(itertools.permutations(range(N)))
    match scheme:
        case "with_replacement":
            once = list(itertools.product(itertools.product(range(N), repeat=N), repeat=M))
        case "synchronized":
            once = [
                [[s[(i + N // M * p) % N] for i in range(N)] for p in pi]
                for s in each
                for pi in itertools.permutations(range(M))
            ]
        case _:
            once = list(itertools.product(each, repeat=M))
    listed = np.array(once)  # (outcomes of an epoch, M, N)
    x = np.full(1, float(x0))
    row = np.arange(len(listed))
    for _ in range(epochs):
        if scheme != "single_shuffle" or len(x) == 1:
            x, row = np.repeat(x, len(listed)), np.tile(np.arange(len(listed)), len(x))
        orders = listed[row]
        for first in range(0, N, B):
            y = np.repeat(x[:, None, None], M, axis=1)  # (outcomes, M, 1)
            start = y
            for j in range(first, first + B):
                at = y if method == "local" else start
                slope = problem.component_gradients(np.arange(M), orders[:, :, j], at)
                y = y - step_size * slope
            x = y.mean(axis=1)[:, 0]
    return float(problem.value(x[:, None]).mean())


def round_paths(
    problem: FederatedSum, orders: NDArray[np.int64], local_steps: int, step_size: float, x0: float
) -> Array:
    """Where every worker of local SGD is after each step of one epoch, for the figures.

    Parameters
    ----------
    problem : FederatedSum
        In one dimension.
    orders : ndarray of int64, shape (M, N)
    local_steps : int
    step_size, x0 : float

    Returns
    -------
    ndarray of float64, shape (M, rounds, local_steps + 1)
        Each round begins at the workers' mean.
    """
    workers = np.arange(problem.workers)
    rounds = orders.reshape(problem.workers, -1, local_steps)
    path = np.empty((problem.workers, rounds.shape[1], local_steps + 1))
    x = float(x0)
    for r in range(rounds.shape[1]):
        path[:, r, 0] = x
        for j in range(local_steps):
            at = path[:, r, j, None]
            slope = problem.component_gradients(workers, rounds[:, r, j], at)[:, 0]
            path[:, r, j + 1] = path[:, r, j] - step_size * slope
        x = path[:, r, -1].mean()
    return path


# --- beyond the paper -----------------------------------------------------------------------------


def match_components(gradients: Array) -> NDArray[np.int64]:
    """Pair the workers' components by gradient: what synchronized shuffling needs of unequal data.

    Worker m's component ``match[m, i]`` stands in for worker 0's component i; the sum of squared
    distances between their gradients is the least possible (an assignment problem).

    Parameters
    ----------
    gradients : float64 (M, N, d)
        Of every component, at one point.

    Returns
    -------
    ndarray of int64, shape (M, N)

    Raises
    ------
    ValueError
        If ``gradients`` has another number of axes or is not finite.
    """
    from scipy.optimize import linear_sum_assignment

    rows = np.asarray(gradients, dtype=np.float64)
    if rows.ndim != 3 or not np.isfinite(rows).all():
        raise ValueError(f"gradients must be finite, of shape (M, N, d), got {rows.shape}")
    match = np.empty(rows.shape[:2], dtype=np.int64)
    for m, row in enumerate(rows):
        similarity = rows[0] @ row.T  # the squares of both do not depend on the assignment
        match[m] = linear_sum_assignment(similarity, maximize=True)[1]
    return match


def rename_components(orders: NDArray[np.int64], match: NDArray[np.int64]) -> NDArray[np.int64]:
    """Let every worker visit ``match[m, i]`` where its order says i.

    Parameters
    ----------
    orders : int64 (..., M, N)
    match : int64 (M, N)

    Returns
    -------
    ndarray of int64, shape (..., M, N)
    """
    return np.take_along_axis(np.broadcast_to(match, orders.shape), orders, axis=-1)


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
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and not negative, got {value}")
    if N < 1 or not (rounds >= 1).all():
        raise ValueError(f"N and B must be at least 1, got {N} and {B}")
    return N / rounds * latency + N * cost


# --- the chapter's checks -------------------------------------------------------------------------


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be 'minibatch' or 'local', got {method!r}")


def _check_federation(workers: int, components: int) -> None:
    """The sizes that balanced noise needs."""
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if components < 2 or components % 2:
        raise ValueError(f"components must be even and at least 2, got {components}")


def _balanced(components: int) -> Array:
    """+1 for the first half, -1 for the rest."""
    return np.where(np.arange(components) < components // 2, 1.0, -1.0)
