"""What is broken alike in several chapters of the part."""

from __future__ import annotations

from mutants import Patch, named, replaced

from reprise.shuffling import problems, sgdo, simulate

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


def step_times(factor: float) -> Patch:
    """Take steps of another size than the one asked for."""
    return replaced(
        simulate,
        "_step_sizes",
        lambda right: lambda *args: factor * right(*args),
        f"step_times_{factor:g}",
    )


no_kink = named(
    "no_kink",
    lambda monkeypatch: monkeypatch.setattr(
        sgdo, "lower_bound_function", lambda n, L=4.0, G=1.0: problems.PiecewiseQuadratic(n, 1.0)
    ),
)
"""Equal curvatures on both sides."""
