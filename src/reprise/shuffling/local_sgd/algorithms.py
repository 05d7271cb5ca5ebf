"""The two algorithms by name, and the orders that both can be given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reprise.shuffling.orders import Scheme, draw_orders
from reprise.shuffling.problems import FederatedSum
from reprise.shuffling.results import SGDResult
from reprise.shuffling.simulate import run_rounds


def minibatch_sgd(problem: FederatedSum, *, scheme: Scheme, **options: Any) -> SGDResult:
    """Minibatch SGD: one step of size alpha B along the mean of M B gradients, N/B times an epoch.

    Parameters
    ----------
    problem : FederatedSum
    scheme : str or ndarray of int, shape (epochs, M, N) or (runs, epochs, M, N)
        A name from ``SCHEME_NAMES`` or orders of your own.
    **options
        ``local_steps`` (B, gradients a worker sends in a round; divides N), ``epochs`` (K),
        ``step_size`` (alpha, of a single component), ``runs``, ``rng``, and what else
        `reprise.shuffling.simulate.run_rounds` takes.

    Raises
    ------
    ValueError
        If a parameter is outside its range; the message names it.
    """
    return run_rounds(problem, scheme, method="minibatch", **options)


def local_sgd(problem: FederatedSum, *, scheme: Scheme, **options: Any) -> SGDResult:
    """Local SGD (federated averaging): B steps of size alpha on every worker, then the mean.

    Parameters and errors are those of `minibatch_sgd`.
    """
    return run_rounds(problem, scheme, method="local", **options)


def shuffle_orders(
    scheme: Scheme,
    workers: int,
    components: int,
    epochs: int,
    runs: int,
    *,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Write out what every worker visits: int64 (runs, epochs, M, N).

    With replacement: uniform indices. Random reshuffling: a fresh permutation for each worker and
    epoch. Single shuffle: one for each worker, kept. Synchronized: one permutation sigma and one pi
    of the workers in each epoch; worker m visits ``sigma((i + (N / M) pi(m)) mod N)``.

    Raises
    ------
    ValueError
        As for `reprise.shuffling.orders.schedule`.
    """
    return draw_orders(scheme, components, epochs=epochs, runs=runs, workers=workers, rng=rng)
