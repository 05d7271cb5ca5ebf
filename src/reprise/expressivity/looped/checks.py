"""What programs and their numbers must satisfy, for machines and interpreters alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reprise.runtime import is_integer


def integers(**arrays: Any) -> list[NDArray[np.int64]]:
    """Arrays of int64.

    Raises
    ------
    ValueError
        Naming the first parameter whose values are not integers.
    """
    made = []
    for name, values in arrays.items():
        array = np.asarray(values)
        if array.dtype.kind not in "iu" and array.size:
            raise ValueError(f"{name} must hold integers, got dtype {array.dtype}")
        made.append(array.astype(np.int64))
    return made


def check_bits(bits: int) -> int:
    """Return the bits of a word, 2 to 48.

    Raises
    ------
    ValueError
        If they are no integer of that range.
    """
    if not is_integer(bits) or not 2 <= bits <= 48:
        raise ValueError(f"bits must be an integer from 2 to 48, got {bits!r}")
    return int(bits)


def check_subleq(
    memory: NDArray[np.int64], program: NDArray[np.int64], pc: NDArray[np.int64], bits: int
) -> None:
    """Refuse a memory, a program or a counter that no SUBLEQ machine of ``bits`` bits can hold.

    Parameters
    ----------
    memory : ndarray, shape (..., m)
    program : ndarray, shape (..., k, 3)
    pc : ndarray, shape (...)
    bits : int

    Raises
    ------
    ValueError
        Naming the parameter, its first bad value and what is allowed.
    """
    if memory.ndim < 1 or memory.shape[-1] < 1:
        raise ValueError(f"memory must hold at least one word, got shape {memory.shape}")
    if program.ndim < 2 or program.shape[-1] != 3 or program.shape[-2] < 1:
        raise ValueError(
            f"program must hold instructions (a, b, c), shape (..., k, 3), got {program.shape}"
        )
    words, instructions, top = memory.shape[-1], program.shape[-2], 2 ** (bits - 1)
    check_within("memory value", memory, -top, top - 1)
    check_within("program address a", program[..., 0], 0, words - 1)
    check_within("program address b", program[..., 1], 0, words - 1)
    check_within("program target c", program[..., 2], 0, instructions - 1)
    check_within("pc", pc, 0, instructions - 1)


def check_within(name: str, values: NDArray[np.int64], low: int, high: int) -> None:
    """Refuse values outside a range, by the first of them."""
    bad = (values < low) | (values > high)
    if bad.any():
        raise ValueError(f"{name} must be from {low} to {high}, got {values[bad].flat[0]}")
