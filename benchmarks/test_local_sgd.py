"""Local SGD with reshuffling: workers and runs in lanes against loops over them."""

from __future__ import annotations

import numpy as np
import pytest

from reprise.runtime import thread_count
from reprise.shuffling.local_sgd import kinked_problem
from reprise.shuffling.simulate import run_rounds

M, N, B, K, RUNS, ALPHA = 8, 128, 4, 10, 200, 0.001
RACE = f"local reshuffling: M={M}, N={N}, B={B}, K={K}, {RUNS} runs, per worker's step"
# per step and vector of 8 lanes: 4.5 operations for the stream, 5 to draw a sign, 7 for the iterate
LIMIT = "0.3 ns: 17 vector operations a step, 2 a cycle, 8 lanes, 3.5 GHz"


def scalar_run(rng: np.random.Generator) -> float:
    """One run in plain Python."""
    signs = [1.0] * (N // 2) + [-1.0] * (N // 2)
    x = 0.0
    for _ in range(K):
        orders = [rng.permutation(signs).tolist() for _ in range(M)]
        for first in range(0, N, B):
            total = 0.0
            for order in orders:
                y = x
                for sign in order[first : first + B]:
                    y -= ALPHA * ((4.0 if y > 0 else 1.0) * y + sign)
                total += y
            x = total / M
    return x


def batched_runs(rng: np.random.Generator) -> np.ndarray:
    """All runs and workers side by side in numpy, a loop over steps."""
    signs = np.where(np.arange(N) < N // 2, 1.0, -1.0)
    x = np.zeros(RUNS)
    for _ in range(K):
        orders = rng.permuted(np.broadcast_to(signs, (RUNS, M, N)), axis=-1)
        for first in range(0, N, B):
            y = np.repeat(x[:, None], M, axis=1)
            for j in range(first, first + B):
                y -= ALPHA * (np.where(y > 0, 4.0, 1.0) * y + orders[:, :, j])
            x = y.mean(axis=1)
    return x


def ours(method, scheme="random_reshuffling", threads=1, mixing=0.0, runs=RUNS, epochs=K):
    """The simulator on the same work; with mixing, every run has components of its own."""
    rng = np.random.default_rng(0)
    own = {"mixing": mixing, "rng": rng, "arrangements": runs} if mixing else {}
    problem = kinked_problem(M, N, **own)
    options = {"local_steps": B, "epochs": epochs, "step_size": ALPHA, "threads": threads}
    return lambda: run_rounds(
        problem, scheme, method=method, runs=runs, rng=np.random.default_rng(1), **options
    )


def test_scalar_loop(lap):
    rng = np.random.default_rng(0)
    name = "scalar loop in plain Python (1 run)"
    units = M * N * K
    lap(
        lambda: scalar_run(rng),
        work=f"{RACE} (Python)",
        name=name,
        units=units,
        peer=True,
        rounds=10,
    )


def test_batched_numpy(lap):
    rng = np.random.default_rng(0)
    name = "numpy, batched over runs and workers"
    units = M * N * K * RUNS
    lap(lambda: batched_runs(rng), work=RACE, name=name, units=units, peer=True, rounds=10)


@pytest.mark.parametrize(("work", "target"), [(f"{RACE} (Python)", 250), (RACE, 15)])
def test_lanes(lap, work, target):
    units = M * N * K * RUNS
    lap(
        ours("local"),
        work=work,
        name="reprise, 1 thread",
        units=units,
        target=target,
        limit=LIMIT,
        rounds=20,
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["local", "minibatch"])
@pytest.mark.parametrize("scheme", ["random_reshuffling", "synchronized"])
def test_long_runs(lap, method, scheme, threads):
    """Enough work that starting threads and filling the last lanes does not show."""
    if threads > thread_count():
        pytest.skip(f"{threads} cores are needed")
    runs, epochs = 1024, 50
    lap(
        ours(method, scheme, threads, runs=runs, epochs=epochs),
        work=f"{method}_sgd, {scheme}: M={M}, N={N}, B={B}, K={epochs}, {runs} runs",
        name=f"reprise, {threads} thread{'s' * (threads > 1)}",
        units=M * N * epochs * runs,
        target=0.8 if threads == 1 else None,
        limit=LIMIT if scheme == "random_reshuffling" else "",
        rounds=5,
    )


def test_listed_components(lap):
    """Noise of more than two values: permutations of indices."""
    runs = 200
    lap(
        ours("local", mixing=0.3, runs=runs),
        work=f"local reshuffling of listed components: M={M}, N={N}, B={B}, K={K}, {runs} runs",
        name="reprise, 1 thread",
        units=M * N * K * runs,
        target=4.0,
        rounds=10,
    )
