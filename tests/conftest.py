"""What several test files need: the book's root and its pages."""

from __future__ import annotations

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # the workers share the cores: more threads than those wait for each other; torch and BLAS read
    # this when they are loaded
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from reprise import book
from reprise.running import kernel_environment

# claims that run in this process must compute what a kernel computes
os.environ.update(kernel_environment("smoke"))

# a first call may compile for seconds: no example has a deadline
settings.register_profile("reprise", deadline=None)
settings.load_profile("reprise")

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = book.chapters(ROOT)
NOTEBOOKS = book.notebooks(ROOT)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root."""
    return ROOT


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests the pages of the book.

    ``chapter`` is every chapter of ``_toc.yml``, ``any_page`` every overview too. With a module's
    scope, all tests of a page stand together: the browser opens it once for many.
    """
    for name, pages in (("chapter", CHAPTERS), ("any_page", NOTEBOOKS)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, pages, ids=[page.id for page in pages], scope="module")
