"""Independent truths for the part's tests: exhaustive enumeration and plain Python loops."""

import itertools
import math

import numpy as np
import pytest


@pytest.fixture(scope="session")
def paths():
    """Every sequence an order can visit, all equally likely: (labels, order, K) -> (m, K, n).

    ``labels`` are what the n components are told apart by: indices, or signs of balanced numbers.
    """

    def enumerate_paths(labels, order, K):
        n = len(labels)
        if order == "with_replacement":
            epochs = list(itertools.product(sorted(set(labels)), repeat=n))
        else:
            epochs = sorted(set(itertools.permutations(labels)))
        flipflop = order.startswith("flipflop_")
        draws = K // 2 if flipflop else K
        if order.endswith("single_shuffle"):
            drawn = [(epoch,) * draws for epoch in epochs]
        else:
            drawn = itertools.product(epochs, repeat=draws)
        if flipflop:
            drawn = ([e for epoch in row for e in (epoch, epoch[::-1])] for row in drawn)
        return np.array(list(drawn)).reshape(-1, K, n)

    return enumerate_paths


@pytest.fixture(scope="session")
def walk():
    """Ends of all paths after each epoch: (gradient, paths, eta, x0) -> (m, K, ...)."""

    def follow(gradient, paths, eta, x0):
        x = np.broadcast_to(np.asarray(x0, dtype=float), (len(paths), *np.shape(x0)))
        ends = []
        for k in range(paths.shape[1]):
            for j in range(paths.shape[2]):
                x = x - eta * gradient(paths[:, k, j], x)
            ends.append(x)
        return np.stack(ends, axis=1)

    return follow


@pytest.fixture(scope="session")
def glued_gradient():
    """Gradient of the glued parabolas, (left, right, noise) -> f(sign, x)."""

    def build(left=1.0, right=4.0, noise=1.0):
        return lambda sign, x: np.where(x > 0, right, left) * x + noise * sign

    return build


@pytest.fixture(scope="session")
def standard_errors():
    """Distance of a sample mean from an exact law's mean, in exact standard errors."""

    def distance(sample, law):
        deviation = abs(float(np.mean(sample)) - float(np.mean(law)))
        spread = float(np.std(law))
        if spread < 1e-14:
            return 0.0 if deviation < 1e-13 else math.inf
        return deviation / (spread / math.sqrt(np.size(sample)))

    return distance


@pytest.fixture(scope="session")
def random_permutations():
    """numpy's own permutations: (rng, *leading, n) -> int64 (*leading, n)."""

    def draw(rng, *shape):
        return rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)

    return draw
