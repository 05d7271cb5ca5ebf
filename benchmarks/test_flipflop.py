"""FlipFlop: mean estimation as a matrix product, the logistic recurrence in lanes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from reprise.shuffling import flipflop
from reprise.shuffling.closed_forms import log_step_size
from reprise.shuffling.problems import MeanEstimation
from reprise.shuffling.simulate import run_sgd

N, D, K, RUNS = 800, 100, 100, 100
ETA = log_step_size(N, K, 1.0)
POINTS = flipflop.unit_points(N, D, rng=np.random.default_rng(0))
MEAN = f"mean estimation: n={N}, d={D}, K={K}, per run and epoch"
MEAN_ONCE = f"mean estimation, single shuffle: n={N}, d={D}, K={K}, per run and epoch"
LOGISTIC = f"logistic problem: n={N}, K={K}, per step"
SHUFFLE_LIMIT = "2.4 us: 3 ns an element to shuffle and to add a weight"
EXP_LIMIT = "1.1 ns: 45 vector operations and a division a step, 2 a cycle, 8 lanes, 3 GHz"


def vector_updates(fresh: bool) -> np.ndarray:
    """One run as the scripts do it: a loop over components, each a numpy update of the vector."""
    rng = np.random.default_rng(0)
    x, order = POINTS.mean(axis=0), rng.permutation(N)
    for _ in range(4):
        if fresh:
            order = rng.permutation(N)
        for i in order:
            x = x - ETA * (x - POINTS[i])
    return x


def scalar_logistic() -> float:
    """One epoch of the logistic recurrence in plain Python."""
    labels = [1.0 if i < N // 4 else 0.0 for i in range(N)]
    x = 1.0
    for i in np.random.default_rng(0).permutation(N).tolist():
        x -= ETA * (1 / (1 + math.exp(-x)) - labels[i])
    return x


@pytest.mark.parametrize(("work", "fresh"), [(MEAN, True), (MEAN_ONCE, False)])
def test_vector_updates(lap, work, fresh):
    with threadpool_limits(1):
        name = "numpy loop over components, as in the scripts (1 run, 4 epochs)"
        lap(lambda: vector_updates(fresh), work=work, name=name, units=4, peer=True, rounds=10)


@pytest.mark.parametrize(
    ("order", "target"),
    [
        ("random_reshuffling", 200),
        ("flipflop_random_reshuffling", 200),
        ("single_shuffle", 5000),
        ("flipflop_single_shuffle", 5000),
    ],
)
def test_products(lap, order, target):
    once = order.endswith("single_shuffle")

    def ours():
        return run_sgd(
            MeanEstimation(POINTS),
            order,
            epochs=K,
            step_size=ETA,
            runs=RUNS,
            rng=np.random.default_rng(0),
            threads=1,
        )

    with threadpool_limits(1):
        lap(
            ours,
            work=MEAN_ONCE if once else MEAN,
            name=f"reprise, {order}, 1 thread",
            units=K * RUNS,
            target=target,
            limit="" if once else SHUFFLE_LIMIT,
            rounds=10,
        )


def test_scalar_logistic(lap):
    name = "scalar loop in plain Python"
    lap(scalar_logistic, work=LOGISTIC, name=name, units=N, peer=True, rounds=20)


def test_logistic_lanes(lap):
    """100 times the peer is 4 ns a step."""
    problem = flipflop.logistic_instance(N)

    def ours():
        return run_sgd(
            problem,
            "random_reshuffling",
            epochs=K,
            step_size=ETA,
            runs=128,
            x0=1.0,
            rng=np.random.default_rng(0),
            threads=1,
        )

    lap(
        ours,
        work=LOGISTIC,
        name="reprise, 1 thread",
        units=N * K * 128,
        target=100,
        limit=EXP_LIMIT,
        rounds=10,
    )
