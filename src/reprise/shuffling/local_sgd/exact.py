"""Small cases without sampling, and paths step by step."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reprise.shuffling.orders import Scheme
from reprise.shuffling.problems import FederatedSum

Array = NDArray[np.float64]


def enumerate_exact(
    problem: FederatedSum,
    method: Literal["minibatch", "local"],
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
    if method not in ("minibatch", "local"):
        raise ValueError(f"method must be 'minibatch' or 'local', got {method!r}")
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
    if scheme == "synchronized" and N % M:
        raise ValueError(f"workers must divide components to be synchronized, got {M}, {N}")
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
