"""`reprise.notebook`: figures that stand in any page, and parameters that are never misspelt."""

import functools
import os
import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import myst_nb
import nbformat
import numpy as np
import pytest
from markup import Tags
from nbclient import NotebookClient

import reprise
from reprise import plotting
from reprise.ledger import Ledger
from reprise.notebook import (
    assigned_names,
    knob_table,
    live,
    open_chapter,
    picture,
    svg,
    table,
)
from reprise.parameters import ParameterError

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"
NAMESPACES = {SVG.strip("{}"), XLINK.strip("{}")}
WORDS = {"caption": "a caption", "alt": "a line"}


pytestmark = pytest.mark.usefixtures("style")


def drawn(shift=0.0):
    """A figure with lines, markers, clipping, text, mathematics, a band and a legend."""
    figure, ax = plt.subplots(figsize=(4.0, 2.5))
    x = np.linspace(1, 10, 12)
    ax.loglog(x, x ** (-2 - shift), marker="o", label="error <T>")
    ax.fill_between(x, 0.5 / x, 2 / x, alpha=0.3)
    ax.scatter(x, 1 / x, color=plotting.COLORS["red"])
    ax.set(xlabel="$T^2$ (epochs)", ylabel="error", title="A & B")
    ax.legend()
    return figure


def small(i):
    figure, ax = plt.subplots(figsize=(2.0, 1.0))
    ax.plot([0, 1], [0, i])
    return figure


@functools.cache
def shown(hero=False):
    """A picture, drawn once for all tests that only read it."""
    return picture(small(1), caption="<b>a</b> & b", alt='Error < 1 "falls" & stays', hero=hero)


@functools.cache
def drawing(shift=0.0):
    """The drawing of `drawn`, likewise."""
    return svg(drawn(shift))


def elements(markup):
    """The drawings in a markup, parsed."""
    return [ET.fromstring(text) for text in re.findall("<svg.*?</svg>", markup, flags=re.DOTALL)]


def ids_of(drawing):
    return [element.get("id") for element in drawing.iter() if element.get("id")]


# Parameters.

CHAPTER = "shuffling/sgdo"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("", {}),
        ("seed = 1\nn: int = 100  # samples", {"seed": "1", "n": "100"}),
        ("a = b = 2 ** 3", {"a": "2 ** 3", "b": "2 ** 3"}),
        ("n = 1\nn = 2", {"n": "2"}),
        ("a, b = 1, 2", {"a": "(1, 2)", "b": "(1, 2)"}),
        ("n: int", {}),
        ("x[i] = y.z = 1\nimport os\nn += 1", {}),
        ("if True:\n    n = 1\nfor i in x:\n    m = i\ndef f():\n    k = 1", {}),
    ],
)
def test_assigned_names_are_those_of_the_top_level(source, names):
    assert assigned_names(source) == names


def test_a_chapter_opens_outside_a_notebook_and_checks_its_parameters():
    names = {"profile": "smoke", "runs": "1e3", "L": 16, "unrelated": object()}
    ledger = open_chapter(CHAPTER, names)
    assert isinstance(ledger, Ledger)
    assert (ledger.chapter, ledger.profile) == (CHAPTER, "smoke")
    assert plt.rcParams["text.color"] == plotting.INK
    # texts that spell numbers became numbers, what was not given has its default
    assert (names["runs"], names["L"], names["seed"]) == (1000, 16.0, 0)
    assert ledger.parameters == {name: names[name] for name in ledger.parameters}
    shown = {row[0]: row[1] for row in knob_table(ledger).rows}
    assert list(shown) == list(ledger.parameters)
    assert (shown["runs"], shown["profile"]) == ("1000", '"smoke"')
    assert shown["K_grid"] == "[30, 31, ..., 199]"


@pytest.mark.parametrize(
    ("name", "value"), [("profile", "large"), ("L", 1), ("runs", True), ("K_grid", 30)]
)
def test_a_chapter_does_not_open_with_a_value_that_it_must_not_have(name, value):
    with pytest.raises(ParameterError, match=f"{name} must be .*, got {value!r}"):
        open_chapter(CHAPTER, {name: value})


# Live numbers.


def glued(monkeypatch, *arguments):
    """What `live` hands over."""
    stored = {}

    def glue(name, value, display):
        stored[name] = (repr(value), display)

    monkeypatch.setattr(myst_nb, "glue", glue)
    live("sgdo_slope", *arguments)
    return stored


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.123456, 3, "0.123"),
        (0.123456, 5, "0.12346"),
        (np.float64(-1.98765), 3, "-1.99"),
        (1.5e-9, 3, "1.5e-09"),
        (2.0, 3, "2"),
        (123456, 3, "123456"),
        (np.int64(123456), 3, "123456"),
        ("not reproduced", 3, "not reproduced"),
        (True, 3, "True"),
        (np.float32(0.123456), 3, "0.123"),
        (float("inf"), 3, "inf"),
    ],
)
def test_live_numbers_are_rounded(value, digits, shown, monkeypatch):
    assert glued(monkeypatch, value, digits) == {"sgdo_slope": (shown, False)}


@pytest.mark.parametrize("value", [0.8125, 1.125, -2.375, 1.005, 1234.5, 3.125e-7])
@pytest.mark.parametrize("change", [1 + 1e-9, 1 - 1e-9])
def test_live_numbers_do_not_see_a_relative_change_of_1e_9(value, change, monkeypatch):
    assert glued(monkeypatch, value * change) == glued(monkeypatch, value)


# All of it in a kernel.

CELLS = {
    "defaults": "seed = 1\nprofile = 'book'",
    "injected": "# Parameters\nseed = 3\nprofile = 'smoke'",
    "open": "from reprise import notebook\nnotebook.open_chapter('shuffling/sgdo', globals())",
    "live": "notebook.live('slope', -1.98765)\nnotebook.live('word', 'yes')",
    "picture": (
        "import matplotlib.pyplot as plt\nfigure, ax = plt.subplots(figsize=(2, 1))\n"
        "notebook.picture(figure, caption='A caption.', alt='Empty axes.')"
    ),
    "again": "seed = 1",
    "misspelt": "# Parameters\nsede = 3",
    "refused": "notebook.open_chapter('shuffling/sgdo', globals())",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each of `CELLS` shows, run in order by a real kernel."""
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    executed = nbformat.v4.new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(Path(reprise.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        NotebookClient(executed, kernel_name="python3", timeout=60, allow_errors=True).execute()
    return dict(zip(CELLS, [cell.outputs for cell in executed.cells], strict=True))


def test_a_run_with_known_parameters_opens(outputs):
    (output,) = outputs["open"]
    assert output["data"]["text/plain"].startswith("shuffling/sgdo, profile smoke")


def test_a_run_with_a_misspelt_parameter_stops(outputs):
    (output,) = outputs["refused"]
    assert output["output_type"] == "error"
    assert output["ename"] == "ParameterError"
    assert "'sede'" in output["evalue"]


def test_live_numbers_are_stored_without_being_shown(outputs):
    stored = {}
    for output in outputs["live"]:
        assert not {"text/plain", "text/html"} & set(output["data"])
        name = output["metadata"]["scrapbook"]["name"]
        stored[name] = output["data"]["application/papermill.record/text/plain"]
    assert stored == {"slope": "-1.99", "word": "yes"}


def test_a_picture_is_text_to_tests_and_a_figure_to_readers(outputs):
    (output,) = outputs["picture"]  # one output: the figure itself is not shown a second time
    assert output["data"]["text/plain"] == "Figure: A caption."
    assert output["data"]["text/html"].startswith("<figure")
    assert "image/png" not in output["data"]


# Drawings.


def test_a_drawing_takes_its_ink_from_the_page():
    assert plotting.INK not in drawing().lower()
    assert "currentColor" in drawing()
    assert plotting.COLORS["blue"] in drawing()
    assert plotting.COLORS["red"] in drawing()
    assert "#ffffff" not in drawing().lower()  # no page of its own behind it


def test_a_drawing_scales_with_the_page():
    (root,) = elements(drawing())
    assert re.fullmatch("<svg .*</svg>\\s*", drawing())
    assert root.get("viewBox") == "0 0 288 180"  # 4 x 2.5 inches in points
    assert root.get("height") is None
    assert root.get("width") is None
    style = dict(item.strip().split(":") for item in root.get("style").split(";"))
    assert (style["width"], style["max-width"]) == ("100%", "384px")


def test_only_the_drawing_itself_loses_its_size():
    (clip,) = {e.get("height") for e in elements(drawing())[0].iter(f"{SVG}rect")}
    assert 0 < float(clip) < 180


def test_a_drawing_has_no_metadata():
    assert "<metadata" not in drawing()
    assert "<!DOCTYPE" not in drawing()
    assert not re.search("Matplotlib|[0-9]{4}-[0-9]{2}-[0-9]{2}T", drawing())


def test_the_same_drawing_gives_the_same_text():
    assert svg(drawn()) == drawing()
    assert drawing() != drawing(0.5)


def test_a_drawn_figure_is_closed():
    figure = small(1)
    other = plt.figure()
    svg(figure)
    assert plt.get_fignums() == [other.number]


def raw(figure, path):
    """What matplotlib itself writes."""
    with matplotlib.rc_context({"svg.hashsalt": "reprise", "svg.fonttype": "path"}):
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
    return ET.parse(path).getroot()


def test_transforms_and_path_commands_are_untouched(tmp_path):
    before = raw(drawn(), tmp_path / "a.svg")
    (after,) = elements(drawing())

    def transforms(root):
        return [e.get("transform") for e in root.iter() if e.get("transform")]

    assert transforms(after) == transforms(before)
    assert "scale(0.015625)" in transforms(after)  # a glyph's: 1/64, not 0.02
    paths = [[e.get("d", "") for e in root.iter(f"{SVG}path")] for root in (before, after)]
    assert len(paths[0]) == len(paths[1]) > 20
    for one, other in zip(*paths, strict=True):
        assert re.findall("[A-Za-z]", one) == re.findall("[A-Za-z]", other)
        numbers = [np.array(re.findall(r"-?[\d.]+", d), dtype=float) for d in (one, other)]
        np.testing.assert_allclose(*numbers, rtol=0, atol=0.00501)  # points


def references_of(root):
    """The ids that a drawing's glyphs and its clip paths refer to."""
    texts = [text for element in root.iter() for text in element.attrib.values()]
    glyphs = [e.get("href").removeprefix("#") for e in root.iter(f"{SVG}use")]
    return glyphs, [name for text in texts for name in re.findall(r"url\(#([^)]*)\)", text)]


def test_groups_have_no_ids():
    (root,) = elements(drawing())
    assert not [group.get("id") for group in root.iter(f"{SVG}g") if group.get("id")]


def markup_of(kind):
    """Several drawings as they meet on one page."""
    if kind == "two figures":
        return drawing() + drawing(0.5)
    if kind == "two salts":
        return svg(small(1), salt="a") + svg(small(1), salt="b")
    pictures = [picture(small(1), caption=c, alt="a line") for c in ("one", "other")]
    return "".join(p.markup for p in pictures)


@pytest.mark.parametrize("kind", ["two figures", "two salts", "two captions"])
def test_drawings_on_one_page_share_no_ids_and_answer_their_own_references(kind):
    roots = elements(markup_of(kind))
    assert len(roots) >= 2
    ids = [name for root in roots for name in ids_of(root)]
    assert max(Counter(ids).values()) == 1
    for root in roots:
        glyphs, clips = references_of(root)
        assert glyphs
        assert set(glyphs) <= set(ids_of(root))
        assert set(clips) == {e.get("id") for e in root.iter(f"{SVG}clipPath")} != set()


def test_every_reference_in_the_text_has_the_prefix_of_its_drawing():
    names = re.findall(r'(?: id="|url\(#|href="#)([^")]*)', drawing())
    assert len({name[:9] for name in names}) == 1
    assert re.fullmatch("r[0-9a-f]{8}", names[0][:9])  # an id must not begin with a digit


def test_a_drawing_styles_nothing_but_itself(tmp_path):
    assert "<style" not in drawing()
    (before,) = raw(drawn(), tmp_path / "a.svg").iter(f"{SVG}style")
    rules = re.fullmatch(r"\s*\*\s*\{(.*)\}\s*", before.text)[1]  # one rule, for everything
    (root,) = elements(drawing())
    for rule in rules.split(";"):
        assert rule.strip() in [item.strip() for item in root.get("style").split(";")]


# Pictures.


def test_a_picture_speaks_to_screen_readers():
    (root,) = elements(shown().markup)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'Error < 1 "falls" & stays'


def test_a_caption_is_escaped_in_the_page_and_plain_in_text():
    assert "<figcaption>&lt;b&gt;a&lt;/b&gt; &amp; b</figcaption>" in shown().markup
    assert repr(shown()) == "Figure: <b>a</b> & b"
    assert shown()._repr_html_() == shown().markup


@pytest.mark.parametrize("hero", [False, True])
def test_a_hero_is_marked(hero):
    (attributes,) = Tags(shown(hero).markup).of("figure")
    assert attributes.get("data-hero") == ("true" if hero else None)
    assert attributes["class"] == "reprise-figure"


def test_a_picture_closes_its_figure():
    picture(small(1), **WORDS)
    assert plt.get_fignums() == []


def test_a_picture_asks_no_other_host():
    assert set(re.findall(r"https?://[^\"' ]*", shown().markup)) <= NAMESPACES
    assert not re.search(r"<(link|script|img|iframe)|@import| src=", shown().markup)


# --- tables ---------------------------------------------------------------------------------------


def test_a_table_is_text_for_the_tests_and_html_for_the_page():
    made = table(["order", "rate"], [("a < b", "$\\frac{1}{K}$"), ("c", "–")])
    assert repr(made) == "order  rate\na < b  $\\frac{1}{K}$\nc      –"
    markup = made._repr_html_()
    assert "<th>order</th><th>rate</th>" in markup
    assert "<td>a &lt; b</td>" in markup
    assert '<span class="math notranslate nohighlight">\\(\\frac{1}{K}\\)</span>' in markup


def test_a_tables_rows_have_the_heads_cells():
    with pytest.raises(ValueError, match="rows must hold 2 cells, got 1"):
        table(["a", "b"], [("c",)])
