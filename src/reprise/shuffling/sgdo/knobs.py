"""The knobs of the chapter `shuffling/sgdo`."""

from reprise.parameters import Integer, Knob, Knobs, ListOf, Real

EVEN, EPOCHS = Integer(2, multiple_of=2), Integer(2)

KNOBS = Knobs(
    Knob("runs", 1000, Integer(20), "independent runs at each point"),
    Knob("n_fixed", 500, EVEN, "components in the figures over K"),
    Knob("K_grid", range(30, 200), ListOf(EPOCHS, 6, order="increasing"), "epochs there"),
    Knob("level_from", 0, Integer(0), "the level is the mean from this K on"),
    Knob("K_fixed", 500, EPOCHS, "epochs in the figure over n"),
    Knob("n_grid", range(30, 200, 2), ListOf(EVEN, 6, order="increasing"), "components there"),
    Knob("L", 4.0, Real(above=1), "curvature right of the minimum, left it is 1"),
    Knob("step_factor", 4.0, Real(above=0), "c in the step c log(nK) / (nK)"),
    Knob("drift_runs", 200_000, Integer(1000), "single epochs averaged for the drift"),
    Knob("closed_n", [100, 500], ListOf(EVEN, 2, 2), "components that meet the closed form"),
    Knob("best_step_n", 200, EVEN, "components in the search for the best step"),
    Knob("best_step_K", [50, 100, 200, 400], ListOf(EPOCHS, 3, order="increasing"), "epochs there"),
    Knob("best_step_runs", 992, Integer(20), "runs there"),
    Knob("exact_n", 10, Integer(4, 12, multiple_of=2), "components where all orders are counted"),
    Knob(
        "smooth_K",
        [30, 60, 120, 240, 480, 960],
        ListOf(EPOCHS, 3, order="increasing"),
        "epochs on the smoothed kink",
    ),
)
