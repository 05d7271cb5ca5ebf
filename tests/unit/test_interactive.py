"""`reprise.interactive`: one mechanism for all that moves, whole in itself and named for all."""

import json
import re
import xml.etree.ElementTree as ET

import matplotlib.pyplot as plt
import pytest
from markup import Tags

from reprise.interactive import HERE, Slider, player, widget

SVG = "{http://www.w3.org/2000/svg}"
WORDS = {"caption": "a caption", "alt": "a line"}
SLIDERS = [Slider("scale", "scale of <i>", -2, 2, 0.25, 1), Slider("shift", "", 0, 9, 1, 3)]
WORST = ["RMS error", "k < 5", "Adam's step", "a\\b", "</script><b>", '" onload="x']


pytestmark = pytest.mark.usefixtures("style")


def neuron(**options):
    return widget("neuron", **{"sliders": SLIDERS, "data": {"weight": 0.8}} | WORDS | options)


def data_of(made):
    """What the script of a widget reads."""
    return json.loads(re.search('<script type="application/json">(.*?)</script>', made.markup)[1])


def moving(change):
    """A figure and the function that draws its frames."""
    figure, ax = plt.subplots(figsize=(2.0, 1.0))
    ax.set(ylim=(0, 10), ylabel="error")
    (line,) = ax.plot([0, 1], [0, 0])
    return figure, lambda i: change(ax, line, i)


def rising(frames=3, **options):
    return player(*moving(lambda ax, line, i: line.set_ydata([0, i])), frames, **WORDS | options)


def drawing_of(made):
    """The drawing that a page shows before any script runs."""
    return ET.fromstring(re.search("<svg.*?</svg>", made.markup, re.DOTALL)[0])


def frames_of(made):
    """Every frame as the script of a player makes it: the last one with attributes changed."""
    moves = data_of(made)["moves"]
    for frame in range(len(data_of(made)["labels"])):
        root = drawing_of(made)
        elements = list(root.iter())
        for element, name, values, at in moves:
            elements[element].set(name, values[at[frame]])
        yield root


def paths_of(root):
    return [element.get("d") for element in root.iter(f"{SVG}path")]


def test_a_widget_has_a_slider_for_each_number_and_a_drawing():
    made = neuron(plays="shift")
    tags = Tags(made.markup)
    named = ("name", "aria-label", "min", "max", "step", "value")
    assert [[t[name] for name in named] for t in tags.of("input")] == [
        ["scale", "scale of <i>", "-2", "2", "0.25", "1"],
        ["shift", "shift", "0", "9", "1", "3"],
    ]
    (drawing,) = tags.of("svg")
    assert (drawing["role"], drawing["aria-label"]) == ("img", "a line")
    (button,) = tags.of("button")
    assert (button["data-plays"], button["aria-label"]) == ("shift", "play or pause")
    assert not tags.of("i")
    assert "aria-live" in made.markup
    assert repr(made) == "Figure: a caption"


@pytest.mark.parametrize("script", sorted(p.stem for p in HERE.glob("*.js") if p.stem != "widget"))
def test_a_widget_is_whole_in_itself(script):
    markup = widget(script, sliders=SLIDERS, **WORDS).markup
    program = re.search("<script>(.*)</script>", markup, re.DOTALL)[1]
    assert "http" not in program
    assert not re.search(r"\bimport\b|fetch|require|src=|getElementById", program)
    # several widgets on a page do not meet: only the theme is read from the page itself
    assert program.count("document.") == program.count("document.currentScript") + program.count(
        "document.documentElement"
    )
    assert "WIDGET" not in program


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sliders": []}, "sliders must hold at least one, got none"),
        ({"plays": "speed"}, "plays must name a slider, got 'speed'"),
    ],
)
def test_a_widget_refuses(options, words):
    with pytest.raises(ValueError, match=words):
        neuron(**options)


def test_an_unknown_script_and_a_slider_outside_its_range_are_refused():
    with pytest.raises(ValueError, match=r"script must be one of capacity, .*, got 'dance'"):
        widget("dance", sliders=SLIDERS, **WORDS)
    with pytest.raises(ValueError, match=r"slider n must start in \[1, 9\], got 10"):
        Slider("n", "n", 1, 9, 1, 10)


def test_words_cannot_break_out():
    made = neuron(caption="</script><b>", alt='"</script>', data={"names": WORST})
    assert data_of(made)["names"] == WORST
    assert not Tags(made.markup).of("b")
    assert made.markup.count("</script>") == 2


@pytest.mark.parametrize("frames", [2, 5])
def test_a_player_shows_the_last_frame_and_holds_what_moves(frames):
    made = rising(frames)
    assert plt.get_fignums() == []
    (slider,) = Tags(made.markup).of("input")
    last = str(frames - 1)
    assert (slider["min"], slider["max"], slider["value"]) == ("0", last, last)
    assert made.markup.count("<svg") == 1
    assert len(data_of(made)["moves"]) == 1  # one path, and nothing of the axes
    for i, root in enumerate(frames_of(made)):
        figure, update = moving(lambda ax, line, i: line.set_ydata([0, i]))
        alone = player(figure, lambda k, i=i, u=update: u(i), 2, **WORDS)
        assert paths_of(root) == paths_of(drawing_of(alone))


def test_frames_with_other_elements_are_kept_whole():
    made = player(*moving(lambda ax, line, i: ax.text(0, i, "x" * (i + 1))), 3, **WORDS)
    drawings = data_of(made)["drawings"]
    assert len(drawings) == 3
    assert all(ET.fromstring(drawing).get("aria-label") == "a line" for drawing in drawings)
    assert "moves" not in data_of(made)


def test_frames_are_drawn_once_and_in_order_in_one_layout():
    seen, boxes = [], []

    def change(ax, line, i):
        seen.append(i)
        line.set_ydata([0, 10.0 ** (3 * i)])
        ax.set(ylim=(0, 10.0 ** (3 * i)), ylabel="error\n" * i, title="t\n" * i)
        ax.figure.draw_without_rendering()  # a layout engine would act here
        boxes.append(ax.get_position().bounds)

    player(*moving(change), 3, **WORDS)
    assert seen == [0, 1, 2]
    assert boxes == [boxes[0]] * 3


def test_frames_have_labels():
    assert data_of(rising(6, labels=WORST))["labels"] == WORST
    assert data_of(rising(2))["labels"] == ["frame 0", "frame 1"]


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "c", "d"], ("a", "b")], ids=repr)
def test_labels_are_one_a_frame(labels):
    with pytest.raises(ValueError, match=f"labels must be one a frame, 3, got {len(labels)}"):
        rising(3, labels=labels)


@pytest.mark.parametrize("frames", [1, 0, -3])
def test_a_player_needs_two_frames(frames):
    with pytest.raises(ValueError, match=f"frames must be an integer of at least 2, got {frames}"):
        rising(frames)


def test_the_script_keeps_the_pace():
    (button,) = Tags(rising(2, interval_ms=40).markup).of("button")
    assert button["data-interval"] == "40"


def test_the_same_player_gives_the_same_text():
    assert rising(2) == rising(2)
