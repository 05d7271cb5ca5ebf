"""References: smoke runs as they are committed, without what differs from machine to machine."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat

from reprise.book import Chapter
from reprise.runtime import atomic_write

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
    return without_figures(notebook)


def without_figures(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook, changed in place, with a line of text for each drawing: megabytes less."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
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
    logger = logging.getLogger("papermill")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
