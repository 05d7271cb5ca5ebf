"""A target network inside a frozen random one: only scales and shifts of its neurons are chosen.

A target layer ``x -> relu(W x + b)`` takes two random layers. The first scale solves the linear
system of `system`, the first shift keeps every first ReLU on, and the second shift undoes it:

1. ``g1 = gamma`` with ``W2 diag(gamma) W1 = W``
2. ``c1_i = |gamma_i| ||W1_i|| R (1 + 1e-9)``, so that ``g1 W1 x + c1 >= 0`` for all ``||x|| <= R``
3. ``g2 = 1``, ``c2 = b - W2 c1``

The construction and its constants are ours; see `system` for the paper.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from reprise.expressivity.norm_tuning.system import Method, ScaleSolution, solve_scales
from reprise.runtime import in_parallel, is_integer

if TYPE_CHECKING:
    import torch
    from torch import nn

Distribution = Literal["gaussian", "uniform", "torch", "rademacher"]
Layer = tuple[NDArray[np.float64], NDArray[np.float64]]

MARGIN = 1e-9  # relative slack of the first shift, and of the radius check
EPS = 1e-5  # torch's BatchNorm
ROWS = 200  # inputs that run through a network at a time: what lies in the cache


def random_block(
    n: int,
    m: int,
    k: int,
    *,
    density: float = 1.0,
    distribution: Distribution = "gaussian",
    exact: bool = False,
    rng: np.random.Generator,
) -> Layer:
    """Draw the frozen weights of a pair of layers, n inputs, k neurons, m outputs.

    Parameters
    ----------
    n, m, k : int
        At least 1.
    density : float
        Probability that an entry is kept, in (0, 1].
    distribution : str
        "gaussian": variance 1 / fan-in. "uniform": on +-sqrt(6 / fan-in). "torch": on
        +-1 / sqrt(fan-in), PyTorch's default. "rademacher": +-1 / sqrt(fan-in), which is not
        absolutely continuous, so that the theorem does not hold for it.
    exact : bool
        Keep exactly ``round(density * size)`` entries of each matrix instead.
    rng : numpy.random.Generator

    Returns
    -------
    W1 : float64 (k, n)
    W2 : float64 (m, k)

    Raises
    ------
    ValueError
        If a size is not a positive integer, the density lies outside (0, 1], or the distribution is
        unknown.
    """
    for name, value in (("n", n), ("m", m), ("k", k)):
        if not is_integer(value) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")
    check_density(density)
    pair = [_weights(shape, distribution, rng) for shape in ((k, n), (m, k))]
    if density < 1.0:
        pair = [weights * _mask(weights.shape, density, exact, rng) for weights in pair]
    return pair[0], pair[1]


def check_density(density: float) -> float:
    """Return the density if it lies in (0, 1].

    Raises
    ------
    ValueError
        If it does not.
    """
    if not 0.0 < density <= 1.0:
        raise ValueError(f"density must be in (0, 1], got {density!r}")
    return float(density)


def relu_network(
    layers: Sequence[tuple[ArrayLike, ArrayLike]], X: ArrayLike, *, final_relu: bool = False
) -> NDArray[np.float64]:
    """Outputs of an ordinary ReLU network: layers of (W, b), inputs (N, n), outputs (N, m)."""
    h = np.asarray(X, dtype=np.float64)
    for index, (W, b) in enumerate(layers):
        h = h @ np.asarray(W).T + b
        if final_relu or index < len(layers) - 1:
            h = np.maximum(h, 0.0)
    return h


@dataclass(frozen=True)
class NormTunedNetwork:
    """A frozen random ReLU network with tuned scales and shifts.

    Attributes
    ----------
    frozen : tuple of float64 arrays
        Two matrices for each target layer: (k_l, n_l), then (m_l, k_l).
    scales, shifts : tuple of float64 arrays
        Of the neurons of each of these matrices.
    radii : tuple of float
        Radius of the ball that holds the inputs of each block; infinite where a box was given and
        the input is not bounded otherwise.
    box : tuple of two float64 arrays, or None
        The box that holds the inputs, where one was given.
    solutions : tuple of ScaleSolution
        One a block.
    final_relu : bool
        True if a ReLU follows the last layer.
    """

    frozen: tuple[NDArray[np.float64], ...]
    scales: tuple[NDArray[np.float64], ...]
    shifts: tuple[NDArray[np.float64], ...]
    radii: tuple[float, ...]
    box: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    solutions: tuple[ScaleSolution, ...]
    final_relu: bool

    def forward(
        self, X: ArrayLike, *, check: bool = False, dtype: DTypeLike = np.float64
    ) -> NDArray:
        """Outputs of the random network.

        Parameters
        ----------
        X : array_like (N, n)
        check : bool
            Refuse inputs for which a first ReLU may be off.
        dtype : numpy dtype
            Precision of weights, scales, shifts and all sums.

        Returns
        -------
        array (N, m)

        Raises
        ------
        ValueError
            If ``check`` and an input lies outside the ball or the box.
        """
        X = np.asarray(X, dtype=np.float64)
        if check:
            self._check_inputs(X)
        tuned = [
            [a.astype(dtype, copy=False) for a in layer]
            for layer in zip(self.frozen, self.scales, self.shifts, strict=True)
        ]

        def run(start: int) -> NDArray:
            h = X[start : start + ROWS].astype(dtype)
            for index, (W, g, c) in enumerate(tuned):
                h = h @ W.T
                h *= g
                h += c
                if self._has_relu(index):
                    np.maximum(h, 0, out=h)
            return h

        starts = range(0, max(1, len(X)), ROWS)  # whatever the threads, the same pieces
        return np.concatenate(in_parallel(run, starts))

    @property
    def n_tuned(self) -> int:
        """Scales and shifts: 2 (k_l + m_l) for each target layer."""
        return sum(a.size for a in (*self.scales, *self.shifts))

    @property
    def n_frozen_nonzero(self) -> int:
        """Frozen weights that the mask left."""
        return sum(int(np.count_nonzero(W)) for W in self.frozen)

    @property
    def largest_shift(self) -> float:
        """Largest shift of a block's first layer: the numbers that cancel later."""
        return max(float(np.abs(c).max()) for c in self.shifts[::2])

    def fingerprint(self) -> str:
        """sha256 of the frozen weights, bit by bit."""
        digest = hashlib.sha256()
        for W in self.frozen:
            digest.update(np.ascontiguousarray(W).tobytes())
        return digest.hexdigest()

    def min_preactivation(self, X: ArrayLike) -> NDArray[np.float64]:
        """Least pre-activation of each block's first layer, over its neurons and the inputs.

        Returns
        -------
        float64 (blocks,)
            Not negative where the construction holds.
        """
        X = np.asarray(X, dtype=np.float64)
        least = np.full(len(self.frozen) // 2, np.inf)
        for start in range(0, len(X), ROWS):
            h = X[start : start + ROWS]
            for index, W in enumerate(self.frozen):
                h = h @ W.T
                h *= self.scales[index]
                h += self.shifts[index]
                if index % 2 == 0:
                    least[index // 2] = min(least[index // 2], h.min())
                if self._has_relu(index):
                    np.maximum(h, 0.0, out=h)
        return least

    def worst_inputs(self) -> NDArray[np.float64]:
        """For each neuron of the first layer the input that brings it closest to zero.

        On the sphere ``-R sign(gamma_i) W1_i / ||W1_i||``; in a box the corner. A neuron without
        weights gets the origin (or the box's lower corner).

        Returns
        -------
        float64 (k, n)
        """
        W = self.frozen[0] * np.sign(self.scales[0])[:, None]
        if self.box is not None:
            low, high = self.box
            return np.where(W > 0, low, high)
        norms = np.linalg.norm(W, axis=1, keepdims=True)
        return -self.radii[0] * W / np.where(norms == 0.0, 1.0, norms)

    def to_torch(self, dtype: torch.dtype | None = None, *, tuned: bool = True) -> nn.Sequential:
        """The same network as torch modules: Linear without bias, BatchNorm1d, ReLU.

        Running means are 0 and variances 1, so that ``weight = g sqrt(1 + eps)`` and ``bias = c``.

        Parameters
        ----------
        dtype : torch.dtype, optional
            float64 by default.
        tuned : bool
            False leaves the normalisations as torch makes them: the random network before tuning.

        Returns
        -------
        torch.nn.Sequential
            In evaluation mode; only parameters of normalisations ask for gradients.
        """
        import torch
        from torch import nn

        dtype = torch.float64 if dtype is None else dtype
        parts: list[nn.Module] = []
        for index, W in enumerate(self.frozen):
            linear = nn.utils.skip_init(nn.Linear, W.shape[1], W.shape[0], bias=False, dtype=dtype)
            norm = nn.BatchNorm1d(W.shape[0], eps=EPS, dtype=dtype)
            linear.weight.requires_grad_(False)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(W))
                if tuned:
                    norm.weight.copy_(torch.from_numpy(self.scales[index] * math.sqrt(1.0 + EPS)))
                    norm.bias.copy_(torch.from_numpy(self.shifts[index]))
            parts += [linear, norm]
            if self._has_relu(index):
                parts.append(nn.ReLU())
        return nn.Sequential(*parts).eval()

    def to_torch_calibrated(self, X: ArrayLike) -> nn.Sequential:
        """`to_torch` in float64, for normalisations that use the statistics of the batch X.

        ``weight = g sqrt(var + eps)`` and ``bias = c + g mu`` with mean and *biased* variance of
        the batch, which is what torch normalises by in training mode. (Its own ``running_var`` is
        unbiased; here both modes agree.)

        Parameters
        ----------
        X : array_like (N, n)

        Returns
        -------
        torch.nn.Sequential
            In evaluation mode.
        """
        import torch
        from torch import nn

        model = self.to_torch()
        norms = [part for part in model if isinstance(part, nn.BatchNorm1d)]
        h = np.asarray(X, dtype=np.float64)
        for index, (W, norm) in enumerate(zip(self.frozen, norms, strict=True)):
            g, c = self.scales[index], self.shifts[index]
            v = h @ W.T
            mean, variance = _batch_statistics(v)
            weight, bias = _normalization_parameters(g, c, mean, variance)
            with torch.no_grad():
                norm.running_mean.copy_(torch.from_numpy(mean))
                norm.running_var.copy_(torch.from_numpy(variance))
                norm.weight.copy_(torch.from_numpy(weight))
                norm.bias.copy_(torch.from_numpy(bias))
            h = v * g + c
            if self._has_relu(index):
                h = np.maximum(h, 0.0)
        return model

    def _has_relu(self, index: int) -> bool:
        return self.final_relu or index < len(self.frozen) - 1

    def _check_inputs(self, X: NDArray) -> None:
        if self.box is not None:
            low, high = self.box
            slack = MARGIN * np.maximum(np.abs(low), np.abs(high)).max()
            if np.maximum(low - X, X - high).max(initial=0.0) > slack:
                raise ValueError("input lies outside the bounds")
            return
        largest = float(np.linalg.norm(X, axis=-1).max(initial=0.0))
        if largest > self.radii[0] * (1.0 + MARGIN):
            raise ValueError(
                f"input norm exceeds the radius: {largest:.6g} is more than {self.radii[0]:.6g}"
            )


def reconstruct(
    target: Sequence[tuple[ArrayLike, ArrayLike]],
    *,
    width_factor: float = 2.0,
    density: float = 1.0,
    radius: float | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    distribution: Distribution = "gaussian",
    exact: bool = False,
    final_relu: bool = False,
    method: Method = "auto",
    rng: np.random.Generator | int,
) -> NormTunedNetwork:
    """Draw a random network and tune its scales and shifts until it *is* the target.

    Parameters
    ----------
    target : sequence of (W, b)
        Layers, W of shape (m, n), b of shape (m,); a ReLU between any two.
    width_factor : float
        Each target layer gets ``k = ceil(width_factor m n)`` random neurons.
    density, distribution, exact
        As for `random_block`.
    radius : float, optional
        Inputs satisfy ``||x|| <= radius``.
    bounds : tuple of two arrays, optional
        Inputs satisfy ``low <= x <= high`` instead: smaller shifts. Exactly one of ``radius`` and
        ``bounds`` must be given.
    final_relu : bool
        A ReLU follows the last layer too.
    method : str
        As for `solve_scales`.
    rng : numpy.random.Generator or int
        An integer seeds a new generator.

    Returns
    -------
    NormTunedNetwork

    Raises
    ------
    ValueError
        If layers do not chain, a number is not finite, the radius is not positive, the bounds are
        not ordered, the density lies outside (0, 1], or the width factor is below 1.
    ReconstructionError
        If a block's system has no solution.
    """
    layers = _checked_target(target)
    check_density(density)
    reach = _Box.of(bounds, layers[0][0].shape[1]) if bounds is not None else None
    if (radius is None) == (bounds is None):
        raise ValueError(f"give radius or bounds, and not both: got {radius!r} and {bounds!r}")
    if radius is not None and not (math.isfinite(radius) and radius > 0):
        raise ValueError(f"radius must be positive, got {radius!r}")
    rng = np.random.default_rng(rng)
    R = math.inf if radius is None else float(radius)
    frozen, scales, shifts, radii, solutions = [], [], [], [], []
    for W, b in layers:
        m, n = W.shape
        k = _width(width_factor, m * n)
        W1, W2 = random_block(
            n, m, k, density=density, distribution=distribution, exact=exact, rng=rng
        )
        solution = solve_scales(W1, W2, W, method=method)
        c1 = _first_shift(W1, solution.gamma, R, reach)
        frozen += [W1, W2]
        scales += [solution.gamma, np.ones(m)]
        shifts += [c1, _second_shift(b, W2, c1)]
        radii.append(R)
        solutions.append(solution)
        R = _next_radius(W, b, R)
        reach = None if reach is None else reach.after(W, b)
    box = None if bounds is None else tuple(_Box.of(bounds, layers[0][0].shape[1]))
    return NormTunedNetwork(
        tuple(frozen),
        tuple(scales),
        tuple(shifts),
        tuple(radii),
        box,
        tuple(solutions),
        final_relu,
    )


# --- the steps of the construction ----------------------------------------------------------------


def _width(factor: float, equations: int) -> int:
    """k, at least one neuron an equation."""
    if isinstance(factor, bool) or not 1.0 <= factor < math.inf:
        k = int(factor * equations) if 0 <= factor < 1 else factor
        raise ValueError(
            f"width k={k} is smaller than the m*n={equations} equations, or no number: "
            f"width_factor must be a finite number of at least 1, got {factor!r}"
        )
    return math.ceil(factor * equations - 1e-9)


def _first_shift(W1: NDArray, gamma: NDArray, radius: float, reach: _Box | None) -> NDArray:
    """The least shift that keeps ``gamma_i W1_i x + c_i`` positive on the ball or the box."""
    if reach is None:
        return np.abs(gamma) * np.linalg.norm(W1, axis=1) * radius * (1.0 + MARGIN)
    rows = W1 * gamma[:, None]
    least = np.where(rows > 0, rows * reach.low, rows * reach.high).sum(axis=1)
    # where zero is not in the box the bound may be positive, and then nothing is to be lifted
    return np.maximum(-least, 0.0) + MARGIN * np.abs(least)


def _second_shift(b: NDArray, W2: NDArray, c1: NDArray) -> NDArray:
    """Undo the first shift behind W2."""
    return b - W2 @ c1


def _next_radius(W: NDArray, b: NDArray, radius: float) -> float:
    """||relu(W x + b)|| over the ball: the ReLU is 1-Lipschitz and fixes zero."""
    return float(np.linalg.norm(W, 2) * radius + np.linalg.norm(b))


@dataclass(frozen=True)
class _Box:
    """Componentwise bounds of a layer's inputs."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def __iter__(self):
        return iter((self.low, self.high))

    @classmethod
    def of(cls, bounds: tuple[ArrayLike, ArrayLike], n: int) -> _Box:
        """Check the bounds, which may be numbers."""
        low, high = (np.broadcast_to(np.asarray(v, dtype=np.float64), (n,)) for v in bounds)
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
            raise ValueError(f"bounds must be finite and low <= high, got {bounds!r}")
        return cls(low, high)

    def after(self, W: NDArray, b: NDArray) -> _Box:
        """Interval bounds of relu(W x + b)."""
        up, down = np.maximum(W, 0.0), np.minimum(W, 0.0)
        low = up @ self.low + down @ self.high + b
        high = up @ self.high + down @ self.low + b
        return _Box(np.maximum(low, 0.0), np.maximum(high, 0.0))


def _batch_statistics(v: NDArray) -> tuple[NDArray, NDArray]:
    """Mean and biased variance of each neuron over a batch (N, neurons)."""
    return v.mean(axis=0), v.var(axis=0)


def _normalization_parameters(
    g: NDArray, c: NDArray, mean: NDArray, variance: NDArray
) -> tuple[NDArray, NDArray]:
    """weight and bias of a BatchNorm that maps v to g v + c."""
    return g * np.sqrt(variance + EPS), c + g * mean


# --- draws and checks -----------------------------------------------------------------------------


def _weights(shape: tuple[int, int], distribution: str, rng: np.random.Generator) -> NDArray:
    fan_in = shape[1]
    if distribution == "gaussian":
        return rng.standard_normal(shape) / math.sqrt(fan_in)
    if distribution == "uniform":
        return rng.uniform(-1.0, 1.0, shape) * math.sqrt(6.0 / fan_in)
    if distribution == "torch":
        return rng.uniform(-1.0, 1.0, shape) / math.sqrt(fan_in)
    if distribution == "rademacher":
        return (2.0 * rng.integers(0, 2, shape) - 1.0) / math.sqrt(fan_in)
    raise ValueError(
        f"distribution must be one of {', '.join(get_args(Distribution))}, got {distribution!r}"
    )


def _mask(shape: tuple[int, int], density: float, exact: bool, rng: np.random.Generator) -> NDArray:
    """True where a weight is kept."""
    if not exact:
        return rng.random(shape) < density
    size = shape[0] * shape[1]
    kept = np.zeros(size, dtype=bool)
    kept[rng.permutation(size)[: round(density * size)]] = True
    return kept.reshape(shape)


def _checked_target(target: Sequence[tuple[ArrayLike, ArrayLike]]) -> list[Layer]:
    if not len(target):
        raise ValueError("target must hold at least one layer, got none")
    layers = []
    for index, (W, b) in enumerate(target):
        W, b = np.asarray(W, dtype=np.float64), np.asarray(b, dtype=np.float64)
        wide = W.shape[-1] if index == 0 else len(layers[-1][1])
        if W.ndim != 2 or b.shape != W.shape[:1] or W.shape[1] != wide or not W.size:
            raise ValueError(
                f"target layer shapes do not chain: layer {index} has W {W.shape} and b {b.shape}"
            )
        if not (np.isfinite(W).all() and np.isfinite(b).all()):
            raise ValueError(f"target must be finite, layer {index} is not")
        layers.append((W, b))
    return layers
