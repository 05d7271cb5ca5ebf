"""What the chapter's page needs beside the algorithms: programs, drawings, a step player.

Nothing else of the package imports this module.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import factorial
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.colors import to_rgb
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from reprise.expressivity.looped import fleq_programs, fleq_truth, library
from reprise.expressivity.looped.compiled import CompiledMachine
from reprise.expressivity.looped.experiments import Case
from reprise.expressivity.looped.fleq import FleqMachine
from reprise.expressivity.looped.fleq_experiments import TaskRun, run_task
from reprise.expressivity.looped.subleq import FIRST_WORD, SubleqMachine
from reprise.interactive import Slider, widget
from reprise.notebook import Picture
from reprise.plotting import COLORS, INK
from reprise.runtime import generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHAPES = [  # words, columns, bits
    (6, 16, 4),
    (8, 32, 8),
    (14, 64, 8),
    (16, 128, 16),
    (8, 32, 30),
    (30, 64, 12),
    (64, 256, 16),
    (8, 32, 48),
]
MOST_STATES = 400  # a page should stay below a few hundred kilobytes
LANGUAGE_PROGRAMS = [  # name, source, bits
    ("greatest common divisor of 252, 105", library.gcd_source(252, 105), 9),
    ("Fibonacci number 20", library.fibonacci_source(20), 15),
    ("sort of eight numbers", library.sort_source([7, -3, 12, 0, 5, -8, 9, 2]), 6),
    ("primes below 32", library.sieve_source(32), 7),
    ("Collatz from 27", library.collatz_source(27), 15),
]


@dataclass(frozen=True)
class Group:
    """Programs of the authors' repository that run side by side on one machine.

    Attributes
    ----------
    columns, bits : int
        Of the machine.
    limit : int
        Most steps.
    cases : list of Case
    """

    columns: int
    bits: int
    limit: int
    cases: list[Case]


def authors_programs(most: int) -> list[Group]:
    """Factorials, products, reversed lists and searches: the first ``most`` cases of each."""
    products = [(7, 9), (-5, 6), (0, 4), (12, 1), (3, 3), (-1, 8), (11, 10), (-20, 5), (25, 2)]
    products.append((1, 7))
    lists = [[1, 2, 3], [-128, 0, 127, 4], [5], [9, 9, -9, 1, 0], [-7, -6, -5, -4, 3, 2, 1]]
    values, targets = [-7, -6, -5, -4, 3, 2, 3], [3, 8, -7, -6, -5, -4, 2, 0]
    factorials = [Case(library.factorial(k), {"result": factorial(k)}) for k in range(2, 8)]
    multiplications = [Case(library.multiply(a, b), {"result": a * b}) for a, b in products]
    reversals = [
        Case(library.reverse(values), {f"w{i}": v for i, v in enumerate(reversed(values))})
        for values in lists
    ]
    searches = [
        Case(library.search(values, t), {"index": values.index(t) if t in values else -1})
        for t in targets
    ]
    return [
        Group(32, 16, 100, factorials[:most]),
        Group(32, 16, 60, multiplications[:most]),
        Group(64, 8, 40, reversals[:most]),
        Group(128, 8, 80, searches[:most]),
    ]


class MatrixPrograms:
    """The five programs of the matrix machine: each run made once, and its error against numpy.

    Parameters
    ----------
    dim, blocks : int
        Of the machine.
    seed : int
        Of the programs' random inputs.
    newton_iters, power_iters, sgd_steps, mlp_updates : int

    Attributes
    ----------
    machine : FleqMachine
    evaluator : CompiledMachine
    tasks : dict of str to FleqTask
        ``inverse``, ``power``, ``sgd``, ``mlp`` and ``calculator``.
    net : MlpInputs
        Training set and first weights of the ``mlp``.
    """

    ETA_SGD, ETA_MLP = 0.5, 0.1
    CALCULATIONS = ((3, 4), (12.5, 0.8), (0.3, 7.7))

    def __init__(
        self,
        dim: int,
        blocks: int,
        seed: int,
        *,
        newton_iters: int,
        power_iters: int,
        sgd_steps: int,
        mlp_updates: int,
    ) -> None:
        def rng(name: str) -> np.random.Generator:
            return generator(seed, name)

        self.machine = FleqMachine(dim, blocks)
        self.matrix = fleq_truth.draw_regular(dim, rng=rng("inverse"))
        self.symmetric = fleq_truth.draw_symmetric(dim, rng=rng("power"))
        self.samples = fleq_truth.draw_sgd(samples=dim, rng=rng("sgd"))
        self.net = net = fleq_truth.draw_mlp(dim, rng=rng("mlp"))
        self.sgd_steps, self.mlp_updates = sgd_steps, mlp_updates
        self.tasks = {
            "inverse": fleq_programs.inverse(self.matrix, newton_iters, dim),
            "power": fleq_programs.power(self.symmetric, power_iters, dim=dim),
            "sgd": fleq_programs.sgd(*self.samples, self.ETA_SGD, sgd_steps, dim),
            "mlp": fleq_programs.mlp(net.X, net.Y, net.W1, net.W2, self.ETA_MLP, mlp_updates),
            "calculator": fleq_programs.calculator(*self.CALCULATIONS[0], dim),
        }
        self._runs: dict[str, TaskRun] = {}
        self._dense: list[Tensor] = []

    @cached_property
    def evaluator(self) -> CompiledMachine:
        """Of the machine, compiled when it is first needed."""
        return CompiledMachine(self.machine)

    def run(self, name: str) -> TaskRun:
        """The run of a program to its end."""
        if name not in self._runs:
            self._runs[name] = run_task(self.machine, self.evaluator, self.tasks[name])
        return self._runs[name]

    def results(self, name: str, word: str) -> NDArray[np.float64]:
        """A word at the start and after each iteration, shape (iterations + 1, dim, dim)."""
        return self.run(name).results(self.tasks[name], word)

    def numpy_sgd(self, updates: int | None = None) -> NDArray[np.float64]:
        """Plain numpy's weights after each update, shape (updates, 3)."""
        return fleq_truth.numpy_sgd(*self.samples, self.ETA_SGD, updates or self.sgd_steps)

    def numpy_mlp(self) -> fleq_truth.MlpPath:
        """Plain numpy's training of the network."""
        net = self.net
        return fleq_truth.numpy_mlp(net.X, net.Y, net.W1, net.W2, self.ETA_MLP, self.mlp_updates)

    def mlp_losses(self) -> NDArray[np.float64]:
        """Loss of the network in the machine, at the start and after each update."""
        pairs = zip(self.results("mlp", "W1"), self.results("mlp", "W2"), strict=True)
        return np.array(
            [fleq_truth.mlp_loss(self.net.X, self.net.Y, W1, W2[:1]) for W1, W2 in pairs]
        )

    def dense(self, steps: int) -> list[Tensor]:
        """All programs as one batch, before the first dense step and after each, (5, d, n)."""
        if not self._dense:
            programs = [task.program for task in self.tasks.values()]
            starts = [self.machine.init(p.words, p.instructions) for p in programs]
            self._dense.append(torch.stack(starts))
        while len(self._dense) <= steps:
            self._dense.append(self.machine.transformer(self._dense[-1]))
        return self._dense[: steps + 1]

    def same_alone(self, steps: int) -> list[bool]:
        """Which programs are after some dense steps as a batch what they are alone."""
        starts, *_, ends = self.dense(steps)
        loop = self.machine.transformer.loop
        return [torch.equal(end, loop(X, steps)) for X, end in zip(starts, ends, strict=True)]

    def errors(self) -> dict[str, float]:
        """Largest final error of each program against numpy.

        The calculator's is relative, over three pairs of numbers. That of the power iteration is
        of the vector's length and, relative, of the eigenvalue.
        """
        x, A = self.results("power", "x")[-1][:, 0], self.symmetric
        top, _ = fleq_truth.numpy_power(A)
        path = self.numpy_mlp()
        return {
            "inverse": largest(self.results("inverse", "X")[-1] - np.linalg.inv(self.matrix)),
            "power": max(abs(np.linalg.norm(x) - 1), abs(x @ A @ x / (x @ x) / top - 1)),
            "sgd": largest(self.results("sgd", "w")[-1][:3, 0] - self.numpy_sgd()[-1]),
            "mlp": max(
                largest(self.results("mlp", "W1")[-1] - path.W1[-1]),
                largest(self.results("mlp", "W2")[-1][:1] - path.W2[-1]),
            ),
            "calculator": max(map(self._calculator_error, self.CALCULATIONS)),
        }

    def _calculator_error(self, numbers: tuple[float, float]) -> float:
        task = fleq_programs.calculator(*numbers, self.machine.dim)
        end = run_task(self.machine, self.evaluator, task).words[-1]
        right = fleq_truth.numpy_calculator(*numbers)
        return max(abs(task.word(end, name)[0, 0] / value - 1) for name, value in right.items())

    def sgd_error_at(self, product_scale: float, updates: int) -> float:
        """Error of SGD's weights on a machine of another product scale."""
        dim = self.machine.dim
        machine = FleqMachine(dim, self.machine.blocks, product_scale=product_scale)
        task = fleq_programs.sgd(*self.samples, self.ETA_SGD, updates, dim)
        start = machine.init(task.program.words, task.program.instructions)[None]
        end = CompiledMachine(machine).run(start, task.steps).states[0]
        w = task.word(machine.read(end, len(task.program.words)).words, "w")[:3, 0]
        return largest(w - self.numpy_sgd(updates)[-1])


def largest(differences: NDArray[np.float64]) -> float:
    """Largest absolute entry."""
    return float(np.abs(differences).max())


def draw_card(ax: Axes, machine: SubleqMachine, X: Tensor, words: int, code: int) -> None:
    """Draw a sequence as a punch card: +1 blue, -1 orange, 0 empty.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    machine : SubleqMachine
    X : Tensor, shape (d, n)
    words, code : int
        Columns of memory, and of instructions.
    """
    cells = X.numpy()
    image = np.zeros((*cells.shape, 4))
    for sign, color in ((1, "blue"), (-1, "orange")):
        image[np.sign(np.rint(cells)) == sign] = (*to_rgb(COLORS[color]), 1)
    ax.imshow(image, aspect="auto", interpolation="nearest")
    ax.grid(False)
    middles, names = [], []
    for name, rows in machine.rows.items():
        ax.axhline(rows.start - 0.5, color=INK, alpha=0.25, lw=0.5)
        if len(rows) > 2:
            middles.append((rows.start + rows.stop - 1) / 2)
            names.append(name)
    ax.set_yticks(middles, names, fontsize=8)
    first, end = FIRST_WORD + words, FIRST_WORD + words + code
    for bound in (1, FIRST_WORD, first, end):
        ax.axvline(bound - 0.5, color=INK, alpha=0.6, lw=0.8)
    ax.set_xticks([0, (FIRST_WORD + first - 1) / 2, (first + end - 1) / 2])
    ax.set_xticklabels(["scratch", "memory", "program"])


def step_player(
    machine: SubleqMachine,
    states: Tensor,
    *,
    source: str,
    lines: Sequence[int],
    names: Mapping[str, int],
    caption: str,
    alt: str,
    interval_ms: int = 350,
) -> Picture:
    """Show a run of a SUBLEQ program, step by step.

    Parameters
    ----------
    machine : SubleqMachine
    states : Tensor, shape (t + 1, d, n)
        The sequence before each step and at the end, from ``transformer.loop(..., trace=True)``.
    source : str
        The program's text.
    lines : sequence of int
        The source line, from 1, of each instruction.
    names : mapping from str to int
        Words by name; those whose name begins with ``$`` are left out of the table.
    caption, alt : str
        As for `reprise.notebook.picture`.
    interval_ms : int
        Milliseconds a step.

    Returns
    -------
    reprise.notebook.Picture

    Raises
    ------
    ValueError
        If there are fewer than 2 states or more than `MOST_STATES`.
    """
    if not 2 <= len(states) <= MOST_STATES:
        raise ValueError(f"states must hold 2 to {MOST_STATES} states, got {len(states)}")
    cells = np.rint(states.detach().cpu().numpy()).astype(int)  # (t + 1, d, n)
    words = max(names.values()) + 1
    reading = machine.read(states, words)
    shown = {name: at for name, at in names.items() if not name.startswith("$")}
    data = {
        "d": machine.width,
        "n": machine.columns,
        "first": changes(np.zeros_like(cells[0]), cells[0]),
        "steps": [changes(before, after) for before, after in pairwise(cells)],
        "rows": [[name, rows.start, rows.stop] for name, rows in machine.rows.items()],
        "words": [FIRST_WORD, FIRST_WORD + words, FIRST_WORD + words + len(lines)],
        "names": list(shown),
        "values": reading.memory[:, list(shown.values())].tolist(),
        "pc": reading.pc.tolist(),
        "lines": list(lines),
    }
    listing = "".join(
        f"<span>{i:3d}  {html.escape(line)}\n</span>"
        for i, line in enumerate(source.splitlines(), 1)
    )
    last = len(states) - 1
    return widget(
        "machine",
        sliders=[Slider("step", "", 0, last, 1, last)],
        plays="step",
        stage=f'<canvas role="img" aria-label="{html.escape(alt)}"></canvas>'
        f'<div class="side"><pre aria-label="source">{listing}</pre>'
        '<table aria-label="memory"><tbody></tbody></table></div>',
        data=data,
        interval_ms=interval_ms,
        caption=caption,
        alt=alt,
    )


def changes(before: ArrayLike, after: ArrayLike) -> list[int]:
    """What differs between two arrays of integers, as flat positions and new values in turn."""
    before, after = np.asarray(before).ravel(), np.asarray(after).ravel()
    at = np.flatnonzero(before != after)
    return np.stack([at, after[at]], axis=1).ravel().tolist()
