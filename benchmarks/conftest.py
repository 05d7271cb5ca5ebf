"""How a race is recorded: `lap` times a function and notes what the table needs to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Paths of official repositories, which are raced but never copied."""
    parser.addoption("--official", action="append", default=[], metavar="NAME=PATH")


@pytest.fixture
def official(request: pytest.FixtureRequest) -> dict[str, str]:
    """Name -> path of the official repositories given on the command line."""
    return dict(pair.split("=", 1) for pair in request.config.getoption("official"))


@pytest.fixture
def lap(benchmark: Any) -> Callable[..., Any]:
    """Time ``function`` and record the work it did.

    ``lap(function, work=..., name=..., units=..., peer=False, target=None, limit=None, rounds=3)``:
    ``work`` groups a race, ``units`` counts the elementary steps of one call, ``target`` is the
    least ratio to the peer (or, without a peer, the most nanoseconds a unit), ``limit`` the
    nanoseconds a unit that the hardware would need at best, with its reason.
    """

    def run(
        function: Callable[[], Any], *, work: str, name: str, units: float, **notes: Any
    ) -> Any:
        rounds = notes.pop("rounds", 3)
        warmup = notes.pop("warmup", 1)
        benchmark.extra_info.update(work=work, name=name, units=units, **notes)
        return benchmark.pedantic(function, rounds=rounds, warmup_rounds=warmup, iterations=1)

    return run
