"""Publish the runs of a profile as a site.

The staged site holds the book's pages with each chapter replaced by its executed notebook, and the
pieces that `board` makes from the runs. jupyter-book turns it into HTML; its warnings are errors.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat

from reprise import board
from reprise.book import notebooks
from reprise.references import without_figures, without_noise
from reprise.running import describe_run, say
from reprise.runtime import atomic_write


def build_site(root: Path, profile: str, *, out: Path) -> Path:
    """Publish the runs of a profile as HTML; warnings are errors.

    Parameters
    ----------
    root : Path
    profile : str
        Whose runs to show; every chapter must have one.
    out : Path
        Folder that gets ``_build/html``.

    Returns
    -------
    Path
        The folder of ``index.html``.

    Raises
    ------
    RuntimeError
        If jupyter-book fails; the message ends with its output.
    """
    staged = root / "_build" / "site" / profile
    key = stage(root, profile, staged)
    html = out / "_build" / "html"
    stamp = out / "_build" / "site.key"
    if (
        (html / "index.html").exists()
        and stamp.exists()
        and stamp.read_text(encoding="utf-8") == key
    ):
        say(f"site is up to date: {html / 'index.html'}")
        return html
    begin = time.perf_counter()
    say("building the site ...")
    stamp.unlink(missing_ok=True)
    # Sphinx warns of files that it left there itself
    for folder in (html, out / "_build" / ".doctrees", out / "_build" / "jupyter_execute"):
        shutil.rmtree(folder, ignore_errors=True)
    program = Path(sys.executable).with_name("jupyter-book")
    command = [str(program), "build", str(staged)]
    command += ["--path-output", str(out), "--warningiserror", "--keep-going"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=staged)
    if result.returncode:
        raise RuntimeError(f"jupyter-book failed\n{result.stdout[-4000:]}\n{result.stderr[-6000:]}")
    slim(html)
    stamp.write_text(key, encoding="utf-8")
    say(f"site took {time.perf_counter() - begin:.1f} s: {html / 'index.html'}")
    return html


MATHJAX = ("tex-chtml.js", "input/tex/extensions", "output/chtml/fonts", "a11y", "sre/mathmaps/en")
"""What MathJax loads: its program, fonts, rare commands, and the explorer for screen readers."""


def slim(html: Path) -> None:
    """Delete what no page loads: other builds of MathJax, source maps, figures in the downloads.

    Parameters
    ----------
    html : Path
        The built site.
    """
    static = html / "_static"
    keep = tuple(str(static / "mathjax" / name) for name in MATHJAX)
    unused = [p for p in (static / "mathjax").rglob("*") if not str(p).startswith(keep)]
    unused += [*html.rglob("*.map"), *static.rglob("*.ttf"), *(static / "locales").rglob("*")]
    for path in unused:
        if path.is_file():
            path.unlink()
    for path in (html / "_sources").rglob("*.ipynb"):
        nbformat.write(without_figures(nbformat.read(path, as_version=4)), path)


def stage(root: Path, profile: str, staged: Path) -> str:
    """Lay out the sources of the site for a profile, touching only files that change.

    Parameters
    ----------
    root : Path
    profile : str
    staged : Path
        The folder to fill.

    Returns
    -------
    str
        A digest of all that the site is built from.

    Raises
    ------
    FileNotFoundError
        If a chapter has no run of this profile.
    """
    pages = notebooks(root)
    listed = [page for page in pages if not page.is_overview]
    for c in pages:
        if not c.run_path(profile).exists():
            raise FileNotFoundError(f"{c.id} has no {profile} run: 'reprise build' makes it")
    runs = {c.id: nbformat.read(c.run_path(profile), as_version=4) for c in pages}
    records = [r for c in listed for r in describe_run(c, runs[c.id])]
    files = {Path(name): (root / name).read_bytes() for name in ("_config.yml", "_toc.yml")}
    sources = {c.source for c in pages}
    for path in sorted((root / "book").rglob("*")):
        if path.is_file() and path not in sources and "profiles" not in path.parts:
            files[path.relative_to(root / "book")] = path.read_bytes()
    for c in pages:
        files[Path(f"{c.id}.ipynb")] = nbformat.writes(_for_page(runs[c.id])).encode()
    generated = {
        "board.html": board.board_html(root, {c.id: runs[c.id] for c in listed}, records),
        "tally.md": board.tally_sentence(records, profile),
        "gallery.html": board.gallery(listed, runs),
        "results.html": board.stored_results(root),
        "speed.md": board.speed_table(root),
    }
    for name, text in generated.items():
        files[Path("_generated") / name] = text.encode()
    for name, content in files.items():
        sync_file(staged / name, content)
    remove_others(staged, {staged / name for name in files})
    digest = hashlib.sha256(str(staged).encode())
    for name in sorted(files):
        digest.update(f"{name} {hashlib.sha256(files[name]).hexdigest()}\n".encode())
    return digest.hexdigest()


def sync_file(target: Path, content: bytes) -> None:
    """Write ``content`` unless the file holds it already, so that its time stamp stays."""
    if target.exists() and target.read_bytes() == content:
        return
    with atomic_write(target) as file:
        file.write_bytes(content)


def remove_others(folder: Path, keep: set[Path]) -> None:
    """Delete the files below ``folder`` that are not in ``keep``."""
    for path in folder.rglob("*"):
        if path.is_file() and path not in keep and "_build" not in path.parts[len(folder.parts) :]:
            path.unlink()


def _for_page(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave out what only a runner wants to see: progress on standard error, timings, paths."""
    notebook.metadata.pop("papermill", None)
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position}"  # papermill's own cell has a random id in every run
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = without_noise(cell.outputs)
    return notebook
