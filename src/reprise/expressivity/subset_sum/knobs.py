"""The knobs of the chapter `expressivity/subset_sum`."""

from reprise.parameters import (
    Choice,
    Either,
    Integer,
    Knob,
    Knobs,
    ListOf,
    Nothing,
    Real,
    refusal,
)

TRIALS, EPOCHS = Integer(10), Integer(1)


def consistent(knobs):
    """What is judged must be measured, and LeNet-5 needs the images that it was made for."""
    if not {0.0, 0.5} <= set(knobs.popup_sparsities):
        raise refusal("popup_sparsities", "must hold 0 and 0.5", knobs.popup_sparsities)
    if "two_layer" not in knobs.popup_architectures:
        raise refusal("popup_architectures", "must hold two_layer", knobs.popup_architectures)
    if "lenet5" in knobs.popup_architectures and knobs.dataset != "mnist":
        raise refusal("popup_architectures", "must not hold lenet5 on digits", "lenet5")


KNOBS = Knobs(
    Knob("dataset", "mnist", Choice("mnist", "digits"), "images; digits also stand in for mnist"),
    Knob("hidden", 500, Integer(1), "hidden units of the network whose weights are replaced"),
    Knob("target_epochs", 2, EPOCHS, "epochs of its training"),
    Knob("target_batch", 128, Integer(1), "and its batches"),
    Knob("n_values", 21, Integer(1, 40), "random numbers for each weight"),
    Knob(
        "judged_draws",
        ["weight", "neuron"],
        ListOf(Choice("weight", "neuron"), order="distinct"),
        "own numbers for each, judged",
    ),
    Knob("eps", 0.01, Real(above=0, below=1), "error that a weight may have"),
    Knob("hit_draws", 2000, Integer(100), "targets in the race of searchers (C5)"),
    Knob(
        "eps_grid",
        [0.1, 0.03, 0.01, 0.003, 0.001],
        ListOf(Real(at_least=1e-4, below=0.5), 3, order="falling"),
        "errors there",
    ),
    Knob(
        "curve_n",
        range(4, 16),
        ListOf(Integer(1, 22), 5, order="increasing"),
        "numbers in the decay of C3",
    ),
    Knob("curve_trials", 300, TRIALS, "draws at each of them"),
    Knob("cover_trials", 300, TRIALS, "draws in the probabilities of C4"),
    Knob("product_trials", 1000, TRIALS, "draws of products (C6)"),
    Knob("bound_trials", 400, TRIALS, "draws for the lower bound (C8)"),
    Knob("gadget_draws", 10, Integer(1), "random networks pruned to a target (C7)"),
    Knob(
        "gadget_n",
        [8, 12, 16, 18, 20, 24, 26],
        ListOf(Integer(1, 40), 3, order="increasing"),
        "numbers there",
    ),
    Knob(
        "popup_train",
        10_000,
        Either(Integer(100), Nothing()),
        "images of the search (C9), None for all",
    ),
    Knob("popup_hidden", 100, Integer(1), "its hidden units"),
    Knob("popup_redundancy", 5, Integer(1), "random factors for each input of the gadget"),
    Knob("popup_epochs", 3, EPOCHS, "its epochs"),
    Knob(
        "popup_sparsities",
        [0.0, 0.5, 0.9, 0.99],
        ListOf(Real(at_least=0, at_most=1), 2, order="increasing"),
        "fractions removed",
    ),
    Knob(
        "popup_architectures",
        ["two_layer"],
        ListOf(Choice("two_layer", "four_layer", "lenet5"), order="distinct"),
        "networks",
    ),
    Knob("device", "cpu", Choice("cpu", "cuda", "auto"), "where the search trains"),
    rules=consistent,
)
