"""Programs for the FLEQ machine; `fleq_truth` has what plain numpy makes of the same inputs.

Every loop ends in the same two instructions: count down, and jump back. Addresses are constants, so
where a program must walk through data, the data move: SGD rotates its samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.expressivity.looped.fleq_assembler import FleqProgram, assemble_fleq
from reprise.runtime import check_integer, check_positive

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
