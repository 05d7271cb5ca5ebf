"""What the book holds: its chapters, and what each of them depends on.

A chapter is a MyST notebook that ``_toc.yml`` lists; a part's ``index`` page may be one too, an
overview without claims of its own.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import yaml

from reprise.parameters import Knobs, knobs
from reprise.runtime import check_profile

PACKAGE = Path(__file__).resolve().parent


class BookError(ValueError):
    """A chapter, parameter or run that the book does not have."""


@dataclass(frozen=True)
class Chapter:
    """One notebook of the book.

    Attributes
    ----------
    root : Path
        The project's root.
    id : str
        ``"part/slug"``.
    """

    root: Path
    id: str

    @property
    def is_overview(self) -> bool:
        """True for a part's index page, which has no paper and no ledger."""
        return self.id.endswith("/index")

    @property
    def slug(self) -> str:
        """The chapter's own name; an overview goes by its part's."""
        part, _, name = self.id.rpartition("/")
        return part if self.is_overview else name

    @property
    def source(self) -> Path:
        """The MyST notebook."""
        return self.root / "book" / f"{self.id}.md"

    @property
    def reference(self) -> Path:
        """The smoke run that nbval compares with."""
        return self.root / "tests" / "reference" / f"{self.id}.ipynb"

    def run_path(self, profile: str) -> Path:
        """Where the executed notebook of a profile lies."""
        return self.root / "_build" / "runs" / profile / f"{self.id}.ipynb"

    @property
    def knobs(self) -> Knobs:
        """The chapter's parameters, as its package declares them."""
        return knobs(self.id, self.root / "src" / "reprise")

    def notebook(self) -> nbformat.NotebookNode:
        """The source as a notebook without outputs; cell ids are stable."""
        notebook = deepcopy(_parsed(self.source, self.source.stat().st_mtime_ns))
        for position, cell in enumerate(notebook.cells):
            cell.id = f"{self.slug}-{position}"
        return notebook

    def parameters(self, profile: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The parameters that a run of ``profile`` injects; ``changes`` win over the profile.

        Raises
        ------
        reprise.parameters.ParameterError
            If a parameter is not one of the chapter's, or has a value that it must not have.
        """
        file = self.root / "book" / "profiles" / check_profile(profile) / f"{self.slug}.yaml"
        values = {**_read_profile(file), **(changes or {})}
        checked = self.knobs.check(values)
        return {name: checked[name] for name in values}

    def modules(self) -> list[Path]:
        """Source files of the package that the chapter's code imports, directly or not."""
        code = [cell.source for cell in self.notebook().cells if cell.cell_type == "code"]
        waiting = [_imports(_without_magics(source)) for source in code]
        found = {self.root / "src" / "reprise" / self.id / "knobs.py"}
        while waiting:
            for name in waiting.pop():
                for path in _module_files(name):
                    if path not in found:
                        found.add(path)
                        waiting.append(_imports(path.read_text(encoding="utf-8")))
        return sorted(found)

    def key(self, parameters: Mapping[str, Any]) -> str:
        """A digest of everything but data that a run with these parameters depends on."""
        files = [self.source, *self.modules(), self.root / "constraints.txt"]
        # sorted here: the order of paths depends on where the package lies
        lines = sorted(f"{path.name} {file_digest(path)}\n" for path in files)
        digest = hashlib.sha256("".join(lines).encode())
        digest.update(json.dumps(parameters, sort_keys=True, default=str).encode())
        digest.update(sys.version.encode())
        return digest.hexdigest()


def find_root(start: Path | None = None) -> Path:
    """Find the project's root: the first folder with ``_toc.yml`` and ``book/``.

    The search goes from here upwards, then from the installed package upwards.

    Raises
    ------
    BookError
        If there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in [here, *here.parents, *PACKAGE.parents]:
        if (folder / "_toc.yml").exists() and (folder / "book").is_dir():
            return folder
    raise BookError(
        f"no folder from {here} upwards holds _toc.yml and book/: not a Reprise checkout"
    )


def notebooks(root: Path) -> list[Chapter]:
    """All pages of ``_toc.yml`` that are notebooks, in reading order: chapters and overviews."""
    pages = toc_pages(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))
    return [Chapter(root, page) for page in pages if _is_notebook(root / "book" / f"{page}.md")]


def chapters(root: Path) -> list[Chapter]:
    """All chapters that ``_toc.yml`` lists, in reading order."""
    return [page for page in notebooks(root) if not page.is_overview]


def chapter(root: Path, id: str) -> Chapter:
    """The chapter ``part/slug``, or the overview ``part/index``.

    Raises
    ------
    BookError
        If ``_toc.yml`` lists no such notebook.
    """
    known = {c.id: c for c in notebooks(root)}
    if id not in known:
        raise BookError(f"chapter must be one of {', '.join(known)}, got {id!r}")
    return known[id]


def find_page(root: Path, id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The part and the paper of ``book/papers.yml`` that a chapter's id names.

    Raises
    ------
    BookError
        If there is none.
    """
    parts = papers(root)
    known = {
        f"{part['part']}/{paper['slug']}": (part, paper)
        for part in parts
        for paper in part["papers"]
    }
    if id not in known:
        raise BookError(f"chapter must be one of {', '.join(known)}, got {id!r}")
    return known[id]


def papers(root: Path) -> list[dict[str, Any]]:
    """The parts of the book and their papers, written or not."""
    return yaml.safe_load((root / "book" / "papers.yml").read_text(encoding="utf-8"))


def toc_pages(node: Any) -> list[str]:
    """All pages of a table of contents, depth first, in order."""
    if isinstance(node, list):
        return [page for item in node for page in toc_pages(item)]
    if not isinstance(node, dict):
        return []
    own = [node[k] for k in ("root", "file") if k in node]
    return own + [p for k in ("parts", "chapters", "sections") for p in toc_pages(node.get(k))]


@cache
def _parsed(source: Path, stamp: int) -> nbformat.NotebookNode:
    """A source as a notebook, parsed once."""
    import jupytext

    notebook = jupytext.read(source)
    notebook.metadata.pop("jupytext", None)
    return notebook


def file_digest(path: Path) -> str:
    """sha256 of a file, or "absent"."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "absent"


def _is_notebook(page: Path) -> bool:
    """True if a page's front matter names a kernel."""
    head = page.read_text(encoding="utf-8").split("---", 2) if page.exists() else [""]
    return (
        len(head) == 3 and not head[0].strip() and "kernelspec" in (yaml.safe_load(head[1]) or {})
    )


def _imports(source: str) -> set[str]:
    """Modules of this package that a piece of code imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in names if name.split(".")[0] == PACKAGE.name}


def _without_magics(cell: str) -> str:
    """A cell's source as plain Python, for reading its imports; "" if it is not Python."""
    plain = re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", cell)
    for source in (cell, plain, re.sub(r"(?m)^\s*pass$", "", plain)):
        try:
            ast.parse(source)
        except SyntaxError:
            continue
        return source
    return ""


def _read_profile(file: Path) -> dict[str, Any]:
    """The parameters that a profile's file sets; none where there is no file."""
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    except yaml.YAMLError as error:
        raise BookError(f"{file} is not valid YAML: {error}") from None
    if not isinstance(values or {}, dict):
        raise BookError(f"{file} must map parameters to values, got {type(values).__name__}")
    return values or {}


def _module_files(name: str) -> list[Path]:
    """The files that importing a dotted name runs: its own and its packages'."""
    parts = name.split(".")[1:]
    files = [PACKAGE / "__init__.py"]
    for depth in range(1, len(parts) + 1):
        stem = PACKAGE.joinpath(*parts[:depth])
        files += [stem.with_suffix(".py"), stem / "__init__.py"]
    return [file for file in files if file.exists()]
