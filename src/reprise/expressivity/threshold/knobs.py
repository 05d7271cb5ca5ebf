"""The knobs of the chapter `expressivity/threshold`."""

from reprise.parameters import Choice, Integer, Knob, Knobs, ListOf, Real, refusal

JUDGED_SIZES = (64, 128, 256, 512, 1024)


def grid(least: int, count: int = 3) -> ListOf:
    """Increasing integers."""
    return ListOf(Integer(least), count, order="increasing")


def consistent(knobs):
    """C2 judges circles of fixed sizes; Baum's network needs points of two dimensions."""
    if not set(JUDGED_SIZES) <= set(knobs.circle_sizes):
        raise refusal("circle_sizes", f"must hold {list(JUDGED_SIZES)}", knobs.circle_sizes)
    for pair in knobs.baum_sizes:
        if pair[0] < 10:
            raise refusal("baum_sizes", "must hold pairs (n, d) with n at least 10", pair)


KNOBS = Knobs(
    Knob("n_values", [1000, 10_000, 100_000, 1_000_000], grid(256, 2), "points to memorise"),
    Knob("power_values", [256, 1024, 4096, 16384, 65536], grid(4), "for slopes"),
    Knob("d", 32, Integer(8), "dimension of the sphere points"),
    Knob("circle_sizes", [32, 64, 128, 256, 512, 1024], grid(8), "points on a circle in C2"),
    Knob(
        "pair_deltas",
        [0.3, 0.1, 0.03, 0.01, 0.003],
        ListOf(Real(above=0, at_most=0.4), 3, order="falling"),
        "distances within pairs",
    ),
    Knob(
        "baum_sizes",
        [[1000, 16], [3000, 16], [10_000, 32]],
        ListOf(ListOf(Integer(2), 2, 2)),
        "(n, d) of Baum's networks",
    ),
    Knob("n_seeds", 5, Integer(1), "networks for each n up to 20,000"),
    Knob("n_hashes", 3, Integer(3), "T, blocks of slots, in the last section"),
    Knob("data", "digits", Choice("digits", "mnist", "cifar10"), "real points, random labels"),
    rules=consistent,
)
