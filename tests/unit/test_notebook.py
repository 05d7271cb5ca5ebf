"""`reprise.notebook`: figures that stand in any page, and parameters that are never misspelt."""

import functools
import os
import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import myst_nb
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import reprise
from reprise import plotting
from reprise.ledger import Ledger
from reprise.notebook import (
    assigned_names,
    explorer,
    live,
    open_chapter,
    picture,
    player,
    refuse_unknown_parameters,
    svg,
    table,
)

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"
NAMESPACES = {SVG.strip("{}"), XLINK.strip("{}")}
WORDS = {"caption": "a caption", "alt": "a line"}


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context():
        plotting.use_style()
        yield
    plt.close("all")


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


class Tags(HTMLParser):
    """All start tags of a markup with their attributes."""

    def __init__(self, markup):
        super().__init__()
        self.found = []
        self.feed(markup)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def of(self, tag, **wanted):
        return [a for t, a in self.found if t == tag and wanted.items() <= a.items()]


# Parameters.

DEFAULTS = "seed = 1\nn: int = 100  # samples\nprofile = 'book'"


@pytest.mark.parametrize(
    "cells",
    [
        [],
        ["import numpy as np", DEFAULTS, "x = 1"],
        ["import numpy as np", DEFAULTS, "# Parameters\nseed = 3\n", "x = 1"],
        [DEFAULTS, "# Parameters\nseed = 3\nn = 10\nprofile = 'smoke'"],
        [DEFAULTS, "\n# Parameters\nn: int = 10"],
        [DEFAULTS, "# Parameters\n"],
        ["a = b = 1", "# Parameters\nb = 2"],
        ["a, b = 1, 2", "# Parameters\nb = 2"],
        ["(a, [b, *c]) = 1, [2, 3]", "# Parameters\nb = 2\nc = []"],
        ["import numpy as np", "# Parameters of the run\nseed = 1"],
    ],
)
def test_parameters_of_the_chapter_are_accepted(cells):
    assert refuse_unknown_parameters(cells) is None


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        ([DEFAULTS, "# Parameters\nsede = 3"], "sede"),
        (["sede = 3", DEFAULTS, "# Parameters\nseed = 3\nsede = 3"], "sede"),
        ([DEFAULTS, "# Parameters\nSeed = 3"], "Seed"),
        ([DEFAULTS, "# Parameters\nm: int = 3"], "m"),
        ([DEFAULTS + "\nif True:\n    inner = 1", "# Parameters\ninner = 3"], "inner"),
        (["# Parameters\nseed = 3", DEFAULTS], "seed"),
        (["# Parameters\nseed = 3"], "seed"),
        (["a, b = 1, 2", "# Parameters\na, c = 3, 4"], "c"),
        (["seed: int", "# Parameters\nseed = 3"], "seed"),
        (["x = {}\nx['n'] = n.m = 1", "# Parameters\nn = 3"], "n"),
    ],
)
def test_an_unknown_parameter_is_refused_by_name(cells, name):
    with pytest.raises(ValueError, match=f"parameter '{name}' is not one of this chapter"):
        refuse_unknown_parameters(cells)


def test_the_refusal_says_what_is_allowed():
    with pytest.raises(ValueError, match=r"n, profile, seed$"):
        refuse_unknown_parameters([DEFAULTS, "# Parameters\nsede = 3"])


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("", {}),
        (DEFAULTS, {"seed": "1", "n": "100", "profile": "'book'"}),
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


def test_a_chapter_opens_outside_a_notebook():
    ledger = open_chapter("part/slug", profile="smoke")
    assert isinstance(ledger, Ledger)
    assert (ledger.chapter, ledger.profile) == ("part/slug", "smoke")
    assert plt.rcParams["text.color"] == plotting.INK


def test_a_chapter_opens_at_a_known_profile_only():
    with pytest.raises(ValueError, match="profile must be one of"):
        open_chapter("part/slug", profile="large")


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
    "open": "from reprise import notebook\nnotebook.open_chapter('a/b', profile=profile)",
    "live": "notebook.live('slope', -1.98765)\nnotebook.live('word', 'yes')",
    "picture": (
        "import matplotlib.pyplot as plt\nfigure, ax = plt.subplots(figsize=(2, 1))\n"
        "notebook.picture(figure, caption='A caption.', alt='Empty axes.')"
    ),
    "again": "seed = 1",
    "misspelt": "# Parameters\nsede = 3",
    "refused": "notebook.open_chapter('a/b', profile=profile)",
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
    assert output["data"]["text/plain"].startswith("a/b, profile smoke")


def test_a_run_with_a_misspelt_parameter_stops(outputs):
    (output,) = outputs["refused"]
    assert output["output_type"] == "error"
    assert output["ename"] == "ValueError"
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
    glyphs = [e.get(f"{XLINK}href").removeprefix("#") for e in root.iter(f"{SVG}use")]
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
    if kind == "two captions":
        pictures = [picture(small(1), caption=c, alt="a line") for c in ("one", "other")]
        return "".join(p.markup for p in pictures)
    return player(small(1), lambda i: None, 3, **WORDS).markup  # equal frames


@pytest.mark.parametrize("kind", ["two figures", "two salts", "two captions", "equal frames"])
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


# Players.


def moving_line():
    """A figure and the function that draws its frame i: a line from 0 to i."""
    figure, ax = plt.subplots(figsize=(2.0, 1.0))
    ax.set(ylim=(0, 10), ylabel="error")
    (line,) = ax.plot([0, 1], [0, 0])

    def update(i):
        line.set_ydata([0, i])

    return figure, update


def play(frames=3, **options):
    return player(*moving_line(), frames, **WORDS | options)


def script_of(moving):
    return re.search("<script>(.*)</script>", moving.markup, flags=re.DOTALL)[1]


def frames_of(moving):
    return Tags(moving.markup).of("div", **{"class": "frame"})


def paths_of(root):
    return [element.get("d") for element in root.iter(f"{SVG}path")]


@pytest.mark.parametrize("frames", [2, 5])
def test_a_player_has_all_frames_and_shows_the_last(frames):
    moving = play(frames)
    tags = Tags(moving.markup)
    hidden = ["hidden" in attributes for attributes in frames_of(moving)]
    assert hidden == [True] * (frames - 1) + [False]  # a still page shows where it ends
    assert len(elements(moving.markup)) == frames
    assert plt.get_fignums() == []
    (slider,) = tags.of("input", type="range")
    last = str(frames - 1)
    assert (slider["min"], slider["max"], slider["value"]) == ("0", last, last)
    assert len(tags.of("button")) == 1
    (output,) = re.findall("<output>(.*)</output>", moving.markup)
    assert output == frames_of(moving)[-1]["data-label"]


def test_frames_are_drawn_once_and_in_order():
    seen = []
    figure, update = moving_line()
    moving = player(figure, lambda i: seen.append(i) or update(i), 3, **WORDS)
    assert seen == [0, 1, 2]
    for i, root in enumerate(elements(moving.markup)):
        figure, update = moving_line()
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        update(i)
        assert paths_of(root) == paths_of(elements(svg(figure))[0])


def test_the_layout_does_not_change_between_frames():
    figure, ax = plt.subplots(figsize=(3.0, 2.0))
    (line,) = ax.plot([0, 1], [0, 1])
    boxes = []

    def update(i):
        line.set_ydata([0, 10.0 ** (3 * i)])
        ax.set(ylim=(0, 10.0 ** (3 * i)), ylabel="error\n" * i, title="t\n" * i)
        ax.ticklabel_format(style="plain")
        figure.draw_without_rendering()  # a layout engine would act here
        boxes.append(ax.get_position().bounds)

    figure.draw_without_rendering()
    before = ax.get_position().bounds
    roots = elements(player(figure, update, 3, **WORDS).markup)
    assert boxes == [boxes[0]] * 3
    assert boxes[0] == pytest.approx(before, abs=0.01)
    clips = [[dict(e.attrib) for e in root.iter(f"{SVG}rect")] for root in roots]
    assert clips[0] == clips[1] == clips[2] != []
    assert {root.get("viewBox") for root in roots} == {"0 0 216 144"}


def test_frames_have_labels():
    moving = play(3, labels=["T = 1", "T = 10", 'k < 5 & "x"'])
    assert [frame["data-label"] for frame in frames_of(moving)] == [
        "T = 1",
        "T = 10",
        'k < 5 & "x"',
    ]
    assert "<output>k &lt; 5 &amp; &quot;x&quot;</output>" in moving.markup


def test_frames_are_numbered_by_default():
    assert [frame["data-label"] for frame in frames_of(play(2))] == ["frame 0", "frame 1"]


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "c", "d"], ("a", "b")], ids=repr)
def test_labels_are_one_a_frame(labels):
    with pytest.raises(ValueError, match=f"labels must be one a frame, 3, got {len(labels)}"):
        play(3, labels=labels)


def test_every_frame_and_control_has_a_name():
    moving = play(2)
    assert [root.get("aria-label") for root in elements(moving.markup)] == ["a line"] * 2
    assert {root.get("role") for root in elements(moving.markup)} == {"img"}
    tags = Tags(moving.markup)
    assert tags.of("button")[0]["aria-label"] == "play or pause"
    assert tags.of("input")[0]["aria-label"] == "frame"


def test_a_player_is_whole_in_itself():
    moving = play(2)
    assert "http" not in script_of(moving)
    assert not re.search(r"\bimport\b|fetch|require|src=", script_of(moving))
    assert set(re.findall(r"https?://[^\"' ]*", moving.markup)) <= NAMESPACES
    assert moving.markup.count("<script>") == moving.markup.count("</script>") == 1
    assert not re.search(r"\bid=|getElementById|document\.query", script_of(moving))
    assert "currentScript" in script_of(moving)  # two players on a page do not meet


def test_the_script_keeps_the_pace():
    moving = play(2, interval_ms=40)
    (attributes,) = Tags(moving.markup).of("figure")
    assert attributes["data-interval"] == "40"
    assert attributes["class"] == "reprise-figure reprise-player"
    assert "dataset.interval" in script_of(moving)


WORST = ["RMS error", "k < 5", "Adam's step", "a\\b", "</script><b>", '" onload="x']


def test_the_script_is_the_same_whatever_the_words():
    moving = play(len(WORST), labels=WORST, caption="</script>", alt='"</script>')
    assert script_of(moving) == script_of(play(2))
    assert [frame["data-label"] for frame in frames_of(moving)] == WORST
    assert moving.markup.count("</script>") == 1
    assert not Tags(moving.markup).of("b")
    assert all(set(frame) <= {"class", "data-label", "hidden"} for frame in frames_of(moving))
    assert {root.get("aria-label") for root in elements(moving.markup)} == {'"</script>'}
    assert "dataset.label" in script_of(moving)  # read from there as plain text
    assert "textContent" in script_of(moving)
    assert "innerHTML" not in script_of(moving)


def test_captions_of_players_are_escaped():
    moving = play(2, caption="<i>k</i>")
    assert "<figcaption>&lt;i&gt;k&lt;/i&gt;</figcaption>" in moving.markup
    assert repr(moving) == "Figure: <i>k</i>"


@pytest.mark.parametrize("frames", [1, 0, -3])
def test_a_player_needs_two_frames(frames):
    with pytest.raises(ValueError, match=f"frames must be at least 2, got {frames}"):
        play(frames)


def test_the_same_player_gives_the_same_text():
    assert play(2) == play(2)


# --- explorers ------------------------------------------------------------------------------------

SLIDERS = [("n", "size <i>n</i>", 1, 9, 1, 4), ("rate", "rate", 0, 1, 0.25, 0.5)]
MODEL = "return {labels: [1, 2], values: [v.n, 2 * v.rate], x: 'bars', y: 'height'};"


def test_an_explorer_has_a_slider_for_each_number_and_a_drawing():
    made = explorer(SLIDERS, MODEL, **WORDS)
    tags = Tags(made.markup)
    shown = [(t["name"], t["min"], t["max"], t["step"], t["value"]) for t in tags.of("input")]
    assert shown == [("n", "1", "9", "1", "4"), ("rate", "0", "1", "0.25", "0.5")]
    assert re.findall("<output>(.*?)</output>", made.markup) == ["4", "0.5"]
    assert "<span>size <i>n</i></span>" in made.markup
    (drawing,) = tags.of("svg")
    assert (drawing["role"], drawing["aria-label"]) == ("img", "a line")
    assert MODEL in made.markup
    assert repr(made) == "Figure: a caption"


def test_an_explorer_is_whole_in_itself():
    made = explorer(SLIDERS, MODEL, **WORDS)
    assert "http" not in made.markup
    assert not re.search(r"\bimport\b|fetch|require|src=|getElementById", made.markup)
    assert "currentScript" in made.markup


@pytest.mark.parametrize(
    ("sliders", "text"),
    [
        ([], "sliders must hold at least one, got none"),
        ([("n", "n", 1, 9, 1, 10)], "slider n must start in [1, 9], got 10"),
    ],
)
def test_an_explorer_refuses(sliders, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        explorer(sliders, MODEL, **WORDS)


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
