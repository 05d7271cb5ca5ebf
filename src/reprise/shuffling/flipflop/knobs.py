"""The knobs of the chapter `shuffling/flipflop`."""

from reprise.parameters import Choice, Integer, Knob, Knobs, ListOf, Real, refusal

EVEN, RUNS = Integer(2, multiple_of=2), Integer(10)


def consistent(knobs):
    """Mean estimation needs more points than dimensions."""
    if knobs.d >= knobs.n:
        raise refusal("d", f"must be below n = {knobs.n}", knobs.d)


KNOBS = Knobs(
    Knob("n", 800, Integer(4, multiple_of=4), "components in the figures over K"),
    Knob("d", 100, Integer(1), "dimensions of the mean estimation of C1, below n"),
    Knob("K_grid", range(30, 299, 4), ListOf(EVEN, 6, order="increasing"), "epochs there"),
    Knob("runs", 100, RUNS, "independent runs at each point"),
    Knob(
        "step_factors",
        [1.0, 2.0],
        ListOf(Real(above=0), 2),
        "c in c log(nK)/(nK): published, judged",
    ),
    Knob("published_runs", 400, RUNS, "runs of the published figure (C2)"),
    Knob(
        "logistic_K",
        [30, 62, 90, 122, 150, 222, 298],
        ListOf(EVEN, 6, order="increasing"),
        "the logistic epochs",
    ),
    Knob("logistic_runs", 200, RUNS, "runs there"),
    Knob("kink_n", 500, EVEN, "components of the glued parabolas"),
    Knob("kink_runs", 1000, RUNS, "runs there"),
    Knob(
        "alpha_n",
        [0.2, 0.4, 0.55],
        ListOf(Real(above=0), 1),
        "step times n of chosen permutations",
    ),
    Knob("alpha_points", 13, Integer(3), "steps in the figure of which steps have a cover"),
    Knob("fast_epochs", 40, Integer(2), "epochs in the player of chosen permutations"),
    Knob("data", "breast_cancer", Choice("breast_cancer", "mushrooms", "w8a"), "real data"),
    Knob("data_K", [64, 128, 256, 512], ListOf(EVEN, 3, order="increasing"), "epochs there"),
    rules=consistent,
)
