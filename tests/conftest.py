"""What several test files need: the book, and a way to judge single claims of a chapter."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # the workers share the cores: more threads than those wait for each other; torch and BLAS read
    # this when they are loaded
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from reprise import book
from reprise.book import Chapter
from reprise.ledger import Ledger

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


@pytest.fixture
def judge() -> Callable[[str, Iterable[str]], Ledger]:
    """Run the cells of some claims, at smoke, in this process, and return the ledger.

    A chapter tags its imports and checks ``setup`` and each claim's cells with the claim's id, so
    that a test can patch the package and see whether the chapter's own rules notice.
    """
    return judge_claims


def judge_claims(id: str, claims: Iterable[str]) -> Ledger:
    """See `judge`."""
    chapter = Chapter(ROOT, id)
    wanted = {"setup", *claims}
    namespace: dict = {}
    for cell in chapter.notebook().cells:
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type != "code" or not tags & (wanted | {"parameters"}):
            continue
        exec(compile(cell.source, f"{id} {sorted(tags)}", "exec"), namespace)
        if "parameters" in tags:
            namespace.update(chapter.parameters("smoke"))
    return namespace["ledger"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests the pages of the book, and the mutants of their module.

    ``chapter`` is every chapter of ``_toc.yml``, ``any_page`` every overview too. With a module's
    scope, all tests of a page stand together: the browser opens it once for many. ``claim`` and
    ``mutate`` are the entries of the module's ``MUTANTS``: claim -> functions that break the
    package, given a monkeypatch.
    """
    for name, pages in (("chapter", CHAPTERS), ("any_page", NOTEBOOKS)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, pages, ids=[page.id for page in pages], scope="module")
    if {"claim", "mutate"} <= set(metafunc.fixturenames) and hasattr(metafunc.module, "MUTANTS"):
        table = metafunc.module.MUTANTS
        cases = [(claim, mutate) for claim, mutants in table.items() for mutate in mutants]
        ids = [f"{claim}-{_name_of(mutate)}" for claim, mutate in cases]
        metafunc.parametrize(("claim", "mutate"), cases, ids=ids)


def _name_of(mutate: Callable) -> str:
    """A mutant's name; one made by a function is named after that and its first argument."""
    if mutate.__name__ != "mutate":
        return mutate.__name__
    maker = mutate.__qualname__.split(".")[0]
    first = [cell.cell_contents for cell in mutate.__closure__ or ()][:1]
    return "-".join([maker, *(str(getattr(value, "__name__", value)) for value in first)])
