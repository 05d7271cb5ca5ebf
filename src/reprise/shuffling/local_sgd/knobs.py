"""The knobs of the chapter `shuffling/local_sgd`."""

from reprise.parameters import Choice, Integer, Knob, Knobs, ListOf, Real, refusal

EVEN, RUNS = Integer(2, multiple_of=2), Integer(20)


def grid(least: int, count: int = 3, most: int | None = None) -> ListOf:
    """Increasing integers."""
    return ListOf(Integer(least), count, most, order="increasing")


def consistent(knobs):
    """Rounds and workers must divide the components; what is judged must be in its grid."""
    batches = [*knobs.B_grid, *knobs.drift_batches, knobs.tau_batch]
    long_n, best = knobs.long_size[0], knobs.best_size
    for name, value, parts in (
        ("components", knobs.components, [4, knobs.workers, *knobs.worker_grid, *batches]),
        ("long_size", long_n, [2, knobs.workers, *knobs.long_batches]),
        ("best_size", best[1], [2, best[0], best[2]]),
    ):
        for part in parts:
            if value % part:
                raise refusal(name, f"must have N = {value} a multiple of {part}", value)
    if best[0] % 2:
        raise refusal("best_size", "must have an even M", best)
    for name, value, known, values in (
        ("K_level", knobs.K_level, "K_grid", knobs.K_grid),
        ("workers", knobs.workers, "worker_grid", knobs.worker_grid),
    ):
        if value not in values:
            raise refusal(name, f"must be in {known} = {values}", value)


KNOBS = Knobs(
    Knob("workers", 8, EVEN, "M, machines"),
    Knob(
        "components",
        128,
        Integer(4, multiple_of=4),
        "N on each, a multiple of M and all local steps below",
    ),
    Knob("L", 4.0, Real(above=1), "curvature on the steep side"),
    Knob("c", 2.0, Real(above=0), "step factor: the step is c log(MNK^2)/(mu N K)"),
    Knob("runs", 1600, Integer(80), "independent runs of most experiments"),
    Knob("many_runs", 2000, RUNS, "runs where a single one scatters most (C1, C2, C7)"),
    Knob("K_grid", [50, 100, 200, 400], grid(2), "epochs in the figure over K"),
    Knob("K_level", 400, Integer(2), "the one of them at which errors and ratios are judged"),
    Knob("K_fixed", 200, Integer(8), "epochs elsewhere"),
    Knob("worker_grid", [2, 4, 8, 16], grid(1), "sweep over M at N components"),
    Knob(
        "component_grid",
        [32, 64, 128, 256],
        ListOf(Integer(8, multiple_of=8), 3, order="increasing"),
        "sweep over N",
    ),
    Knob(
        "long_size",
        [512, 100],
        ListOf(Integer(2), 2, 2),
        "N and K where B is isolated (C3)",
    ),
    Knob("long_batches", [8, 16, 32, 64], grid(2, 2), "local steps there"),
    Knob("B_grid", [4, 16, 64], grid(1, 2), "local steps of the duel (C5)"),
    Knob("drift_batches", [16, 64], grid(1, 2, 2), "the two local steps of C4"),
    Knob("tau", 1.0, Real(above=0), "how far the workers' optima lie apart"),
    Knob("tau_batch", 32, Integer(1), "local steps of the sweep over 1/2 to 4 tau"),
    Knob(
        "best_size",
        [4, 64, 16],
        ListOf(Integer(2), 3, 3),
        "M, N, local steps of the search (C8)",
    ),
    Knob("best_K", [50, 100, 200, 400], grid(2), "epochs there"),
    Knob("pl_K", [25, 50, 100, 200], grid(2), "epochs where not convex (C9)"),
    Knob(
        "data",
        "breast_cancer",
        Choice("breast_cancer", "digits", "mushrooms", "w8a"),
        "real data",
    ),
    Knob("data_workers", 8, Integer(2), "machines that share them"),
    rules=consistent,
)
