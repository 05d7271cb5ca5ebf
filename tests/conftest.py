"""What several test files need: the book's root and its pages, and how long each chapter took."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # the workers share the cores: more threads than those wait for each other; torch and BLAS read
    # this when they are loaded
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from reprise import book
from reprise.running import kernel_environment
from reprise.runtime import atomic_write

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

    ``chapter`` is every chapter of ``_toc.yml``, ``any_page`` every overview too. Tests of a page
    stand together, and in one worker: it compiles, runs and opens the page once for many.
    """
    browser = "browser" in metafunc.fixturenames
    for name, pages in (("chapter", CHAPTERS), ("any_page", NOTEBOOKS)):
        if name in metafunc.fixturenames:
            cases = [
                pytest.param(
                    page, id=page.id, marks=[] if browser else [pytest.mark.xdist_group(page.id)]
                )
                for page in pages
            ]
            metafunc.parametrize(name, cases, scope="module")


# --- how long each chapter takes ------------------------------------------------------------------

TIMES: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add a test's time to its chapter's."""
    path, _, case = report.nodeid.partition("::")
    step = "unit" if path.startswith("tests/unit/") else Path(path).stem.removeprefix("test_")
    if case.startswith("test_nbval"):
        step = "nbval"
    place = path.removeprefix("tests/unit/").replace("test_", "").removesuffix(".py")
    ids = [page.id for page in NOTEBOOKS]
    named = [i for i in ids if re.search(rf"{re.escape(i)}\b", case) or place.startswith(i)]
    TIMES[named[0] if named else "the rest"][step] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep the times for `reprise times`, beside those of the other steps."""
    if "PYTEST_XDIST_WORKER" in os.environ or not TIMES:
        return
    file = ROOT / "_build" / "times.json"
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for page, steps in TIMES.items():
        stored[page] = {**stored.get(page, {}), **steps}
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(stored, indent=1), encoding="utf-8")
