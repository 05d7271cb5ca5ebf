"""`reprise new` writes a chapter that passes the book's own tests at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from reprise import book, scaffold


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    """A copy of the project without its chapters, in which one was begun."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("book", "src", "tests", "benchmarks"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("constraints.txt", "pyproject.toml"):
        shutil.copy(root / name, copy)
    # no other chapter: only the new one is to be tested
    appendix = {"caption": "Appendix", "chapters": [{"file": "appendix/data"}]}
    toc = {"format": "jb-book", "root": "intro", "parts": [appendix]}
    (copy / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    assert_runs(copy, "-m", "reprise.cli", "new", unwritten(root))
    return copy


def unwritten(root):
    """The last paper of the book without a chapter, which brings a part of its own."""
    written = {chapter.id for chapter in book.chapters(root)}
    left = [
        f"{part['part']}/{paper['slug']}"
        for part in book.papers(root)
        for paper in part["papers"]
        if f"{part['part']}/{paper['slug']}" not in written
    ]
    if not left:
        pytest.skip("every paper of the book has its chapter")
    return left[-1]


def assert_runs(project, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "REPRISE_THREADS": "1"}
    environment.pop("PYTEST_CURRENT_TEST", None)
    result = subprocess.run(
        [sys.executable, *arguments], cwd=project, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    return result.stdout


def test_a_new_chapter_passes_every_test(project, root):
    id = unwritten(root)
    part, slug = id.split("/")
    tests = ["tests/test_chapters.py", "tests/test_mutants.py", f"tests/unit/{part}/test_{slug}.py"]
    out = assert_runs(project, "-m", "pytest", *tests, "-q")
    assert "passed" in out
    assert_runs(project, "-m", "reprise.cli", "notebook", id)
    notebooks = project / "_build" / "notebooks" / f"{id}.ipynb"
    assert_runs(project, "-m", "ruff", "check", "--config", "book/cells.toml", str(notebooks))


def test_an_existing_chapter_is_not_overwritten(root):
    with pytest.raises(book.BookError, match=r"chapter must be new, but .*sgdo"):
        scaffold.create(root, "shuffling/sgdo")


def test_a_chapter_is_one_of_the_papers(root):
    with pytest.raises(book.BookError, match=r"chapter must be one of shuffling/sgdo, .*'a/b'"):
        scaffold.create(root, "a/b")


def test_the_parameter_cell_is_written_from_the_declaration(project, root):
    chapter = book.Chapter(project, unwritten(root))
    text = chapter.source.read_text(encoding="utf-8")
    chapter.source.write_text(text.replace("draws = 2000", "draws = 99"), encoding="utf-8")
    scaffold.write_parameter_cell(chapter)
    assert chapter.source.read_text(encoding="utf-8") == text
