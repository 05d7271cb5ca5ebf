"""A new chapter that passes every test from the start, to be replaced piece by piece.

The templates beside this file hold one claim, its experiment, its mutant, its unit test and its
benchmark, all named after the chapter. `create` fills them in and lists the page.
"""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

import yaml

from reprise.book import BookError, Chapter, find_page
from reprise.parameters import knobs
from reprise.runtime import atomic_write

HERE = Path(__file__).parent


def create(root: Path, id: str) -> list[Path]:
    """Write the files of a chapter, list it in ``_toc.yml``, and return what was written.

    Parameters
    ----------
    root : Path
        The project.
    id : str
        ``"part/slug"``, one of the papers of ``book/papers.yml``.

    Returns
    -------
    list of Path
        Of the new files; a part's first chapter brings the part's own.

    Raises
    ------
    reprise.book.BookError
        If it is no such paper, or any of its files exists.
    """
    part, paper = find_page(root, id)
    slug = paper["slug"]
    words = {"part": part["part"], "slug": slug}
    words |= {name: str(paper[name]) for name in ("title", "authors", "venue", "arxiv")}
    package, unit = f"src/reprise/{part['part']}", f"tests/unit/{part['part']}"
    files = {
        f"{package}/{slug}/__init__.py": _filled("module.py.txt", words),
        f"{package}/{slug}/knobs.py": _filled("knobs.py.txt", words),
        f"{unit}/test_{slug}.py": _filled("test.py.txt", words),
        f"tests/mutants/{id}.py": _filled("mutants.py.txt", words),
        f"benchmarks/test_{slug}.py": _filled("benchmark.py.txt", words),
        f"book/profiles/smoke/{slug}.yaml": "profile: smoke\ndraws: 400\n",
        f"book/profiles/paper/{slug}.yaml": "profile: paper\ndraws: 100000\n",
    }
    taken = [name for name in [*files, f"book/{id}.md"] if (root / name).exists()]
    if taken:
        raise BookError(f"chapter must be new, but {', '.join(taken)} exist")
    if not (root / package / "__init__.py").exists():
        files[f"{package}/__init__.py"] = f'"""{part["title"]}: which module holds what."""\n'
        files[f"book/{part['part']}/index.md"] = f"# {part['title']}\n\nWhat ties these papers.\n"
    for name, text in files.items():
        _write(root / name, text)
    words["parameters"] = knobs(id, root / "src" / "reprise").cell()
    _write(root / f"book/{id}.md", _filled("chapter.md", words))
    _list(root / "_toc.yml", part, id)
    return [root / name for name in [*files, f"book/{id}.md"]]


def write_parameter_cell(chapter: Chapter) -> None:
    """Write the chapter's parameter cell anew from its declaration."""
    text = chapter.source.read_text(encoding="utf-8")
    cell = re.compile(r"(```\{code-cell\}[^\n]*\n:tags: \[parameters\]\n).*?\n```", re.DOTALL)
    _write(chapter.source, cell.sub(lambda m: f"{m[1]}{chapter.knobs.cell()}\n```", text, count=1))


def _filled(template: str, words: dict[str, str]) -> str:
    return Template((HERE / template).read_text(encoding="utf-8")).substitute(words)


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write_text(text, encoding="utf-8")


def _list(toc: Path, part: dict, id: str) -> None:
    """Add a page to the table of contents, in the order of its part's papers."""
    contents = yaml.safe_load(toc.read_text(encoding="utf-8"))
    order = [f"{part['part']}/{paper['slug']}" for paper in part["papers"]]
    index = f"{part['part']}/index"
    for group in contents["parts"]:
        if group["chapters"][0].get("file") == index:
            break
    else:
        group = {"caption": part["title"], "chapters": [{"file": index, "sections": []}]}
        contents["parts"].insert(len(contents["parts"]) - 1, group)  # the appendix stays last
    pages = group["chapters"][0]["sections"]
    pages.append({"file": id})
    pages.sort(key=lambda page: order.index(page["file"]))
    _write(toc, yaml.safe_dump(contents, sort_keys=False))
