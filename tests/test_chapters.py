"""Every chapter that ``_toc.yml`` lists is complete, runs at smoke and reproduces its reference.

Generic: a new chapter is tested from the moment it is listed.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys

import nbformat
import pytest
import yaml

from reprise import book, ledger, references, running

SANITIZER = "tests/nbval.cfg"


@pytest.fixture(scope="session")
def smoke_runs(root):
    """The smoke runs of all pages, brought up to date."""
    pages = book.notebooks(root)
    running.run_all(pages, "smoke")
    return {page.id: nbformat.read(page.run_path("smoke"), as_version=4) for page in pages}


def claims_of(chapter):
    """Ids of the claims that the chapter's cells are tagged with."""
    tags = {t for cell in chapter.notebook().cells for t in cell.metadata.get("tags", [])}
    return {tag for tag in tags if re.fullmatch(r"C\d+", tag)}


def code_cells(page):
    """Source and tags of the page's code cells."""
    for cell in page.notebook().cells:
        if cell.cell_type == "code":
            yield cell.source, set(cell.metadata.get("tags", []))


def test_has_all_its_files(chapter, root):
    part, slug = chapter.id.split("/")
    for path in (
        f"src/reprise/{part}/{slug}/__init__.py",
        f"src/reprise/{part}/{slug}/knobs.py",
        f"book/profiles/smoke/{slug}.yaml",
        f"book/profiles/paper/{slug}.yaml",
        f"tests/reference/{part}/{slug}.ipynb",
        f"tests/unit/{part}/test_{slug}.py",
        f"tests/mutants/{part}/{slug}.py",
        f"benchmarks/test_{slug}.py",
    ):
        assert (root / path).exists(), f"{path} is missing"


def test_is_one_of_the_papers(chapter, root):
    papers = yaml.safe_load((root / "book" / "papers.yml").read_text(encoding="utf-8"))
    assert chapter.id in {f"{p['part']}/{paper['slug']}" for p in papers for paper in p["papers"]}


def test_pages_have_a_reference_and_profiles(any_page, root):
    assert any_page.reference.exists(), f"make reference C={any_page.id}"
    for profile in ("smoke", "paper"):
        assert (root / "book" / "profiles" / profile / f"{any_page.slug}.yaml").exists()


def test_profiles_set_their_own_name(any_page):
    for profile in ("smoke", "paper"):
        assert any_page.parameters(profile)["profile"] == profile


def test_the_parameter_cell_follows_from_the_declaration(any_page):
    (cell,) = [source for source, tags in code_cells(any_page) if "parameters" in tags]
    assert cell == any_page.knobs.cell(), "reprise knobs writes it"


def test_cells_fit_the_page(any_page):
    """84 columns are what the page shows; a visible cell is read in one look."""
    for source, tags in code_cells(any_page):
        lines = source.splitlines()
        wide = [line for line in lines if len(line) > 84]
        assert not wide
        folded = tags & {"hide-input", "remove-input"}
        most = 40 if "parameters" in tags else 25 if folded else 16
        assert len(lines) <= most, f"{len(lines)} lines: move it to the module\n{source[:200]}"


def test_no_cell_asks_which_profile_it_is(any_page):
    """What differs between profiles is a knob."""
    for source, _ in code_cells(any_page):
        compared = [
            node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Compare | ast.Match | ast.Subscript)
            and any(isinstance(n, ast.Name) and n.id == "profile" for n in ast.walk(node))
        ]
        assert not compared, source


def test_the_ledger_takes_little_of_the_page(chapter):
    """Less than 15% of the visible lines; what a table says stands folded above it."""
    total = ledger_lines = 0
    for source, tags in code_cells(chapter):
        if tags & {"hide-input", "remove-input", "parameters"}:
            continue
        total += len(source.splitlines())
        for node in ast.parse(source).body:
            text = ast.get_source_segment(source, node)
            if re.search(r"\bC\d+\.check\(|^C\d+$|^ledger\b|\bledger\.claim\(", text):
                ledger_lines += node.end_lineno - node.lineno + 1
    assert ledger_lines < 0.15 * total


def test_smoke_run_judges_every_claim(chapter, smoke_runs):
    records = ledger.read_ledgers(smoke_runs[chapter.id])
    assert {r["id"] for r in records} == claims_of(chapter)
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


def test_nbval_reproduces_the_reference(any_page, root):
    # progress bars would be outputs that the reference does not have
    environment = {**os.environ, "TQDM_DISABLE": "1", "REPRISE_THREADS": "1"}
    environment |= running.kernel_environment("smoke")
    environment.pop("PYTEST_CURRENT_TEST", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval"]
    command += ["--noconftest", "--nbval-current-env", f"--nbval-sanitize-with={root / SANITIZER}"]
    result = subprocess.run(
        [*command, str(any_page.reference)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=root,
    )
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]


def test_the_ledger_is_the_same_in_this_process_and_with_more_threads(
    chapter, smoke_runs, monkeypatch
):
    """Cells of claims need no others, and no result depends on the number of threads."""
    monkeypatch.setenv("REPRISE_THREADS", "3")
    mine = {r["id"]: r for r in running.run_claims(chapter, claims_of(chapter), "smoke").records()}
    for record in ledger.read_ledgers(smoke_runs[chapter.id]):
        for theirs, part in zip(record["parts"], mine[record["id"]]["parts"], strict=True):
            if not part["varies"]:
                assert shown(part) == shown(theirs)


def shown(part):
    """A part as the page shows it, without what nbval skips: rounding errors and ratios to them."""
    return re.sub(r"\d+(\.\d+)?e(-0[7-9]|[-+]1\d)", "tiny", ledger.Part(**part).text())
