"""What the chapter's page needs beside the algorithms: checked parameters, drawings, programs.

Nothing else of the package imports this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb
from torch import Tensor

from reprise.expressivity.looped import library
from reprise.expressivity.looped.gadgets import address_bits
from reprise.expressivity.looped.subleq import SubleqMachine
from reprise.plotting import COLORS, INK
from reprise.runtime import check_integer

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
LANGUAGE_PROGRAMS = [  # name, source, bits
    ("greatest common divisor of 252, 105", library.gcd_source(252, 105), 9),
    ("Fibonacci number 20", library.fibonacci_source(20), 15),
    ("sort of eight numbers", library.sort_source([7, -3, 12, 0, 5, -8, 9, 2]), 6),
    ("primes below 32", library.sieve_source(32), 7),
    ("Collatz from 27", library.collatz_source(27), 15),
]


def check_parameters(
    *,
    fuzz: int,
    language_programs: int,
    shapes: int,
    programs: int,
    steps: int,
    lam_bits: Sequence[int],
    lam_columns: Sequence[int],
    lam_programs: int,
    newton_iters: int,
    power_iters: int,
    sgd_steps: int,
    mlp_updates: int,
    dim: int,
    blocks: int,
) -> None:
    """Refuse impossible parameters of the chapter before anything runs.

    Raises
    ------
    ValueError
        Naming the parameter, its value and what is allowed.
    """
    for name, value, least, most in (
        ("fuzz", fuzz, 1, None),
        ("language_programs", language_programs, 1, len(LANGUAGE_PROGRAMS)),
        ("shapes", shapes, 1, len(SHAPES)),
        ("programs", programs, 1, None),
        ("steps", steps, 1, None),
        ("lam_programs", lam_programs, 1, None),
        ("newton_iters", newton_iters, 8, None),
        ("power_iters", power_iters, 1, None),
        ("sgd_steps", sgd_steps, 1, None),
        ("mlp_updates", mlp_updates, 1, None),
    ):
        if check_integer(name, value, least) > (most or value):
            raise ValueError(f"{name} must be at most {most}, got {value}")
    if len(lam_bits) < 2 or any(not 2 <= bits <= 48 for bits in lam_bits):
        raise ValueError(f"lam_bits must hold at least 2 numbers from 2 to 48, got {lam_bits!r}")
    if not lam_columns:
        raise ValueError("lam_columns must hold at least one number, got none")
    for columns in lam_columns:
        if address_bits("lam_columns", columns) < 4:
            raise ValueError(f"lam_columns must be at least 16, got {columns}")
    if address_bits("dim", dim) != 3:
        raise ValueError(f"dim must be 8, the size of the chapter's matrices, got {dim}")
    if address_bits("blocks", blocks) < 5:
        raise ValueError(f"blocks must be at least 32, got {blocks}")


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
    bounds = [0, 1, 2, 2 + words, 2 + words + code]
    for bound in bounds[1:]:
        ax.axvline(bound - 0.5, color=INK, alpha=0.6, lw=0.8)
    ax.set_xticks([0, 2 + words / 2 - 0.5, 2 + words + code / 2 - 0.5])
    ax.set_xticklabels(["scratch", "memory", "program"])
