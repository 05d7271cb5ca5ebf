"""All orders of the part on the same sums: one list of ways to run, one measured exponent each.

Seven orders of a single machine, and minibatch and local SGD with reshuffled or synchronized
workers, visit the same components. Each worker, and the single machine, holds the components of one
sum; so F, the step of a component and the number of epochs are the same for all. An order or a sum
of your own goes the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reprise.runtime import check_integer, generator
from reprise.shuffling.flipflop import rate_table
from reprise.shuffling.problems import Copies, FederatedSum, FiniteSum
from reprise.shuffling.simulate import run_rounds
from reprise.statistics import Estimate, estimate, log_slope

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Way:
    """One way to run SGD.

    Attributes
    ----------
    name : str
    scheme : str or callable
        A name from ``SCHEME_NAMES``, or ``(n, K) -> permutations``: int64 (K, n) for one machine,
        (K, workers, n) for several.
    method : {"single", "minibatch", "local"}
        "single" is one machine.
    general, quadratic : str
        Proven rates of the error in LaTeX, for all smooth sums and for quadratics; constants,
        condition numbers and logarithms hidden; empty where none is known to us.
    """

    name: str
    scheme: str | Callable[[int, int], NDArray[np.int64]]
    method: Literal["single", "minibatch", "local"]
    general: str = ""
    quadratic: str = ""


def ways() -> tuple[Way, ...]:
    """The twelve ways, in the order of the papers.

    The rates are recalled, but for the last two, which are derived for this book.
    """
    plain = {rate.order: rate for rate in rate_table()}
    one_over = {
        "with_replacement": r"\frac{1}{nK}",
        "single_shuffle": r"\frac{1}{nK^2}",
        "random_reshuffling": r"\frac{1}{nK^2}",
        "incremental": r"\frac{1}{K^2}",
    }
    names = {
        "with_replacement": "with replacement",
        "single_shuffle": "single shuffle",
        "random_reshuffling": "random reshuffling",
        "incremental": "incremental",
    }
    rows = []
    for order, rate in one_over.items():
        quadratic = plain[order].plain if order in plain else rate
        rows.append(Way(names[order], order, "single", rate, quadratic))
    for order, rates in plain.items():
        name = f"FlipFlop {names[order].removeprefix('random ')}"
        rows.append(Way(name, f"flipflop_{order}", "single", "", rates.flipflop))
    noise, own = r"\frac{1}{MnK^2}", r"\frac{B}{n^2K^2}"
    better = r"\frac{1}{M^2nK^2}"
    rows += [
        Way("minibatch, with replacement", "with_replacement", "minibatch", r"\frac{1}{MnK}", ""),
        Way("minibatch reshuffling", "random_reshuffling", "minibatch", noise, ""),
        Way("local reshuffling", "random_reshuffling", "local", f"{noise} + {own}", ""),
        Way("minibatch, synchronized", "synchronized", "minibatch", better, ""),
        Way("local, synchronized", "synchronized", "local", f"{better} + {own}", ""),
    ]
    return tuple(rows)


@dataclass(frozen=True)
class Fall:
    """How a way's error falls on one sum.

    Attributes
    ----------
    errors : ndarray of float64, shape (epochs, runs)
        |x_K - x*|^2 of every run, for every number of epochs.
    exponent : Estimate
        Of the mean error in the step, that is in 1/K without its logarithm; of a deterministic way
        the interval is the value.
    """

    errors: Array
    exponent: Estimate


def measure(
    way: Way,
    problem: FiniteSum,
    *,
    workers: int,
    local_steps: int,
    K: Sequence[int],
    runs: int,
    mu: float = 1.0,
    seed: int,
) -> Fall:
    """Run one way on a sum, from its minimum, for every number of epochs.

    The step is ``2 log(n K^2) / (mu n K)`` for every way.

    Parameters
    ----------
    way : Way
    problem : FiniteSum
        n components: of the single machine, and of every worker.
    workers, local_steps : int
        M and B of the ways that have them; B divides n, and M too where workers are synchronized.
    K : sequence of int
        At least two numbers of epochs; even where FlipFlop is run.
    runs : int
        At least 2. A way without randomness is run twice.
    mu : float
        Strong convexity, positive.
    seed : int

    Returns
    -------
    Fall

    Raises
    ------
    ValueError
        If a parameter is outside its range.
    """
    if len(K) < 2:
        raise ValueError(f"K must hold at least 2 numbers of epochs, got {list(K)}")
    check_integer("runs", runs, 2)
    machines = 1 if way.method == "single" else workers
    shared = FederatedSum(Copies(problem, machines), machines)
    steps = [2.0 * np.log(problem.n * k**2) / (mu * problem.n * k) for k in K]
    fixed = callable(way.scheme) or way.scheme.endswith("incremental")
    errors = np.empty((len(K), 2 if fixed else runs))
    for row, (k, step) in enumerate(zip(K, steps, strict=True)):
        scheme = way.scheme(problem.n, k) if callable(way.scheme) else way.scheme
        if callable(way.scheme) and machines == 1:
            scheme = np.asarray(scheme)[:, None]
        errors[row] = run_rounds(
            shared,
            scheme,
            method="minibatch" if way.method == "minibatch" else "local",
            local_steps=problem.n if way.method == "single" else local_steps,
            epochs=k,
            step_size=step,
            runs=errors.shape[1],
            x0=problem.minimizer,
            rng=generator(seed, "comparison", way.name, str(k)),
        ).squared_distance()
    exponent = estimate(
        lambda means: log_slope(steps, means),
        errors,
        rng=generator(seed, "comparison", "interval", way.name),
    )
    return Fall(errors, exponent)
