"""Broken implementations of SGD without replacement."""

from __future__ import annotations

from functools import partial

import numpy as np
from mutants import Mutant, replaced
from mutants.shuffling.shared import FF_RR, RR, SS, WR, no_kink, rename, step_times

from reprise import statistics
from reprise.shuffling import kernels, sgdo
from reprise.shuffling.problems import GluedSum


def steep_side_on_the_left(right):
    """The kink mirrored."""
    return lambda n, L=4.0, G=1.0: GluedSum.balanced(n, 1.0, curvature_left=L)


def twice_the_epochs(right):
    """Another number of epochs than the one asked for."""
    return lambda problem, order, *, epochs, **kwargs: right(
        problem, order, epochs=2 * epochs, **kwargs
    )


def equal_curvatures(right):
    """The quadratics of the two regimes without their spread."""
    return partial(right, spread=0.0)


def logarithm_of_K_alone(right):
    """log(K) / (nK) for log(nK) / (nK)."""
    return lambda n, K, factor=1.0, mu=1.0: factor * np.log(K) / (mu * n * K)


def one_step_only(right):
    """A search over a single step size."""
    return lambda n, K, factors, **kwargs: right(n, K, [1.0], **kwargs)


def ascending_gradient(right):
    """The sign of the deterministic gradient flipped: curvatures change sign."""

    def ascending(curve, *rest):
        return right(curve._replace(left=-curve.left, right=-curve.right), *rest)

    return ascending


def slope_of_the_inverse(right):
    """The fit regresses on 1/x."""
    return lambda x, err, **kwargs: right(1 / np.asarray(x, float), err, **kwargs)


ASCENT = replaced(kernels, "run_lanes", ascending_gradient)
INVERSE = replaced(statistics, "fit_rate", slope_of_the_inverse)
AS_SINGLE, AS_REPLACED = rename(random_reshuffling=SS), rename(random_reshuffling=WR)
TABLE = {
    "C1": [
        AS_SINGLE,
        AS_REPLACED,
        no_kink,
        step_times(2.0),
        step_times(0.5),
        replaced(sgdo, "log_step_size", logarithm_of_K_alone),
        ASCENT,
        INVERSE,
    ],
    "C2": [
        AS_SINGLE,
        AS_REPLACED,
        rename(random_reshuffling=FF_RR),
        no_kink,
        step_times(0.5),
        ASCENT,
        INVERSE,
    ],
    "C3": [
        rename(with_replacement=SS),
        rename(with_replacement=RR),
        AS_REPLACED,
        AS_SINGLE,
        rename(random_reshuffling=WR, with_replacement=RR),
    ],
    "C4": [AS_SINGLE, AS_REPLACED, rename(single_shuffle=RR), step_times(2.0), INVERSE],
    "C5": [
        AS_SINGLE,
        AS_REPLACED,
        replaced(sgdo, "unequal_quadratic", equal_curvatures),
        step_times(2.0),
    ],
    "C6": [AS_SINGLE, AS_REPLACED, no_kink],
    "C7": [
        AS_SINGLE,
        AS_REPLACED,
        no_kink,
        replaced(sgdo, "best_step_error", one_step_only),
        INVERSE,
    ],
    "C8": [
        replaced(sgdo, "lower_bound_function", steep_side_on_the_left),
        AS_REPLACED,
        replaced(sgdo, "run_sgd", twice_the_epochs),
        step_times(2.0),
        ASCENT,
    ],
}
MUTANTS = [Mutant(claim, patch) for claim, patches in TABLE.items() for patch in patches]
