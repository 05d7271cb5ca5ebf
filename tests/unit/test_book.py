"""`reprise.book`: a run is kept as long as nothing it depends on changed, and not longer."""

import copy
import json
import os
import pickle
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml

from reprise import book, data, references, running, site
from reprise.book import BookError, Chapter
from reprise.ledger import Ledger, read_ledgers
from reprise.parameters import ParameterError

TOC = """
format: jb-book
root: intro
parts:
  - caption: Toy
    chapters:
      - file: toy/index
        sections:
          - file: toy/late
          - file: toy/sum
  - caption: Appendix
    chapters:
      - file: appendix/notes
"""
HEAD = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""
TOY = (
    HEAD
    + """# A sum

```{code-cell} ipython3
:tags: [parameters]
profile = "book"  # which rules judge this run
n = 10  # a comment
weights = [1, 2]
digits = draw = fail = 0
```

```{code-cell} ipython3
:tags: [setup]
import sys
from reprise.ledger import Ledger
ledger = Ledger("toy/sum", profile=profile)
print("progress", file=sys.stderr)
if digits:
    from reprise import data
    print(len(data.load("digits").arrays["labels"]), "digits")
```

```{code-cell} ipython3
if fail:
    raise ArithmeticError("a sum that fails")
```

```{code-cell} ipython3
drawing = None
if draw:
    import matplotlib.pyplot as plt
    from reprise.notebook import picture
    figure, ax = plt.subplots(figsize=(2, 1))
    ax.plot([0, 1], weights)
    drawing = picture(figure, caption="two weights", alt="a line", hero=True)
drawing
```

```{code-cell} ipython3
total = n * sum(weights)
C1 = ledger.claim("C1", "the sum is large", source="Lemma 1", paper="2")
C2 = ledger.claim("C2", "the sum is small", source="Lemma 2")
C1.check("total", total, at_least=2)
C2.check("total", total, at_most=20)
ledger
```
"""
)
KNOBS = """
from reprise.parameters import Integer, Knob, Knobs, ListOf

FLAG = Integer(0, 1)
KNOBS = Knobs(
    Knob("n", 10, Integer(0), "a comment"),
    Knob("weights", [1, 2], ListOf(Integer(0)), "of the sum"),
    Knob("digits", 0, FLAG, "whether to load data"),
    Knob("draw", 0, FLAG, "whether to draw"),
    Knob("fail", 0, FLAG, "whether to fail"),
)
"""
SMOKE = {"profile": "smoke", "n": 4, "digits": 1, "draw": 1}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def build(root):
    """A project with two chapters, of which toy/late fails at smoke."""
    for name, text in {
        "_toc.yml": TOC,
        "constraints.txt": "numpy==2\n",
        "book/intro.md": "# Intro\n\n---\n\nkernelspec\n",
        "book/toy/index.md": "---\ntitle: Toy\n---\n\n# Toy\n",
        "book/toy/late.md": TOY.replace("toy/sum", "toy/late"),
        "book/toy/sum.md": TOY,
        "book/appendix/notes.md": "# Notes\n",
        "book/profiles/smoke/sum.yaml": yaml.safe_dump(SMOKE),
        "book/profiles/smoke/late.yaml": "profile: smoke\nfail: 1\n",
        "book/profiles/paper/sum.yaml": "profile: paper\nn: 1000\n",
        "src/reprise/toy/sum/knobs.py": KNOBS,
        "src/reprise/toy/late/knobs.py": KNOBS,
        "src/reprise/toy/index/knobs.py": KNOBS,
    }.items():
        write(root / name, text)
    return root


@pytest.fixture
def project(tmp_path):
    return build(tmp_path / "project")


@pytest.fixture
def toy(project):
    return Chapter(project, "toy/sum")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The toy with its smoke run, for tests that only read."""
    toy = Chapter(build(tmp_path_factory.mktemp("finished")), "toy/sum")
    running.execute(toy, toy.parameters("smoke"), toy.run_path("smoke"))
    return toy


@pytest.fixture
def done(finished, tmp_path):
    """A copy of the finished toy."""
    return Chapter(shutil.copytree(finished.root, tmp_path / "done"), finished.id)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the real package, which tests may change."""
    ignore = shutil.ignore_patterns("__pycache__")
    folder = shutil.copytree(book.PACKAGE, tmp_path / "elsewhere" / "reprise", ignore=ignore)
    monkeypatch.setattr(book, "PACKAGE", folder)
    return folder


@pytest.fixture
def tiny(project, monkeypatch):
    """Replace the package by files given with their text, and the toy's code by one cell."""

    def replace(files, code):
        folder = project / "src" / "reprise"
        for name, text in files.items():
            write(folder / name, text)
        monkeypatch.setattr(book, "PACKAGE", folder)
        cell = f"```{{code-cell}} ipython3\n{code}\n```\n"
        write(project / "book" / "toy" / "sum.md", f"{HEAD}# Toy\n\n{cell}")
        found = Chapter(project, "toy/sum").modules()
        # the chapter's own declaration always belongs to it
        return {path.relative_to(folder).as_posix() for path in found} - {"toy/sum/knobs.py"}

    return replace


def files_below(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def shown(ledger, parameters):
    """An executed notebook, without a kernel."""
    bundle, metadata = ledger._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", bundle, metadata=metadata)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    notebook.metadata["papermill"] = {"parameters": parameters}
    return notebook


def judged(profile, parameters=None, id="toy/sum"):
    ledger = Ledger(id, profile=profile)
    ledger.claim("C1", "a sum", source="Lemma 1").check("total", 1, at_least=0)
    return shown(ledger, {"profile": profile} if parameters is None else parameters)


# The project and its chapters.


def test_the_root_is_found_from_a_subfolder(project, monkeypatch):
    assert book.find_root(project) == project.resolve()
    assert book.find_root(project / "book" / "toy") == project.resolve()
    monkeypatch.chdir(project / "book")
    assert book.find_root() == project.resolve()


def test_the_root_is_that_of_the_installed_package_elsewhere(project, tmp_path, monkeypatch):
    monkeypatch.setattr(book, "PACKAGE", project / "src" / "reprise")
    assert book.find_root(tmp_path) == project


@pytest.mark.parametrize("there", [[], ["_toc.yml"], ["book/intro.md"], ["_toc.yml", "book"]])
def test_no_root_is_refused(there, tmp_path, monkeypatch):
    for name in ["here/file", *(f"here/{name}" for name in there)]:
        write(tmp_path / name, "")
    monkeypatch.setattr(book, "PACKAGE", tmp_path / "away" / "reprise")
    with pytest.raises(BookError, match=r"_toc\.yml and book/"):
        book.find_root(tmp_path / "here")


def test_chapters_are_the_listed_notebooks_in_reading_order(project):
    write(project / "book" / "toy" / "unlisted.md", TOY)
    assert book.chapters(project) == [Chapter(project, "toy/late"), Chapter(project, "toy/sum")]


@pytest.mark.parametrize(
    "page",
    [
        "# Plain\n",
        "",
        "# A rule\n\n---\n\nkernelspec: python3\n\n---\n",
        "---\ntitle: kernelspec\n---\n# Front matter\n",
        "---\n---\n# Empty front matter\n",
        None,
    ],
)
def test_a_page_without_a_kernel_is_no_chapter(page, project):
    path = project / "book" / "toy" / "late.md"
    path.unlink() if page is None else path.write_text(page, encoding="utf-8")
    assert [c.id for c in book.chapters(project)] == ["toy/sum"]


def test_toc_pages_are_listed_depth_first():
    toc = {
        "root": "a",
        "parts": [
            {
                "chapters": [
                    {"file": "b", "sections": [{"file": "c"}, {"file": "d"}]},
                    {"url": "https://example.org"},
                    {"file": "e"},
                ]
            }
        ],
    }
    assert book.toc_pages(toc) == ["a", "b", "c", "d", "e"]
    assert book.toc_pages({"root": "a", "chapters": [{"file": "b"}]}) == ["a", "b"]


def test_a_chapter_is_found_by_its_id(project):
    found = book.chapter(project, "toy/sum")
    assert (found, found.slug) == (Chapter(project, "toy/sum"), "sum")
    assert found.source == project / "book" / "toy" / "sum.md"


@pytest.mark.parametrize("id", ["sum", "toy/index", "toy/none", "intro", ""])
def test_an_unknown_chapter_is_refused_with_the_known_ones(id, project):
    with pytest.raises(BookError, match="toy/late, toy/sum") as error:
        book.chapter(project, id)
    assert repr(id) in str(error.value)


def test_a_chapter_travels_to_another_process(toy):
    assert pickle.loads(pickle.dumps(toy)) == toy


def test_a_notebook_has_no_outputs_and_stable_cell_ids(toy):
    first, second = toy.notebook(), toy.notebook()
    assert first == second
    nbformat.validate(first)
    assert [c.id for c in first.cells] == [f"sum-{i}" for i in range(len(first.cells))]
    assert not any(c.get("outputs") for c in first.cells)
    assert "jupytext" not in first.metadata


# Parameters.


def test_knobs_are_those_of_the_checkout(toy):
    assert list(toy.knobs.defaults) == ["profile", "seed", "n", "weights", "digits", "draw", "fail"]
    assert toy.knobs.defaults["weights"] == [1, 2]


def test_changes_win_over_the_profile(toy):
    assert toy.parameters("smoke") == SMOKE
    assert toy.parameters("smoke", {"n": "5", "fail": 1}) == {**SMOKE, "n": 5, "fail": 1}
    assert toy.parameters("book") == {}
    assert toy.parameters("book", {"n": 5}) == {"n": 5}
    assert toy.parameters("smoke") == SMOKE


def test_an_empty_profile_changes_nothing(toy):
    write(toy.root / "book" / "profiles" / "book" / "sum.yaml", "# nothing yet\n")
    assert toy.parameters("book") == {}


def test_an_unknown_parameter_is_refused_with_the_known_ones(toy):
    with pytest.raises(ParameterError, match=r"'m' is not one of this chapter: profile, seed, n"):
        toy.parameters("smoke", {"m": 1})
    edit(toy.root / "book" / "profiles" / "smoke" / "sum.yaml", "n: 4", "N: 4")
    with pytest.raises(ParameterError, match="'N' is not one of"):
        toy.parameters("smoke")


@pytest.mark.parametrize("profile", ["small", "", "../smoke", "Smoke"])
def test_an_unknown_profile_is_refused(profile, toy):
    with pytest.raises(ValueError, match="profile must be one of smoke, book, paper"):
        toy.parameters(profile)


# The modules behind a chapter.

FILES = {
    "__init__.py": "",
    "other.py": "",
    "a/__init__.py": "",
    "a/b.py": "",
    "a/deep.py": "import reprise.a.b\n",
    "a/lazy.py": "def f():\n    if True:\n        from reprise.a.deep import g\n    return g\n",
    "c/__init__.py": "from reprise.other import x\n",
    "c/d.py": "import reprise.c.e\n",
    "c/e.py": "import reprise.c.d\n",
}
A = {"__init__.py", "a/__init__.py"}


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("import reprise", {"__init__.py"}),
        ("import reprise.other", {"__init__.py", "other.py"}),
        ("import reprise.other as o, reprise.a", {"other.py", *A}),
        ("from reprise import other", {"__init__.py", "other.py"}),
        ("from reprise.a import b", {"a/b.py", *A}),
        ("from reprise.a import (\n    b,\n)", {"a/b.py", *A}),
        ("import reprise.a.b", {"a/b.py", *A}),
        ("from reprise.a.b import name", {"a/b.py", *A}),
        ("from reprise.a import no_module", A),
        ("from reprise.a import deep", {"a/deep.py", "a/b.py", *A}),
        ("from reprise.a.lazy import f", {"a/lazy.py", "a/deep.py", "a/b.py", *A}),
        ("import reprise.c", {"__init__.py", "c/__init__.py", "other.py"}),
        (
            "import reprise.c.d",
            {"__init__.py", "c/__init__.py", "c/d.py", "c/e.py", "other.py"},
        ),
        ("def f():\n    import reprise.a.b", {"a/b.py", *A}),
        (
            "try:\n    import reprise.other\nexcept ImportError:\n    pass",
            {"__init__.py", "other.py"},
        ),
        ("%matplotlib inline\n  %time 1\nimport reprise.other", {"__init__.py", "other.py"}),
        ("%%time\nimport reprise.other", {"__init__.py", "other.py"}),
        ("import json, reprised.a, a.reprise", set()),
        ("from reprise_a.b import c\nfrom os import path", set()),
        ("text = 'import reprise.a.b'  # import reprise.other", set()),
        ("", set()),
    ],
)
def test_imports_are_followed(code, modules, tiny):
    assert tiny(FILES, code) == modules


def test_text_is_not_searched_for_imports(tiny, project):
    tiny(FILES, "x = 1")
    source = project / "book" / "toy" / "sum.md"
    source.write_text(
        source.read_text(encoding="utf-8") + "\n```python\nimport reprise.a.b\n```\n",
        encoding="utf-8",
    )
    assert [p.name for p in Chapter(project, "toy/sum").modules()] == ["knobs.py"]


def test_the_package_has_no_relative_imports():
    """They would not be followed."""
    files = book.PACKAGE.rglob("*.py")
    assert not [
        p.name for p in files if re.search(r"(?m)^\s*from \.", p.read_text(encoding="utf-8"))
    ]


def test_a_remainder_at_the_start_of_a_line_is_no_magic(tiny):
    files = {
        **FILES,
        "a/b.py": "x = (\n    7\n    % int(\n        4\n    )\n)\nimport reprise.other\n",
    }
    assert tiny(files, "import reprise.a.b") == {"a/b.py", "other.py", *A}


def test_the_real_package_is_followed_deeply(toy):
    names = {path.name for path in toy.modules()}
    assert names >= {"__init__.py", "ledger.py", "notebook.py", "plotting.py", "knobs.py"}
    assert "runtime.py" in names  # only by way of the ledger
    assert not names & {"book.py", "cli.py", "site.py"}


# What a run depends on.


@pytest.mark.parametrize(
    "change",
    [
        lambda toy, package: edit(toy.source, "# A sum", "# The sum"),
        lambda toy, package: edit(toy.source, "n * sum", "n + sum"),
        lambda toy, package: write(toy.root / "constraints.txt", "numpy==3\n"),
        lambda toy, package: (toy.root / "constraints.txt").unlink(),
        lambda toy, package: edit(package / "ledger.py", '"""Claims,', '"""The claims,'),
        lambda toy, package: edit(package / "runtime.py", '"""Where', '"""From where'),
        lambda toy, package: write(package / "__init__.py", ""),
    ],
    ids=["text", "code", "constraints", "no constraints", "module", "deep module", "__init__"],
)
def test_the_key_changes_with(change, toy, package):
    before = toy.key({"n": 1})
    change(toy, package)
    assert toy.key({"n": 1}) != before


def test_the_key_changes_with_the_parameters(toy):
    keys = [{}, {"n": 1}, {"n": 2}, {"n": "1"}, {"n": [1]}, {"weights": 1}, {"n": 1, "fail": False}]
    assert len({toy.key(parameters) for parameters in keys}) == len(keys)


def test_the_key_stays(toy, package, tmp_path):
    before = toy.key({"n": 1, "fail": True})
    edit(package / "site.py", '"""Publish', '"""Show')
    write(package / "fresh" / "__init__.py", "")
    write(toy.root / "book" / "intro.md", "# Another\n")
    os.utime(toy.source, (1, 1))
    assert toy.key({"fail": True, "n": 1}) == before
    moved = Chapter(shutil.copytree(toy.root, tmp_path / "moved"), toy.id)
    assert moved.key({"n": 1, "fail": True}) == before


# Running.


def test_a_run_leaves_the_notebook_and_its_manifest(finished):
    assert files_below(finished.root / "_build") == {
        "runs/smoke/toy/sum.ipynb",
        "runs/smoke/toy/sum.json",
    }
    manifest = json.loads(
        finished.run_path("smoke").with_suffix(".json").read_text(encoding="utf-8")
    )
    assert manifest["key"] == finished.key(SMOKE)
    assert manifest["data"] == [
        {"name": "digits", "form": "embedded", "fingerprint": data.resolve("digits").fingerprint}
    ]


def test_parameters_are_injected(finished):
    notebook = nbformat.read(finished.run_path("smoke"), as_version=4)
    assert notebook.metadata.papermill.parameters == SMOKE
    records = read_ledgers(notebook)
    assert [(r["id"], r["profile"], r["measured"]) for r in records] == [
        ("C1", "smoke", "total: 12"),
        ("C2", "smoke", "total: 12"),
    ]


@pytest.fixture(scope="module")
def failed(finished, tmp_path_factory):
    """A finished toy that was then run with a cell that raises."""
    folder = tmp_path_factory.mktemp("failed") / "project"
    toy = Chapter(shutil.copytree(finished.root, folder), finished.id)
    changes = {"digits": 0, "draw": 0, "fail": 1}
    with pytest.raises(papermill.PapermillExecutionError, match="a sum that fails"):
        running.execute(toy, {**SMOKE, **changes}, toy.run_path("smoke"))
    return toy


def test_a_failed_run_leaves_the_older_one_untouched(failed, finished):
    for suffix in (".ipynb", ".json"):
        now, then = (c.run_path("smoke").with_suffix(suffix) for c in (failed, finished))
        assert now.read_bytes() == then.read_bytes()
    assert running.is_current(failed, "smoke")


def test_a_failed_run_is_kept_for_reading(failed):
    folder = failed.run_path("smoke").parent
    assert files_below(folder) == {"sum.ipynb", "sum.json", "sum.failed.ipynb"}
    kept = nbformat.read(folder / "sum.failed.ipynb", as_version=4)
    errors = [o for c in kept.cells for o in c.get("outputs", []) if o.output_type == "error"]
    assert [(e.ename, e.evalue) for e in errors] == [("ArithmeticError", "a sum that fails")]


def write_run(out):
    """Write a notebook that shows a ledger, as a good run does."""
    ledger = Ledger("toy/sum", profile="smoke")
    ledger.claim("C1", "the sum is large", source="Lemma 1").check("total", 3, at_least=2)
    data, metadata = ledger._repr_mimebundle_()
    shown = nbformat.v4.new_output("display_data", data, metadata=metadata)
    cell = nbformat.v4.new_code_cell("ledger", outputs=[shown])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), out)


def stand_in(monkeypatch, act):
    """Replace papermill's runner; ``act`` gets the path to write and returns or raises."""
    calls = []

    def execute_notebook(notebook, out, **options):
        calls.append(options)
        act(Path(out))

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    return calls


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, SystemExit])
@pytest.mark.parametrize("older", [True, False])
def test_an_interrupted_run_leaves_nothing(error, older, done, monkeypatch):
    def act(out):
        out.write_text("half", encoding="utf-8")
        raise error

    out = done.run_path("smoke")
    if not older:
        shutil.rmtree(out.parent)
    before = {p: p.read_bytes() for p in out.parent.glob("*")}
    stand_in(monkeypatch, act)
    with pytest.raises(error):
        running.execute(done, SMOKE, out)
    assert {p: p.read_bytes() for p in out.parent.glob("*")} == before
    assert running.is_current(done, "smoke") == older


def test_a_good_run_removes_the_failed_one(done, monkeypatch):
    stand_in(monkeypatch, write_run)
    failed = write(done.run_path("smoke").with_name("sum.failed.ipynb"), "old")
    running.execute(done, SMOKE, done.run_path("smoke"))
    assert not failed.exists()


def test_a_source_edited_during_the_run_makes_it_stale(done, monkeypatch):
    def act(out):
        write_run(out)
        edit(done.source, "# A sum", "# The sum")

    stand_in(monkeypatch, act)
    running.execute(done, SMOKE, done.run_path("smoke"))
    assert not running.is_current(done, "smoke")


@pytest.mark.parametrize("before", [None, "a-log"])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_the_data_log_is_set_only_during_the_run(before, error, done, monkeypatch):
    seen = []

    def act(out):
        seen.append(os.environ["REPRISE_DATA_LOG"])
        data.load("digits")
        write_run(out)
        if error:
            raise error

    if before is None:
        monkeypatch.delenv("REPRISE_DATA_LOG", raising=False)
    else:
        monkeypatch.setenv("REPRISE_DATA_LOG", before)
    stand_in(monkeypatch, act)
    if error:
        with pytest.raises(error):
            running.execute(done, {}, done.run_path("book"))
    else:
        running.execute(done, {}, done.run_path("book"))
        manifest = json.loads(
            done.run_path("book").with_suffix(".json").read_text(encoding="utf-8")
        )
        assert [load["name"] for load in manifest["data"]] == ["digits"]
    assert os.environ.get("REPRISE_DATA_LOG") == before
    assert seen != [before]
    assert not Path(seen[0]).exists()


# Is a stored run what a new one would compute?


def out_of(toy):
    return toy.run_path("smoke")


def manifest_of(toy):
    return out_of(toy).with_suffix(".json")


def test_a_finished_run_is_current(finished):
    assert running.is_current(finished, "smoke")
    assert not running.is_current(finished, "book")
    assert not running.is_current(Chapter(finished.root, "toy/late"), "smoke")


@pytest.mark.parametrize(
    "change",
    [
        lambda toy: edit(toy.source, "# A sum", "# The sum"),
        lambda toy: edit(toy.root / "book/profiles/smoke/sum.yaml", "n: 4", "n: 5"),
        lambda toy: edit(toy.root / "constraints.txt", "2", "3"),
        lambda toy: out_of(toy).unlink(),
        lambda toy: edit(out_of(toy), "the sum is small", "the sum is tiny"),
        lambda toy: manifest_of(toy).unlink(),
        lambda toy: manifest_of(toy).write_text("", encoding="utf-8"),
        lambda toy: manifest_of(toy).write_text(
            manifest_of(toy).read_text(encoding="utf-8")[:-9], encoding="utf-8"
        ),
        lambda toy: manifest_of(toy).write_text("{}", encoding="utf-8"),
        lambda toy: edit(manifest_of(toy), '"key": "', '"key": "0'),
    ],
    ids=[
        "source",
        "profile",
        "constraints",
        "no notebook",
        "edited notebook",
        "no manifest",
        "empty manifest",
        "half a manifest",
        "manifest without keys",
        "another key",
    ],
)
def test_a_run_is_stale_after_a_change_of(change, done):
    assert running.is_current(done, "smoke")
    change(done)
    assert not running.is_current(Chapter(done.root, done.id), "smoke")


@pytest.mark.parametrize(
    "content",
    [b"[]", b"null", b'"text"', b"\xff\xfe", None],
    ids=["list", "null", "text", "not utf-8", "no data"],
)
def test_a_run_with_a_damaged_manifest_is_stale(content, done):
    if content is None:
        stored = json.loads(manifest_of(done).read_text(encoding="utf-8"))
        content = json.dumps({"key": stored["key"], "notebook": stored["notebook"]}).encode()
    manifest_of(done).write_bytes(content)
    assert not running.is_current(done, "smoke")


def test_a_run_is_stale_after_a_change_of_a_module(done, package):
    assert running.is_current(done, "smoke")
    edit(package / "site.py", '"""Publish', '"""Show')
    assert running.is_current(done, "smoke")
    edit(package / "runtime.py", '"""Where', '"""From where')
    assert not running.is_current(done, "smoke")


def test_a_run_is_stale_after_a_change_of_its_data(finished, monkeypatch):
    asked = []

    def resolve(name):
        asked.append(name)
        return data.Resolution("embedded", fingerprint)

    fingerprint = data.resolve("digits").fingerprint
    monkeypatch.setattr(data, "resolve", resolve)
    assert running.is_current(finished, "smoke")
    fingerprint = "another"
    assert not running.is_current(finished, "smoke")
    assert asked == ["digits", "digits"]


def test_time_stamps_do_not_matter(done):
    later = out_of(done).stat().st_mtime + 1000
    for path in [done.source, out_of(done), done.root / "constraints.txt"]:
        path.write_bytes(path.read_bytes())
        os.utime(path, (later, later))
    write(done.root / "book" / "intro.md", "# Another intro\n")
    assert running.is_current(done, "smoke")


# Bringing many runs up to date.


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A project in which one of two chapters, the first, failed; and what was raised."""
    root = build(tmp_path_factory.mktemp("both"))
    for slug, text in {"sum": "{profile: smoke}", "late": "{profile: smoke, fail: 1}"}.items():
        write(root / "book" / "profiles" / "smoke" / f"{slug}.yaml", text)
    with pytest.raises(RuntimeError) as error:
        running.run_all(book.chapters(root), "smoke", jobs=1)
    return root, str(error.value)


def test_a_failing_chapter_is_named_and_does_not_stop_the_other(both):
    root, message = both
    late, toy = book.chapters(root)
    assert message == "1 chapter(s) failed\ntoy/late: ArithmeticError: a sum that fails"
    assert running.is_current(toy, "smoke")
    assert not running.is_current(late, "smoke")
    assert files_below(late.run_path("smoke").parent) == {
        "late.failed.ipynb",
        "sum.ipynb",
        "sum.json",
    }


def test_only_what_is_stale_runs_and_then_nothing(both, tmp_path, monkeypatch, capsys):
    root = shutil.copytree(both[0], tmp_path / "mended")
    write(root / "book" / "profiles" / "smoke" / "late.yaml", "{profile: smoke}")
    wanted = book.chapters(root)
    assert running.run_all(wanted, "smoke", jobs=2) == ["toy/late"]
    lines = capsys.readouterr().out
    assert "toy/sum: smoke run is up to date" in lines
    assert "; 1 reproduced, 1 not reproduced" in lines
    assert not wanted[0].run_path("smoke").with_name("late.failed.ipynb").exists()
    monkeypatch.delattr(running, "ProcessPoolExecutor")
    assert running.run_all(wanted, "smoke", jobs=2) == []


@pytest.fixture
def pools(monkeypatch):
    """Run in threads of this process, without papermill; remember the pools and the runs."""
    seen = []

    def pool(size, *, initargs, **options):
        seen.append((size, *initargs))
        return ThreadPoolExecutor(size)

    def execute(toy, parameters, out, **options):
        seen.append((toy.id, parameters))

    monkeypatch.setattr(running, "ProcessPoolExecutor", pool)
    monkeypatch.setattr(running, "execute", execute)
    monkeypatch.setenv("REPRISE_THREADS", "6")
    return seen


@pytest.mark.parametrize(("jobs", "pool"), [(1, (1, 6)), (2, (1, 6)), (9, (1, 6))])
def test_a_forced_run_has_all_cores_when_alone(jobs, pool, done, pools):
    assert running.run_all([done], "smoke", jobs=jobs) == []
    assert running.run_all([done], "smoke", jobs=jobs, force=True) == ["toy/sum"]
    assert pools == [pool, ("toy/sum", SMOKE)]


@pytest.mark.parametrize(("jobs", "pool"), [(1, (1, 6)), (2, (2, 3)), (9, (2, 3))])
def test_cores_are_shared_out(jobs, pool, both, pools):
    root, _ = both
    with pytest.raises(RuntimeError, match=r"^1 chapter"):  # toy/late has no notebook to read
        running.run_all(book.chapters(root), "smoke", jobs=jobs, force=True)
    assert pools[0] == pool


def test_a_broken_source_does_not_stop_the_others(both, pools, tmp_path):
    root = shutil.copytree(both[0], tmp_path / "broken")
    late, toy = book.chapters(root)
    (root / "src" / "reprise" / late.id / "knobs.py").unlink()
    with pytest.raises(RuntimeError, match=r"^1 chapter\(s\) failed\ntoy/late: .*knobs"):
        running.run_all([late, toy], "smoke", jobs=1, force=True)
    assert ("toy/sum", {"profile": "smoke"}) in pools


def test_a_syntax_error_in_a_chapter_is_left_to_its_run(both, pools, tmp_path):
    root = shutil.copytree(both[0], tmp_path / "broken")
    late, toy = book.chapters(root)
    edit(toy.source, "total = n", "total = = n")
    with pytest.raises(RuntimeError, match="toy/late"):  # it has no notebook to read
        running.run_all([toy, late], "smoke", jobs=1)
    assert ("toy/sum", {"profile": "smoke"}) in pools
    assert ("toy/late", {"profile": "smoke", "fail": 1}) in pools


def test_a_chapter_without_a_ledger_fails_every_time(toy, monkeypatch):
    def act(out):
        nbformat.write(nbformat.v4.new_notebook(), out)

    stand_in(monkeypatch, act)
    monkeypatch.setattr(running, "ProcessPoolExecutor", lambda size, **_: ThreadPoolExecutor(size))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="must show its ledger"):
            running.run_all([toy], "smoke")


# References.


@pytest.fixture(scope="module")
def reference(finished):
    return references.as_reference(nbformat.read(finished.run_path("smoke"), as_version=4))


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_a_reference_has_no_times_paths_or_progress(reference, finished):
    ran = nbformat.read(finished.run_path("smoke"), as_version=4)
    assert any(o.get("name") == "stderr" for o in outputs(ran))
    assert not any(o.get("name") == "stderr" for o in outputs(reference))
    assert set(reference.metadata) == {"kernelspec"}
    assert all(set(cell.metadata) <= {"tags"} for cell in reference.cells)
    assert not any(output.get("metadata") for output in outputs(reference))
    text = nbformat.writes(reference)
    for word in ("start_time", "duration", "papermill", "progress\\n", str(finished.root)):
        assert word not in text


def test_a_reference_keeps_code_text_and_tags(reference, finished):
    ran = nbformat.read(finished.run_path("smoke"), as_version=4)
    nbformat.validate(reference)
    assert [c.source for c in reference.cells] == [c.source for c in ran.cells]
    tags = [c.metadata.get("tags") for c in reference.cells if "tags" in c.metadata]
    assert tags == [["parameters"], ["injected-parameters"], ["setup"]]
    kept = [o for o in outputs(ran) if o.get("name") != "stderr"]
    assert [o.get("text") for o in outputs(reference)] == [o.get("text") for o in kept]
    plain = [o.data["text/plain"] for o in outputs(reference) if "data" in o]
    assert plain == [o.data["text/plain"] for o in kept if "data" in o]
    assert plain[0] == "Figure: two weights"


def test_a_reference_has_no_drawings(reference):
    assert "<svg" not in nbformat.writes(reference)
    html = [o.data["text/html"] for o in outputs(reference) if "text/html" in o.get("data", {})]
    assert html[0] == references.FIGURE_IN_REFERENCE
    assert "reprise-ledger" in html[-1]


def test_two_figures_in_one_output_are_both_replaced():
    figure = '<figure class="reprise-figure reprise-player" data-hero="x">\n<svg/></figure>'
    data = {"text/html": f"<p>a</p>{figure}<p>b</p>{figure}<p>c</p>", "text/plain": "x"}
    cell = nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("display_data", data)])
    [output] = outputs(references.as_reference(nbformat.v4.new_notebook(cells=[cell])))
    note = references.FIGURE_IN_REFERENCE
    assert output.data["text/html"] == f"<p>a</p>{note}<p>b</p>{note}<p>c</p>"


def test_making_a_reference_changes_neither_its_input_nor_a_reference(reference, finished):
    ran = nbformat.read(finished.run_path("smoke"), as_version=4)
    before = copy.deepcopy(ran)
    references.as_reference(ran)
    assert ran == before
    assert references.as_reference(reference) == reference


def test_an_expected_error_makes_a_valid_reference():
    error = nbformat.v4.new_output("error", ename="E", evalue="e", traceback=["E: e"])
    cell = nbformat.v4.new_code_cell("", outputs=[error], metadata={"tags": ["raises-exception"]})
    nbformat.validate(references.as_reference(nbformat.v4.new_notebook(cells=[cell])))


def test_the_expected_code_is_that_of_a_run(reference, finished, capfd):
    code = [cell.source for cell in reference.cells if cell.cell_type == "code"]
    assert references.expected_reference_code(finished) == code
    assert capfd.readouterr() == ("", "")
    assert 'profile = "smoke"\n' in code[1]


def test_the_expected_code_follows_source_and_profile(done):
    before = references.expected_reference_code(done)
    edit(done.source, "n * sum", "n + sum")
    changed = references.expected_reference_code(done)
    assert [a == b for a, b in zip(before, changed, strict=True)] == [True] * 5 + [False]
    edit(done.root / "book/profiles/smoke/sum.yaml", "n: 4", "n: 5")
    again = references.expected_reference_code(done)
    assert [a == b for a, b in zip(changed, again, strict=True)] == [True, False] + [True] * 4


def test_the_reference_is_written_beside_the_tests(done, reference):
    path = references.write_reference(done)
    assert path == done.root / "tests" / "reference" / "toy" / "sum.ipynb"
    assert nbformat.read(path, as_version=4) == reference
    assert files_below(done.root / "tests") == {"reference/toy/sum.ipynb"}
    text = path.read_text(encoding="utf-8")
    references.write_reference(done)
    assert path.read_text(encoding="utf-8") == text


def test_an_interrupted_writer_leaves_the_old_reference(done, monkeypatch):
    def half(notebook, file):
        Path(file).write_text("half", encoding="utf-8")
        raise KeyboardInterrupt

    write(done.reference, "old")
    monkeypatch.setattr(nbformat, "write", half)
    with pytest.raises(KeyboardInterrupt):
        references.write_reference(done)
    assert {p.name: p.read_text(encoding="utf-8") for p in done.reference.parent.iterdir()} == {
        "sum.ipynb": "old"
    }


def test_no_reference_without_a_run(toy):
    with pytest.raises(FileNotFoundError):
        references.write_reference(toy)
    assert not toy.reference.exists()


# Records.


def test_records_are_collected_in_reading_order(project):
    late, toy = book.chapters(project)
    assert running.collect(project, "smoke") == []
    for c in (toy, late):
        c.run_path("book").parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(judged("book", id=c.id), c.run_path("book"))
    assert [r["chapter"] for r in running.collect(project, "book")] == ["toy/late", "toy/sum"]
    late.run_path("book").unlink()
    assert [r["chapter"] for r in running.collect(project, "book")] == ["toy/sum"]
    assert running.collect(project, "paper") == []


def test_a_real_run_is_collected(finished):
    records = running.collect(finished.root, "smoke")
    assert [(r["id"], r["profile"], r["verdict"]) for r in records] == [
        ("C1", "smoke", "reproduced"),
        ("C2", "smoke", "reproduced"),
    ]


@pytest.mark.parametrize(
    ("profile", "injected", "named"),
    [
        ("smoke", SMOKE, "smoke"),
        ("book", {}, "book"),
        ("paper", {"profile": "paper", "n": 1000}, "paper"),
        ("smoke", {**SMOKE, "n": 5}, "smoke, n=5"),
        ("smoke", {**SMOKE, "weights": [1, 3], "n": 9}, "smoke, n=9, weights=[1, 3]"),
        ("book", {"fail": 1}, "book, fail=1"),
    ],
)
def test_changed_parameters_are_named(profile, injected, named, toy):
    [record] = running.describe_run(toy, judged(profile, injected))
    assert record["profile"] == named


def test_a_run_without_papermill_is_a_standard_one(toy):
    notebook = judged("book")
    del notebook.metadata["papermill"]
    assert [r["profile"] for r in running.describe_run(toy, notebook)] == ["book"]


def test_a_small_run_that_calls_itself_paper_is_told(toy):
    parameters = toy.parameters("book", {"profile": "paper"})  # as reprise run -p profile paper
    [record] = running.describe_run(toy, judged("paper", parameters))
    assert record["profile"] != "paper"


def test_a_default_that_is_given_again_is_no_change(toy):
    [record] = running.describe_run(toy, judged("book", {"n": 10}))
    assert record["profile"] == "book"


# Files.


def test_a_file_is_written_only_when_it_changes(tmp_path):
    path = tmp_path / "a" / "b"
    site.sync_file(path, b"one")
    os.utime(path, (1, 1))
    site.sync_file(path, b"one")
    assert (path.read_bytes(), path.stat().st_mtime) == (b"one", 1)
    site.sync_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mtime > 1
    assert files_below(tmp_path) == {"a/b"}


def test_other_files_are_removed_but_not_a_build(tmp_path):
    folder = tmp_path / "_build" / "site"
    for name in ("keep", "sub/keep", "drop", "sub/drop", "_build/html/page"):
        write(folder / name, "")
    write(tmp_path / "_build" / "outside", "")
    site.remove_others(folder, {folder / "keep", folder / "sub" / "keep"})
    assert files_below(tmp_path) == {
        "_build/outside",
        "_build/site/keep",
        "_build/site/sub/keep",
        "_build/site/_build/html/page",
    }


# --- outputs --------------------------------------------------------------------------------------


def test_prints_in_succession_are_one_output_and_errors_none():
    def printed(text, name="stdout"):
        return nbformat.v4.new_output("stream", name=name, text=text)

    shown = nbformat.v4.new_output("display_data", {"text/plain": "3"})
    outputs = [printed("a"), printed("noise", "stderr"), printed("b"), shown, printed("c")]
    kept = references.without_noise(outputs)
    assert [o.get("text") for o in kept] == ["ab", None, "c"]
    assert kept[1] is shown
    assert outputs[0].text == "a"  # the run itself stays as it is


# --- overviews ------------------------------------------------------------------------------------

OVERVIEW = (
    HEAD
    + """# Toys

```{code-cell} ipython3
:tags: [parameters]
profile = "book"
n = 10
```

```{code-cell} ipython3
print(n)
```
"""
)


@pytest.fixture
def overview(project):
    """The toy part's index page as a notebook."""
    write(project / "book/toy/index.md", OVERVIEW)
    write(project / "book/profiles/smoke/toy.yaml", "profile: smoke\nn: 3\n")
    return Chapter(project, "toy/index")


def test_an_overview_is_a_notebook_but_not_a_chapter(overview):
    root = overview.root
    assert [page.id for page in book.notebooks(root)] == ["toy/index", "toy/late", "toy/sum"]
    assert [page.id for page in book.chapters(root)] == ["toy/late", "toy/sum"]
    assert book.chapter(root, "toy/index") == overview
    assert overview.is_overview
    assert not Chapter(root, "toy/sum").is_overview


def test_an_overview_goes_by_its_parts_name(overview):
    assert overview.slug == "toy"
    assert overview.parameters("smoke") == {"profile": "smoke", "n": 3}


def test_an_overview_runs_without_a_ledger(overview, capfd):
    assert running.run_all([overview], "smoke", jobs=1) == ["toy/index"]
    assert "toy/index: smoke run took" in capfd.readouterr().out
    assert running.is_current(overview, "smoke")
    run = nbformat.read(overview.run_path("smoke"), as_version=4)
    assert running.describe_run(overview, run) == []
    assert running.collect(overview.root, "smoke") == []
