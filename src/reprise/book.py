"""The book as a program: find its chapters, run what changed, publish the site.

A chapter is a MyST notebook that ``_toc.yml`` lists; a part's ``index`` page may be one too, an
overview without claims of its own. Running one injects a profile's parameters
with papermill. A run is kept until something it depends on changes: its text, its parameters, the
source of the modules it imports (however deeply), the pinned versions, or a data set it loaded.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat
import yaml

from reprise import data
from reprise.ledger import LedgerError, read_ledgers, tally
from reprise.parameters import Knobs, knobs
from reprise.runtime import atomic_write, check_profile, thread_count

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
        return knobs(self.id)

    def notebook(self) -> nbformat.NotebookNode:
        """The source as a notebook without outputs; cell ids are stable."""
        import jupytext

        notebook = jupytext.read(self.source)
        notebook.metadata.pop("jupytext", None)
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
        waiting, found = [_imports(_without_magics(source)) for source in code], set()
        while waiting:
            for name in waiting.pop():
                for path in _module_files(name):
                    if path not in found:
                        found.add(path)
                        waiting.append(_imports(path.read_text()))
        return sorted(found)

    def key(self, parameters: Mapping[str, Any]) -> str:
        """A digest of everything but data that a run with these parameters depends on."""
        digest = hashlib.sha256()
        for path in [self.source, *self.modules(), self.root / "constraints.txt"]:
            digest.update(f"{path.name} {_digest(path)}\n".encode())
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
    pages = toc_pages(yaml.safe_load((root / "_toc.yml").read_text()))
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


# --- running --------------------------------------------------------------------------------------


def kernel_environment(profile: str) -> dict[str, str]:
    """Variables that a kernel of this profile finds, unless the reader has set them.

    Threads sleep while they wait: on a busy machine, threads that spin for each other stop a run
    nearly for good. And training is chaotic: two orders of a product's sums end in two accuracies.
    MKL, which torch multiplies with, chooses the order by the processor; smoke runs, which other
    machines compare with theirs, ask for one that all processors have.
    """
    wanted = {"OMP_WAIT_POLICY": "PASSIVE"}
    if profile == "smoke":
        wanted["MKL_CBWR"] = "COMPATIBLE"
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def execute(
    chapter: Chapter,
    parameters: Mapping[str, Any],
    out: Path,
    *,
    progress: Mapping[str, Any] | bool = False,
) -> None:
    """Run a chapter with papermill; the output appears only when all of it ran.

    Beside it, a ``.json`` file says what the run depended on (see `is_current`).

    A cell that raises, or a chapter that shows no ledger, leaves its notebook beside ``out``, with
    ``.failed`` before the suffix.

    Parameters
    ----------
    chapter : Chapter
    parameters : mapping
        Injected values.
    out : Path
        The executed notebook.
    progress : bool or mapping
        papermill's progress bar, or the options of its tqdm bar.
    """
    import papermill

    key = chapter.key(parameters)  # before the run: a source edited meanwhile makes it stale
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.stem}.unfinished.ipynb")
    failed = out.with_name(f"{out.stem}.failed.ipynb")
    failed.unlink(missing_ok=True)
    try:
        wanted = kernel_environment(parameters.get("profile", "book"))
        with _logged_data() as log, _environment(wanted):
            papermill.execute_notebook(
                chapter.notebook(),
                str(unfinished),
                parameters=dict(parameters),
                kernel_name="python3",
                progress_bar=progress,
                request_save_on_cell_execute=False,  # megabytes of figures, after every cell
            )
            loads = [json.loads(line) for line in log.read_text().splitlines()]
        if not chapter.is_overview:
            read_ledgers(unfinished)
        os.replace(unfinished, out)
    except (papermill.PapermillExecutionError, LedgerError):
        os.replace(unfinished, failed)
        raise
    finally:
        unfinished.unlink(missing_ok=True)
    with atomic_write(out.with_suffix(".json")) as manifest:
        manifest.write_text(json.dumps({"key": key, "notebook": _digest(out), "data": loads}))


def is_current(chapter: Chapter, profile: str) -> bool:
    """True if the stored run of ``profile`` is what a new one would compute."""
    out = chapter.run_path(profile)
    manifest = out.with_suffix(".json")
    if not (out.exists() and manifest.exists()):
        return False
    try:
        stored = json.loads(manifest.read_text())
        if stored["key"] != chapter.key(chapter.parameters(profile)):
            return False
        if stored["notebook"] != _digest(out):
            return False
        loads = [(load["name"], load["fingerprint"]) for load in stored["data"]]
        return all(data.resolve(name).fingerprint == found for name, found in loads)
    except (ValueError, KeyError, TypeError, SyntaxError):
        return False  # a damaged record, or a chapter that cannot be read: running it will say


def run_all(
    wanted: Sequence[Chapter], profile: str, *, jobs: int = 2, force: bool = False
) -> list[str]:
    """Bring the runs of a profile up to date, ``jobs`` chapters at a time.

    Parameters
    ----------
    wanted : sequence of Chapter
    profile : str
    jobs : int
        At least 1. The cores are shared out between them.
    force : bool
        Run also what is current.

    Returns
    -------
    list of str
        Ids of the chapters that ran.

    Raises
    ------
    RuntimeError
        If chapters failed, naming each and its first error, after all others have run.
    """
    stale = [c for c in wanted if force or not is_current(c, profile)]
    for c in wanted:
        if c not in stale:
            say(f"{c.id}: {profile} run is up to date")
    if not stale:
        return []
    threads = max(1, thread_count() // min(jobs, len(stale)))
    bars = sys.stderr.isatty()
    failures = []
    context = get_context("spawn")
    with ProcessPoolExecutor(
        min(jobs, len(stale)), mp_context=context, initializer=_start_worker, initargs=(threads,)
    ) as pool:
        futures = {
            pool.submit(_run_one, c, profile, i if bars else None): c for i, c in enumerate(stale)
        }
        for future in as_completed(futures):
            try:
                say(future.result())
            except Exception as error:
                failures.append(f"{futures[future].id}: {_last_line(error)}")
                say(f"{futures[future].id}: {profile} run FAILED")
    if failures:
        raise RuntimeError("\n".join([f"{len(failures)} chapter(s) failed", *failures]))
    return [c.id for c in stale]


def _run_one(chapter: Chapter, profile: str, bar: int | None) -> str:
    """Run one chapter in a worker process and store what its run depends on."""
    begin = time.perf_counter()
    parameters = chapter.parameters(profile)
    out = chapter.run_path(profile)
    if bar is None:
        say(f"{chapter.id}: running at {profile} ...")
    execute(
        chapter,
        parameters,
        out,
        progress=False if bar is None else {"desc": chapter.id, "position": bar},
    )
    seconds = time.perf_counter() - begin
    outcome = "an overview" if chapter.is_overview else tally(read_ledgers(out))
    return f"{chapter.id}: {profile} run took {seconds:.1f} s; {outcome}"


def _start_worker(threads: int) -> None:
    """Give a worker its share of the cores; numba and BLAS read these when first used."""
    for name in ("REPRISE_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Have the kernels started here find these variables."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _logged_data() -> Iterator[Path]:
    """Have `data.load` of the kernels started here write its loads to a file."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "loads.jsonl"
        log.touch()
        with _environment({"REPRISE_DATA_LOG": str(log)}):
            yield log


# --- references -----------------------------------------------------------------------------------

FIGURE_IN_REFERENCE = "<p>Run the notebook to draw this figure.</p>"


def as_reference(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A smoke run as it is committed: no times, no paths, no progress, no drawings."""
    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    )
    for position, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        cell.id = f"cell-{position}"
        if cell.cell_type != "code":
            continue
        cell.outputs = without_noise(cell.outputs)
        for output in cell.outputs:
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = re.sub(
                    r'(?s)<figure class="reprise-figure.*?</figure>',
                    FIGURE_IN_REFERENCE,
                    output.data["text/html"],
                )
    return notebook


def without_noise(outputs: Sequence[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """A cell's outputs without standard error, and with one output for prints in succession.

    Where the kernel cuts what is printed depends on timing.
    """
    kept: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.get("name") == "stderr":
            continue
        if output.output_type == "stream" and kept and kept[-1].output_type == "stream":
            kept[-1] = nbformat.from_dict({**kept[-1], "text": kept[-1].text + output.text})
        else:
            kept.append(output)
    return kept


def expected_reference_code(chapter: Chapter) -> list[str]:
    """The code cells that a reference must hold: the source's, with smoke parameters injected."""
    import papermill

    with _quiet_papermill():
        notebook = papermill.execute_notebook(
            chapter.notebook(),
            None,
            parameters=chapter.parameters("smoke"),
            prepare_only=True,
            progress_bar=False,
        )
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def write_reference(chapter: Chapter) -> Path:
    """Store the current smoke run as the chapter's reference."""
    notebook = as_reference(nbformat.read(chapter.run_path("smoke"), as_version=4))
    with atomic_write(chapter.reference) as file:
        nbformat.write(notebook, file)
    return chapter.reference


@contextlib.contextmanager
def _quiet_papermill() -> Iterator[None]:
    """Silence papermill's two lines about input and output names."""
    import logging

    logger = logging.getLogger("papermill")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


# --- records --------------------------------------------------------------------------------------


def collect(root: Path, profile: str) -> list[dict[str, Any]]:
    """Claim records of all chapters whose run of ``profile`` is there, in reading order.

    A run with other parameters than its profile's says so in its ``profile`` field.
    """
    records = []
    for c in chapters(root):
        path = c.run_path(profile)
        if path.exists():
            records += describe_run(c, nbformat.read(path, as_version=4))
    return records


def describe_run(chapter: Chapter, notebook: nbformat.NotebookNode) -> list[dict[str, Any]]:
    """Claim records of an executed notebook, parameters that differ from its profile named.

    An overview has none.
    """
    if chapter.is_overview:
        return []
    records = read_ledgers(notebook)
    injected = notebook.metadata.get("papermill", {}).get("parameters", {})
    standard = chapter.knobs.check(chapter.parameters(records[0]["profile"]))
    actual = {**chapter.knobs.defaults, **injected, "profile": standard["profile"]}
    changed = [f"{n}={actual[n]}" for n in actual if actual[n] != standard.get(n)]
    if changed:
        for record in records:
            record["profile"] = f"{record['profile']}, {', '.join(changed)}"
    return records


# --- the site -------------------------------------------------------------------------------------


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
    from reprise.site import stage

    staged = root / "_build" / "site" / profile
    key = stage(root, profile, staged)
    html = out / "_build" / "html"
    stamp = out / "_build" / "site.key"
    if (html / "index.html").exists() and stamp.exists() and stamp.read_text() == key:
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
    stamp.write_text(key)
    say(f"site took {time.perf_counter() - begin:.1f} s: {html / 'index.html'}")
    return html


def say(text: str) -> None:
    """Print a line of progress at once, also into a pipe."""
    print(text, flush=True)


# --- helpers --------------------------------------------------------------------------------------


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


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "absent"


def toc_pages(node: Any) -> list[str]:
    """All pages of a table of contents, depth first, in order."""
    if isinstance(node, list):
        return [page for item in node for page in toc_pages(item)]
    if not isinstance(node, dict):
        return []
    own = [node[k] for k in ("root", "file") if k in node]
    return own + [p for k in ("parts", "chapters", "sections") for p in toc_pages(node.get(k))]


def _is_notebook(page: Path) -> bool:
    """True if a page's front matter names a kernel."""
    head = page.read_text().split("---", 2) if page.exists() else [""]
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
        values = yaml.safe_load(file.read_text()) if file.exists() else {}
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


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
