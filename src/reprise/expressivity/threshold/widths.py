"""Sizes of the construction's stages, and their defaults (*ours*)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Parity = Literal["flat", "tree"]


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
