"""Broken implementations of FlipFlop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from mutants import Mutant, replaced
from mutants.shuffling.shared import RR, SS, WR, no_kink, on_schedule, rename, step_times

from reprise.shuffling import flipflop, kernels, simulate
from reprise.shuffling.flipflop import chosen
from reprise.shuffling.problems import QuadraticSum

# --- orders and steps -----------------------------------------------------------------------------


def is_flipflop(name):
    return name.startswith("flipflop_")


def repeated(plan):
    """The second epoch of a pair repeats the order (REP)."""
    return plan._replace(reverse=np.zeros_like(plan.reverse))


def reverse_of_a_fresh_order(plan):
    """The reverse is applied to a fresh order (FIX)."""
    source = plan.source.copy()
    source[1::2] = kernels.DRAW
    return plan._replace(source=source)


def fewer_epochs(right):
    """K off by one, for FlipFlop by one pair."""

    def short(factory, order, grid, **kwargs):
        less = 2 if is_flipflop(order) else 1
        return right(factory, order, [(n, K - less, eta) for n, K, eta in grid], **kwargs)

    return short


def last_epoch_dropped(right):
    """Given orders lose their last epoch."""

    def dropped(problem, order, *, epochs, **kwargs):
        if not isinstance(order, str) and epochs > 1:
            order, epochs = order[:-1], epochs - 1
        return right(problem, order, epochs=epochs, **kwargs)

    return dropped


# --- instances ------------------------------------------------------------------------------------


def start_of_each_coordinate(right):
    """An independent start in each coordinate."""

    def start(points, runs, *, rng):
        d = points.shape[1]
        return points.mean(axis=0) + rng.standard_normal((runs, d)) / np.sqrt(d)

    return start


def other_half_first(right):
    """FlipFlop's pair starts with the constant half."""
    return lambda n, constant_first=True: right(n)


def linear_gradient(right):
    """The sigmoid replaced by its tangent without the offset: x / 4."""

    def flat(curve, *rest):
        if curve.recurrence == kernels.SIGMOID:
            quarter = np.full(2, 0.25)
            curve = curve._replace(recurrence=kernels.KINKED, left=quarter, right=quarter)
        return right(curve, *rest)

    return flat


def damping_with_the_new_coordinate(right):
    """The own curvature acts after the common one, on the coordinate just moved."""

    def late(n, curvature=4.0, eta=0.002):
        problem = right(n, curvature)
        own = np.arange(n)
        A, b = problem.A.copy(), problem.b.copy()
        A[own, own] -= eta * curvature
        b[own, own] *= 1 - eta * curvature
        changed = QuadraticSum(A, b)
        changed.minimizer = problem.minimizer
        return changed

    return late


# --- chosen permutations --------------------------------------------------------------------------


def on_permutations(change, name):
    """Change what the backward walk chose."""

    def patched(right):
        def changed(*args, **kwargs):
            plan = right(*args, **kwargs)
            return replace(plan, permutations=change(plan.permutations))

        return changed

    return replaced(flipflop, "fast_permutations", patched, name)


def rising_order(gradient, x_star, n):
    """The components by ascending gradient at the minimiser."""
    return np.argsort(gradient(np.arange(n), np.full(n, x_star)), kind="stable")


def greedy_choices(right):
    """Each epoch takes the order that ends nearer to x*."""
    smooth = flipflop.smooth_instance()
    target = smooth.minimizer[0]

    def greedy(gradient, hessian, x_star, n, epochs, step_size, **kwargs):
        plan = right(gradient, hessian, x_star, n, epochs, step_size, **kwargs)
        rising = rising_order(gradient, x_star, n)
        x, rows = target + 1, []
        for _ in range(epochs):
            ends = [flipflop.after_epoch(smooth, o, step_size, x) for o in (rising, rising[::-1])]
            best = int(np.abs(np.array(ends) - target).argmin())
            x = ends[best]
            rows.append((rising, rising[::-1])[best])
        return replace(plan, permutations=np.array(rows))

    return greedy


def one_newton_step(right):
    """Inverses of a step are left half solved."""
    return 1


def one_order_only(right):
    """The backward walk has no choice."""

    def single(gradient, hessian, x_star, n, *args, **kwargs):
        rising = rising_order(gradient, x_star, n)
        return right(gradient, hessian, x_star, n, *args, orders=rising[None], **kwargs)

    return single


def farther_choice(right):
    """The preimage that lies farther from x*."""
    return lambda preimages, x_star: int(np.abs(preimages - x_star).argmax())


REPEATED = on_schedule(is_flipflop, repeated)
FRESH = on_schedule(is_flipflop, reverse_of_a_fresh_order)
AS_REPLACED, AS_SINGLE = rename(random_reshuffling=WR), rename(random_reshuffling=SS)
TABLE = {
    "C1": [
        REPEATED,
        FRESH,
        AS_REPLACED,
        rename(flipflop_random_reshuffling=WR),
        AS_SINGLE,
        step_times(2.0),
    ],
    "C2": [REPEATED, FRESH, AS_REPLACED, step_times(2.0)],
    "C3": [
        replaced(flipflop, "safran_shamir_igd", other_half_first),
        REPEATED,
        replaced(simulate, "run_grid", fewer_epochs),
        step_times(2.0),
    ],
    "C4": [REPEATED, AS_REPLACED, AS_SINGLE, replaced(kernels, "run_lanes", linear_gradient)],
    "C5": [
        on_permutations(lambda rows: rows[::-1], "choices_not_reversed"),
        on_permutations(lambda rows: rows[:, ::-1], "orders_swapped"),
        on_permutations(lambda rows: np.roll(rows, 1, axis=0), "choices_shifted"),
        replaced(flipflop, "fast_permutations", greedy_choices),
        replaced(simulate, "run_sgd", last_epoch_dropped),
        replaced(chosen, "NEWTON_STEPS", one_newton_step),
    ],
    "C6": [
        replaced(flipflop, "fast_permutations", one_order_only),
        replaced(chosen, "_nearest", farther_choice),
    ],
    "C7": [AS_REPLACED, replaced(flipflop, "spread_instance", damping_with_the_new_coordinate)],
    "C8": [
        rename(flipflop_random_reshuffling=RR),
        rename(flipflop_random_reshuffling=SS),
        REPEATED,
        step_times(2.0),
    ],
    "C9": [REPEATED, no_kink],
}
MUTANTS = [Mutant(claim, patch) for claim, patches in TABLE.items() for patch in patches]
# forty runs and the smoke rule cannot see it, a hundred and the book rule can
MUTANTS.append(
    Mutant(
        "C2",
        replaced(flipflop, "published_start", start_of_each_coordinate),
        profile="book",
        changes={"published_runs": 100},
    )
)
