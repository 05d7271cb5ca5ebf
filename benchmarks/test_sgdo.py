"""The glued parabolas: vectorised lanes against the scalar loop of the authors' scripts."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest

from reprise.runtime import thread_count
from reprise.shuffling import sgdo
from reprise.shuffling.closed_forms import log_step_size
from reprise.shuffling.problems import GluedSum, MeanEstimation, QuadraticSum
from reprise.shuffling.simulate import run_grid, run_sgd

N, K, RUNS = 500, 100, 1000
ETA = log_step_size(N, K, 4.0)
FIGURE = f"one point of the figure over K: n={N}, K={K}, {RUNS} runs"
# per step and vector of 8 lanes: 4.5 operations for the stream, 5 to draw a sign, 7 for the iterate
LIMIT = "0.3 ns: 17 vector operations a step, 2 a cycle, 8 lanes, 3.5 GHz"


def scalar_run(rng: np.random.Generator) -> float:
    """One run as the authors' scripts do it: a permuted sign array, a loop, a branch on x."""
    signs = np.repeat((-1.0, 1.0), N // 2)
    x = 0.0
    for _ in range(K):
        for sign in rng.permutation(signs):
            curvature = 4.0 if x > 0 else 1.0
            x = (1 - ETA * curvature) * x - ETA * sign
    return x**2


def ours(threads: int) -> float:
    """The same point with the simulator."""
    result = run_sgd(
        GluedSum.balanced(N),
        "random_reshuffling",
        epochs=K,
        step_size=ETA,
        runs=RUNS,
        rng=np.random.default_rng(0),
        threads=threads,
    )
    return float(result.squared_distance().mean())


def test_scalar_loop(lap):
    rng = np.random.default_rng(0)
    runs = 20
    name = f"scalar loop as in the authors' scripts ({runs} runs, per step)"
    lap(lambda: scalar_run(rng), work=FIGURE, name=name, units=N * K, peer=True, rounds=runs)


def test_official_script(lap, official):
    """The authors' own function, from a checkout: --official sgdo=PATH."""
    if "sgdo" not in official:
        pytest.skip("no checkout of the authors' scripts given: --official sgdo=PATH")
    source = (Path(official["sgdo"]) / "LowerBound_K.py").read_text(encoding="utf-8")
    definition = re.search(r"(?ms)^def randomReshuffle.*?(?=^\S)", source)[0]
    scope = {"np": np}
    exec(definition.replace("np.int(", "int("), scope)  # np.int left numpy in 2022
    function = next(value for name, value in scope.items() if name.startswith("randomReshuffle"))
    name = "the authors' function, np.int repaired"
    lap(lambda: function(ETA, N, K), work=FIGURE, name=name, units=N * K, peer=True, rounds=10)


@pytest.mark.parametrize(("threads", "target"), [(1, 400), (2, 700)])
def test_lanes(lap, threads, target):
    if threads > thread_count():
        pytest.skip(f"{threads} cores are needed")
    lap(
        lambda: ours(threads),
        work=FIGURE,
        name=f"reprise, {threads} thread{'s' * (threads > 1)}",
        units=N * K * RUNS,
        target=target,
        limit=LIMIT,
        rounds=10,
    )


def test_both_figures(lap):
    """All 170 + 85 points of the paper's figures on one core, within 8 seconds."""
    over_K = sgdo.step_grid(500, np.arange(30, 200))
    over_n = sgdo.step_grid(np.arange(30, 200, 2), 500)
    steps = sum(p.n * p.epochs for p in over_K + over_n) * RUNS

    def both():
        begin = time.perf_counter()
        for grid in (over_K, over_n):
            run_grid(
                GluedSum.balanced,
                "random_reshuffling",
                grid,
                runs=RUNS,
                rng=np.random.default_rng(0),
                threads=1,
            )
        return time.perf_counter() - begin

    lap(
        both,
        work="the paper's two figures, 1.45e10 steps",
        name="reprise, 1 thread",
        units=steps,
        target=8e9 / steps,
        limit=LIMIT,
        rounds=2,
        warmup=0,
    )


@pytest.mark.parametrize("kind", ["listed components", "mean estimation, 20 dimensions"])
def test_listed_components(lap, kind):
    """Any sum: Fisher-Yates permutations, 3 to 4 ns an element."""
    rng = np.random.default_rng(0)
    problem = (
        QuadraticSum(rng.uniform(0.5, 1.5, N), rng.standard_normal(N))
        if kind == "listed components"
        else MeanEstimation(rng.standard_normal((N, 20)))
    )
    lap(
        lambda: run_sgd(
            problem,
            "random_reshuffling",
            epochs=K,
            step_size=ETA,
            runs=200,
            rng=rng,
            threads=1,
        ),
        work=f"{kind}: n={N}, K={K}, 200 runs",
        name="reprise, 1 thread",
        units=N * K * 200,
        target=4.0 if kind == "listed components" else None,
    )
