"""Programs for the FLEQ machine, and what plain numpy makes of the same inputs.

Every loop ends in the same two instructions: count down, and jump back. Addresses are constants, so
where a program must walk through data, the data move: SGD rotates its samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from reprise.expressivity.looped.checks import check_positive
from reprise.expressivity.looped.fleq_assembler import FleqProgram, assemble_fleq
from reprise.runtime import check_integer

DIM = 8

CALCULATOR = """
    ADD a b -> sum
    SUB a b -> difference
    NN a b -> product
    NN product percent -> percentage
    NN a a -> square
    RECIP b -> y                        # 1 / b to 1.2%, and three corrections y <- y (2 - b y)
    NN b y -> q
    SUB two q -> q
    NN y q -> y
    NN b y -> q
    SUB two q -> q
    NN y q -> y
    NN b y -> q
    SUB two q -> q
    NN y q -> y
    NN a y -> quotient
    RSQRT a -> y                        # a^(-1/2), and three corrections y <- y (3/2 - a y^2 / 2)
    NN a half -> h
    NN y y -> q
    NN h q -> q
    SUB three_halves q -> q
    NN y q -> y
    NN y y -> q
    NN h q -> q
    SUB three_halves q -> q
    NN y q -> y
    NN y y -> q
    NN h q -> q
    SUB three_halves q -> q
    NN y q -> y
    NN a y -> root
"""

INVERSE = """
loop: NN A X -> W
      SUB two W -> W
      NN X W -> X
      SUB count one -> count ; if count <= 0 goto end
      goto loop
"""

POWER = """
loop: NN A x -> x
      TN x x -> s
      RSQRT s -> y
      HAD s half -> h
      HAD y y -> q                      # two corrections y <- y (3/2 - s y^2 / 2)
      HAD h q -> q
      SUB three_halves q -> q
      HAD y q -> y
      HAD y y -> q
      HAD h q -> q
      SUB three_halves q -> q
      HAD y q -> y
      NN x y -> x
      SUB count one -> count ; if count <= 0 goto end
      goto loop
"""

MATRIX_POWER = """
loop: NN R A -> R
      SUB count one -> count ; if count <= 0 goto end
      goto loop
"""

SGD = """
loop: NN X one -> x                     # the first sample
      TN one y -> t
      TN x w -> r
      SUB r t -> r
      HAD eta r -> r
      NN x r -> g
      SUB w g -> w
      NN X P -> X                       # the next sample comes first
      TN P y -> y
      SUB count one -> count ; if count <= 0 goto end
      goto loop
"""

MLP = """
loop: NN W1 X -> Z
      SIG Z -> H
      NN W2 H -> E
      SUB E Y -> E
      TN W2 E -> D
      HAD D H -> D
      SUB ones H -> G
      HAD D G -> D
      NT E H -> G
      HAD eta G -> G
      SUB W2 G -> W2
      NT D X -> G
      HAD eta G -> G
      SUB W1 G -> W1
      SUB count one -> count ; if count <= 0 goto end
      goto loop
"""


@dataclass(frozen=True)
class FleqTask:
    """A program, where its results are, and when.

    Attributes
    ----------
    program : FleqProgram
    outputs : tuple of str
        Names of the words that hold results.
    finished : ndarray, shape (iterations,), int64
        Steps after which an iteration's results are complete; the last one ends the program.
    """

    program: FleqProgram
    outputs: tuple[str, ...]
    finished: NDArray[np.int64]

    @property
    def steps(self) -> int:
        """Steps until the program stands at its end."""
        return int(self.finished[-1])

    def word(self, words: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """The word of a name, shape (..., dim, dim), from words of shape (..., k, dim, dim)."""
        return words[..., self.program.names.index(name), :, :]


def calculator(a: float, b: float, dim: int = DIM) -> FleqTask:
    """Sum, difference, product, a b percent, square of a, quotient and root of a.

    Parameters
    ----------
    a, b : float
        From 2^-10 to 2^10, where the splines lie.
    dim : int

    Raises
    ------
    ValueError
        If a or b is outside.
    """
    for name, value in (("a", a), ("b", b)):
        if not 2.0**-10 <= value <= 2.0**10:
            raise ValueError(f"{name} must be from 2^-10 to 2^10, got {value!r}")
    outputs = ("sum", "difference", "product", "percentage", "square", "quotient", "root")
    words = {"a": a, "b": b, "percent": 0.01, "two": 2, "half": 0.5, "three_halves": 1.5}
    words |= dict.fromkeys((*outputs, "y", "q", "h"), 0)
    program = assemble_fleq(CALCULATOR, dim, words)
    return FleqTask(program, outputs, np.array([program.labels["end"]]))


def inverse(A: ArrayLike, iterations: int, dim: int = DIM) -> FleqTask:
    """Newton's iteration X <- X (2 I - A X), from X = A^T / (|A|_1 |A|_inf).

    Parameters
    ----------
    A : array_like, shape (m, m), m <= dim
        Regular.
    iterations : int
    dim : int

    Raises
    ------
    ValueError
        If A is not a square matrix that fits, or ``iterations`` is not a positive integer.
    """
    A = _square("A", A)
    start = A.T / (np.linalg.norm(A, 1) * np.linalg.norm(A, np.inf))
    words = {"A": A, "X": start, "W": 0, "two": 2 * np.eye(len(A))}
    return _loop(INVERSE, words, ("X",), iterations, dim)


def power(
    A: ArrayLike, iterations: int, start: ArrayLike | None = None, dim: int = DIM
) -> FleqTask:
    """Power iteration x <- A x / |A x|.

    Parameters
    ----------
    A : array_like, shape (m, m), m <= dim
        |A x|^2 must stay between 2^-10 and 2^10.
    iterations : int
    start : array_like, shape (m,), optional
        By default the unit vector of equal entries.
    dim : int

    Raises
    ------
    ValueError
        If A or ``start`` does not fit, or ``iterations`` is not a positive integer.
    """
    A = _square("A", A)
    x = np.full(len(A), len(A) ** -0.5) if start is None else np.asarray(start, dtype=np.float64)
    if x.shape != A.shape[:1]:
        raise ValueError(f"start must have shape {A.shape[:1]}, got {x.shape}")
    words = {"A": A, "x": x, "half": 0.5, "three_halves": 1.5}
    words |= dict.fromkeys(("s", "y", "h", "q"), 0)
    return _loop(POWER, words, ("x",), iterations, dim)


def matrix_power(A: ArrayLike, exponent: int, dim: int = DIM) -> FleqTask:
    """A^exponent, by one product after the other.

    Parameters
    ----------
    A : array_like, shape (m, m), m <= dim
    exponent : int
    dim : int

    Raises
    ------
    ValueError
        If A is not a square matrix that fits, or ``exponent`` is not a positive integer.
    """
    check_integer("exponent", exponent, 1)
    A = _square("A", A)
    return _loop(MATRIX_POWER, {"A": A, "R": np.eye(len(A))}, ("R",), exponent, dim)


def sgd(X: ArrayLike, y: ArrayLike, eta: float, updates: int, dim: int = DIM) -> FleqTask:
    """Least squares by stochastic gradient steps w <- w - eta x (x^T w - y), sample after sample.

    Parameters
    ----------
    X : array_like, shape (features, samples)
        At most dim each.
    y : array_like, shape (samples,)
    eta : float
        Positive.
    updates : int
    dim : int

    Raises
    ------
    ValueError
        If the arrays do not fit, or ``eta`` or ``updates`` is not positive.
    """
    X, y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if X.ndim != 2 or y.shape != X.shape[1:]:
        raise ValueError(
            f"X and y must have shapes (features, samples) and (samples,), got {X.shape} and "
            f"{y.shape}"
        )
    shift = np.roll(np.eye(len(y)), -1, axis=1)  # X shift: every column moves one to the left
    words = {"X": X, "y": y, "w": 0, "eta": check_positive("eta", eta), "P": shift}
    words |= dict.fromkeys(("x", "t", "r", "g"), 0)
    return _loop(SGD, words, ("w",), updates, dim)


def mlp(
    X: ArrayLike, Y: ArrayLike, W1: ArrayLike, W2: ArrayLike, eta: float, updates: int
) -> FleqTask:
    """Backpropagation in W2 sigmoid(W1 X), for the loss |W2 sigmoid(W1 X) - Y|^2 / 2.

    Parameters
    ----------
    X : array_like, shape (inputs, dim)
        As many samples as a word has columns, for unused ones would be trained on.
    Y : array_like, shape (outputs, dim)
    W1 : array_like, shape (dim, inputs)
    W2 : array_like, shape (outputs, dim)
    eta : float
        Positive.
    updates : int

    Raises
    ------
    ValueError
        If the arrays do not fit, or ``eta`` or ``updates`` is not positive.
    """
    X, Y, W1, W2 = (np.asarray(M, dtype=np.float64) for M in (X, Y, W1, W2))
    shapes = [M.shape for M in (X, Y, W1, W2)]
    dim = W1.shape[0] if W1.ndim else 0
    inputs, outputs = (M.shape[0] if M.ndim else 0 for M in (X, Y))
    if shapes != [(inputs, dim), (outputs, dim), (dim, inputs), (outputs, dim)]:
        raise ValueError(
            "X, Y, W1 and W2 must have shapes (inputs, dim), (outputs, dim), (dim, inputs) and "
            f"(outputs, dim), got {', '.join(map(str, shapes))}"
        )
    words = {"X": X, "Y": Y, "W1": W1, "W2": W2}
    words |= {"ones": np.ones((dim, dim)), "eta": np.full((dim, dim), check_positive("eta", eta))}
    words |= dict.fromkeys(("Z", "H", "E", "D", "G"), 0)
    return _loop(MLP, words, ("W1", "W2"), updates, dim)


def _loop(
    text: str, words: Mapping[str, ArrayLike], outputs: tuple[str, ...], iterations: int, dim: int
) -> FleqTask:
    """A program whose loop runs ``iterations`` times."""
    check_integer("iterations", iterations, 1)
    program = assemble_fleq(text, dim, {**words, "count": iterations})
    period = program.labels["end"]
    # the jump back is not needed for the results, and not executed at the end
    return FleqTask(program, outputs, period * np.arange(1, iterations + 1) - 1)


def _square(name: str, A: ArrayLike) -> NDArray[np.float64]:
    A = np.asarray(A, dtype=np.float64)
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"{name} must be a square matrix, got shape {A.shape}")
    return A


# --- the same in numpy ----------------------------------------------------------------------------


def numpy_calculator(a: float, b: float) -> dict[str, float]:
    """The calculator's results by name."""
    return {
        "sum": a + b,
        "difference": a - b,
        "product": a * b,
        "percentage": a * b / 100,
        "square": a**2,
        "quotient": a / b,
        "root": a**0.5,
    }


def numpy_inverse(A: ArrayLike) -> NDArray[np.float64]:
    """The inverse, shape (m, m)."""
    return np.linalg.inv(A)


def numpy_power(A: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    """The eigenvalue of largest absolute value of a symmetric matrix, and its unit vector (m,)."""
    values, vectors = np.linalg.eigh(A)
    top = abs(values).argmax()
    return float(values[top]), vectors[:, top]


def numpy_matrix_power(A: ArrayLike, exponent: int) -> NDArray[np.float64]:
    """A^exponent, shape (m, m)."""
    return np.linalg.matrix_power(A, exponent)


def numpy_sgd(X: ArrayLike, y: ArrayLike, eta: float, updates: int) -> NDArray[np.float64]:
    """Weights after each update, shape (updates, features)."""
    X, y = np.asarray(X), np.asarray(y)
    w = np.zeros(len(X))
    path = []
    for i in range(updates):
        x, target = X[:, i % len(y)], y[i % len(y)]
        w = w - eta * (x @ w - target) * x
        path.append(w)
    return np.stack(path)


@dataclass(frozen=True)
class MlpPath:
    """Training, update by update.

    Attributes
    ----------
    W1 : ndarray, shape (updates, hidden, inputs)
        After each update.
    W2 : ndarray, shape (updates, outputs, hidden)
    loss : ndarray, shape (updates + 1,)
        Half the squared error over all samples, before the first update and after each.
    """

    W1: NDArray[np.float64]
    W2: NDArray[np.float64]
    loss: NDArray[np.float64]


def numpy_mlp(
    X: ArrayLike, Y: ArrayLike, W1: ArrayLike, W2: ArrayLike, eta: float, updates: int
) -> MlpPath:
    """The network that `mlp` trains, by gradients written out."""
    X, Y, W1, W2 = (np.asarray(M, dtype=np.float64) for M in (X, Y, W1, W2))
    path, losses = [], [mlp_loss(X, Y, W1, W2)]
    for _ in range(updates):
        hidden = expit(W1 @ X)
        error = W2 @ hidden - Y
        back = W2.T @ error * hidden * (1 - hidden)
        W1, W2 = W1 - eta * back @ X.T, W2 - eta * error @ hidden.T
        path.append((W1, W2))
        losses.append(mlp_loss(X, Y, W1, W2))
    first, second = (np.stack(M) for M in zip(*path, strict=True))
    return MlpPath(first, second, np.array(losses))


def mlp_loss(X: ArrayLike, Y: ArrayLike, W1: ArrayLike, W2: ArrayLike) -> float:
    """Half the squared error of W2 sigmoid(W1 X) over all samples."""
    return float(((np.asarray(W2) @ expit(np.asarray(W1) @ X) - Y) ** 2).sum() / 2)


# --- inputs ---------------------------------------------------------------------------------------


def draw_regular(rng: np.random.Generator, dim: int = DIM) -> NDArray[np.float64]:
    """A matrix of condition number 3.8, shape (dim, dim): singular values in geometric steps."""
    left, right = (np.linalg.qr(rng.standard_normal((dim, dim)))[0] for _ in range(2))
    return left * np.geomspace(1, 3.8, dim) @ right


def draw_symmetric(rng: np.random.Generator, dim: int = DIM) -> NDArray[np.float64]:
    """A symmetric matrix of eigenvalues 2, 1.2, 0.72, ..., shape (dim, dim)."""
    basis = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    return basis * (2 * 0.6 ** np.arange(dim)) @ basis.T


def draw_sgd(
    rng: np.random.Generator, features: int = 3, samples: int = DIM
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Samples in columns, uniform in [-1, 1], and a linear target: (X, y)."""
    X = rng.uniform(-1, 1, (features, samples))
    return X, rng.uniform(-1, 1, features) @ X


@dataclass(frozen=True)
class MlpInputs:
    """A training set and first weights of a network with one hidden layer and one output.

    Attributes
    ----------
    X : ndarray, shape (dim, dim)
        Samples in columns.
    Y : ndarray, shape (1, dim)
    W1 : ndarray, shape (dim, dim)
    W2 : ndarray, shape (1, dim)
    """

    X: NDArray[np.float64]
    Y: NDArray[np.float64]
    W1: NDArray[np.float64]
    W2: NDArray[np.float64]


def draw_mlp(rng: np.random.Generator, dim: int = DIM) -> MlpInputs:
    """Uniform samples in [-1, 1], the sine of their sum as target, weights uniform in [-1, 1]."""
    X, W1 = rng.uniform(-1, 1, (2, dim, dim))
    Y = np.sin(X.sum(axis=0, keepdims=True))
    return MlpInputs(X, Y, W1, rng.uniform(-1, 1, (1, dim)))
