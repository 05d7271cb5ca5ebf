"""Every chapter that ``_toc.yml`` lists is complete, runs at smoke and reproduces its reference.

Generic: a new chapter is tested from the moment it is listed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
import yaml

from reprise import book, ledger

SANITIZER = "tests/nbval.cfg"


@pytest.fixture(scope="session")
def smoke_runs(root):
    """Bring the smoke runs of all pages up to date, two at a time."""
    pages = book.notebooks(root)
    running.run_all(pages, "smoke")
    return {page.id: nbformat.read(page.run_path("smoke"), as_version=4) for page in pages}


@pytest.fixture(scope="session")
def nbval_runs(root):
    """Re-execute all references under nbval, two at a time: id -> (exit status, output)."""

    def run(page):
        # progress bars would be outputs that the reference does not have
        environment = {**os.environ, "TQDM_DISABLE": "1", "REPRISE_THREADS": "1"}
        environment |= running.kernel_environment("smoke")
        environment.pop("PYTEST_CURRENT_TEST", None)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval"]
        command += ["--nbval-current-env", f"--nbval-sanitize-with={root / SANITIZER}"]
        result = subprocess.run(
            [*command, str(page.reference)],
            capture_output=True,
            text=True,
            env=environment,
            cwd=root,
        )
        return result.returncode, result.stdout[-8000:] + result.stderr[-2000:]

    pages = [page for page in book.notebooks(root) if page.reference.exists()]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip((page.id for page in pages), pool.map(run, pages), strict=True))


def test_has_all_its_files(chapter, root):
    part, slug = chapter.id.split("/")
    module = root / "src" / "reprise" / part / slug
    assert module.with_suffix(".py").exists() or (module / "__init__.py").exists()
    for path in (
        f"book/profiles/smoke/{slug}.yaml",
        f"book/profiles/paper/{slug}.yaml",
        f"tests/reference/{part}/{slug}.ipynb",
        f"tests/unit/{part}/test_{slug}.py",
        f"benchmarks/test_{slug}.py",
    ):
        assert (root / path).exists(), f"{path} is missing"


def test_is_one_of_the_papers(chapter, root):
    papers = yaml.safe_load((root / "book" / "papers.yml").read_text())
    assert chapter.id in {f"{p['part']}/{paper['slug']}" for p in papers for paper in p["papers"]}


def test_pages_have_a_reference_and_profiles(any_page, root):
    assert any_page.reference.exists(), f"make reference C={any_page.id}"
    for profile in ("smoke", "paper"):
        assert (root / "book" / "profiles" / profile / f"{any_page.slug}.yaml").exists()


def test_profiles_set_known_parameters(any_page):
    for profile in ("smoke", "paper"):
        assert any_page.parameters(profile)["profile"] == profile


def test_code_cells_are_short(any_page):
    for cell in any_page.notebook().cells:
        if cell.cell_type == "code":
            lines = len(cell.source.splitlines())
            assert lines <= 25, f"{lines} lines: move it to the module\n{cell.source[:200]}"


def test_a_claim_can_be_judged_alone(chapter, judge):
    tags = {t for c in chapter.notebook().cells for t in c.metadata.get("tags", [])}
    claims = sorted(t for t in tags if re.fullmatch(r"C\d+", t))
    assert claims
    for claim in claims:
        assert judge(chapter.id, [claim])[claim].parts


def test_smoke_run_judges_every_claim(chapter, smoke_runs):
    records = ledger.read_ledgers(smoke_runs[chapter.id])
    tags = {t for c in chapter.notebook().cells for t in c.metadata.get("tags", [])}
    assert {r["id"] for r in records} == {t for t in tags if re.fullmatch(r"C\d+", t)}
    for record in records:
        assert record["profile"] == "smoke"
        assert record["parts"]
        assert all(part["rule"] for part in record["parts"])


def test_smoke_run_has_no_warnings(any_page, smoke_runs):
    for cell in smoke_runs[any_page.id].cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                assert "Warning" not in output["text"], output["text"]


def test_figures_have_text_alternatives(any_page, smoke_runs):
    figures = [
        output["data"]["text/html"]
        for cell in smoke_runs[any_page.id].cells
        for output in cell.get("outputs", [])
        if "<figure" in output.get("data", {}).get("text/html", "")
    ]
    assert figures
    for figure in figures:
        assert re.search(r'<(svg|canvas) role="img" aria-label="[^"]{20,}"', figure)
        assert re.search(r"<figcaption>.{20,}</figcaption>", figure, re.DOTALL)
    heroes = sum('data-hero="true"' in figure for figure in figures)
    assert heroes == (0 if any_page.is_overview else 1)


def test_reference_holds_the_source_with_smoke_parameters(any_page):
    reference = nbformat.read(any_page.reference, as_version=4)
    code = [cell.source for cell in reference.cells if cell.cell_type == "code"]
    assert code == references.expected_reference_code(any_page), (
        f"the reference is stale: make reference C={any_page.id}"
    )


def test_reference_shows_no_bare_objects(any_page):
    """A representation with an address is not meant for readers, and differs in every run."""
    reference = nbformat.read(any_page.reference, as_version=4)
    for cell in reference.cells:
        for output in cell.get("outputs", []):
            assert not re.search(r" at 0x[0-9a-f]+>", str(output.get("data", ""))), cell.source


def test_nbval_reproduces_the_reference(any_page, nbval_runs):
    status, output = nbval_runs[any_page.id]
    assert status == 0, output


def test_ledger_does_not_depend_on_the_number_of_threads(chapter, judge, monkeypatch):
    tags = {t for c in chapter.notebook().cells for t in c.metadata.get("tags", [])}
    claims = [t for t in tags if re.fullmatch(r"C\d+", t)]
    texts = []
    for threads in ("1", "3"):
        monkeypatch.setenv("REPRISE_THREADS", threads)
        texts.append(repr(judge(chapter.id, claims)))
    assert texts[0] == texts[1]
