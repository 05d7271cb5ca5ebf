"""The construction: hash by hyperplanes, code by parities, lift to slots, memorise, output.

Stage A: random hyperplanes, the only real-valued layer. Stage B: parities of random signs, a short
distinct binary code for each point. Stage C: the code chooses one group gate and one slot gate in
each of T blocks. Stage D: one gate a group with integer weights on slots. Stage E: the output gate.

Our instantiation of the schematic in Rajput, Sreenivasan, Papailiopoulos, Karbasi, "An Exponential
Improvement on the Memorization Capacity of Deep Threshold Networks", NeurIPS 2021, arXiv
2106.07724 (Figure 1); constants and the peeling are ours.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reprise.expressivity.threshold import kernels
from reprise.expressivity.threshold.network import (
    ThresholdLayer,
    ThresholdNetwork,
)
from reprise.expressivity.threshold.points import (
    EXACT_DISTANCE_POINTS,
    gaussian_gates,
    hyperplanes_needed,
    least_separation,
    min_distance,
)
from reprise.runtime import in_parallel

Parity = Literal["flat", "tree"]
Bits = NDArray[np.uint8]
STAGES = ("hyperplanes", "parity", "lift", "memorize", "output")
SAFE_MARGIN = 1e-12  # sums of d products round by less, on any machine
GATE_BY_GATE_POINTS = 10_000  # as many points are verified gate by gate; all by look-ups
SAMPLE_POINTS = 2000
MOST_GROWTH = 3
_ROWS = 1 << 14


class MemorizationError(RuntimeError):
    """No network was found within the allowed hyperplanes, widths and tries."""


@dataclass(frozen=True)
class Widths:
    """Sizes of the stages.

    Attributes
    ----------
    hyperplanes : int
        m1.
    parity_size : int
        k_S, signs in a parity.
    group_bits, slot_bits, hashes : int
        g, s, T: 2^g groups, T blocks of 2^s slots, ``m2 = g + T s`` code bits.
    parity : str
        "flat" or "tree".
    """

    hyperplanes: int
    parity_size: int
    group_bits: int
    slot_bits: int
    hashes: int
    parity: Parity

    @property
    def code_bits(self) -> int:
        """m2."""
        return self.group_bits + self.hashes * self.slot_bits

    @property
    def groups(self) -> int:
        """G."""
        return 1 << self.group_bits

    @property
    def slots(self) -> int:
        """T S."""
        return self.hashes << self.slot_bits


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
        masks = _masks(self.parity_sets, w.hyperplanes)
        rows, stage = self.memorizing.weight, self.memorizing
        groups = w.groups
        outputs = rows.shape[0] // groups
        out = np.zeros((len(X), outputs), np.uint8)
        big = np.asarray(rows[:, :groups].sum(axis=1), dtype=np.int64).ravel()

        def some(start: int) -> None:
            x = X[start : start + _ROWS]
            words = _pack_bits(x @ first.weight.T >= first.threshold)
            group, slots = _codes(words, masks, w)
            for b in range(outputs):
                part = np.empty(len(x), np.uint8)
                arrays = (rows.indptr, rows.indices, rows.data, big, stage.threshold, groups)
                kernels.look_up(group + b * groups, slots, *arrays, part)
                out[start : start + _ROWS, b] = part

        in_parallel(some, range(0, len(X), _ROWS))
        return (out << np.arange(outputs, dtype=np.uint8)).sum(axis=1, dtype=np.uint8)


def memorize(
    X: ArrayLike,
    y: ArrayLike,
    *,
    delta: float | None = None,
    n_hyperplanes: int | None = None,
    parity_size: int | None = None,
    parity: Parity = "tree",
    n_hashes: int = 3,
    slack: float = 1.5,
    max_tries: int = 20,
    max_hyperplanes: int = 131072,
    center: bool = False,
    rng: np.random.Generator | int = 0,
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
    y = np.asarray(y)
    if not np.isin(y, (0, 1)).all():
        raise ValueError("y must contain only 0 and 1")
    return _memorize(
        X,
        y.astype(np.uint8),
        1,
        delta=delta,
        n_hyperplanes=n_hyperplanes,
        parity_size=parity_size,
        parity=parity,
        n_hashes=n_hashes,
        slack=slack,
        max_tries=max_tries,
        max_hyperplanes=max_hyperplanes,
        center=center,
        rng=rng,
    )


def memorize_multiclass(X: ArrayLike, y: ArrayLike, **options) -> MemorizationResult:
    """Memorise classes 0 to K - 1: ceil(log2 K) sets of memorising gates over one shared code.

    Parameters
    ----------
    X : array_like, shape (n, d)
    y : array_like of int, shape (n,)
        0 to 255.
    **options
        As for `memorize`.

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
    return _memorize(X, y.astype(np.uint8), outputs, **options)


def default_parity_size(m1: int, separation: float, parity: Parity) -> int:
    """k_S: 2 / p, at most m1 / 2; with a tree the nearest power of two not above m1 / 2."""
    size = max(1, min(math.ceil(2 / separation), m1 // 2))
    if parity == "flat":
        return size
    nearest = 1 << round(math.log2(size))
    return nearest if nearest <= max(1, m1 // 2) else nearest // 2


def default_bits(n: int, slack: float = 1.5) -> tuple[int, int]:
    """g and s: about sqrt(n) groups, and slack sqrt(n) slots a block, as powers of two."""
    return round(math.log2(n) / 2), max(1, math.ceil(math.log2(slack * math.sqrt(n))))


def starting_hyperplanes(n: int) -> int:
    """m1 before any doubling: 4 ceil(log2 n)."""
    return 4 * max(1, math.ceil(math.log2(n)))


def peel(slots: ArrayLike, n_slots: int) -> tuple[NDArray[np.int64], NDArray[np.int32]] | None:
    """Peel a hypergraph: repeatedly remove a point that alone uses one of its slots.

    Parameters
    ----------
    slots : array_like of int, shape (n, T)
        The slots of each point, all different.
    n_slots : int

    Returns
    -------
    order : int64 (n,)
        Points in the order in which they leave.
    owner : int32 (n,)
        For each point, a slot that no point which leaves later uses.
    None
        If it gets stuck: two points with the same slots, or a 2-core.

    Raises
    ------
    ValueError
        If a slot is outside 0 to n_slots - 1 or a point names one twice.
    """
    slots = np.ascontiguousarray(slots, dtype=np.int32)
    if slots.ndim != 2:
        raise ValueError(f"slots must have shape (n, T), got {slots.shape}")
    if slots.size and not (slots.min() >= 0 and slots.max() < n_slots):
        raise ValueError(f"slots must be from 0 to {n_slots - 1}")
    ordered = np.sort(slots, axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ValueError("slots must not name a slot twice for one point")
    starts = np.array([0, len(slots)])
    order, owner = np.empty(len(slots), np.int64), np.full(len(slots), -1, np.int32)
    if kernels.peel_groups(0, 1, starts, slots, n_slots, order, owner) != 1:
        return None
    return order, owner


def solve(
    slots: ArrayLike, labels: ArrayLike, order: ArrayLike, owner: ArrayLike, n_slots: int
) -> NDArray[np.int64]:
    """Integer slot weights with which a point's slots sum to 1 or more exactly if its label is 1.

    Parameters
    ----------
    slots, n_slots
        As for `peel`.
    labels : array_like of 0 and 1, shape (n,)
    order, owner
        From `peel`.

    Returns
    -------
    ndarray of int64, shape (n_slots,)
    """
    slots = np.ascontiguousarray(slots, dtype=np.int32)
    owner = np.asarray(owner, dtype=np.int32)
    value = np.empty(len(slots), np.int32)
    kernels.solve_groups(
        0,
        1,
        np.array([0, len(slots)]),
        slots,
        n_slots,
        np.asarray(labels, dtype=np.uint8),
        np.asarray(order, dtype=np.int64),
        owner,
        value,
    )
    weights = np.zeros(n_slots, np.int64)
    weights[owner] = value
    return weights


# --- the loop of tries ----------------------------------------------------------------------------


def _memorize(
    X: ArrayLike,
    y: Bits,
    outputs: int,
    *,
    delta: float | None = None,
    n_hyperplanes: int | None = None,
    parity_size: int | None = None,
    parity: Parity = "tree",
    n_hashes: int = 3,
    slack: float = 1.5,
    max_tries: int = 20,
    max_hyperplanes: int = 131072,
    center: bool = False,
    rng: np.random.Generator | int = 0,
) -> MemorizationResult:
    """`memorize` with ``outputs`` bits a label."""
    X = _checked_points(X, y)
    for name, value in (
        ("n_hashes", n_hashes),
        ("max_tries", max_tries),
        ("max_hyperplanes", max_hyperplanes),
    ):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if parity not in ("flat", "tree"):
        raise ValueError(f"parity must be 'flat' or 'tree', got {parity!r}")
    if not (math.isfinite(slack) and slack > 0):
        raise ValueError(f"slack must be positive, got {slack}")
    if delta is not None and not delta > 0:
        raise ValueError(f"delta must be positive, got {delta}")
    clock = _Clock()
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
    if m1 < 1:
        raise ValueError(f"n_hyperplanes must be at least 1, got {m1}")
    cap = cap if n_hyperplanes is None else m1
    if parity_size is not None:
        if not 1 <= parity_size <= cap:
            raise ValueError(
                f"parity_size must be in 1..n_hyperplanes = 1..{cap}, got {parity_size}"
            )
        m1 = max(m1, parity_size)
    g, s = default_bits(n, slack)
    signs = _Signs(X, centre, scale, plane_rng)
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
                found = _try_codes(signs, widths, y, outputs, code_rng, clock)
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


def _must_measure(n: int, delta: float | None) -> bool:
    """A small set is always measured, so that a wrong delta is refused."""
    return delta is None or n <= EXACT_DISTANCE_POINTS


def _checked_points(X: ArrayLike, y: Bits) -> NDArray[np.float64]:
    X = np.ascontiguousarray(X, dtype=np.float64)
    if X.ndim != 2 or X.size == 0:
        raise ValueError(f"X must have shape (n, d) with n, d >= 1, got {X.shape}")
    if y.shape != (len(X),):
        raise ValueError(f"X and y have different lengths: {len(X)} and {y.shape}")
    if not np.isfinite(X).all():
        raise ValueError("X contains NaN or infinity")
    return X


def _verify(result: MemorizationResult, X: NDArray, y: Bits) -> None:
    """Every label by look-ups, and gate by gate up to 10,000 points, of more a sample."""
    if (result.look_up(X) != y).any():
        raise MemorizationError("the network does not output every label")
    step = 1 if len(X) <= GATE_BY_GATE_POINTS else len(X) // SAMPLE_POINTS
    if (result.network.forward(X[::step]) != y[::step]).any():
        raise MemorizationError("the network's gates do not output every label")


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


# --- stage A --------------------------------------------------------------------------------------


class _Signs:
    """Hyperplanes drawn so far, and on which side of each every point lies."""

    def __init__(self, X: NDArray, centre: NDArray, scale: float, rng: np.random.Generator) -> None:
        self.X, self.centre, self.scale, self.rng = X, centre, scale, rng
        self.reach = float(np.sqrt(np.einsum("ij,ij->i", X, X).max()))
        self.draw_afresh(0)

    def draw_afresh(self, m1: int) -> None:
        """Forget all hyperplanes and draw others."""
        self.normals = np.empty((0, self.X.shape[1]))
        self.threshold = np.empty(0)
        self.words = np.empty((len(self.X), 0), np.uint64)
        self.margin = math.inf
        self.extend(m1)

    def extend(self, m1: int) -> None:
        """Keep the old hyperplanes, draw what is missing to m1."""
        first = len(self.normals)
        if m1 <= first:
            return
        normals, offsets = gaussian_gates(m1 - first, self.X.shape[1], rng=self.rng)
        # in the units of X: <g, (x - c) / s> + b >= 0
        threshold = normals @ self.centre - offsets * self.scale
        words = np.zeros((len(self.X), (m1 + 63) // 64), np.uint64)
        words[:, : self.words.shape[1]] = self.words
        small = normals.astype(np.float32)
        length = float(np.sqrt(np.einsum("ij,ij->i", normals, normals).max()))
        rounding = 2.0**-23 * (self.X.shape[1] + 4) * (self.reach * length)
        tolerance = max(1e-4 * self.scale, rounding)
        rows = max(1, min(_ROWS, (1 << 22) // (m1 - first)))

        def pack(start: int) -> float:
            X = self.X[start : start + rows]
            values = X.astype(np.float32) @ small.T
            return kernels.pack_signs(
                values, X, normals, threshold, tolerance, first, words[start : start + rows]
            )

        margins = in_parallel(pack, range(0, len(self.X), rows))
        self.margin = min(self.margin, min(margins) / self.scale)
        self.normals = np.concatenate([self.normals, normals])
        self.threshold = np.concatenate([self.threshold, threshold])
        self.words = words

    def all_distinct(self) -> bool:
        """True if no two points have the same signs; ValueError if two points are the same."""
        hashes = np.empty(len(self.X), np.uint64)
        kernels.hash_rows(self.words, hashes)
        ordered = np.sort(hashes)
        twins = ordered[1:][ordered[1:] == ordered[:-1]]
        if len(twins) == 0:
            return True
        same = np.flatnonzero(hashes == twins[0])
        for i, j in pairwise(same):
            if (self.X[i] == self.X[j]).all():
                raise ValueError(f"points {i} and {j} coincide: remove one of them")
        return False


# --- stages B and C: codes ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """Codes that peel, and the weights that memorise the labels."""

    widths: Widths
    parity_sets: NDArray[np.int32]
    group: NDArray[np.int64]
    slots: NDArray[np.int32]
    weights: list[sparse.csr_array]  # (G, T S), one for each output
    big: int


def _try_codes(
    signs: _Signs,
    widths: Widths,
    y: Bits,
    outputs: int,
    rng: np.random.Generator,
    clock: _Clock,
) -> _Found | None:
    """One draw of stage B; None if a group does not peel."""
    parity_sets = draw_parity_sets(widths, rng)
    masks = _masks(parity_sets, widths.hyperplanes)
    n = len(signs.words)
    group = np.empty(n, np.int64)
    slots = np.empty((n, widths.hashes), np.int32)

    def some(start: int) -> None:
        part = slice(start, start + _ROWS)
        group[part], slots[part] = _codes(signs.words[part], masks, widths)

    in_parallel(some, range(0, n, _ROWS))
    clock.lap("codes")
    # numpy sorts 16-bit integers by counting
    by_group = np.argsort(
        group.astype(np.uint16 if widths.groups <= 1 << 16 else None), kind="stable"
    )
    starts = np.zeros(widths.groups + 1, np.int64)
    np.cumsum(np.bincount(group, minlength=widths.groups), out=starts[1:])
    sorted_slots = slots[by_group]
    order, owner = np.empty(n, np.int64), np.empty(n, np.int32)
    blocks = range(0, widths.groups, max(1, widths.groups // 16))

    def peel_some(first: int) -> bool:
        last = min(first + blocks.step, widths.groups)
        stuck = kernels.peel_groups(first, last, starts, sorted_slots, widths.slots, order, owner)
        return stuck == last

    peeled = all(in_parallel(peel_some, blocks))
    clock.lap("peel")
    if not peeled:
        return None
    weights, big = [], 1
    for bit in range(outputs):
        labels = ((y >> bit) & 1)[by_group]
        value = np.empty(n, np.int32)

        def solve_some(first: int, labels: Bits = labels, value: NDArray = value) -> int:
            last = min(first + blocks.step, widths.groups)
            return kernels.solve_groups(
                first, last, starts, sorted_slots, widths.slots, labels, order, owner, value
            )

        big = max(big, 1 + max(in_parallel(solve_some, blocks)))
        kept = np.flatnonzero(value)
        rows = np.repeat(np.arange(widths.groups), np.diff(starts))[kept]
        weights.append(
            sparse.csr_array(
                (value[kept], (rows, owner[kept])), shape=(widths.groups, widths.slots)
            )
        )
    clock.lap("peel")
    return _Found(widths, parity_sets, group, slots, weights, big)


def draw_parity_sets(widths: Widths, rng: np.random.Generator) -> NDArray[np.int32]:
    """Which signs each code bit is the parity of: int32 (m2, k_S), distinct within a row."""
    rows = [
        rng.choice(widths.hyperplanes, widths.parity_size, replace=False, shuffle=False)
        for _ in range(widths.code_bits)
    ]
    shape = (widths.code_bits, widths.parity_size)
    return np.array(rows, dtype=np.int32).reshape(shape)


def _masks(parity_sets: NDArray, m1: int) -> NDArray[np.uint64]:
    """Parity sets as words: uint64 (m2, words)."""
    chosen = np.zeros((len(parity_sets), m1), bool)
    np.put_along_axis(chosen, parity_sets.astype(np.int64), True, axis=1)
    return _pack_bits(chosen)


def _pack_bits(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Bits in 64-bit words, the first bit lowest: bool (n, m) -> uint64 (n, words)."""
    n, m = bits.shape
    padded = np.zeros((n, 8 * ((m + 63) // 64)), np.uint8)
    packed = np.packbits(bits, axis=1, bitorder="little")
    padded[:, : packed.shape[1]] = packed
    return padded.view("<u8").astype(np.uint64, copy=False)


def _codes(
    words: NDArray[np.uint64], masks: NDArray[np.uint64], widths: Widths
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Group and slots of each row of signs."""
    group = np.empty(len(words), np.int64)
    slots = np.empty((len(words), widths.hashes), np.int32)
    sizes = (widths.group_bits, widths.slot_bits, widths.hashes)
    kernels.code_points(words, masks, *sizes, group, slots)
    return group, slots


# --- layers ---------------------------------------------------------------------------------------


def _layers(signs: _Signs, found: _Found, outputs: int) -> list[ThresholdLayer]:
    """All layers, first to last."""
    widths = found.widths
    return [
        ThresholdLayer(signs.normals, signs.threshold, "hyperplanes"),
        *parity_layers(found.parity_sets, widths.hyperplanes, widths.parity),
        lift_layer(widths),
        memorizing_layer(found.weights, found.big, widths),
        output_layer(widths.groups, outputs),
    ]


def parity_layers(
    parity_sets: ArrayLike, inputs: int, parity: Parity = "tree"
) -> list[ThresholdLayer]:
    """Gates that compute the parity of each set of input bits.

    Parameters
    ----------
    parity_sets : array_like of int, shape (m2, k)
    inputs : int
        Number of input bits.
    parity : str
        "flat": k counters ``1[sum >= t]``, then ``1[h_1 - h_2 + h_3 - ... >= 1]``. "tree": pairs
        are combined by XORs of three gates; an odd one out passes through identity gates.

    Returns
    -------
    list of ThresholdLayer
        Two layers, or 2 ceil(log2 k). A tree of single bits is one layer of identity gates.
    """
    sets = np.asarray(parity_sets, dtype=np.int64)
    m2, k = sets.shape
    if parity == "flat":
        counters = _layer(np.arange(m2 + 1) * k, sets, np.ones(m2 * k), inputs, np.ones(m2))
        bounds = np.tile(np.arange(1, k + 1), m2)
        return [
            ThresholdLayer(counters.weight, bounds, "parity", copies=k),
            _layer(
                np.arange(m2 + 1) * k,
                np.arange(m2 * k),
                np.tile((-1) ** np.arange(k), m2),
                m2 * k,
                np.ones(m2),
            ),
        ]
    wires, width, layers = sets, inputs, []
    if k == 1:
        return [_layer(np.arange(m2 + 1), sets, np.ones(m2), inputs, np.ones(m2))]
    while wires.shape[1] > 1:
        pairs, odd = divmod(wires.shape[1], 2)
        width, wires, level = _xor_level(wires, width, m2, pairs, odd)
        layers += level
    return layers


def _xor_level(
    wires: NDArray, width: int, m2: int, pairs: int, odd: int
) -> tuple[int, NDArray, list[ThresholdLayer]]:
    """Halve the wires of every parity: one layer of OR and AND, one of OR and not AND."""
    both = np.repeat(wires[:, : 2 * pairs].reshape(m2, pairs, 2), 2, axis=1)  # one for OR, for AND
    rows = [np.concatenate([b.ravel(), w[2 * pairs :]]) for b, w in zip(both, wires, strict=True)]
    fan_in = np.tile([2] * (2 * pairs) + [1] * odd, m2)
    threshold = np.tile([1, 2] * pairs + [1] * odd, m2)
    indices = np.concatenate(rows)
    gates = 2 * pairs + odd
    first = _layer(_starts(fan_in), indices, np.ones(len(indices)), width, threshold)
    fan_in = np.tile([2] * pairs + [1] * odd, m2)
    signs = np.tile([1, -1] * pairs + [1] * odd, m2)
    second = _layer(_starts(fan_in), np.arange(m2 * gates), signs, m2 * gates, np.ones(len(fan_in)))
    left = pairs + odd
    return m2 * left, np.arange(m2 * left).reshape(m2, left), [first, second]


def _starts(fan_in: NDArray) -> NDArray:
    return np.concatenate([[0], np.cumsum(fan_in)])


def _layer(
    indptr: NDArray, indices: NDArray, data: NDArray, inputs: int, threshold: NDArray
) -> ThresholdLayer:
    """An integer layer of stage B."""
    parts = (data.astype(np.int32), indices.ravel().astype(np.int32), indptr.astype(np.int32))
    weight = sparse.csr_array(parts, shape=(len(indptr) - 1, inputs))
    weight.sort_indices()
    return ThresholdLayer(weight, np.asarray(threshold, dtype=np.int64), "parity")


def lift_layer(widths: Widths) -> ThresholdLayer:
    """One-hot gates: ``1[sum_j (2 v_j - 1) c_j >= popcount(v)]`` fires for the value v alone."""
    g, s, T = widths.group_bits, widths.slot_bits, widths.hashes
    blocks = [(0, g)] + [(g + t * s, s) for t in range(T)]
    indices, data, thresholds, fan_in = [], [], [], []
    for first, bits in blocks:
        v = (np.arange(1 << bits)[:, None] >> np.arange(bits)) & 1  # (2^bits, bits)
        indices.append(np.tile(np.arange(first, first + bits), 1 << bits))
        data.append((2 * v - 1).ravel())
        thresholds.append(v.sum(axis=1))
        fan_in.append(np.full(1 << bits, bits))
    indptr = _starts(np.concatenate(fan_in)).astype(np.int32)
    parts = (
        np.concatenate(data).astype(np.int32),
        np.concatenate(indices).astype(np.int32),
        indptr,
    )
    shape = (len(indptr) - 1, widths.code_bits)
    return ThresholdLayer(
        sparse.csr_array(parts, shape=shape), np.concatenate(thresholds).astype(np.int64), "lift"
    )


def memorizing_layer(weights: list[sparse.csr_array], big: int, widths: Widths) -> ThresholdLayer:
    """``1[BIG group_j + sum of slot weights >= BIG + 1]``: fires in group j alone, on label 1."""
    on_groups = big * sparse.eye_array(widths.groups, dtype=np.int32)
    rows = [sparse.hstack([on_groups, w], format="csr") for w in weights]
    stacked = sparse.csr_array(sparse.vstack(rows, format="csr"), dtype=np.int32)
    stacked.sort_indices()
    return ThresholdLayer(stacked, np.full(stacked.shape[0], big + 1, np.int64), "memorize")


def output_layer(groups: int, outputs: int = 1) -> ThresholdLayer:
    """``1[sum of the memorising gates >= 1]``, one gate for each bit of a label."""
    weight = sparse.kron(
        sparse.eye_array(outputs, dtype=np.int32), np.ones((1, groups), np.int32), format="csr"
    )
    return ThresholdLayer(
        sparse.csr_array(weight, dtype=np.int32), np.ones(outputs, np.int64), "output"
    )
