"""`reprise.site`: the staged site shows what the runs say, and touches only what changed."""

import json
import os
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import nbformat
import pytest

from reprise import board, book, running, site
from reprise.book import Chapter
from reprise.ledger import Ledger, read_ledgers
from reprise.notebook import picture
from reprise.plotting import INK

TOC = """
format: jb-book
root: intro
parts:
  - caption: Toy
    chapters:
      - file: toy/index
        sections: [{file: toy/sum}, {file: toy/late}]
  - caption: Appendix
    chapters: [{file: appendix/notes}]
"""
PAPERS = """
- part: toy
  title: Toys
  papers:
    - {slug: sum, title: "A Sum", authors: A. Adder, venue: TOY 2020, arxiv: "2000.00001"}
    - {slug: late, title: "Too Late", authors: B. Behind, venue: TOY 2021, arxiv: "2100.00002"}
- part: other
  title: Others
  papers:
    - {slug: sum, title: "Another Sum", authors: C. Other, venue: X 2022, arxiv: "2200.00003"}
"""
TOY = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A sum

```{code-cell} ipython3
:tags: [parameters]
profile = "book"
n = 10
```

```{code-cell} ipython3
import sys
from reprise.ledger import Ledger
print("noise", file=sys.stderr)
ledger = Ledger("toy/sum", profile=profile)
C1 = ledger.claim("C1", "the sum is large", source="Lemma 1")
C1.check("n", n, at_least=2)
ledger
```
"""
KNOBS = """
from reprise.parameters import Integer, Knob, Knobs

KNOBS = Knobs(Knob("n", 10, Integer(0), "terms"))
"""
SOURCES = {
    "_config.yml",
    "_toc.yml",
    "intro.md",
    "papers.yml",
    "toy/index.md",
    "appendix/notes.md",
    "_static/logo.svg",
}
GENERATED = {
    f"_generated/{name}"
    for name in (
        "board.html",
        "tally.md",
        "gallery.html",
        "results.html",
        "speed.md",
    )
}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def files_below(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def ledger_of(id="toy/sum", profile="smoke", statement="the sum is large", measured=3):
    ledger = Ledger(id, profile=profile)
    ledger.claim("C1", statement, source="Lemma 1").check("n", measured, at_least=2)
    return ledger


def drawing(hero=True):
    figure, ax = plt.subplots(figsize=(2, 1))
    ax.plot([0, 1], [0, 1])
    return picture(figure, caption="a line", alt="it rises", hero=hero)


def executed(*cells, parameters=None):
    """A notebook as papermill leaves it: text cells from strings, code cells that show objects."""
    made = []
    for cell in cells:
        if isinstance(cell, str):
            made.append(nbformat.v4.new_markdown_cell(cell))
            continue
        if isinstance(cell, Ledger):
            bundle, metadata = cell._repr_mimebundle_()
        else:
            bundle, metadata = {"text/html": cell._repr_html_(), "text/plain": repr(cell)}, {}
        shown = nbformat.v4.new_output("display_data", bundle, metadata=metadata)
        noise = nbformat.v4.new_output("stream", name="stderr", text="noise")
        made.append(nbformat.v4.new_code_cell("1", outputs=[noise, shown]))
        made[-1].metadata.update(papermill={"duration": 1.5}, execution={"iopub.status": "now"})
    notebook = nbformat.v4.new_notebook(cells=made)
    notebook.metadata["papermill"] = {"parameters": parameters or {}, "duration": 1.5}
    return notebook


def store(toy, *cells, profile="smoke", **options):
    path = toy.run_path(profile)
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = executed(*cells, **options)
    nbformat.write(notebook, path)
    return notebook


@pytest.fixture
def project(tmp_path):
    """A project with two chapters that ran."""
    root = tmp_path / "project"
    for name, text in {
        "_toc.yml": TOC,
        "_config.yml": "title: Toys\n",
        "constraints.txt": "",
        "book/intro.md": "# Intro\n",
        "book/papers.yml": PAPERS,
        "book/toy/index.md": "# Toys\n",
        "book/toy/sum.md": TOY,
        "book/toy/late.md": TOY.replace("toy/sum", "toy/late"),
        "book/appendix/notes.md": "# Notes\n",
        "book/_static/logo.svg": "<svg/>",
        "book/profiles/smoke/sum.yaml": "profile: smoke\nn: 3\n",
        "src/reprise/toy/sum/knobs.py": KNOBS,
        "src/reprise/toy/late/knobs.py": KNOBS,
    }.items():
        write(root / name, text)
    store(Chapter(root, "toy/sum"), "# A <sum>\n", drawing(), ledger_of(), parameters={"n": 3})
    store(Chapter(root, "toy/late"), "# Late\n", ledger_of("toy/late", measured=1))
    return root


@pytest.fixture
def staged(tmp_path):
    return tmp_path / "staged"


# Staging.


def test_the_pages_and_the_generated_pieces_are_staged(project, staged):
    site.stage(project, "smoke", staged)
    assert files_below(staged) == SOURCES | GENERATED | {"toy/sum.ipynb", "toy/late.ipynb"}
    for name in SOURCES:
        folder = project if name.startswith("_") and "/" not in name else project / "book"
        assert (staged / name).read_bytes() == (folder / name).read_bytes()
    shown = (staged / "_generated" / "board.html").read_text(encoding="utf-8")
    assert shown.count("the sum is large") == 2
    tally = (staged / "_generated" / "tally.md").read_text(encoding="utf-8")
    assert tally.startswith(
        "**2 claims of 2 papers, recomputed at the `smoke` profile: 1 reproduced"
    )
    assert "toy/sum.html" in (staged / "_generated" / "gallery.html").read_text(encoding="utf-8")


def test_a_real_run_is_staged_without_progress_times_or_paths(project, staged):
    toy = Chapter(project, "toy/sum")
    running.execute(toy, toy.parameters("smoke"), toy.run_path("smoke"))
    assert "noise" in toy.run_path("smoke").read_text(encoding="utf-8")
    site.stage(project, "smoke", staged)
    text = (staged / "toy" / "sum.ipynb").read_text(encoding="utf-8")
    for word in ("noise\\n", 'stderr"', '"papermill"', "iopub", "start_time", str(project)):
        assert word not in text
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert [(r["measured"], r["profile"]) for r in read_ledgers(notebook)] == [("n: 3", "smoke")]
    assert board.chapter_title(notebook) == "A sum"


def test_the_key_does_not_change_with_the_id_of_the_injected_cell(project, staged):
    toy, keys = Chapter(project, "toy/sum"), set()
    for id in ("47240cd8", "2015eba9"):
        notebook = nbformat.read(toy.run_path("smoke"), as_version=4)
        notebook.cells[1].metadata["tags"] = ["injected-parameters"]
        notebook.cells[1].id = id
        nbformat.write(notebook, toy.run_path("smoke"))
        keys.add(site.stage(project, "smoke", staged))
    assert len(keys) == 1


def test_code_text_and_drawings_of_a_run_are_kept(project, staged):
    site.stage(project, "smoke", staged)
    ran = nbformat.read(Chapter(project, "toy/sum").run_path("smoke"), as_version=4)
    page = nbformat.read(staged / "toy" / "sum.ipynb", as_version=4)
    assert [c.source for c in page.cells] == [c.source for c in ran.cells]
    for ours, theirs in zip(page.cells[1:], ran.cells[1:], strict=True):
        assert ours.outputs == [theirs.outputs[1]]
    assert not any(c.metadata for c in page.cells)


def test_unchanged_files_keep_their_time_stamp(project, staged):
    key = site.stage(project, "smoke", staged)
    for path in staged.rglob("*"):
        os.utime(path, (1, 1))
    assert site.stage(project, "smoke", staged) == key
    assert {p.stat().st_mtime for p in staged.rglob("*") if p.is_file()} == {1}


def test_a_changed_page_is_the_only_file_written(project, staged):
    key = site.stage(project, "smoke", staged)
    for path in staged.rglob("*"):
        os.utime(path, (1, 1))
    write(project / "book" / "intro.md", "# Another\n")
    assert site.stage(project, "smoke", staged) != key
    fresh = {p.name for p in staged.rglob("*") if p.is_file() and p.stat().st_mtime != 1}
    assert fresh == {"intro.md"}


def test_what_is_gone_from_the_book_disappears(project, staged):
    key = site.stage(project, "smoke", staged)
    write(staged / "_build" / "html" / "index.html", "built here")
    write(staged / "toy" / "sum.md", "left by another version")
    (project / "book" / "_static" / "logo.svg").unlink()
    toc = (project / "_toc.yml").read_text(encoding="utf-8")
    write(project / "_toc.yml", toc.replace(", {file: toy/late}", ""))
    (project / "book" / "toy" / "late.md").unlink()
    assert site.stage(project, "smoke", staged) != key
    left = (SOURCES - {"_static/logo.svg"}) | GENERATED | {"toy/sum.ipynb"}
    assert files_below(staged) == left | {"_build/html/index.html"}


@pytest.mark.parametrize(
    "change",
    [
        lambda root: store(Chapter(root, "toy/sum"), "# A sum\n", ledger_of(measured=4)),
        lambda root: write(root / "_config.yml", "title: More toys\n"),
        lambda root: write(root / "results" / "speed.md", "| fast |\n"),
        lambda root: write(root / "book" / "toy" / "figure.svg", "<svg/>"),
    ],
    ids=["run", "configuration", "speed", "new file"],
)
def test_the_key_changes_with(change, project, staged):
    key = site.stage(project, "smoke", staged)
    change(project)
    assert site.stage(project, "smoke", staged) != key


def test_the_key_does_not_change_with_what_no_page_shows(project, staged):
    key = site.stage(project, "smoke", staged)
    write(project / "book" / "profiles" / "paper" / "sum.yaml", "n: 1000\n")
    toy = Chapter(project, "toy/sum")
    notebook = nbformat.read(toy.run_path("smoke"), as_version=4)
    notebook.metadata.papermill["duration"] = 2.5
    notebook.cells[1].metadata.papermill["duration"] = 2.5
    notebook.cells[1].outputs[0].text = "other noise"
    nbformat.write(notebook, toy.run_path("smoke"))
    assert site.stage(project, "smoke", staged) == key


def test_a_chapter_without_a_run_is_an_error(project, staged):
    with pytest.raises(FileNotFoundError, match=r"toy/sum has no book run: 'reprise build'"):
        site.stage(project, "book", staged)
    Chapter(project, "toy/late").run_path("smoke").unlink()
    with pytest.raises(FileNotFoundError, match="toy/late has no smoke run"):
        site.stage(project, "smoke", staged)
    assert not staged.exists()


def test_a_run_with_changed_parameters_says_so_on_the_scoreboard(project, staged):
    store(Chapter(project, "toy/sum"), "# A sum\n", ledger_of(), parameters={"n": 7})
    site.stage(project, "smoke", staged)
    shown = (staged / "_generated" / "board.html").read_text(encoding="utf-8")
    assert shown.count('data-profile="smoke, n=7"') == 1
    assert shown.count('data-profile="smoke"') == 1


# The board.


class Outline(HTMLParser):
    """The tags of a page and its text, after checking that every tag is closed in order."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("br", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append(text)


def shown(project, records, *pages):
    """The board of a project, of which these pages are written."""
    made = {id: executed(f"# Page {id}\n", drawing()) for id in pages}
    return Outline(board.board_html(project, made, records))


def test_the_board_has_a_row_a_paper_and_in_it_a_row_a_claim(project):
    records = [*ledger_of().records(), *ledger_of("toy/late", measured=1).records()]
    page = shown(project, records, "toy/sum", "toy/late")
    tags = [tag for tag, _ in page.tags]
    assert (tags.count("details"), tags.count("section")) == (3, 2)
    claims = [a["data-verdict"] for tag, a in page.tags if tag == "tr" and "data-verdict" in a]
    assert claims == ["reproduced", "not reproduced"]
    marks = [a["title"] for _, a in page.tags if a.get("class", "").startswith("reprise-mark")]
    assert marks == ["C1: reproduced", "C1: not reproduced"]
    links = [a["href"] for tag, a in page.tags if tag == "a" and "arxiv" not in a["href"]]
    assert links == [
        "toy/sum.html",
        "toy/sum.html#the-ledger",
        "toy/late.html",
        "toy/late.html#the-ledger",
    ]


def test_all_papers_are_on_the_board_and_unwritten_ones_marked(project):
    page = shown(project, ledger_of().records(), "toy/sum")
    papers = [a["href"] for tag, a in page.tags if tag == "a" and "arxiv" in a["href"]]
    assert papers == [
        f"https://arxiv.org/abs/{n}00.0000{i}" for i, n in enumerate(["20", "21", "22"], 1)
    ]
    # other/sum is not toy/sum
    assert page.text.count("not yet written") == 2
    assert [t for t in page.text if t in ("Toys", "Others", "Too Late", "Another Sum")] == [
        "Toys",
        "Too Late",
        "Others",
        "Another Sum",
    ]


def test_the_filters_offer_what_there_is(project):
    page = shown(project, ledger_of().records(), "toy/sum")
    at = page.text.index("all")
    assert page.text[at:].count("all") == 3  # verdict, part, profile
    assert {"reproduced", "toy", "other", "smoke"} <= set(page.text)
    assert "not reproduced" not in page.text


def test_the_board_escapes(project):
    [record] = ledger_of(statement="<b>x</b> & y").records()
    record.update(profile="smoke, w=<i>", measured="<u>", id="<C>")
    page = shown(project, [record], "toy/sum")
    assert not {tag for tag, _ in page.tags} & {"i", "u", "c"}
    assert {"<b>x</b> & y", "<u>", "<C>"} <= set(page.text)


def test_a_headline_is_shown_with_its_chapter():
    glued = nbformat.v4.new_output(
        "display_data",
        {"application/papermill.record/text/plain": "≈ all is well"},
        metadata={"scrapbook": {"name": "headline"}},
    )
    notebook = executed("# A sum")
    notebook.cells.append(nbformat.v4.new_code_cell("1", outputs=[glued]))
    assert board.headline_of(notebook) == "all is well"
    assert board.headline_of(executed("# A sum")) == ""


@pytest.mark.parametrize(
    ("ids", "start"), [([], "**0 claims of 0 papers"), (["a/b"], "**1 claim of 1 paper,")]
)
def test_the_tally_counts_papers(ids, start):
    records = [r for id in ids for r in ledger_of(id).records()]
    assert board.tally_sentence(records, "book").startswith(start)


# Figures.


def test_the_hero_is_the_marked_figure():
    hero = drawing()
    found = board.hero_svg(executed("text", drawing(hero=False), hero, ledger_of()))
    whole = hero.markup[hero.markup.index("<svg") : hero.markup.index("<figcaption")]
    assert found == whole.strip()


def test_no_hero():
    assert board.hero_svg(executed()) is None
    assert board.hero_svg(executed("text", ledger_of(), drawing(hero=False))) is None


def test_the_gallery_links_each_hero(project):
    listed = book.chapters(project)
    notebooks = {
        "toy/sum": executed("# A <sum> & more\n", drawing()),
        "toy/late": executed("# No hero\n", drawing(hero=False)),
    }
    page = Outline(board.gallery(listed, notebooks))
    assert [a["href"] for tag, a in page.tags if tag == "a"] == ["toy/sum.html"]
    assert [tag for tag, _ in page.tags].count("svg") == 1
    assert page.text[-2:] == ["A <sum> & more", "\n"]
    assert board.hero_svg(notebooks["toy/sum"]) in board.gallery(listed, notebooks)


@pytest.mark.parametrize(
    ("cells", "title"),
    [
        (["# One\n\ntext"], "One"),
        (["text", "intro\n\n# Two words\n# Three"], "Two words"),
        (["## Small"], ""),
        ([], ""),
    ],
)
def test_the_title_is_the_first_heading(cells, title):
    notebook = executed(*cells)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("# a comment"))
    assert board.chapter_title(notebook) == title


def test_a_standalone_drawing_follows_the_theme():
    shown = board.hero_svg(executed(drawing()))
    alone = board.standalone_svg(shown)
    assert INK not in alone
    assert alone.count("<style>") == 1
    root = ET.fromstring(alone)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root[0].tag.endswith("style")
    assert "prefers-color-scheme:dark" in root[0].text
    assert alone == board.standalone_svg(shown)


# Stored results.


def stored(chapter="toy/sum", **changes):
    record = {
        "chapter": chapter,
        "hardware": "A <fast> & big machine, 8 cores",
        "date": "2026-01-02",
        "seconds": 125,
        "claims": ledger_of(chapter, profile="paper").records(),
    }
    return json.dumps(record | changes)


def test_no_stored_results_are_said(tmp_path):
    assert "No run at the <code>paper</code> profile" in board.stored_results(tmp_path)
    write(tmp_path / "results" / "README.md", "nothing")
    assert "No run" in board.stored_results(tmp_path)


def test_stored_results_show_hardware_date_and_claims(tmp_path):
    write(tmp_path / "results" / "toy" / "sum.json", stored())
    write(tmp_path / "results" / "toy" / "late.json", stored("toy/late", seconds=20))
    page = Outline(board.stored_results(tmp_path))
    heads = [text for text in page.text if text.startswith("toy/")]
    assert heads == [
        "toy/late: A <fast> & big machine, 8 cores, 2026-01-02, 0 minutes; 1 reproduced",
        "toy/sum: A <fast> & big machine, 8 cores, 2026-01-02, 2 minutes; 1 reproduced",
    ]
    assert [a.get("class") for tag, a in page.tags if tag == "table"] == ["reprise-ledger"] * 2
    assert page.text.count("the sum is large") == 2


def test_the_speed_table_is_shown_when_there_is_one(tmp_path):
    assert "`make bench`" in board.speed_table(tmp_path)
    write(tmp_path / "results" / "speed.md", "| fast |\n")
    assert board.speed_table(tmp_path) == "| fast |\n"
