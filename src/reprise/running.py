"""Run chapters: each profile's run is kept until something that it depends on changes.

A run depends on the chapter's text, its parameters, the source of the modules that it imports
(however deeply), the pinned versions and the data sets that it loaded. papermill executes whole
notebooks; `run_claims` executes the cells of single claims in this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat

from reprise import data
from reprise.book import Chapter, chapters, file_digest
from reprise.ledger import Ledger, LedgerError, read_ledgers, tally
from reprise.runtime import atomic_write, thread_count


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

    begin = time.perf_counter()
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
            loads = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        if not chapter.is_overview:
            read_ledgers(unfinished)
        os.replace(unfinished, out)
    except (papermill.PapermillExecutionError, LedgerError):
        os.replace(unfinished, failed)
        raise
    finally:
        unfinished.unlink(missing_ok=True)
    with atomic_write(out.with_suffix(".json")) as manifest:
        stored = {"key": key, "notebook": file_digest(out), "data": loads}
        stored["seconds"] = round(time.perf_counter() - begin, 1)
        manifest.write_text(json.dumps(stored), encoding="utf-8")


def run_claims(
    chapter: Chapter,
    claims: Iterable[str],
    profile: str,
    changes: Mapping[str, Any] | None = None,
) -> Ledger:
    """Run the cells of some claims in this process and return the ledger.

    A chapter tags its imports and declarations ``setup`` and each claim's cells with the claim's
    id, so that a package that was changed meets the chapter's own rules.

    Parameters
    ----------
    chapter : Chapter
    claims : iterable of str
        Ids.
    profile : str
    changes : mapping, optional
        Parameters that differ from the profile's.

    Returns
    -------
    Ledger
    """
    wanted = {"setup", *claims}
    namespace: dict[str, Any] = {}
    for cell in chapter.notebook().cells:
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type != "code" or not tags & (wanted | {"parameters"}):
            continue
        exec(compile(cell.source, f"{chapter.id} {sorted(tags)}", "exec"), namespace)
        if "parameters" in tags:
            namespace.update(chapter.parameters(profile, changes))
    return namespace["ledger"]


def is_current(chapter: Chapter, profile: str) -> bool:
    """True if the stored run of ``profile`` is what a new one would compute."""
    out = chapter.run_path(profile)
    manifest = out.with_suffix(".json")
    if not (out.exists() and manifest.exists()):
        return False
    try:
        stored = json.loads(manifest.read_text(encoding="utf-8"))
        if stored["key"] != chapter.key(chapter.parameters(profile)):
            return False
        if stored["notebook"] != file_digest(out):
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


def seconds_of(chapter: Chapter, profile: str) -> float | None:
    """How long the stored run of a profile took; None where there is none."""
    manifest = chapter.run_path(profile).with_suffix(".json")
    if not manifest.exists():
        return None
    return json.loads(manifest.read_text(encoding="utf-8")).get("seconds")


def say(text: str) -> None:
    """Print a line of progress at once, also into a pipe."""
    print(text, flush=True)


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
