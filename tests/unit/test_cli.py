"""`reprise.cli`: what a user types, the files it leaves, and one line for each mistake."""

import json
import re
import shutil
from datetime import date
from pathlib import Path

import nbformat
import papermill
import pytest

from reprise import book, cli, references, running, site
from reprise.book import Chapter
from reprise.ledger import read_ledgers

TOC = """
root: intro
parts:
  - caption: Toy
    chapters:
      - file: toy/sum
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
profile = "book"  # which rules judge this run
n = 10  # terms
weights = [1, 2]
word = "a"
fail = 0
```

```{code-cell} ipython3
from reprise.ledger import Ledger
ledger = Ledger("toy/sum", profile=profile)
if fail:
    raise ArithmeticError("a sum that fails")
print(repr((n, weights, word)))
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
KNOBS = """
from reprise.parameters import Choice, Integer, Knob, Knobs, ListOf, Real

KNOBS = Knobs(
    Knob("n", 10, Integer(0), "terms"),
    Knob("weights", [1, 2], ListOf(Real()), "of the sum"),
    Knob("word", "a", Choice("a", "b", "two words"), "a word"),
    Knob("fail", 0, Integer(0, 1), "whether to fail"),
)
"""
KEYS = ["chapter", "id", "statement", "source", "paper", "measured", "rule", "verdict", "profile"]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def build(root):
    """A project with one chapter."""
    for name, text in {
        "_toc.yml": TOC,
        "constraints.txt": "",
        "book/intro.md": "# Intro\n",
        "book/toy/sum.md": TOY,
        "book/profiles/smoke/sum.yaml": "profile: smoke\nn: 4\n",
        "src/reprise/toy/sum/knobs.py": KNOBS,
    }.items():
        write(root / name, text)
    return root


def files_below(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project without runs, in which the command is called."""
    root = build(tmp_path / "project")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def call(capfd):
    """Call the command line; returns the status, the output and the errors."""

    def call(*arguments):
        status = cli.main(arguments)
        return status, *capfd.readouterr()

    return call


def assert_refused(result, *words, status=2):
    """The command said in one line why it did not do what was asked."""
    code, out, error = result
    assert (code, out) == (status, "")
    assert re.fullmatch(r"reprise: [^\n]+\n", error)
    for word in words:
        assert word in error


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project after a standard smoke run and a stored one with other parameters."""
    root = build(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root / "book")
        assert cli.main(["run", "toy/sum", "--profile", "smoke", "--quiet"]) == 0
        changes = ["-p", "n", "7", "-p", "weights", "[3, 4]", "-p", "word", "two words"]
        assert cli.main(["run", "toy/sum", "--profile", "smoke", *changes, "--store"]) == 0
    return root


@pytest.fixture
def done(finished, tmp_path, monkeypatch):
    """A copy of the finished project, in which the command is called."""
    root = shutil.copytree(finished, tmp_path / "done")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def recorded(monkeypatch):
    """Replace the runs by a record of what was asked for."""
    asked = []

    def run_all(wanted, profile, **options):
        asked.append(([c.id for c in wanted], profile, options))
        return []

    def build_site(root, profile, *, out):
        asked.append((profile, out))

    def execute(chapter, parameters, out, **options):
        asked.append((parameters, out, options))
        raise ArithmeticError("not run")

    monkeypatch.setattr(running, "run_all", run_all)
    monkeypatch.setattr(site, "build_site", build_site)
    monkeypatch.setattr(running, "execute", execute)
    return asked


# run


def test_a_standard_run_becomes_the_run_of_its_profile(finished):
    toy = Chapter(finished, "toy/sum")
    assert running.is_current(toy, "smoke")
    assert [r["profile"] for r in running.collect(finished, "smoke")] == ["smoke", "smoke"]


def test_a_changed_run_has_a_file_of_its_own(finished):
    folder = finished / "_build" / "runs" / "smoke" / "toy"
    [changed] = {p for p in folder.glob("*.ipynb")} - {folder / "sum.ipynb"}
    assert files_below(folder) == {
        "sum.ipynb",
        "sum.json",
        changed.name,
        changed.with_suffix(".json").name,
    }
    pattern = r"sum_n-7_weights-[\w.-]*3[\w.-]+4[\w.-]*_word-two-words\.ipynb"
    assert re.fullmatch(pattern, changed.name)


def test_values_are_numbers_lists_and_text(finished):
    [path] = (finished / "_build" / "runs" / "smoke" / "toy").glob("sum_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    printed = [o.text for c in notebook.cells for o in c.get("outputs", []) if "text" in o]
    assert printed == ["(7, [3.0, 4.0], 'two words')\n"]
    assert [r["measured"] for r in read_ledgers(notebook)] == ["total: 49", "total: 49"]


def test_values_are_checked_before_a_kernel_starts(project, recorded, call):
    """The reading of texts is that of `reprise.parameters`."""
    call("run", "toy/sum", "-p", "n", "1e3", "-p", "weights", "[1, 2.5]")
    assert recorded[0][0] == {"n": 1000, "weights": [1.0, 2.5]}
    assert_refused(call("run", "toy/sum", "-p", "n", "-3"), "n must be an integer", "got '-3'")
    assert_refused(call("run", "toy/sum", "-p", "word", "c"), "'a', 'b', 'two words'", "got 'c'")
    assert len(recorded) == 1


def test_changes_come_on_top_of_the_profile(project, recorded, call):
    call("run", "toy/sum", "--profile", "smoke", "-p", "word", "a", "-p", "word", "b")
    call("run", "toy/sum", "-p", "n", "3", "-o", "mine.ipynb", "--quiet")
    call("run", "toy/sum")
    runs = Path("_build", "runs")
    assert recorded == [
        (
            {"profile": "smoke", "n": 4, "word": "b"},
            project / runs / "smoke" / "toy" / "sum_word-b.ipynb",
            {"progress": True},
        ),
        ({"n": 3}, Path("mine.ipynb"), {"progress": False}),
        ({}, project / runs / "book" / "toy" / "sum.ipynb", {"progress": True}),
    ]


@pytest.mark.parametrize("value", ["../../etc", "a/b", "..", "a\nb", "*?"])
def test_the_file_of_a_changed_run_stays_in_its_folder(value, project):
    out = cli._default_output(Chapter(project, "toy/sum"), "book", {"word": value})
    assert out.parent == project / "_build" / "runs" / "book" / "toy"
    assert re.fullmatch(r"sum_[\w.-]+\.ipynb", out.name)


def test_a_long_change_gives_a_short_name(project, recorded, call):
    call("run", "toy/sum", "-p", "weights", str(list(range(500))))
    assert len(recorded[0][1].name) < 120


def test_results_are_stored_with_hardware_date_and_claims(finished):
    assert files_below(finished / "results") == {"toy/sum.json"}
    stored = json.loads((finished / "results" / "toy" / "sum.json").read_text(encoding="utf-8"))
    assert set(stored) == {"chapter", "hardware", "date", "seconds", "claims"}
    assert stored["chapter"] == "toy/sum"
    assert re.fullmatch(r"\S.*, \d+ cores", stored["hardware"])
    assert (date.today() - date.fromisoformat(stored["date"])).days in (0, 1)
    assert 0 <= stored["seconds"] < 600
    assert [c["verdict"] for c in stored["claims"]] == ["reproduced", "not reproduced"]
    assert {c["profile"] for c in stored["claims"]} == {
        "smoke, n=7, weights=[3.0, 4.0], word=two words"
    }


def test_a_run_prints_its_ledger(project, monkeypatch, call, finished):
    def execute(chapter, parameters, out, **options):
        out.parent.mkdir(parents=True)
        shutil.copy(Chapter(finished, "toy/sum").run_path("smoke"), out)

    monkeypatch.setattr(running, "execute", execute)
    status, out, error = call("run", "toy/sum", "--profile", "smoke")
    assert (status, error) == (0, "")
    assert "toy/sum C1" in out
    assert "2 claims: 2 reproduced\n" in out
    assert re.search(r"smoke/toy/sum\.ipynb: 2 reproduced in \d+\.\d s\n$", out)
    assert not (project / "results").exists()


def test_a_failing_chapter_ends_in_status_1(project, call):
    status, out, error = call("run", "toy/sum", "-p", "fail", "1", "--store", "--quiet")
    assert (status, out) == (1, "")
    assert error.startswith("reprise: toy/sum failed: ")
    assert error.rstrip().endswith("ArithmeticError: a sum that fails")
    assert files_below(project / "_build") == {"runs/book/toy/sum_fail-1.failed.ipynb"}
    assert not (project / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "toy/none"), ["'toy/none'", "toy/sum"]),
        (("run", "sum"), ["'sum'", "toy/sum"]),
        (("run", "intro"), ["'intro'"]),
        (("notebook", "toy/none"), ["'toy/none'"]),
        (("reference", "toy/none"), ["'toy/none'"]),
        (("run", "toy/sum", "-p", "m", "3"), ["'m'", "profile, seed, n, weights, word, fail"]),
        (("run", "toy/sum", "-p", "N", "3", "-p", "n", "3"), ["'N'"]),
    ],
)
def test_an_unknown_name_is_refused_in_one_line(arguments, words, project, call):
    assert_refused(call(*arguments), *words)
    assert not (project / "_build").exists()


@pytest.mark.parametrize("text", ["[1, 2", "{", "a: b: c", "'"])
def test_a_value_that_is_no_yaml_is_refused_in_one_line(text, project, recorded, call):
    assert_refused(call("run", "toy/sum", "-p", "weights", text), "weights")


@pytest.mark.parametrize("text", ["- n\n", "n\n", "n: [1\n"])
def test_a_malformed_profile_is_refused_in_one_line(text, project, recorded, call):
    path = write(project / "book" / "profiles" / "smoke" / "sum.yaml", text)
    result = call("run", "toy/sum", "--profile", "smoke")
    assert result[0] == 2
    assert path.name in result[2]


def test_a_run_without_a_ledger_fails_in_one_line(project, monkeypatch, call):
    def execute(chapter, parameters, out, **options):
        out.parent.mkdir(parents=True)
        nbformat.write(nbformat.v4.new_notebook(), out)

    monkeypatch.setattr(running, "execute", execute)
    assert_refused(call("run", "toy/sum"), "ledger", status=1)


def test_outside_a_project_nothing_is_done(tmp_path, monkeypatch, call):
    monkeypatch.setattr(book, "PACKAGE", tmp_path / "away" / "reprise")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert_refused(call("scoreboard"), "_toc.yml")


# scoreboard


def test_the_scoreboard_as_json_has_a_record_a_claim(done, call):
    status, out, error = call("scoreboard", "--json")
    assert (status, error) == (0, "")
    records = json.loads(out)
    assert [(r["id"], r["profile"]) for r in records] == [("C1", "smoke"), ("C2", "smoke")]
    for record in records:
        assert set(KEYS) <= set(record)
        assert all(isinstance(record[key], str) for key in KEYS)
    first = {key: records[0][key] for key in KEYS}
    assert first == {
        "chapter": "toy/sum",
        "id": "C1",
        "statement": "the sum is large",
        "source": "Lemma 1",
        "paper": "2",
        "measured": "total: 12",
        "rule": "total: at least 2",
        "verdict": "reproduced",
        "profile": "smoke",
    }


def test_the_scoreboard_as_text(done, call):
    status, out, error = call("scoreboard")
    assert (status, error) == (0, "")
    assert out.count("toy/sum C") == 2
    assert "12 (smoke)" in out
    assert out.endswith("2 claims: 2 reproduced\n")


def test_the_book_profile_comes_first(done, call):
    toy = Chapter(done, "toy/sum")
    notebook = nbformat.read(toy.run_path("smoke"), as_version=4)
    for output in notebook.cells[-1].outputs:
        for record in output.metadata.get("reprise_ledger", []):
            record["profile"] = "book"
    notebook.metadata.papermill.parameters.clear()
    toy.run_path("book").parent.mkdir(parents=True)
    nbformat.write(notebook, toy.run_path("book"))
    for options, profile in [((), "book"), (("--profile", "smoke"), "smoke")]:
        _, out, _ = call("scoreboard", "--json", *options)
        assert {r["profile"] for r in json.loads(out)} == {profile}


@pytest.mark.parametrize("options", [(), ("--json",), ("--profile", "paper")])
def test_no_runs_are_an_error_with_advice(options, project, call):
    assert_refused(call("scoreboard", *options), "no runs found", "make book PROFILE=smoke")


def test_runs_of_another_profile_are_not_shown(done, call):
    assert_refused(call("scoreboard", "--profile", "paper"), "no runs found")


# notebook, reference, build


def test_the_plain_notebook_is_papermills(project, call):
    status, out, error = call("notebook", "toy/sum")
    path = project / "_build" / "notebooks" / "toy" / "sum.ipynb"
    assert (status, out, error) == (0, f"wrote {path.relative_to(project)}\n", "")
    parameters = papermill.inspect_notebook(str(path))
    assert list(parameters) == ["profile", "n", "weights", "word", "fail"]
    assert parameters["n"]["default"] == "10"
    assert parameters["profile"]["help"] == "which rules judge this run"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert not any(c.get("outputs") for c in notebook.cells)
    assert files_below(path.parent) == {"sum.ipynb"}


def test_the_reference_is_the_current_smoke_run(done, call):
    status, out, error = call("reference", "toy/sum", "--jobs", "1")
    assert (status, error) == (0, "")
    assert out.splitlines() == [
        "toy/sum: smoke run is up to date",
        f"wrote {Path('tests', 'reference', 'toy', 'sum.ipynb')}",
    ]
    path = Chapter(done, "toy/sum").reference
    code = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert code == references.expected_reference_code(Chapter(done, "toy/sum"))


def test_all_chapters_are_referenced_by_default(done, recorded, call):
    assert call("reference")[0] == 0
    assert recorded == [(["toy/sum"], "smoke", {"jobs": 2})]
    assert Chapter(done, "toy/sum").reference.exists()


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ((), [(["toy/sum"], "book", {"jobs": 2}), ("book", ".")]),
        (
            ("--profile", "smoke", "--jobs", "3"),
            [(["toy/sum"], "smoke", {"jobs": 3}), ("smoke", ".")],
        ),
        (("--out", "away"), [(["toy/sum"], "book", {"jobs": 2}), ("book", "away")]),
        (("--no-site",), [(["toy/sum"], "book", {"jobs": 2})]),
    ],
)
def test_build_runs_then_publishes(options, asked, project, recorded, call):
    status, out, error = call("build", *options)
    assert (status, error) == (0, "")
    assert re.fullmatch(r"all done in \d+\.\d s\n", out)
    folders = [(a[0], project / a[1]) if len(a) == 2 else a for a in asked]
    assert recorded == folders


@pytest.mark.parametrize("command", [("build",), ("reference", "toy/sum")])
def test_failed_chapters_end_in_status_1(command, project, monkeypatch, call):
    def run_all(*arguments, **options):
        raise RuntimeError("1 chapter(s) failed\ntoy/sum: ArithmeticError: oh")

    monkeypatch.setattr(running, "run_all", run_all)
    message = "reprise: 1 chapter(s) failed\ntoy/sum: ArithmeticError: oh\n"
    assert call(*command) == (1, "", message)
    assert not Chapter(project, "toy/sum").reference.exists()


# argparse


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("build", "--jobs", "0"), "positive integer, got '0'"),
        (("reference", "--jobs", "-1"), "positive integer, got '-1'"),
        (("build", "--jobs", "two"), "positive integer, got 'two'"),
        (("build", "--jobs", "1.5"), "positive integer, got '1.5'"),
        (("build", "--jobs", "\N{SUPERSCRIPT TWO}"), "--jobs"),
        (("build", "--jobs", ""), "positive integer, got ''"),
        (("build", "--profile", "small"), "invalid choice: 'small'"),
        (("run", "toy/sum", "--profile", "small"), "invalid choice: 'small'"),
        (("run", "toy/sum", "-p", "n"), "expected 2 arguments"),
        (("run",), "chapter"),
        (("sing",), "invalid choice: 'sing'"),
        ((), "COMMAND"),
    ],
)
def test_wrong_arguments_are_refused(arguments, word, project, recorded, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert word in capsys.readouterr().err
    assert recorded == []


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for command in ("run", "scoreboard", "build", "notebook", "reference"):
        assert re.search(rf"(?m)^    {command}\s+\S", out)
