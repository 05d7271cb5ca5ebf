"""A target network inside a random one: two random layers for each target layer, only pruned.

``w x = w relu(x) - w relu(-x)``. Between an input x_j and the outputs stand R random units, each of
which keeps its edge from x_j alone. A unit with u > 0 passes ``u relu(x_j)`` on, one with u < 0
``|u| relu(-x_j)``. Of the products v u on the way to an output, a subset with sum near w is kept on
the positive side, and one with sum near -w on the negative side. After the first target layer
inputs are never negative, and the positive side is all that is needed.

Pensia et al. (2020), main theorem and its gadget (reconstructed); arXiv 2006.07990.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.expressivity.relu import (
    LargestError,
    checked_fraction,
    checked_target,
    input_gradient,
    relu_network,
    search_sphere,
    unit_inputs,
)
from reprise.expressivity.subset_sum.solver import MOST_EXACT, solve_subset_sum, subset_from_mask
from reprise.runtime import check_integer, generator

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]

SAMPLES_FACTOR = 1.5
"""C in n = C log2(2 d^2 l / min(eps, delta)); at 1 or 1.25 a few certificates of a hundred miss."""


@dataclass(frozen=True)
class PrunedRandomNetwork:
    """A random ReLU network of depth 2 l and the masks that make it compute a target of depth l.

    Attributes
    ----------
    targets : list of float64 (m, d)
        The target's layers.
    random_weights : list of float64
        For each target layer the drawn matrices (R d, d) and (m, R d), uniform on [-1, 1].
    masks : list of bool
        What is kept of them.
    n : int
        Random numbers offered for each weight, and for each sign of its input.
    rows : int
        R, random units for each input.
    short_blocks : int
        Inputs whose R units hold fewer than n of a needed sign.
    """

    targets: list[Floats]
    random_weights: list[Floats]
    masks: list[Masks]
    n: int
    rows: int
    short_blocks: int

    @property
    def n_parameters(self) -> int:
        """Weights drawn."""
        return sum(w.size for w in self.random_weights)

    @property
    def n_kept(self) -> int:
        """Weights that the masks keep."""
        return sum(int(m.sum()) for m in self.masks)

    def forward(self, x: ArrayLike) -> Floats:
        """Run the masked random network: (batch, d_in) -> (batch, d_out)."""
        h = np.asarray(x, dtype=np.float64)
        layers = [w * m for w, m in zip(self.random_weights, self.masks, strict=True)]
        for w in layers[:-1]:
            h = np.maximum(h @ w.T, 0.0)
        return h @ layers[-1].T

    def collapsed(self) -> list[Floats]:
        """What each pair of layers amounts to: the weights that the target's were to be.

        Returns
        -------
        list of float64
            First (m, 2 d), acting on (relu(x), relu(-x)); then (m, d), acting on what is never
            negative.
        """
        found = []
        for first, second in self._pairs():
            positive = second @ np.maximum(first, 0.0)  # a unit keeps one input, so this is exact
            negative = second @ np.maximum(-first, 0.0)
            found.append(positive if found else np.hstack([positive, negative]))
        return found

    def deviations(self) -> list[Floats]:
        """Absolute error of each collapsed weight, (m, d); of the first layer the larger half's."""
        first, *later = self.collapsed()
        target, d = self.targets[0], self.targets[0].shape[1]
        halves = np.abs(first[:, :d] - target), np.abs(first[:, d:] + target)
        rest = [np.abs(c - w) for c, w in zip(later, self.targets[1:], strict=True)]
        return [np.maximum(*halves), *rest]

    @property
    def error_bound(self) -> float:
        """A certificate: no input of the unit ball has a larger error, in Euclidean norm.

        ``prod(1 + |D_i|_F) - 1`` over the `deviations` D_i. For one x only one of relu(x_j) and
        relu(-x_j) is not zero, so the two halves of the first layer never add up.
        """
        return float(np.prod([1.0 + np.linalg.norm(d) for d in self.deviations()]) - 1.0)

    def _pairs(self) -> list[tuple[Floats, Floats]]:
        """The masked matrices, two for each target layer."""
        masked = [w * m for w, m in zip(self.random_weights, self.masks, strict=True)]
        return list(zip(masked[::2], masked[1::2], strict=True))


def rows_per_input(n: int, blocks: int, delta: float) -> int:
    """Random units an input needs, so that all inputs have n of each sign.

    The number of positive u among R is binomial. By Hoeffding, R with ``2 (R/2 - n)^2 / R >= ln(2
    blocks / delta)`` leaves some block short with probability at most delta. R = 2 n does not do.

    Parameters
    ----------
    n : int
        At least 1.
    blocks : int
        Inputs of all target layers together, at least 1.
    delta : float
        In (0, 1).

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """
    for name, value in (("n", n), ("blocks", blocks)):
        check_integer(name, value, 1)
    checked_fraction("delta", delta)
    need = math.log(2 * blocks / delta)
    # (R/2 - n)^2 >= need R / 2 at the larger root of R^2/4 - (n + need/2) R + n^2
    b = n + need / 2
    rows = max(2 * n, math.floor(2 * (b + math.sqrt(b * b - n * n))) - 2)
    while 2 * (rows / 2 - n) ** 2 / rows < need:
        rows += 1
    return rows


def numbers_per_weight(shapes: Sequence[tuple[int, int]], eps: float, delta: float) -> int:
    """n = ceil(1.5 log2(2 d^2 l / min(eps, delta))), d the largest width, l the depth."""
    d = max(max(shape) for shape in shapes)
    need = 2 * d * d * len(shapes) / min(eps, delta)
    return math.ceil(SAMPLES_FACTOR * math.log2(need))


def prune_to_target(
    weights: Sequence[ArrayLike],
    eps: float,
    delta: float,
    *,
    seed: int,
    n: int | None = None,
    rows: int | None = None,
) -> PrunedRandomNetwork:
    """Draw a random network and prune it to a target network.

    Parameters
    ----------
    weights : sequence of array_like, shapes (d_1, d_0), (d_2, d_1), ...
        The target's layers, ReLU between them, spectral norms at most 1.
    eps : float
        Error wanted on the unit ball, in (0, 1). It enters only through n: read ``error_bound``.
    delta : float
        Probability of failing that n and the rows are to allow for, in (0, 1).
    seed : int
        Each random matrix has a stream of its own.
    n : int, optional
        Numbers a weight; by default `numbers_per_weight`.
    rows : int, optional
        Random units an input, at least n; by default `rows_per_input`.

    Returns
    -------
    PrunedRandomNetwork

    Raises
    ------
    ValueError
        If there are no layers, shapes do not follow each other, a weight is not finite or a
        spectral norm above 1; if eps, delta, n or rows is out of its range.
    """
    targets = _check_target(weights)
    checked_fraction("eps", eps)
    checked_fraction("delta", delta)
    shapes = [w.shape for w in targets]
    n = numbers_per_weight(shapes, eps, delta) if n is None else n
    if not 1 <= n <= MOST_EXACT:
        raise ValueError(f"n must be from 1 to {MOST_EXACT}, got {n}")
    R = rows_per_input(n, sum(s[1] for s in shapes), delta) if rows is None else rows
    if n > R:
        raise ValueError(f"rows must be at least n = {n}, got {R}")
    drawn, masks, short = [], [], 0
    for layer, target in enumerate(targets):
        m, d = target.shape
        u, v = (
            generator(seed, "prune_to_target", f"layer {layer}", name).uniform(-1, 1, shape)
            for name, shape in (("first", (R * d, d)), ("second", (m, R * d)))
        )
        first, second = np.zeros(u.shape, bool), np.zeros(v.shape, bool)
        for sign in (1.0, -1.0) if layer == 0 else (1.0,):
            units = _first_units(u, R, n, sign)  # (d, n), -1 where there are too few
            short += int((units < 0).any(axis=1).sum())
            _keep(units, first, second, u, v, sign * target)
        drawn += [u, v]
        masks += [first, second]
    return PrunedRandomNetwork(targets, drawn, masks, n, R, short)


def _first_units(u: Floats, rows: int, n: int, sign: float) -> NDArray[np.int64]:
    """For each input the first n of its units whose u has the sign: (d, n), padded with -1."""
    d = u.shape[1]
    units = np.full((d, n), -1)
    for j in range(d):
        fitting = np.flatnonzero(sign * u[j * rows : (j + 1) * rows, j] > 0)[:n]
        units[j, : len(fitting)] = j * rows + fitting
    return units


def _keep(
    units: NDArray, first: Masks, second: Masks, u: Floats, v: Floats, wanted: Floats
) -> None:
    """Keep the units' edges from their inputs, and the subsets whose sums are near ``wanted``.

    The u of an input are common to all outputs; the v are not.
    """
    m, d = wanted.shape
    there = units >= 0
    passed = np.where(there, np.abs(u[units, np.arange(d)[:, None]]), 0.0)  # (d, n)
    products = v[:, units] * passed  # (m, d, n)
    n = units.shape[1]
    found = solve_subset_sum(products.reshape(m * d, n), wanted.reshape(-1))
    chosen = subset_from_mask(found.mask, n).reshape(m, d, n) & there
    inputs = np.broadcast_to(np.arange(d)[:, None], units.shape)
    first[units[there], inputs[there]] = True
    outputs, at = np.broadcast_to(np.arange(m)[:, None, None], chosen.shape)[chosen], chosen
    second[outputs, np.broadcast_to(units, chosen.shape)[at]] = True


# --- the largest error, looked for ----------------------------------------------------------------


def find_largest_error(
    network: PrunedRandomNetwork,
    *,
    rng: np.random.Generator,
    random: int = 2000,
    adversarial: int = 200,
    steps: int = 100,
) -> LargestError:
    """Look for the unit-ball input on which a pruned network is farthest from its target.

    Gradients use the collapsed weights; errors are those of the masked network.

    Parameters
    ----------
    network : PrunedRandomNetwork
    rng : numpy.random.Generator
    random, adversarial, steps : int
        Random inputs, how many of the worst of them are improved, and by how many steps.

    Returns
    -------
    LargestError

    Raises
    ------
    ValueError
        If a count is out of range.
    """
    target = network.targets

    def error(x: Floats) -> Floats:
        return np.linalg.norm(relu_network(target, x) - network.forward(x), axis=1)

    climbed = partial(_error_and_slope, target, network.collapsed())
    x = unit_inputs(random, target[0].shape[1], rng=rng)
    return search_sphere(error, climbed, x, ascents=adversarial, steps=steps)


def _error_and_slope(
    target: Sequence[Floats], pruned: Sequence[Floats], x: Floats
) -> tuple[Floats, Floats]:
    """``|f - g|`` and the gradient of ``|f - g|^2 / 2``, for each row of x.

    The collapsed network g reads (relu(x), relu(-x)).
    """
    split = np.hstack([np.maximum(x, 0.0), np.maximum(-x, 0.0)])
    gap = relu_network(target, x) - relu_network(pruned, split)
    positive, negative = np.split(input_gradient(pruned, split, gap), 2, axis=1)
    slope = input_gradient(target, x, gap) - np.where(x > 0, positive, -negative)
    return np.linalg.norm(gap, axis=1), slope


def _check_target(weights: Sequence[ArrayLike]) -> list[Floats]:
    """The target's layers as float64, or an error that names the layer."""
    targets = checked_target(weights)
    for i, w in enumerate(targets):
        norm = np.linalg.norm(w, 2)
        if norm > 1 + 1e-9:
            raise ValueError(f"weights[{i}] must have spectral norm at most 1, got {norm:.6g}")
    return targets
