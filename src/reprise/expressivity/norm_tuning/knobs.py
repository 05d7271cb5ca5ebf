"""The knobs of the chapter `expressivity/norm_tuning`."""

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


def widths(least: int, count: int = 1) -> ListOf:
    """Increasing widths."""
    return ListOf(Integer(least), count, order="increasing")


def consistent(knobs):
    """A random network as wide as d squared is the least that C9 can ask for."""
    for d, k in knobs.descent_sizes:
        if d * d > k:
            raise refusal("descent_sizes", "must hold pairs d, k with k at least d squared", [d, k])


KNOBS = Knobs(
    Knob("classifier_data", "digits", Choice("digits", "mnist"), "what the classifier reads"),
    Knob("classifier_hidden", [32, 32], ListOf(Integer(1)), "its hidden widths"),
    Knob(
        "sparse_density",
        0.25,
        Real(above=0, at_most=1),
        "share of weights kept in sparse networks",
    ),
    Knob("width_factor", 2.0, Real(at_least=1), "random neurons for each target weight in C6"),
    Knob("tight_d", [8, 12, 16], widths(4), "widths of the targets in C2"),
    Knob("tight_draws", 40, Integer(10), "draws for each"),
    Knob("width_d", [4, 6, 8, 12, 16, 24], widths(2, 2), "widths in C3"),
    Knob("few_draws", 3, Integer(2), "draws for each, and behind the price of small widths"),
    Knob("phase_d", [8, 12, 16, 24], widths(8), "widths in C4"),
    Knob("phase_trials", 20, Integer(8), "draws for each point there"),
    Knob("map_d", 12, Integer(4), "width of the target in the phase diagram"),
    Knob("train_width", 48, Integer(1), "channels of the trained ResNet (C7)"),
    Knob("train_widths", [8, 16, 48], widths(1, 2), "channels compared in C8"),
    Knob("train_epochs", 30, Integer(2), "their epochs"),
    Knob(
        "train_precision",
        "float32",
        Choice("float32", "float64"),
        "the second is the same on any CPU",
    ),
    Knob(
        "published",
        "curves",
        Choice("curves", "table"),
        "the authors' results; the table needs no file",
    ),
    Knob(
        "cifar_densities",
        [],
        ListOf(Either(Choice("all"), Real(above=0, at_most=1)), 0),
        "rerun CIFAR-10 at these",
    ),
    Knob("cifar_model", "resnet34", Choice("resnet34", "small"), "the network there"),
    Knob("cifar_epochs", 100, Integer(1), "epochs there"),
    Knob(
        "cifar_train",
        None,
        Either(Integer(128, 50_000), Nothing()),
        "its training images, None for all",
    ),
    Knob("device", "cpu", Choice("cpu", "cuda", "auto"), "where CIFAR-10 is trained"),
    Knob(
        "descent_sizes",
        [[8, 64], [8, 128], [16, 512]],
        ListOf(ListOf(Integer(1), 2, 2)),
        "pairs d, k in C9",
    ),
    rules=consistent,
)
