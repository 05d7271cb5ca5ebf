"""Sums that several workers share: hard, not convex, and real."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import (
    check_generator,
    check_integer,
    check_not_negative,
    check_positive,
    is_integer,
)
from reprise.shuffling.problems import (
    FederatedSum,
    GluedSum,
    LogisticSum,
    RippledSum,
    balanced_signs,
    class_signs,
    standardized,
)

Array = NDArray[np.float64]


def kinked_problem(
    workers: int,
    components: int,
    curvature: float = 4.0,
    noise: float = 1.0,
    heterogeneity: float = 0.0,
    mixing: float = 0.0,
    *,
    rng: np.random.Generator | None = None,
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
        check_not_negative(name, value)
    if not 0 <= mixing <= 1:
        raise ValueError(f"mixing must lie in [0, 1], got {mixing}")
    if heterogeneity > 0 and workers % 2:
        raise ValueError(f"workers must be even with heterogeneity, got {workers}")
    if arrangements < 1 or (arrangements > 1 and mixing == 0):
        raise ValueError(f"arrangements must be 1, or more with mixing, got {arrangements}")
    signs = np.broadcast_to(balanced_signs(components), (arrangements, workers, components))
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
    check_not_negative("noise", noise)
    return FederatedSum(RippledSum(noise * np.tile(balanced_signs(components), workers)), workers)


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
        For an unknown split, labels that are not one a row, other than two classes (also among the
        rows that are kept), too few rows, or ``l2`` not positive.
    """
    if split not in ("iid", "by_label"):
        raise ValueError(f"split must be 'iid' or 'by_label', got {split!r}")
    check_positive("l2", l2)
    features = np.asarray(X, dtype=np.float64)
    labels = class_signs("y", y, len(features))
    workers = check_integer("workers", workers, 1)
    multiple = check_integer("multiple", multiple, 1)
    check_generator(rng=rng)
    block = workers * multiple
    if len(features) < block:
        raise ValueError(
            f"workers * multiple must be at most {len(features)}, the rows, "
            f"got {workers} * {multiple}"
        )
    kept = rng.permutation(len(features))[: len(features) // block * block]
    signs = labels[kept]
    if abs(signs.sum()) == len(signs):
        raise ValueError(f"y must hold two classes among the {len(kept)} rows that are kept")
    rows = standardized(features[kept])
    if split == "by_label":
        by_label = np.argsort(signs, kind="stable")
        rows, signs = rows[by_label], signs[by_label]
    return FederatedSum(LogisticSum(rows, signs, l2=l2), workers)


def _check_federation(workers: int, components: int) -> None:
    """The sizes that balanced noise needs."""
    check_integer("workers", workers, 1)
    if not is_integer(components) or components < 2 or components % 2:
        raise ValueError(f"components must be even and at least 2, got {components}")
