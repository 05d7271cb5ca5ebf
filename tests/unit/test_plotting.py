"""`reprise.plotting`: curves at the right values, in colours that both themes can show."""

import itertools
import math

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import is_color_like, to_hex, to_rgb

from reprise import plotting
from reprise.plotting import COLORS, INK, MARKERS

PAGES = {"light": "#ffffff", "dark": "#121212"}


pytestmark = pytest.mark.usefixtures("style")


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


@pytest.fixture
def log_ax(ax):
    ax.set(xscale="log", yscale="log")
    return ax


# Colours.


def luminance(color):
    """Relative luminance as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other):
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_formula():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", COLORS)
def test_colours_are_seen_on_both_pages(name, page):
    assert contrast(COLORS[name], PAGES[page]) >= 3


def test_colours_are_distinct_and_none_is_the_ink():
    assert len({to_hex(color) for color in COLORS.values()} | {INK}) == len(COLORS) + 1
    assert len(set(MARKERS)) == len(MARKERS) >= len(COLORS)


INKED = [
    "text.color",
    "axes.edgecolor",
    "axes.labelcolor",
    "xtick.color",
    "ytick.color",
    "grid.color",
    "hatch.color",
]


@pytest.mark.parametrize("name", INKED)
def test_the_style_draws_text_and_axes_in_ink(name):
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        plotting.use_style()
        assert plt.rcParams[name] == INK


def test_the_style_cycles_through_the_colours(ax):
    assert plt.rcParams["axes.prop_cycle"].by_key()["color"] == list(COLORS.values())
    assert all(map(is_color_like, COLORS.values()))


def test_the_style_needs_no_display():
    assert matplotlib.get_backend().lower() == "agg"


def test_the_style_may_be_set_twice():
    before = dict(plt.rcParams)
    plotting.use_style()
    assert dict(plt.rcParams) == before


# Means and bands.


def band_of(ax):
    """Lower and upper edge of the only band, by x."""
    (band,) = ax.collections
    edges = {}
    for x, y in band.get_paths()[0].vertices:
        edges.setdefault(float(x), []).append(float(y))
    return {x: (min(ys), max(ys)) for x, ys in edges.items()}


@pytest.mark.parametrize("scale", [1.0, 0.25, [1.0, 2.0, 0.5]])
def test_mean_and_band_have_the_right_values(ax, scale):
    x = [1, 10, 100]
    runs = np.random.default_rng(0).normal([[3.0], [2.0], [1.0]], 0.5, size=(3, 7))
    plotting.mean_with_band(ax, x, runs, label="SGD", color="orange", marker="s", scale=scale)
    factors = np.broadcast_to(scale, 3)
    means = [sum(row) / 7 * f for row, f in zip(runs, factors, strict=True)]
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), x)
    np.testing.assert_allclose(line.get_ydata(), means)
    assert (line.get_label(), line.get_marker()) == ("SGD", "s")
    for at, row, factor, mean in zip(x, runs, factors, means, strict=True):
        variance = sum((v - sum(row) / 7) ** 2 for v in row) / 6
        half = 1.96 * math.sqrt(variance / 7) * factor
        np.testing.assert_allclose(band_of(ax)[at], (mean - half, mean + half))


def test_mean_and_band_share_a_colour(ax):
    plotting.mean_with_band(ax, [0, 1], [[1, 2], [3, 4]], label="a", color="green")
    assert to_hex(ax.lines[0].get_color()) == COLORS["green"]
    assert to_hex(ax.collections[0].get_facecolor()[0]) == COLORS["green"]
    assert 0 < ax.collections[0].get_alpha() < 1


def test_equal_runs_have_a_band_of_no_height(ax):
    plotting.mean_with_band(ax, [0, 1], [[2, 2], [5, 5]], label="a", color="blue")
    assert band_of(ax) == {0.0: (2.0, 2.0), 1.0: (5.0, 5.0)}


@pytest.mark.parametrize(
    ("x", "runs"),
    [
        ([1, 2], [1.0, 2.0]),
        ([1, 2], [[1.0], [2.0]]),
        ([1, 2, 3], [[1.0, 2.0], [3.0, 4.0]]),
        ([1, 2], np.ones((3, 2))),
        ([1, 2], np.ones((2, 2, 2))),
        ([1, 2], np.ones((2, 0))),
    ],
)
def test_runs_of_another_shape_are_refused(ax, x, runs):
    with pytest.raises(ValueError, match="runs must have shape"):
        plotting.mean_with_band(ax, x, runs, label="a", color="blue")
    assert [*ax.lines, *ax.collections] == []


@pytest.mark.parametrize("color", ["pink", "", "#3f87c7", "Blue"])
def test_unknown_colours_are_refused(ax, color):
    with pytest.raises(ValueError, match=r"color must be one of blue, .*got"):
        plotting.mean_with_band(ax, [1, 2], np.ones((2, 2)), label="a", color=color)
    assert [*ax.lines, *ax.collections] == []


# Guide lines.


@settings(max_examples=30, deadline=None)
@given(
    st.floats(-4, 4),
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.lists(st.floats(-2, 4), min_size=2, max_size=5, unique_by=lambda v: round(v, 1)),
)
def test_a_guide_has_its_slope_and_passes_through_its_point(exponent, log_x0, log_y0, log_x):
    ax = plt.figure().add_subplot()
    try:
        x = 10.0 ** np.array(log_x)
        plotting.guide_line(ax, x, exponent, (10.0**log_x0, 10.0**log_y0), "1/T")
        a, b = np.log10(ax.lines[0].get_data())
    finally:
        plt.close(ax.figure)
    assert a == pytest.approx([min(log_x), max(log_x)])
    assert (b[1] - b[0]) / (a[1] - a[0]) == pytest.approx(exponent, abs=1e-6)
    assert b == pytest.approx(log_y0 + exponent * (a - log_x0), abs=1e-9)


def test_a_guide_is_a_dashed_line_in_ink_labelled_at_its_end(log_ax):
    plotting.guide_line(log_ax, [10, 1000, 1], -2, (10, 0.5), "slope -2")
    (line,) = log_ax.lines
    (label,) = log_ax.texts
    assert line.get_color() == INK
    assert line.is_dashed()
    assert label.get_text() == "slope -2"
    assert label.xy == pytest.approx((1000, 5e-5))
    assert log_ax.get_legend_handles_labels() == ([], [])  # its label is beside it


# Ticks.


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([30, 100, 300], ["30", "100", "300"]),
        ((0.5, 1, 2.5), ["0.5", "1", "2.5"]),
        (np.array([16, 64]), ["16", "64"]),
    ],
)
def test_ticks_are_plain_numbers_where_asked(log_ax, axis, values, labels):
    log_ax.plot(values, values)
    plotting.decimal_log_ticks(log_ax, values, axis)
    log_ax.figure.draw_without_rendering()
    axes = {"x": log_ax.xaxis, "y": log_ax.yaxis}
    for name, target in axes.items():
        shown = [label.get_text() for label in target.get_ticklabels()]
        if name == axis:
            assert shown == labels
            assert list(target.get_ticklocs()) == list(values)
            assert list(target.get_ticklocs(minor=True)) == []
        else:
            assert shown != labels
    assert (log_ax.get_xscale(), log_ax.get_yscale()) == ("log", "log")


@pytest.mark.parametrize("axis", ["z", "X", "", "both", None])
def test_ticks_belong_to_a_known_axis(log_ax, axis):
    before = [list(target.get_ticklocs()) for target in (log_ax.xaxis, log_ax.yaxis)]
    with pytest.raises(ValueError, match=f"axis must be 'x' or 'y', got {axis!r}"):
        plotting.decimal_log_ticks(log_ax, [1, 10], axis)
    after = [list(target.get_ticklocs()) for target in (log_ax.xaxis, log_ax.yaxis)]
    assert after == before


def test_colours_of_one_figure_are_told_apart():
    for one, other in itertools.combinations(COLORS.values(), 2):
        assert np.linalg.norm(np.subtract(to_rgb(one), to_rgb(other))) > 0.15
