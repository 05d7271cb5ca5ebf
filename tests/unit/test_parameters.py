"""Knobs: every chapter's declaration against whatever a YAML file can hold."""

from __future__ import annotations

import datetime
import math
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reprise import book
from reprise.parameters import (
    Choice,
    Either,
    Integer,
    Knob,
    Knobs,
    ListOf,
    Nothing,
    ParameterError,
    PowerOfTwo,
    Real,
    refusal,
)

PAGES = book.notebooks(book.find_root(Path(__file__).parent))
KNOBS = [(page, name) for page in PAGES for name in page.knobs.knobs]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 40),
    st.integers(),
    st.sampled_from([10**30, -(10**30), 2**31, 0, 1]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["1e3", "4e0", "1e400", "0x10", "None", "[1, 2]", "[", "[[]", "nan", "1_0", ""]
    ),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=4),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=7)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        | st.lists(st.integers(1, 300), max_size=9, unique=True).map(sorted)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(("page", "name"), KNOBS, ids=[f"{p.id}-{n}" for p, n in KNOBS])
@settings(max_examples=30)
@given(value=ANYTHING)
def test_a_knob_takes_a_value_or_refuses_it_by_name(page, name, value):
    try:
        checked = page.knobs.check({name: value})
    except ParameterError as error:
        words = str(error)
        assert " must " in words
        assert "got " in words
        # a rule across knobs may name the other one
        assert words.split(" must ")[0] in page.knobs.knobs
        assert len(words) < 1500
    else:
        assert plain(checked[name])
        # what was checked once is allowed, and stays as it is
        assert page.knobs.check({name: checked[name]})[name] == checked[name]


def plain(value):
    """True for what a notebook can compute with: no text for a number, no infinity."""
    if isinstance(value, list):
        return all(map(plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.id)
def test_names_meanings_and_cells_are_what_papermill_reads(page):
    import papermill

    for line in page.knobs.cell().splitlines():
        assert line.count("=") <= 1  # papermill parses no line with two
        assert len(line) <= 84
    found = papermill.inspect_notebook(page.notebook())
    assert list(found) == list(page.knobs.knobs)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.id)
def test_profiles_survive_yaml_1_1(page):
    """Numbers without a dot before the exponent are text in YAML 1.1, and still numbers to us."""
    for profile in ("smoke", "paper"):
        values = page.parameters(profile)
        again = yaml.safe_load(yaml.safe_dump(values))
        assert page.knobs.check(again) == page.knobs.check(values)


def demo(**changes):
    kinds = {
        "whole": Knob("whole", 4, Integer(2, multiple_of=2), "an even number"),
        "rate": Knob("rate", 0.5, Real(above=0, below=1), "a rate"),
        "grid": Knob("grid", range(1, 4), ListOf(Integer(1), 2, order="increasing"), "sizes"),
        "data": Knob("data", "digits", Choice("digits", "mnist"), "images"),
        "most": Knob("most", None, Either(Integer(1), Nothing()), "images used"),
    }
    return Knobs(*kinds.values(), **changes)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("whole", "1e3", 1000),
        ("whole", 6.0, 6),
        ("rate", "5e-1", 0.5),
        ("grid", "[1, 5, 9]", [1, 5, 9]),
        ("grid", (2, 3), [2, 3]),
        ("most", None, None),
        ("most", "None", None),
        ("most", 7, 7),
        ("data", "mnist", "mnist"),
    ],
)
def test_values_as_papermill_and_yaml_give_them(name, value, wanted):
    got = demo().check({name: value})[name]
    assert got == wanted
    assert type(got) is type(wanted)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("whole", True, "whole must be an even integer from 2 to 2147483647, got True"),
        ("whole", 3, "even integer"),
        ("whole", 2.5, "got 2.5"),
        ("whole", "many", "got 'many'"),
        pytest.param("whole", 10**5000, r"an integer of \d+ bits", id="huge"),
        ("rate", math.nan, "rate must be a finite number above 0 and below 1, got nan"),
        ("rate", 1, "got 1"),
        ("grid", 30, r"grid must be a list of 2 or more increasing values, each an integer"),
        ("grid", [3, 3], r"got \[3, 3\]"),
        ("grid", [[1], [2]], "grid must be a list"),
        ("grid", {"a": 1}, "grid must be a list"),
        ("data", datetime.date(2026, 1, 1), "data must be one of 'digits', 'mnist'"),
        ("most", 0, "or None, got 0"),
    ],
)
def test_refusals_name_the_knob_the_value_and_what_is_allowed(name, value, words):
    with pytest.raises(ParameterError, match=words) as error:
        demo().check({name: value})
    assert str(error.value).startswith(f"{name} must be ")


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ParameterError) as error:
        demo().check({"grid": list(range(10_000, 0, -1))})
    assert len(str(error.value)) < 400


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ParameterError, match=r"'wohle' is not one of this chapter: profile, seed"):
        demo().check({"wohle": 2})


def test_rules_across_knobs_see_checked_values():
    def rule(knobs):
        if knobs.whole > 10 * knobs.grid[-1]:
            raise refusal("whole", f"must be at most {10 * knobs.grid[-1]}", knobs.whole)

    with pytest.raises(ParameterError, match="whole must be at most 20, got 22"):
        demo(rules=rule).check({"whole": "22", "grid": [1, 2]})


def test_defaults_that_break_their_own_rule_are_found_at_import():
    def never(knobs):
        raise refusal("whole", "must be another", knobs.whole)

    with pytest.raises(ParameterError, match="must be another, got 4"):
        demo(rules=never)


def test_powers_of_two():
    assert PowerOfTwo(16).read("64") == 64
    for wrong in (8, 24, 2.5, None):
        with pytest.raises(ValueError):
            PowerOfTwo(16).read(wrong)


def test_the_cell_says_meaning_and_range():
    lines = demo().cell().splitlines()
    assert 'profile = "book"  # which rules judge this run: smoke, book or paper' in lines
    assert "whole = 4  # an even number: even" in lines
    assert "rate = 0.5  # a rate: in (0, 1)" in lines
    assert "grid = list(range(1, 4))  # sizes: 2+ increasing ≥ 1" in lines
    assert "most = None  # images used: ≥ 1 or None" in lines
    assert not re.search(r"[^ ] {3,}#", demo().cell())
