"""Counts and bounds: of the built network in closed form, of others' theorems, from below.

Upper bounds are shapes with unit constants, since constants are not known here. Lower bounds are
exact: cells that hyperplanes cut a sphere into, and labellings that so many weights can realise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from reprise.expressivity.threshold.widths import Widths
from reprise.runtime import check_integer


@dataclass(frozen=True)
class Count:
    """Gates and non-zero weights of a network; every gate has one threshold besides."""

    gates: int
    weights: int

    @property
    def parameters(self) -> int:
        """Weights and thresholds together."""
        return self.gates + self.weights


def closed_form_count(widths: Widths, d: int, memorizing_weights: int) -> Count:
    """Gates and weights of the construction from its widths.

    ``U = m1 + m2 (k + 1) + G + T S + G + 1`` and
    ``W = m1 d + m2 (k^2 + k) + G g + T S s + nnz(stage D) + G`` with flat parities; a tree has
    3 (k - 1) gates and 6 (k - 1) weights a parity, and two identity gates for each odd wire of each
    level.

    Parameters
    ----------
    widths : Widths
    d : int
        Dimension of a point; the first layer has no zero weight.
    memorizing_weights : int
        Non-zero weights of the memorising gates, group weights included.

    Returns
    -------
    Count
    """
    k, m2, G = widths.parity_size, widths.code_bits, widths.groups
    if widths.parity == "flat":
        gates, weights = k + 1, k * k + k
    else:
        passed = _odd_wires(k)
        gates, weights = 3 * (k - 1) + 2 * passed, 6 * (k - 1) + 2 * passed
        if k == 1:
            gates, weights = 1, 1
    lift = G * widths.group_bits + widths.slots * widths.slot_bits
    return Count(
        widths.hyperplanes + m2 * gates + G + widths.slots + G + 1,
        widths.hyperplanes * d + m2 * weights + lift + memorizing_weights + G,
    )


def _odd_wires(k: int) -> int:
    """How many levels of a binary tree over k wires leave one over."""
    count = 0
    while k > 1:
        count += k % 2
        k = (k + 1) // 2
    return count


# --- upper bounds ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bound:
    """The shape of a theorem, with unit constants and without logarithms.

    Attributes
    ----------
    who : str
    gates, weights : str
        Formulas, for MathJax.
    log10_gates, log10_weights : float
        Decimal logarithms: e^(1/delta^2) overflows below delta = 0.0375.
    assumption : str
    """

    who: str
    gates: str
    weights: str
    log10_gates: float
    log10_weights: float
    assumption: str


def bound_table(n: int, d: int, delta: float) -> list[Bound]:
    """The upper bounds that the paper compares, evaluated with unit constants.

    Raises
    ------
    ValueError
        If n or d is below 1 or delta is not positive.
    """
    if n < 1 or d < 1:
        raise ValueError(f"n and d must be at least 1, got {n} and {d}")
    if not delta > 0:
        raise ValueError(f"delta must be positive, got {delta}")
    root, log10 = math.sqrt(n), math.log10
    exponent = 1 / (delta**2 * math.log(10))  # log10 of e^(1/delta^2)
    return [
        Bound(
            "Baum 1988",
            r"\lceil n/d \rceil",
            r"\max(n, d)",
            log10(math.ceil(n / d)),
            log10(max(n, d)),
            "general position",
        ),
        Bound(
            "Yun et al. 2019 (ReLU)",
            r"\sqrt n",
            "n",
            log10(root),
            log10(n),
            "distinct points",
        ),
        Bound(
            "Vershynin 2020",
            r"e^{1/\delta^2} + \sqrt n",
            r"e^{1/\delta^2}(d + \sqrt n) + n",
            _log10_sum(exponent, log10(root)),
            _log10_sum(exponent + log10(d + root), log10(n)),
            "unit sphere, separated",
        ),
        Bound(
            "this paper",
            r"1/\delta + \sqrt n",
            r"d/\delta + n",
            log10(1 / delta + root),
            log10(d / delta + n),
            "bounded, separated",
        ),
    ]


def _log10_sum(a: float, b: float) -> float:
    """log10(10^a + 10^b) without overflow."""
    high, low = max(a, b), min(a, b)
    return high + math.log10(1 + 10 ** (low - high))


# --- lower bounds ---------------------------------------------------------------------------------


def circle_lower_bound(n: int) -> int:
    """Lines that it takes, at least, to separate n points of a circle: ceil(n / 2), 0 for one.

    A line crosses a circle at most twice, and each of the n arcs between neighbours must be cut.
    """
    check_integer("n", n, 1)
    return 0 if n == 1 else (n + 1) // 2


def diameters(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The n / 2 diameters through the midpoints of the arcs of `points.circle`; n even.

    Returns
    -------
    normals : float64 (n // 2, 2)
    offsets : float64 (n // 2,)
        All zero.
    """
    if n < 2 or n % 2:
        raise ValueError(f"n must be even and at least 2, got {n}")
    angle = 2 * np.pi * (np.arange(n // 2) + 0.5) / n
    return np.stack([-np.sin(angle), np.cos(angle)], axis=1), np.zeros(n // 2)


def separating_line_choices(n: int, lines: int) -> tuple[int, int]:
    """Try all choices of ``lines`` lines against n points of a circle.

    A line is, up to what it separates, a pair of the n arcs.

    Parameters
    ----------
    n : int
    lines : int
        At most 6.

    Returns
    -------
    separating, all : int
        How many choices separate all points, and how many there are.

    Raises
    ------
    ValueError
        If there are more than 6 lines.
    """
    if not 1 <= lines <= 6:
        raise ValueError(f"lines must be from 1 to 6, got {lines}")
    arcs = np.array(list(combinations(range(n), 2)))
    place = np.arange(n)
    sides = (place > arcs[:, [0]]) & (place <= arcs[:, [1]])  # arc a lies behind point a
    choices = np.array(list(combinations(range(len(arcs)), lines)))
    patterns = np.zeros((len(choices), n), np.uint8)  # at most 6 lines: 64 patterns
    for k in range(lines):
        patterns |= sides[choices[:, k]].astype(np.uint8) << np.uint8(k)
    seen = np.bitwise_or.reduce(np.uint64(1) << patterns.astype(np.uint64), axis=1)
    separating = np.bitwise_count(seen) == n
    return int(separating.sum()), len(choices)


def sphere_cells(h: int, d: int) -> int:
    """Most cells into which h hyperplanes cut the unit sphere of R^d, exactly.

    ``C(h - 1, d - 1) + sum of C(h, i), i < d``: 2h for d = 2, h^2 - h + 2 for d = 3.

    Raises
    ------
    ValueError
        If h is negative or d below 2.
    """
    if h < 0 or d < 2:
        raise ValueError(f"h must be at least 0 and d at least 2, got {h} and {d}")
    first = math.comb(h - 1, d - 1) if h else 0
    return first + sum(math.comb(h, i) for i in range(d))


def least_hyperplanes(n: int, d: int) -> int:
    """Smallest h with `sphere_cells` at least n: no fewer hyperplanes separate n sphere points."""
    h = 0
    while sphere_cells(h, d) < n:
        h += 1
    return h


def count_sphere_cells(normals: ArrayLike, offsets: ArrayLike) -> int:
    """Cells into which given hyperplanes ``<g, x> + b = 0`` cut the unit sphere; d = 2 or 3.

    On the circle, the arcs. On S^2 by Euler: two circles that cross do so twice, and with p
    crossing pairs in c connected components there are ``2 p + 1 + c`` cells.

    Parameters
    ----------
    normals : array_like, shape (h, d)
        In general position: no two the same circle, no three circles through one point.
    offsets : array_like, shape (h,)

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If d is neither 2 nor 3, or the shapes do not fit.
    """
    normals, offsets = np.asarray(normals, dtype=float), np.asarray(offsets, dtype=float)
    if normals.ndim != 2 or offsets.shape != (len(normals),):
        raise ValueError(
            f"normals and offsets must have shapes (h, d) and (h,), got {normals.shape} and "
            f"{offsets.shape}"
        )
    d = normals.shape[1]
    if d not in (2, 3):
        raise ValueError(f"d must be 2 or 3, got {d}")
    length = np.linalg.norm(normals, axis=1)
    meets = np.abs(offsets) < length
    g, b = normals[meets] / length[meets, None], offsets[meets] / length[meets]
    if d == 2:
        if len(g) == 0:
            return 1
        middle, half = np.arctan2(-g[:, 1], -g[:, 0]), np.arccos(b)
        cuts = np.sort(np.concatenate([middle - half, middle + half]) % (2 * np.pi))
        return int((np.diff(cuts, append=cuts[0] + 2 * np.pi) > 1e-12).sum())
    cosine = g @ g.T
    # the planes' common line passes the origin at this squared distance, times 1 - cosine^2
    near = b[:, None] ** 2 + b[None] ** 2 - 2 * b[:, None] * b[None] * cosine
    crossing = np.triu(near < 1 - cosine**2, 1)
    components, _ = connected_components(sparse.csr_array(crossing), directed=False)
    return int(2 * crossing.sum() + 1 + components)


def weight_lower_bound(n: int, gates: int | None = None) -> int:
    """Fewest weights with which U gates can memorise all labellings of n points.

    W weights in U gates realise at most (e n U / W)^W labellings, so W log2(e n U / W) >= n.

    Parameters
    ----------
    n : int
        At least 1.
    gates : int, optional
        U; by default as many as weights, the most that could matter.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If n or gates is below 1.
    """
    if n < 1 or (gates is not None and gates < 1):
        raise ValueError(f"n and gates must be at least 1, got {n} and {gates}")
    low, high = 0, n  # at W = n the left side is at least n log2(e) or U = n suffices
    while high - low > 1:
        w = (low + high) // 2
        if w * math.log2(math.e * n * (w if gates is None else max(gates, 1)) / w) >= n:
            high = w
        else:
            low = w
    return high


def stored_bits(slot_weights: sparse.csr_array, n: int) -> float:
    """Entropy of the empirical distribution of the slot weights, zeros included, in bits a label.

    ``H G T S / n``, where H is the entropy of one entry of the G x T S matrix.
    """
    size = slot_weights.shape[0] * slot_weights.shape[1]
    values = slot_weights.data[slot_weights.data != 0]
    counts = np.append(np.unique(values, return_counts=True)[1], size - len(values))
    share = counts[counts > 0] / size
    return float(-(share * np.log2(share)).sum() * size / n) + 0.0
