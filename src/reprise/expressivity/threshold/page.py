"""What the chapter's page needs beside the algorithms: data, drawings, a widget.

Nothing else of the package imports this module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reprise.data import load
from reprise.expressivity.threshold.bounds import closed_form_count, stored_bits
from reprise.expressivity.threshold.construction import (
    GATE_BY_GATE_POINTS,
    SAMPLE_POINTS,
    MemorizationResult,
    memorize,
)
from reprise.expressivity.threshold.layers import STAGES
from reprise.expressivity.threshold.network import ThresholdLayer, ThresholdNetwork
from reprise.expressivity.threshold.points import (
    EXACT_DISTANCE_POINTS,
    clusters,
    radial_line,
    sphere,
    sphere_distance,
)
from reprise.expressivity.threshold.widths import Parity
from reprise.interactive import Slider, widget
from reprise.notebook import Picture
from reprise.plotting import COLORS, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def sphere_case(
    n: int, d: int, *, rng: np.random.Generator
) -> tuple[NDArray, NDArray, float | None]:
    """Sphere points, random labels, and a distance to give to the builder where it must be given.

    Beyond 20,000 points the exact distance is costly; we give one that is exceeded with probability
    of about nine tenths.
    """
    X, y = sphere(n, d, rng=rng), rng.integers(0, 2, n)
    return X, y, None if n <= EXACT_DISTANCE_POINTS else sphere_distance(n, d)


def line_case(*, rng: np.random.Generator) -> tuple[NDArray, NDArray, None]:
    """17 collinear points with random labels."""
    return radial_line(), rng.integers(0, 2, 17), None


def pair_case(delta: float, n: int = 1000, *, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Pairs at distance delta in 16 dimensions, with opposite labels."""
    return clusters(n, delta, 16, rng=rng), np.arange(n) % 2


def build(case, parity: Parity, seed: int, **options) -> MemorizationResult:
    """`memorize` for a case (X, y, delta)."""
    X, y, delta = case
    return memorize(X, y, delta=delta, parity=parity, rng=seed, **options)


@dataclass(frozen=True)
class Run:
    """What is measured of one built network.

    Attributes
    ----------
    n, parity
        Points and form of the parities.
    errors : int
        Wrong labels, of the gates and of the look-ups together.
    gates, weights, lifted_gates, hash_gates : int
        U and W counted from the layers; gates of stages C to E, and of A and B.
    counted_as_planned : bool
        True if U and W are those of the closed form.
    growth, tries : int
    hash_factor : float
        ``hash_gates * delta / log2 n``.
    stored, nonzero : float
        `stored_bits`, and non-zero slot weights a point.
    largest_slot, group_weight : int
        Largest absolute slot weight, and BIG.
    small_elsewhere : bool
        True if the layers after the first are integer and, but for the memorising one, hold only
        -1 and +1.
    """

    n: int
    parity: Parity
    errors: int
    gates: int
    weights: int
    lifted_gates: int
    hash_gates: int
    counted_as_planned: bool
    growth: int
    tries: int
    hash_factor: float
    stored: float
    nonzero: float
    largest_slot: int
    group_weight: int
    small_elsewhere: bool

    @property
    def parameters(self) -> int:
        """W: weights and thresholds."""
        return self.gates + self.weights


def measure(case, parity: Parity, seed: int) -> Run:
    """Build a network, check every label in both ways, count it, look at its weights."""
    X, y, _ = case
    result = build(case, parity, seed)
    net, n = result.network, len(X)
    planned = closed_form_count(result.widths, X.shape[1], result.memorizing.n_weights)
    slot_weights = result.slot_weights
    hashing = hash_gates(result)
    others = [layer for layer in net.layers[1:] if layer.kind != "memorize"]
    small = all(set(np.unique(layer.values())) <= {-1, 1} for layer in others)
    return Run(
        n=n,
        parity=parity,
        errors=gate_errors(result, X, y) + look_up_errors(result, X, y),
        gates=net.n_gates,
        weights=net.n_weights,
        lifted_gates=net.n_gates - hashing,
        hash_gates=hashing,
        counted_as_planned=(net.n_gates, net.n_weights) == (planned.gates, planned.weights),
        growth=result.growth,
        tries=result.tries,
        hash_factor=hashing * result.delta / math.log2(n),
        stored=stored_bits(slot_weights, n),
        nonzero=np.count_nonzero(slot_weights.data) / n,
        largest_slot=int(np.abs(slot_weights.data).max(initial=0)),
        group_weight=result.group_weight,
        small_elsewhere=small and all(layer.is_integer for layer in net.layers[1:]),
    )


def gate_errors(result: MemorizationResult, X: NDArray, y: NDArray) -> int:
    """Labels that the gates get wrong: all points up to 10,000, 2,000 random ones beyond."""
    some = np.arange(len(X))
    if len(X) > GATE_BY_GATE_POINTS:
        some = np.random.default_rng(len(X)).choice(len(X), SAMPLE_POINTS, replace=False)
    return int((result.network.forward(X[some]) != y[some]).sum())


def look_up_errors(result: MemorizationResult, X: NDArray, y: NDArray) -> int:
    """Labels that the look-ups get wrong, of all points."""
    return int((result.look_up(X) != y).sum())


def changed(result: MemorizationResult, kind: str, change) -> ThresholdNetwork:
    """The network with the layers of one stage replaced by ``change(layer)``."""
    layers = [change(layer) if layer.kind == kind else layer for layer in result.network.layers]
    return ThresholdNetwork(layers)


def without_group(result: MemorizationResult, group: int) -> ThresholdNetwork:
    """Slot weights of one memorising gate set to 0."""

    def change(layer: ThresholdLayer) -> ThresholdLayer:
        weight = layer.weight.copy()
        row = slice(weight.indptr[group], weight.indptr[group + 1])
        weight.data[row][weight.indices[row] >= result.widths.groups] = 0
        return ThresholdLayer(weight, layer.threshold, layer.kind)

    return changed(result, "memorize", change)


def permuted_slots(result: MemorizationResult, *, rng: np.random.Generator) -> ThresholdNetwork:
    """Slot weights of the memorising gates at other slots, the same permutation for all."""
    groups = result.widths.groups
    order = np.append(np.arange(groups), groups + rng.permutation(result.widths.slots))
    return changed(
        result,
        "memorize",
        lambda layer: ThresholdLayer(layer.weight[:, order], layer.threshold, layer.kind),
    )


def permuted_biases(result: MemorizationResult, *, rng: np.random.Generator) -> ThresholdNetwork:
    """Thresholds of the hyperplanes exchanged among them."""
    return changed(
        result,
        "hyperplanes",
        lambda layer: ThresholdLayer(layer.weight, rng.permutation(layer.threshold), layer.kind),
    )


def hash_gates(result: MemorizationResult) -> int:
    """Gates of stages A and B, whose number depends on delta."""
    counted = result.network.count()
    return counted["hyperplanes"][0] + counted["parity"][0]


def float32_gates_agree(network: ThresholdNetwork, X: NDArray) -> bool:
    """True if all integer layers fire alike in float32 and in int64."""
    first = network.layers[0]
    exact = (first.threshold <= X @ first.weight.T).astype(np.int64)
    rough = exact.astype(np.float32)
    for layer in network.layers[1:]:
        exact = (layer.sums(exact) >= layer.threshold).astype(np.int64)
        sums = layer.sums(rough)
        if sums.dtype != np.float32:
            raise TypeError(f"sums must be float32, got {sums.dtype}")
        rough = (sums >= layer.threshold.astype(np.float32)).astype(np.float32)
        if (rough != exact).any():
            return False
    return True


def layers_hash(network: ThresholdNetwork, kinds: Sequence[str]) -> str:
    """A digest of all arrays of some stages, to compare networks bit by bit."""
    import hashlib

    digest = hashlib.sha256()
    for layer in network.layers:
        if layer.kind in kinds:
            weight = layer.weight
            arrays = [weight] if isinstance(weight, np.ndarray) else []
            arrays = arrays or [weight.data, weight.indices, weight.indptr]
            for array in (*arrays, layer.threshold):
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def rounded_least_squares(result: MemorizationResult, y: NDArray) -> NDArray[np.uint8]:
    """Labels of the naive way: least squares for each group's slot weights, then rounding."""
    out = np.zeros(len(y), np.uint8)
    for group in range(result.widths.groups):
        members = np.flatnonzero(result.group == group)
        if len(members) == 0:
            continue
        lifted = np.zeros((len(members), result.widths.slots))
        np.put_along_axis(lifted, result.slots[members].astype(np.int64), 1, axis=1)
        weights = np.rint(np.linalg.lstsq(lifted, y[members].astype(float), rcond=None)[0])
        out[members] = lifted @ weights >= 1
    return out


def random_labelled_images(name: str, *, rng: np.random.Generator):
    """Distinct images, random labels, and what is held out.

    Returns
    -------
    X : float64 (n, pixels)
    y : int64 (n,)
    record : reprise.data.Record
    """
    found = load(name, fallback="digits")
    arrays = found.arrays
    pixels = arrays["features"] if "features" in arrays else arrays["x_train"]
    X = np.unique(pixels.reshape(len(pixels), -1), axis=0).astype(np.float64)
    return X, rng.integers(0, 2, len(X)), found.record


# --- drawings -------------------------------------------------------------------------------------


def draw_cells(ax: Axes, X: NDArray, y: NDArray, normals: NDArray, offsets: NDArray) -> None:
    """Labelled points in the plane and the lines that cut it."""
    turn = np.linspace(-1.4, 1.4, 2)
    for g, b in zip(normals, offsets, strict=True):
        length = np.linalg.norm(g)
        along = np.array([-g[1], g[0]]) / length
        ends = -b * g / length**2 + 3 * turn[:, None] * along
        ax.plot(*ends.T, color=INK, alpha=0.35, lw=0.8)
    for label, color, marker in ((0, "blue", "o"), (1, "orange", "D")):
        ax.plot(*X[y == label].T, marker, ms=5, ls="", color=COLORS[color], label=f"label {label}")
    ax.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")


def draw_group(ax: Axes, result: MemorizationResult, group: int, y: NDArray) -> None:
    """One group's points, the slots that each uses in T blocks, and their integer weights."""
    members = np.flatnonzero(result.group == group)
    size = 1 << result.widths.slot_bits
    weights = result.slot_weights[[group]].toarray()[0]
    used = np.unique(result.slots[members])
    place = {slot: x for x, slot in enumerate(used)}
    for row, i in enumerate(members):
        color = COLORS["orange" if y[i] else "blue"]
        x = [place[s] for s in result.slots[i]]
        ax.plot(x, [row] * len(x), "-", color=color, alpha=0.5, lw=0.8)
        ax.plot(x, [row] * len(x), "D" if y[i] else "o", color=color, ms=4)
    for slot, x in place.items():
        w = weights[slot]
        if w:
            ax.annotate(
                f"{w:+d}",
                (x, len(members)),
                ha="center",
                va="bottom",
                fontsize=6,
                color=INK,
                rotation=90,
            )
    for t in range(1, result.widths.hashes):
        edge = np.searchsorted(used, t * size) - 0.5
        ax.axvline(edge, color=INK, lw=0.8, alpha=0.5)
    ax.set(
        xlabel="slots in use, block by block",
        ylabel="points of the group",
        ylim=(-1, len(members) + 2),
        xlim=(-1, len(used)),
    )


def draw_schematic(ax: Axes, network: ThresholdNetwork) -> None:
    """Widths of all layers, to scale on a logarithmic axis."""
    colors = dict(zip(STAGES, COLORS.values(), strict=False))
    widths = [network.n_inputs] + [layer.n_gates for layer in network.layers]
    for x, width in enumerate(widths):
        kind = network.layers[x - 1].kind if x else "input"
        ax.barh(
            -x,
            math.log10(width) + 0.15,
            height=0.6,
            color=COLORS["grey"] if not x else colors[kind],
        )
        ax.annotate(
            f"{width:,} {'coordinates' if not x else kind}",
            (math.log10(width) + 0.2, -x),
            va="center",
            fontsize=9,
            color=INK,
        )
    ax.set(yticks=[], xlabel="width (log scale)", xlim=(0, math.log10(max(widths)) + 1.3))
    ax.set_xticks([0.15, 1.15, 2.15, 3.15], ["1", "10", "100", "1000"])
    ax.grid(False)


def capacity_explorer(*, caption: str, alt: str) -> Picture:
    """Gates and weights of the construction and of Baum's, recomputed from sliders."""
    return widget(
        "capacity",
        sliders=[
            Slider("n", "log2 n", 8, 24, 1, 16),
            Slider("d", "d", 2, 256, 1, 32),
            Slider("delta", "log10 of the distance", -3, 0, 0.1, -0.3),
            Slider("count", "0: gates, 1: weights", 0, 1, 1, 0),
        ],
        size=(560, 220),
        caption=caption,
        alt=alt,
    )
