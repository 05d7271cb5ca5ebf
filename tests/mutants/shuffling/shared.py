"""What is broken alike in several chapters of the part."""

from __future__ import annotations

from collections.abc import Callable

from mutants import Patch, replaced

from reprise.shuffling import sgdo, simulate
from reprise.shuffling.kernels import Schedule
from reprise.shuffling.problems import GluedSum

WR, RR, SS = "with_replacement", "random_reshuffling", "single_shuffle"
SYNC = "synchronized"
FF_RR, FF_IGD = "flipflop_random_reshuffling", "flipflop_incremental"


def rename(**swaps: str) -> Patch:
    """Run one order under the name of another."""

    def change(right):
        def schedule(order, *args, **kwargs):
            name = swaps.get(order, order) if isinstance(order, str) else order
            return right(name, *args, **kwargs)

        return schedule

    words = "_".join(f"{old}_is_{new}" for old, new in swaps.items())
    return replaced(simulate, "schedule", change, words)


def on_schedule(
    named: Callable[[str], bool], change: Callable[[Schedule], Schedule], name: str = ""
) -> Patch:
    """Change the schedules of the orders whose name is ``named``."""

    def patched(right):
        def schedule(order, *args, **kwargs):
            plan = right(order, *args, **kwargs)
            return change(plan) if isinstance(order, str) and named(order) else plan

        return schedule

    return replaced(simulate, "schedule", patched, name or change.__name__)


def step_times(factor: float) -> Patch:
    """Take steps of another size than the one asked for."""
    return replaced(
        simulate,
        "_step_sizes",
        lambda right: lambda *args: factor * right(*args),
        f"step_times_{factor:g}",
    )


no_kink = replaced(
    sgdo,
    "lower_bound_function",
    lambda right: lambda n, L=4.0, G=1.0: GluedSum.balanced(n, 1.0),
    "no_kink",
)
"""Equal curvatures on both sides."""
