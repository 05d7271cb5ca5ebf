"""The construction: hash by hyperplanes, code by parities, lift to slots, memorise, output.

Stage A: random `signs`. Stage B: parities of random signs, short distinct `codes`. Stages C to E:
the lift, memorising gates, the output gate (`layers`). Every random choice is checked, and drawn
again where it fails.

Our instantiation of the schematic in Rajput, Sreenivasan, Papailiopoulos, Karbasi, "An Exponential
Improvement on the Memorization Capacity of Deep Threshold Networks", NeurIPS 2021, arXiv
2106.07724 (Figure 1); constants and the peeling are ours.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reprise.expressivity.threshold import kernels
from reprise.expressivity.threshold.codes import Found, codes_of, masks_of, try_codes
from reprise.expressivity.threshold.layers import (
    lift_layer,
    memorizing_layer,
    output_layer,
    parity_layers,
)
from reprise.expressivity.threshold.network import ThresholdLayer, ThresholdNetwork
from reprise.expressivity.threshold.points import (
    EXACT_DISTANCE_POINTS,
    hyperplanes_needed,
    least_separation,
    min_distance,
)
from reprise.expressivity.threshold.signs import Signs
from reprise.expressivity.threshold.widths import (
    Parity,
    Widths,
    default_bits,
    default_parity_size,
    starting_hyperplanes,
)
from reprise.runtime import check_integer, in_parallel

Bits = NDArray[np.uint8]
SAFE_MARGIN = 1e-12  # sums of d products round by less, on any machine
GATE_BY_GATE_POINTS = 10_000  # as many points are verified gate by gate; all by look-ups
SAMPLE_POINTS = 2000
MOST_GROWTH = 3


class MemorizationError(RuntimeError):
    """No network was found within the allowed hyperplanes, widths and tries."""


@dataclass(frozen=True)
class MemorizationResult:
    """A network that outputs every label, and how it was found.

    Attributes
    ----------
    network : ThresholdNetwork
    delta : float
        Smallest distance of two points after scaling, as measured, estimated or given.
    tries : int
        Draws of code bits and fresh draws of hyperplanes, together.
    stage_seconds : dict of str to float
        Seconds spent on signs, codes, peeling, layers and verification.
    group : int64 (n,)
    slots : int32 (n, T)
        Where each point stands: slot v of block t has the number t S + v.
    widths : Widths
    parity_sets : int32 (m2, k_S)
        The signs that each code bit is the parity of.
    growth : int
        By how much s exceeds its default.
    margin : float
        Smallest |<g, x> + b| over all points and hyperplanes, after scaling.
    scale : float
        Largest norm, by which the points were divided.
    """

    network: ThresholdNetwork
    delta: float
    tries: int
    stage_seconds: dict[str, float]
    group: NDArray[np.int64]
    slots: NDArray[np.int32]
    widths: Widths
    parity_sets: NDArray[np.int32]
    growth: int
    margin: float
    scale: float

    @property
    def code(self) -> Bits:
        """The code of each point: uint8 (n, m2), group bits first, each number lowest bit first."""
        g, s = self.widths.group_bits, self.widths.slot_bits
        values = self.slots & ((1 << s) - 1)
        parts = [(self.group[:, None] >> np.arange(g)) & 1]
        parts += [(values[:, [t]] >> np.arange(s)) & 1 for t in range(self.widths.hashes)]
        return np.concatenate(parts, axis=1).astype(np.uint8)

    @property
    def memorizing(self) -> ThresholdLayer:
        """Stage D."""
        return self.network.stage("memorize")[0]

    @property
    def slot_weights(self) -> sparse.csr_array:
        """Weights of the memorising gates on slots: int32 (G, T S); of several outputs, stacked."""
        return sparse.csr_array(self.memorizing.weight[:, self.widths.groups :])

    @property
    def group_weight(self) -> int:
        """BIG, the weight of a memorising gate on its group."""
        return int(self.memorizing.weight[:, : self.widths.groups].max())

    def look_up(self, X: ArrayLike) -> Bits:
        """The network's outputs by a second way: parities of words, then a search for weights.

        It reads the first layer's hyperplanes, the parity sets and stage D's rows; no gate of
        stages B, C and E is fired.

        Parameters
        ----------
        X : array_like, shape (n, d)

        Returns
        -------
        ndarray of uint8, shape (n,)
        """
        X = np.asarray(X, dtype=np.float64)
        first, w = self.network.layers[0], self.widths
        masks = masks_of(self.parity_sets, w.hyperplanes)
        rows, stage = self.memorizing.weight, self.memorizing
        groups = w.groups
        outputs = rows.shape[0] // groups
        out = np.zeros((len(X), outputs), np.uint8)
        big = np.asarray(rows[:, :groups].sum(axis=1), dtype=np.int64).ravel()

        def some(start: int) -> None:
            x = X[start : start + kernels.ROWS]
            words = kernels.pack_bits(x @ first.weight.T >= first.threshold)
            group, slots = codes_of(words, masks, w)
            for b in range(outputs):
                part = np.empty(len(x), np.uint8)
                arrays = (rows.indptr, rows.indices, rows.data, big, stage.threshold, groups)
                kernels.look_up(group + b * groups, slots, *arrays, part)
                out[start : start + kernels.ROWS, b] = part

        in_parallel(some, range(0, len(X), kernels.ROWS))
        return (out << np.arange(outputs, dtype=np.uint8)).sum(axis=1, dtype=np.uint8)


def memorize(
    X: ArrayLike,
    y: ArrayLike,
    *,
    outputs: int = 1,
    delta: float | None = None,
    n_hyperplanes: int | None = None,
    parity_size: int | None = None,
    parity: Parity = "tree",
    n_hashes: int = 3,
    slack: float = 1.5,
    max_tries: int = 20,
    max_hyperplanes: int = 131072,
    center: bool = False,
    rng: np.random.Generator | int,
) -> MemorizationResult:
    """Build a threshold network that outputs every label exactly.

    Every random choice is checked, and drawn again where it fails (Las Vegas): hyperplanes are
    doubled until all sign patterns differ, code bits are drawn until all groups peel. The finished
    network is verified on all points before it is returned.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Distinct points.
    y : array_like of 0 and 1, shape (n,)
    outputs : int
        Bits of a label, 1 to 8, where labels are numbers below 2^outputs.
    delta : float, optional
        A lower bound of all distances, in the units of X. By default measured up to 20,000 points
        and estimated beyond. It only sets sizes: a wrong one costs gates or an error.
    n_hyperplanes : int, optional
        m1. By default doubled from 4 ceil(log2 n) up to `hyperplanes_needed`.
    parity_size : int, optional
        k_S. By default about twice the inverse of the least separation probability.
    parity : str
        "flat": k_S + 1 gates a parity, k_S^2 + k_S weights. "tree": 3 (k_S - 1) gates, 6 (k_S - 1)
        weights, and k_S a power of two by default.
    n_hashes : int
        T, at least 1.
    slack : float
        Slots of a block over sqrt(n), positive.
    max_tries : int
        Draws of code bits at each width, and fresh draws of hyperplanes in all; at least 1.
    max_hyperplanes : int
        Cap of m1.
    center : bool
        Move the mean to the origin; the shift goes into the thresholds.
    rng : numpy.random.Generator or int

    Returns
    -------
    MemorizationResult
        ``result.network.forward(X) == y``, without exception.

    Raises
    ------
    ValueError
        For points that coincide or are not finite, labels that are not 0 and 1, or parameters
        outside their ranges.
    MemorizationError
        If no try succeeds.
    """
    X, y = _checked(X, y, outputs)
    for name, value in (
        ("n_hashes", n_hashes),
        ("max_tries", max_tries),
        ("max_hyperplanes", max_hyperplanes),
    ):
        check_integer(name, value, 1)
    if parity not in ("flat", "tree"):
        raise ValueError(f"parity must be 'flat' or 'tree', got {parity!r}")
    if not (math.isfinite(slack) and slack > 0):
        raise ValueError(f"slack must be positive, got {slack}")
    if delta is not None and not delta > 0:
        raise ValueError(f"delta must be positive, got {delta}")
    clock = Clock()
    # labels never draw: the same points and seed give the same stages A to C
    plane_rng, code_rng, distance_rng = np.random.default_rng(rng).spawn(3)
    n = len(X)
    centre = X.mean(axis=0) if center else np.zeros(X.shape[1])
    moved = X - centre if center else X
    norms = np.sqrt(np.einsum("ij,ij->i", moved, moved))
    scale = float(norms.max()) or 1.0
    smallest = min_distance(X, rng=distance_rng) if _must_measure(n, delta) else delta
    if delta is not None and smallest < delta * (1 - 1e-9):
        raise ValueError(f"delta must be at most the smallest distance {smallest:.6g}, got {delta}")
    scaled = min((smallest if delta is None else delta) / scale, 2.0)
    on_sphere = bool(norms.min() >= scale * (1 - 1e-9))
    separation = least_separation(scaled, on_sphere)
    clock.lap("distance")

    cap = min(hyperplanes_needed(n, scaled), max_hyperplanes)
    m1 = min(starting_hyperplanes(n), cap) if n_hyperplanes is None else n_hyperplanes
    check_integer("n_hyperplanes", m1, 1)
    cap = cap if n_hyperplanes is None else m1
    if parity_size is not None:
        if not 1 <= parity_size <= cap:
            raise ValueError(
                f"parity_size must be in 1..n_hyperplanes = 1..{cap}, got {parity_size}"
            )
        m1 = max(m1, parity_size)
    g, s = default_bits(n, slack)
    signs = Signs(X, centre, scale, rng=plane_rng)
    tries, growth, fresh = 0, 0, 0
    while True:
        signs.extend(m1)
        while signs.margin < SAFE_MARGIN and fresh < max_tries:
            fresh, tries = fresh + 1, tries + 1
            signs.draw_afresh(m1)
        clock.lap("signs")
        distinct = signs.all_distinct() and signs.margin >= SAFE_MARGIN
        clock.lap("codes")
        if distinct:
            size = parity_size or default_parity_size(m1, separation, parity)
            widths = Widths(m1, size, g, s + growth, n_hashes, parity)
            found = None
            for _ in range(max_tries):
                tries += 1
                found = try_codes(signs, widths, y, outputs, rng=code_rng, lap=clock.lap)
                if found is not None:
                    break
            if found is not None:
                break
        if m1 < cap:
            m1 = min(2 * m1, cap)
        elif distinct and growth < MOST_GROWTH:
            growth += 1
        elif not distinct and fresh < max_tries:
            fresh, tries = fresh + 1, tries + 1
            signs.draw_afresh(m1)
        else:
            why = "their codes do not peel" if distinct else "the points are not separated"
            raise MemorizationError(
                f"no network of {m1} hyperplanes and {1 << (s + growth)} slots a block after "
                f"{tries} tries: {why}"
            )
    layers = _layers(signs, found, outputs)
    clock.lap("layers")
    result = MemorizationResult(
        ThresholdNetwork(layers),
        scaled,
        tries,
        clock.seconds,
        found.group,
        found.slots,
        widths,
        found.parity_sets,
        growth,
        signs.margin,
        scale,
    )
    _verify(result, X, y)
    clock.lap("verify")
    return result


def memorize_multiclass(X: ArrayLike, y: ArrayLike, **options) -> MemorizationResult:
    """Memorise classes 0 to K - 1: ceil(log2 K) sets of memorising gates over one shared code.

    Parameters
    ----------
    X : array_like, shape (n, d)
    y : array_like of int, shape (n,)
        0 to 255.
    **options
        As for `memorize`, ``rng`` among them.

    Returns
    -------
    MemorizationResult
        Its network has an output gate for each bit of the class; `ThresholdNetwork.forward` reads
        them as a number.

    Raises
    ------
    ValueError, MemorizationError
        As `memorize`, and ValueError for classes outside 0 to 255.
    """
    y = np.asarray(y)
    if not np.issubdtype(y.dtype, np.integer) or not ((y >= 0) & (y <= 255)).all():
        raise ValueError("y must contain only integers from 0 to 255")
    outputs = max(1, int(y.max(initial=0)).bit_length())
    return memorize(X, y, outputs=outputs, **options)


def _must_measure(n: int, delta: float | None) -> bool:
    """A small set is always measured, so that a wrong delta is refused."""
    return delta is None or n <= EXACT_DISTANCE_POINTS


def _checked(X: ArrayLike, y: ArrayLike, outputs: int) -> tuple[NDArray[np.float64], Bits]:
    """Points and labels, or an error that says what is wrong with them."""
    y = np.asarray(y)
    if not np.isin(y, range(1 << outputs)).all():
        known = "0 and 1" if outputs == 1 else f"integers from 0 to {(1 << outputs) - 1}"
        raise ValueError(f"y must contain only {known}")
    X = np.ascontiguousarray(X, dtype=np.float64)
    if X.ndim != 2 or X.size == 0:
        raise ValueError(f"X must have shape (n, d) with n, d >= 1, got {X.shape}")
    if y.shape != (len(X),):
        raise ValueError(f"X and y have different lengths: {len(X)} and {y.shape}")
    if not np.isfinite(X).all():
        raise ValueError("X contains NaN or infinity")
    return X, y.astype(np.uint8)


def _verify(result: MemorizationResult, X: NDArray, y: Bits) -> None:
    """Every label by look-ups, and gate by gate up to 10,000 points, of more a sample."""
    if (result.look_up(X) != y).any():
        raise MemorizationError("the network does not output every label")
    step = 1 if len(X) <= GATE_BY_GATE_POINTS else len(X) // SAMPLE_POINTS
    if (result.network.forward(X[::step]) != y[::step]).any():
        raise MemorizationError("the network's gates do not output every label")


def _layers(signs: Signs, found: Found, outputs: int) -> list[ThresholdLayer]:
    """All layers, first to last."""
    widths = found.widths
    return [
        ThresholdLayer(signs.normals, signs.threshold, "hyperplanes"),
        *parity_layers(found.parity_sets, widths.hyperplanes, widths.parity),
        lift_layer(widths),
        memorizing_layer(found.weights, found.big, widths),
        output_layer(widths.groups, outputs),
    ]


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
