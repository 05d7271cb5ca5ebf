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
    """Bring the smoke runs of all chapters up to date, two at a time."""
    chapters = book.chapters(root)
    book.run_all(chapters, "smoke")
    return {c.id: nbformat.read(c.run_path("smoke"), as_version=4) for c in chapters}


@pytest.fixture(scope="session")
def nbval_runs(root):
    """Re-execute all references under nbval, two at a time: id -> (exit status, output)."""

    def run(chapter):
        # progress bars would be outputs that the reference does not have
        environment = {**os.environ, "TQDM_DISABLE": "1", "REPRISE_THREADS": "1"}
        environment.pop("PYTEST_CURRENT_TEST", None)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval"]
        command += ["--nbval-current-env", f"--nbval-sanitize-with={root / SANITIZER}"]
        result = subprocess.run(
            [*command, str(chapter.reference)],
            capture_output=True,
            text=True,
            env=environment,
            cwd=root,
        )
        return result.returncode, result.stdout[-8000:] + result.stderr[-2000:]

    chapters = [c for c in book.chapters(root) if c.reference.exists()]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip((c.id for c in chapters), pool.map(run, chapters), strict=True))


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


def test_profiles_set_known_parameters(chapter):
    for profile in ("smoke", "paper"):
        assert chapter.parameters(profile)["profile"] == profile


def test_code_cells_are_short(chapter):
    for cell in chapter.notebook().cells:
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


def test_smoke_run_has_no_warnings(chapter, smoke_runs):
    for cell in smoke_runs[chapter.id].cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                assert "Warning" not in output["text"], output["text"]


def test_figures_have_text_alternatives(chapter, smoke_runs):
    pages = [
        output["data"]["text/html"]
        for cell in smoke_runs[chapter.id].cells
        for output in cell.get("outputs", [])
        if "<figure" in output.get("data", {}).get("text/html", "")
    ]
    assert pages
    for page in pages:
        assert re.search(r'<svg role="img" aria-label="[^"]{20,}"', page)
        assert re.search(r"<figcaption>.{20,}</figcaption>", page, re.DOTALL)
    assert sum('data-hero="true"' in page for page in pages) == 1


def test_reference_holds_the_source_with_smoke_parameters(chapter):
    reference = nbformat.read(chapter.reference, as_version=4)
    code = [cell.source for cell in reference.cells if cell.cell_type == "code"]
    assert code == book.expected_reference_code(chapter), (
        f"the reference is stale: make reference C={chapter.id}"
    )


def test_nbval_reproduces_the_reference(chapter, nbval_runs):
    status, output = nbval_runs[chapter.id]
    assert status == 0, output


def test_ledger_does_not_depend_on_the_number_of_threads(chapter, judge, monkeypatch):
    tags = {t for c in chapter.notebook().cells for t in c.metadata.get("tags", [])}
    claims = [t for t in tags if re.fullmatch(r"C\d+", t)]
    texts = []
    for threads in ("1", "3"):
        monkeypatch.setenv("REPRISE_THREADS", threads)
        texts.append(repr(judge(chapter.id, claims)))
    assert texts[0] == texts[1]
