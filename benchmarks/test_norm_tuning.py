"""Scales of a frozen random layer: conjugate gradients without the matrix, against dense solvers.

Every implementation gets the same W1, W2 and target, and must reach a true relative residual of
1e-12. Dense peers form the m n x k matrix first, as they must; their time includes it. The
iterative peers are scipy's, on our operator.

Tried and dropped for the kernel: all of it in float64 (twice the bytes, half the lanes); one pass
of W2^T V followed by one with its result (reads the weights twice); scaling the columns to norm one
(one iteration in ten fewer, but no longer the least-norm solution); blocks of 128 to 1024 neurons
are within a tenth of each other.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg
from scipy.sparse.linalg import lsmr, lsqr

from reprise.expressivity import norm_tuning as nt

TOL = 1e-12
LIMIT = "2.5 ns: 90 products of 4 flops an entry in float32, 144 Gflop/s a core"


def problem(d, factor=2):
    rng = np.random.default_rng(0)
    W1, W2 = nt.random_block(d, d, factor * d * d, rng=rng)
    return W1, W2, nt.gaussian_target(d, d, rng=rng)


def check(gamma, W1, W2, W):
    assert np.linalg.norm((W2 * gamma) @ W1 - W) <= TOL * np.linalg.norm(W)


def normal_equations(W1, W2, W):
    """Form A, then A A^T, and factorise; one refinement to reach the residual."""
    A, t = linalg.khatri_rao(W2, W1.T), W.ravel()
    factor = linalg.cho_factor(A @ A.T, check_finite=False)
    gamma = A.T @ linalg.cho_solve(factor, t)
    return gamma + A.T @ linalg.cho_solve(factor, t - A @ gamma)


def numpy_lstsq(W1, W2, W):
    return np.linalg.lstsq(linalg.khatri_rao(W2, W1.T), W.ravel())[0]


def scipy_lstsq(W1, W2, W):
    A = linalg.khatri_rao(W2, W1.T)
    return linalg.lstsq(A, W.ravel(), lapack_driver="gelsy", check_finite=False)[0]


def torch_lstsq(W1, W2, W):
    A = torch.from_numpy(linalg.khatri_rao(W2, W1.T))
    return torch.linalg.lstsq(A, torch.from_numpy(W.reshape(-1, 1)), driver="gels")[0][:, 0].numpy()


def with_lsqr(W1, W2, W):
    operator = nt.KhatriRaoOperator(W1, W2).as_linear_operator()
    return lsqr(operator, W.ravel(), atol=0, btol=0.5 * TOL)[0]


def with_lsmr(W1, W2, W):
    operator = nt.KhatriRaoOperator(W1, W2).as_linear_operator()
    return lsmr(operator, W.ravel(), atol=0, btol=0.5 * TOL, maxiter=2000)[0]


def ours(W1, W2, W):
    return nt.solve_scales(W1, W2, W, method="cg", tol=TOL).gamma


RACES = [
    (32, "dense", numpy_lstsq, "numpy lstsq (SVD)", None),
    (32, "dense", scipy_lstsq, "scipy lstsq (pivoted QR)", None),
    (32, "dense", torch_lstsq, "torch lstsq (QR)", None),
    (32, "dense", normal_equations, "scipy, Cholesky of A A^T", None),
    (32, "dense", ours, "reprise, A never formed", None),
    (64, "dense", torch_lstsq, "torch lstsq (QR)", None),
    (64, "dense", normal_equations, "scipy, Cholesky of A A^T", None),
    (64, "dense", ours, "reprise, A never formed", 10),
    (64, "iterative", with_lsqr, "scipy lsqr on our operator", None),
    (64, "iterative", with_lsmr, "scipy lsmr on our operator", None),
    (64, "iterative", ours, "reprise, float32 rounds refined", 1.5),
]


@pytest.mark.parametrize(
    ("d", "kind", "solve", "name", "target"), RACES, ids=[f"{r[0]}-{r[1]}-{r[3]}" for r in RACES]
)
def test_solve(lap, d, kind, solve, name, target):
    W1, W2, W = problem(d)
    notes = {"limit": LIMIT, "target": target} if solve is ours else {"peer": True}
    gamma = lap(
        lambda: solve(W1, W2, W),
        work=f"scales, d={d}, k={len(W1)}, {kind} peers, per entry of A",
        name=name,
        units=W.size * len(W1),
        rounds=5 if kind == "iterative" or d == 32 else 2,
        warmup=0 if solve is not ours and d == 64 and kind == "dense" else 1,
        **notes,
    )
    check(gamma, W1, W2, W)


def test_large(lap):
    """d = 256: A would take 69 GB. The target is two minutes on two cores."""
    W1, W2, W = problem(256)
    gamma = lap(
        lambda: ours(W1, W2, W),
        work="scales, d=256, k=131072, per entry of A",
        name="reprise, A never formed",
        units=W.size * len(W1),
        target=120e9 / (W.size * len(W1)),
        limit=LIMIT,
        rounds=1,
        warmup=0,
    )
    check(gamma, W1, W2, W)


@pytest.mark.parametrize("density", [None, 1.0], ids=["everything", "normalisations"])
def test_training(lap, density):
    """Frozen weights need no gradients: their backward products are skipped."""
    data = nt.load_pictures("digits")
    run = lap(
        lambda: nt.train_from_random(data, density, width=48, epochs=1, seed=0),
        work="one epoch of the digits ResNet, width 48, 1 thread, per image",
        name="everything trained" if density is None else "only normalisations trained",
        units=1408,
        rounds=4,
        **({"peer": True} if density is None else {"target": 1.4}),
    )
    assert run.moved == 0
