"""The order of the data in SGD: what sampling without replacement buys, and what it cannot.

In the order in which to read: `problems` (finite sums whose minimisers are known), `orders` (which
component comes when, as a schedule), `simulate` (SGD over any sum in any order; what it returns is
in `results`), `closed_forms` (step sizes, exact errors). Below them, `engines` choose the loop that
runs a problem, and `kernels` hold the compiled ones.

The chapters: `sgdo` (reshuffling against replacement), `flipflop` (every second epoch reversed),
`local_sgd` (many workers), `index` (all orders on the same sums).
"""
