"""The knobs of the chapter `expressivity/binary`."""

from reprise.parameters import Choice, Integer, Knob, Knobs, ListOf, Real

COUNT = Integer(1)
BITS = Integer(1, 24)
FRACTION = Real(above=0, below=1)
DATA = Choice("digits", "mnist")

KNOBS = Knobs(
    Knob(
        "sizes",
        [4, 6, 5, 3],
        ListOf(COUNT, 2),
        "widths of the judged targets",
    ),
    Knob("targets", 5, Integer(2), "independent targets"),
    Knob("inputs", 2000, Integer(200), "random unit inputs for each measured error"),
    Knob("bits", range(2, 13), ListOf(BITS, 3, order="increasing"), "bits k of the weights in C3"),
    Knob("eps_list", [0.3, 0.1, 0.03], ListOf(FRACTION, 1, order="falling"), "accuracies of C1"),
    Knob(
        "compare_eps",
        [0.3, 0.1, 0.03, 0.01],
        ListOf(FRACTION, 2, order="falling"),
        "accuracies of C8",
    ),
    Knob("embed_draws", 200, Integer(100), "random networks in C6"),
    Knob(
        "need_d",
        [4, 8, 16, 32, 64],
        ListOf(COUNT, 2, order="increasing"),
        "widths d in C5",
    ),
    Knob("need_draws", 1000, Integer(20), "random networks for each of them"),
    Knob("classifier_data", "digits", DATA, "a trained classifier to hide"),
    Knob("classifier_hidden", 16, COUNT, "its hidden width"),
    Knob("classifier_bits", 8, BITS, "bits of its weights"),
    Knob("compare_redraws", 10, COUNT, "further draws behind the range in C8"),
    Knob("popup_data", "mnist", DATA, "edge-popup in C7"),
    Knob("popup_images", 10_000, Integer(64), "training images there, at most"),
    Knob("popup_hidden", 100, COUNT, "hidden width"),
    Knob("popup_epochs", 3, COUNT, "its epochs"),
    Knob("popup_seeds", 5, Integer(2), "paired runs"),
    Knob("device", "cpu", Choice("cpu", "cuda", "auto"), "where edge-popup trains"),
    Knob(
        "sweep_sparsities",
        [0.2, 0.5, 0.9],
        ListOf(Real(at_least=0, below=1)),
        "fractions deleted, last sweep",
    ),
    Knob("sweep_rates", [0.03, 0.1, 0.3], ListOf(FRACTION), "learning rates there"),
    Knob("sweep_seeds", 2, COUNT, "runs there"),
)
