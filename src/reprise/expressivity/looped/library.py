"""Programs for the SUBLEQ machine: four in assembly, five in the small language.

Factorial, multiplication, reversal and search are those of the repository jysohn1108/Looped-
Transformer of Giannou et al. 2023 (arXiv 2301.13196), instruction by instruction, with names for
words and jumps. The five sources are this book's.
"""

from __future__ import annotations

from collections.abc import Sequence

from reprise.expressivity.looped.assembler import LARGEST, SubleqProgram, assemble_subleq
from reprise.runtime import check_integer, is_integer

MOST_FACTORIAL = 16  # 17! needs 49 bits


def factorial(k: int) -> SubleqProgram:
    """k!, in the word ``result``: an addition repeated within a product repeated.

    Parameters
    ----------
    k : int
        1 to 16.

    Returns
    -------
    SubleqProgram

    Raises
    ------
    ValueError
        If ``k`` is outside its range.
    """
    if check_integer("k", k, 1) > MOST_FACTORIAL:
        raise ValueError(f"k must be from 1 to {MOST_FACTORIAL}, got {k}")
    return assemble_subleq(f"""
        minus_one = -1
        zero = 0
        result = {k}
        product = {-k}       # minus the product so far
        times = 0            # additions still to do
        factor = 0           # minus the next factor
        minus_two = -2
        minus_one_too = -1
        spare = 0
        one = 1

               result factor          # k - 2 remain after the first
               minus_two factor count
        next:  minus_one_too factor count
        count: factor times end       # no factor left
        more:  product result end
               one times finished
               spare spare more
        finished: product product
               result product renew
        renew: spare spare next
        end:   zero minus_one end
    """)


def multiply(a: int, b: int) -> SubleqProgram:
    """a times b, in the word ``result``, by adding a again b - 1 times.

    Parameters
    ----------
    a : int
    b : int
        At least 1.

    Returns
    -------
    SubleqProgram

    Raises
    ------
    ValueError
        If a number is no integer of 48 bits, or ``b`` is below 1.
    """
    check_integer("b", b, 1)
    a, b = _words("factors", [a, b])
    return assemble_subleq(f"""
        result = {a}
        times = {b}
        negated = 0
        zero = 0
        one = 1
        minus_one = -1

              result negated
        again: one times end
              negated result next
        next: zero zero again
        end:  zero minus_one end
    """)


def reverse(values: Sequence[int]) -> SubleqProgram:
    """A list, turned round in place, in the words ``w0``, ``w1``, ...

    Addresses are constants, so each swap has its own eight instructions.

    Parameters
    ----------
    values : sequence of int
        At least one.

    Returns
    -------
    SubleqProgram

    Raises
    ------
    ValueError
        If there is no value, or one is no integer of 48 bits.
    """
    values = _words("values", values)
    lines = [f"w{i} = {value}" for i, value in enumerate(values)]
    lines += ["t1 = 0", "t2 = 0", "zero = 0"]
    for i in range(len(values) // 2):
        x, y = f"w{i}", f"w{len(values) - 1 - i}"
        lines += [f"{x} t1", f"{y} t2", f"{x} {x}", f"{y} {y}", f"t2 {x}", f"t1 {y}"]
        lines += ["t1 t1", "t2 t2"]
    lines.append("end: zero zero end")
    return assemble_subleq("\n".join(lines))


def search(values: Sequence[int], target: int) -> SubleqProgram:
    """Index of the first value that equals the target, in the word ``index``; -1 if there is none.

    A value that differs from the target by exactly half the range, 2^(N-1), passes for equal: its
    difference has no negative. Keep values and target within a quarter of the range.

    Parameters
    ----------
    values : sequence of int
        At least one.
    target : int

    Returns
    -------
    SubleqProgram

    Raises
    ------
    ValueError
        If there is no value, or a number is no integer of 48 bits.
    """
    values = _words("values", values)
    (target,) = _words("target", [target])
    lines = [f"w{i} = {value}" for i, value in enumerate(values)]
    lines += [f"target = {target}", "t = 0", "z = 0", "zero = 0"]
    lines += ["index = 0", "minus_one = -1", "one = 1"]
    for i in range(len(values)):
        lines += ["t t", "z z", f"w{i} z", "z t"]
        lines += [f"target t maybe{i}", f"zero zero other{i}"]  # the difference is above 0
        lines += [f"maybe{i}: z z", "t z end", f"other{i}: minus_one index"]
    lines += ["index index", "one index end", "end: zero zero end"]
    return assemble_subleq("\n".join(lines))


# --- the small language ---------------------------------------------------------------------------


def gcd_source(a: int, b: int) -> str:
    """Euclid's algorithm: the greatest common divisor of a and b ends in ``a``.

    Raises
    ------
    ValueError
        If a number is below 0.
    """
    check_integer("a", a, 0)
    check_integer("b", b, 0)
    return f"""\
var a = {a}, b = {b}, t;
while b != 0 {{
  t = a % b;
  a = b;
  b = t;
}}
"""


def fibonacci_source(n: int) -> str:
    """The Fibonacci number F_n, from F_0 = 0 and F_1 = 1, ends in ``a``, the next in ``b``.

    Raises
    ------
    ValueError
        If ``n`` is below 0.
    """
    return f"""\
var a = 0, b = 1, n = {check_integer("n", n, 0)}, t;
while n > 0 {{
  t = a + b;
  a = b;
  b = t;
  n = n - 1;
}}
"""


def collatz_source(n: int) -> str:
    """Halve an even n, else take 3 n + 1, until it is 1; ``rounds`` counts.

    Raises
    ------
    ValueError
        If ``n`` is below 1.
    """
    return f"""\
var n = {check_integer("n", n, 1)}, rounds;
while n != 1 {{
  if n % 2 == 0 {{
    n = n / 2;
  }} else {{
    n = 3 * n + 1;
  }}
  rounds = rounds + 1;
}}
"""


def sort_source(values: Sequence[int]) -> str:
    """Insertion sort of the array ``a``, least first.

    Raises
    ------
    ValueError
        If there is no value, or one is no integer of 48 bits.
    """
    values = _words("values", values)
    return f"""\
const n = {len(values)};
array a[n] = {{{", ".join(map(str, values))}}};
var i = 1, j, v, w;
while i < n {{
  v = a[i];
  j = i - 1;
  while j >= 0 {{
    w = a[j];
    if w <= v {{ break; }}
    a[j + 1] = w;
    j = j - 1;
  }}
  a[j + 1] = v;
  i = i + 1;
}}
"""


def sieve_source(limit: int) -> str:
    """Sieve of Eratosthenes: ``composite[k]`` ends as 0 for primes k, ``count`` is their number.

    Raises
    ------
    ValueError
        If ``limit``, the first number beyond the sieve, is below 3.
    """
    return f"""\
const n = {check_integer("limit", limit, 3)};
array composite[n];
var p = 2, m, count;
while p < n {{
  if composite[p] == 0 {{
    count = count + 1;
    m = p + p;
    while m < n {{
      composite[m] = 1;
      m = m + p;
    }}
  }}
  p = p + 1;
}}
"""


def _words(name: str, values: Sequence[int]) -> list[int]:
    for value in values:
        if not is_integer(value) or not -LARGEST <= value < LARGEST:
            raise ValueError(
                f"{name} must be integers from {-LARGEST} to {LARGEST - 1}, got {value!r}"
            )
    if not len(values):
        raise ValueError(f"{name} must hold at least one integer")
    return [int(value) for value in values]
