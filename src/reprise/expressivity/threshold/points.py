"""Points to memorise, their distances, and how many random hyperplanes part them.

Lifting x to (x, 1) turns a Gaussian gate with a bias into a random hyperplane through the origin:
it parts two points with probability angle / pi.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.spatial import cKDTree

from reprise.expressivity.threshold import kernels
from reprise.runtime import check_integer

Array = NDArray[np.float64]
EXACT_DISTANCE_POINTS = 20_000
_BLOCK = 2048
_GATES = 512  # drawn at once when separating


def sphere(n: int, d: int, *, rng: np.random.Generator) -> Array:
    """Uniform points on the unit sphere: float64 (n, d)."""
    x = rng.standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def ball(n: int, d: int, *, rng: np.random.Generator) -> Array:
    """Uniform points in the unit ball: float64 (n, d)."""
    return sphere(n, d, rng=rng) * rng.random((n, 1)) ** (1 / d)


def circle(n: int) -> Array:
    """Equally spaced points on the unit circle, delta = 2 sin(pi / n): float64 (n, 2)."""
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def radial_line(n: int = 17) -> Array:
    """Points t (0.6, 0.8), t from 0.2 to 1: no plane through the origin parts any of them."""
    return np.linspace(0.2, 1, n)[:, None] * np.array([0.6, 0.8])


def grid_packing(side: int, d: int, spacing: float) -> Array:
    """A cubic grid with a corner at the origin: float64 (side**d, d)."""
    axes = [spacing * np.arange(side, dtype=float)] * d
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)


def clusters(n: int, delta: float, d: int, *, size: int = 2, rng: np.random.Generator) -> Array:
    """Clusters of ``size`` points with steps of length ``delta``, just inside the unit sphere.

    Each cluster is a straight row: a point at radius ``1 - (size - 1) delta``, then one step after
    the other in a random direction. With ``size=2`` these are pairs at distance delta.

    Parameters
    ----------
    n : int
        A multiple of ``size``.
    delta : float
        Positive, below 1 / (size - 1).
    d, size : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (n, d)
        Neighbours are rows that follow each other.

    Raises
    ------
    ValueError
        If n is not a positive multiple of size, or delta is not positive.
    """
    if size < 1 or n < size or n % size:
        raise ValueError(f"n must be a positive multiple of size = {size}, got {n}")
    if not delta > 0:
        raise ValueError(f"delta must be positive, got {delta}")
    inner = 1 - (size - 1) * delta
    if not inner > 0:
        raise ValueError(f"delta must be below 1 / (size - 1), got {delta}")
    centre = inner * sphere(n // size, d, rng=rng)
    way = sphere(n // size, d, rng=rng)
    steps = delta * np.arange(size)[:, None]
    return (centre[:, None] + steps * way[:, None]).reshape(n, d)


def fibonacci_sphere(n: int) -> Array:
    """The Fibonacci lattice, z = 1 - (2i + 1) / n, evenly spread on S^2: float64 (n, 3)."""
    i = np.arange(n)
    z = 1 - (2 * i + 1) / n
    turn = 2 * np.pi * i * (math.sqrt(5) - 1) / 2
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1)


# --- distances ------------------------------------------------------------------------------------


def min_distance(X: ArrayLike, *, rng: np.random.Generator | None = None) -> float:
    """Smallest distance of two points; exact up to 20,000 points.

    Beyond, with a generator, it is estimated: the nearest neighbours of 256 sampled points are
    found, and the lower tail of their distances, a power law, is continued to the minimum over all.

    Parameters
    ----------
    X : array_like, shape (n, d)
    rng : numpy.random.Generator, optional
        Required for more than 20,000 points.

    Returns
    -------
    float
        Infinity for one point.

    Raises
    ------
    ValueError
        If two points coincide (naming them), or a large set comes without ``rng``.
    """
    X = np.ascontiguousarray(X, dtype=np.float64)
    if len(X) < 2:
        return math.inf
    if len(X) > EXACT_DISTANCE_POINTS:
        if rng is None:
            raise ValueError(
                f"rng must be given for more than {EXACT_DISTANCE_POINTS} points, got {len(X)}"
            )
        return _estimated_distance(X, rng=rng)
    if X.shape[1] <= 6:
        near, neighbour = cKDTree(X).query(X, k=2)
        i = int(near[:, 1].argmin())
        j = int(neighbour[i, 1]) if neighbour[i, 1] != i else int(neighbour[i, 0])
    else:
        i, j = _closest_pair(X)
    distance = float(np.linalg.norm(X[i] - X[j]))
    if distance == 0:
        raise ValueError(f"points {min(i, j)} and {max(i, j)} coincide: remove one of them")
    return distance


def _closest_pair(X: Array) -> tuple[int, int]:
    """By Gram matrices of blocks in float32, whose candidates are measured again in float64."""
    C = (X - X.mean(axis=0)).astype(np.float32)
    squares = np.einsum("ij,ij->i", C, C)[:, None]
    error = 8e-7 * math.sqrt(X.shape[1] + 2) * float(squares.max()) + 1e-30
    one = np.ones_like(squares)
    left, right = np.hstack([-2 * C, squares, one]), np.hstack([C, one, squares])
    best, pair = math.inf, (0, 1)
    for a in range(0, len(X), _BLOCK):
        for b in range(a, len(X), _BLOCK):
            gram = left[a : a + _BLOCK] @ right[b : b + _BLOCK].T  # squared distances
            if a == b:
                np.fill_diagonal(gram, np.inf)
            least = float(gram.min())
            if least > best + 2 * error:
                continue
            rows, columns = np.nonzero(gram <= min(best, least) + 2 * error)
            exact = np.square(X[a + rows] - X[b + columns]).sum(axis=1)
            k = int(exact.argmin())
            if exact[k] < best:
                best, pair = float(exact[k]), (int(a + rows[k]), int(b + columns[k]))
    return pair


def _estimated_distance(X: Array, *, rng: np.random.Generator) -> float:
    """See `min_distance`."""
    sample, tail = 256, 32
    chosen = rng.choice(len(X), sample, replace=False)
    centre = X.mean(axis=0)
    P = (X[chosen] - centre).astype(np.float32)
    nearest = np.full(sample, np.inf)
    for a in range(0, len(X), 1 << 16):
        C = (X[a : a + (1 << 16)] - centre).astype(np.float32)
        squared = np.einsum("ij,ij->i", C, C)[None] - 2 * P @ C.T
        inside = (chosen >= a) & (chosen < a + len(C))
        squared[inside, chosen[inside] - a] = np.inf
        nearest = np.minimum(nearest, squared.min(axis=1))
    nearest = np.sort(np.sqrt(np.maximum(nearest + np.einsum("ij,ij->i", P, P), 0)))
    low = np.maximum(nearest[: tail + 1], 1e-6 * np.abs(P).max())
    shape = 1 / max(np.log(low[tail] / low[:tail]).mean(), 1e-9)  # Hill's estimate
    return float(low[tail] * (sample / (tail * len(X))) ** (1 / max(shape, 2.0)))


def sphere_distance(n: int, d: int, *, pairs: float = 0.1) -> float:
    """Distance below which n uniform points of the sphere have ``pairs`` pairs on average.

    From the share of the sphere that a cap of that radius covers (*ours*).

    Parameters
    ----------
    n : int
        At least 2.
    d : int
        At least 2.
    pairs : float
        Positive.

    Returns
    -------
    float
    """
    share = 2 * pairs / (n * (n - 1.0))  # of the sphere, for one cap
    squared_sine = special.betaincinv((d - 1) / 2, 0.5, min(2 * share, 1.0))
    return 2 * math.sin(0.5 * math.asin(math.sqrt(squared_sine)))


# --- random hyperplanes ---------------------------------------------------------------------------


def separation_probability(x: ArrayLike, x2: ArrayLike, bias: bool = True) -> float:
    """Probability that a Gaussian gate with bias N(0, 1) tells two points apart: angle / pi.

    Parameters
    ----------
    x, x2 : array_like, shape (d,)
    bias : bool
        False: the angle is that of the points themselves, not of (x, 1) and (x2, 1).

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    ValueError
        If the points have different dimensions, or a vector without bias is zero.
    """
    a, b = (np.append(np.asarray(v, dtype=float), 1.0 if bias else []) for v in (x, x2))
    if a.shape != b.shape:
        raise ValueError(f"x and x2 must have the same dimension, got {len(a)} and {len(b)}")
    if not (a.any() and b.any()):
        raise ValueError("x and x2 must not be zero without a bias")
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    # the half-angle form is exact for tiny angles, where arccos is not
    return float(2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)) / np.pi)


def least_separation(delta: float, on_sphere: bool = False) -> float:
    """Smallest separation probability of points at distance delta in the unit ball: delta / (2 pi).

    On the unit sphere it is arccos(1 - delta^2 / 4) / pi, exactly, for every such pair.
    """
    if on_sphere:
        return math.acos(max(-1.0, 1 - delta**2 / 4)) / math.pi
    return delta / (2 * math.pi)


def hyperplanes_needed(n: int, delta: float, failure: float = 0.01) -> int:
    """Gaussian gates that separate any n delta-separated points of the unit ball.

    ``ceil((2 pi / delta) ln(n^2 / (2 failure)))``: every pair is parted by a gate with probability
    at least delta / (2 pi), and there are fewer than n^2 / 2 pairs.

    Parameters
    ----------
    n : int
        At least 1.
    delta : float
        Positive.
    failure : float
        Allowed probability that some pair is not separated, between 0 and 1.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If a parameter is outside its range.
    """
    check_integer("n", n, 1)
    if not delta > 0:
        raise ValueError(f"delta must be positive, got {delta}")
    if not 0 < failure < 1:
        raise ValueError(f"failure must be between 0 and 1, got {failure}")
    return max(1, math.ceil(2 * math.pi / delta * math.log(max(n**2 / (2 * failure), 1.0))))


def gaussian_gates(
    m: int, d: int, *, rng: np.random.Generator, bias: float = 1.0
) -> tuple[Array, Array]:
    """Random hyperplanes ``<g, x> + b >= 0``: g ~ N(0, I), b ~ N(0, bias^2).

    Rounded to float32, so that they are the same numbers on every machine.

    Returns
    -------
    normals : float64 (m, d)
    offsets : float64 (m,)
    """
    drawn = rng.standard_normal((m, d + 1)).astype(np.float32).astype(np.float64)
    return drawn[:, :d], bias * drawn[:, d]


def min_separating_prefix(patterns: ArrayLike) -> int:
    """Smallest m such that the rows, cut after m columns, are all distinct.

    Parameters
    ----------
    patterns : array_like of bool, shape (n, columns)

    Returns
    -------
    int
        0 for a single row.

    Raises
    ------
    ValueError
        If two whole rows are equal.
    """
    columns = np.ascontiguousarray(np.asarray(patterns, dtype=bool).T)
    n = len(np.asarray(patterns))
    if n <= 1:
        return 0
    classes, members = np.zeros(n, np.int64), np.arange(n)
    used, alive, _ = kernels.refine(columns, classes, members, n, 1)
    if alive:
        raise ValueError(f"patterns must differ in some column, {alive} rows do not")
    return int(used)


def separating_prefixes(
    X: Array,
    draws: int,
    *,
    rng: np.random.Generator,
    bias: float = 1.0,
    limit: int = 1 << 20,
    gates=gaussian_gates,
) -> NDArray[np.int64]:
    """For each of several draws of Gaussian gates, how many it takes to separate all points.

    Only points that are not yet alone meet the next gates, so the cost is far below n times m.

    Parameters
    ----------
    X : ndarray of float64, shape (n, d)
    draws : int
    rng : numpy.random.Generator
    bias : float
        Standard deviation of the biases.
    limit : int
        Gates after which a draw is given up.

    Returns
    -------
    ndarray of int64, shape (draws,)
        ``limit + 1`` where the points were not separated by then.
    """
    found = np.full(draws, limit + 1)
    for draw in range(draws):
        points, seen = X, 0
        classes = np.zeros(len(X), np.int64)
        while len(points) > 1 and seen < limit:
            width = min(_GATES, limit - seen)
            normals, offsets = gates(width, X.shape[1], rng=rng, bias=bias)
            columns = points @ normals.T >= -offsets  # (alive, width)
            _, fresh, sizes = np.unique(
                _hashes(columns, classes), return_inverse=True, return_counts=True
            )
            crowded = sizes[fresh] > 1
            if not crowded.any():  # the last gate that was needed is one of these
                members, alive = np.arange(len(points)), len(points)
                known = int(classes.max()) + 1
                columns = np.ascontiguousarray(columns.T)
                seen += kernels.refine(columns, classes, members, alive, known)[0]
                found[draw] = seen
                break
            seen += width
            points = points[crowded]
            classes = np.unique(fresh[crowded], return_inverse=True)[1].astype(np.int64)
        if len(points) <= 1:
            found[draw] = seen
    return found


def _hashes(columns: NDArray[np.bool_], classes: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One number for a point's class and its new signs; equal only by a chance of 2^-64."""
    words = np.hstack([classes[:, None].astype(np.uint64), kernels.pack_bits(columns)])
    out = np.empty(len(words), np.uint64)
    kernels.hash_rows(words, out)
    return out
