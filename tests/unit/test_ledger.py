"""`reprise.ledger` says "reproduced" only of what satisfies its rule, and never of a NaN."""

import json
import math
import os
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbclient import NotebookClient

import reprise
from reprise.ledger import (
    METADATA_KEY,
    Ledger,
    LedgerError,
    Verdict,
    ledger_html,
    read_ledgers,
    tally,
)

NAN, INF = math.nan, math.inf
YES, NO = Verdict.REPRODUCED, Verdict.NOT_REPRODUCED
SCALE, DATA = Verdict.NOT_AT_THIS_SCALE, Verdict.NOT_ON_THIS_DATA


def new(profile="book"):
    return Ledger("part/slug", profile=profile)


def declare(ledger, id="C1", **arguments):
    """The claim of that id, declared at its first use."""
    if id in ledger.claims:
        return ledger.claims[id]
    return ledger.claim(id, "a statement", **({"source": "Theorem 1"} | arguments))


def check(ledger, id="C1", part="", *, measured, **arguments):
    return declare(ledger, id).check(part, measured, **arguments)


def judge(profile="book", **arguments):
    return check(new(profile), **arguments)


def assert_refused(**arguments):
    """The check raises, naming the claim, and the ledger holds nothing that reads as a pass."""
    ledger = new()
    with pytest.raises(LedgerError, match=r"^C1: "):
        check(ledger, **arguments)
    assert all(claim.verdict == NO for claim in ledger.claims.values())
    assert all(record["verdict"] == "not reproduced" for record in ledger.records())
    assert f" {YES}" not in repr(ledger).replace(f" {NO}", "")
    assert "reprise-yes" not in ledger_html(ledger.records())


# One value against one rule.


@pytest.mark.parametrize("kind", [int, float, np.int64, np.uint8, np.float32, np.float64])
@pytest.mark.parametrize(
    ("rule", "value", "verdict"),
    [
        ({"at_most": 3}, 2, YES),
        ({"at_most": 3}, 3, YES),
        ({"at_most": 3}, 4, NO),
        ({"at_least": 3}, 4, YES),
        ({"at_least": 3}, 3, YES),
        ({"at_least": 3}, 2, NO),
        ({"within": (2, 4)}, 3, YES),
        ({"within": (2, 4)}, 2, YES),
        ({"within": (2, 4)}, 4, YES),
        ({"within": (2, 4)}, 1, NO),
        ({"within": (2, 4)}, 5, NO),
        ({"within": (3, 3)}, 3, YES),
        ({"within": [2, 4]}, 3, YES),
        ({"within": np.array([2, 4])}, 5, NO),
    ],
)
def test_bounds_are_included(rule, value, verdict, kind):
    assert judge(measured=kind(value), **rule) is verdict


@pytest.mark.parametrize("rule", ["at_most", "at_least"])
def test_a_step_of_one_ulp_beyond_a_bound_fails(rule):
    beyond = math.nextafter(0.1, INF if rule == "at_most" else -INF)
    assert judge(measured=0.1, **{rule: 0.1}) is YES
    assert judge(measured=beyond, **{rule: 0.1}) is NO


@pytest.mark.parametrize(
    ("measured", "rule", "verdict"),
    [
        (True, {"equals": True}, YES),
        (False, {"equals": True}, NO),
        (np.bool_(True), {"equals": True}, YES),
        ([True, True], {"equals": True}, YES),
        ([True, False], {"equals": True}, NO),
        (True, {"at_least": 1}, YES),
        (False, {"at_least": 1}, NO),
        ("bird", {"equals": "bird"}, YES),
        ("bird", {"equals": "birds"}, NO),
        (np.str_("bird"), {"equals": "bird"}, YES),
        (["bird", "bird"], {"equals": "bird"}, YES),
        (["bird", "cat"], {"equals": "bird"}, NO),
    ],
)
def test_truth_values_and_text(measured, rule, verdict):
    assert judge(measured=measured, **rule) is verdict


@pytest.mark.parametrize("one", [3, 3.0, True, "3", "True", 4, 0.1])
@pytest.mark.parametrize("other", [3, 3.0, True, "3", "True", 4, 0.1, 1, 1.0])
def test_equals_keeps_truth_values_text_and_numbers_apart(one, other):
    def kind(value):
        return type(value) if isinstance(value, bool | str) else float

    same = kind(one) is kind(other) and one == other
    assert (judge(measured=one, equals=other) is YES) == same
    assert (judge(measured=[one, one], equals=other) is YES) == same
    assert (judge(measured=np.array(one)[()], equals=np.array(other)[()]) is YES) == same


@pytest.mark.parametrize(
    ("measured", "value"),
    [
        (np.uint8(3), 3),
        (3, np.int64(3)),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.arange(3) * 0, 0),
        (True, np.bool_(True)),
    ],
    ids=repr,
)
def test_equals_does_not_see_numpys_widths(measured, value):
    assert judge(measured=measured, equals=value) is YES


def test_equals_is_exact():
    assert judge(measured=math.nextafter(0.1, 1), equals=0.1) is NO
    assert judge(measured=2**53 + 1, equals=2**53) is NO
    assert judge(measured=[1, 1, 2], equals=1) is NO


@pytest.mark.parametrize(
    ("sample", "verdict"),
    [
        ([1, 2, 3], YES),
        ((1.0, 3.0), YES),
        ([np.ones(2), np.full(3, 3.0)], YES),
        ([[1, 2], [3]], YES),
        (np.array([3, 3], dtype=object), YES),
        ([np.ones(2), np.full(3, 3.1)], NO),
        ([[1, 2], [3, 4]], NO),
        (np.ones((2, 3, 4)), YES),
        (np.float64(3), YES),
        ([1, 2, 3.0001], NO),
        ([4, 1, 1], NO),
        (np.array([[1, 2], [9, 3]]), NO),
    ],
)
def test_every_entry_of_a_sample_must_satisfy_the_rule(sample, verdict):
    assert judge(measured=sample, at_most=3) is verdict


@pytest.mark.parametrize(
    ("measured", "rule", "verdict"),
    [
        (INF, {"at_most": 3}, NO),
        (-INF, {"at_most": 3}, YES),
        (INF, {"at_least": 3}, YES),
        (INF, {"within": (0, 3)}, NO),
        ([1, INF], {"at_most": 3}, NO),
        (INF, {"at_most": INF}, YES),
        (INF, {"equals": INF}, YES),
    ],
)
def test_infinity_is_judged(measured, rule, verdict):
    assert judge(measured=measured, **rule) is verdict


@pytest.mark.parametrize(
    ("measured", "rule", "verdict"),
    [
        (np.float16(0), {"at_least": 1e-9}, NO),
        (np.float32(0), {"at_least": 1e-50}, NO),
        (np.float32(0.1), {"at_most": 0.1}, NO),
        (2**53 + 1, {"at_most": 2**53}, NO),
    ],
)
def test_a_narrow_type_does_not_loosen_the_rule(measured, rule, verdict):
    assert judge(measured=measured, **rule) is verdict


# What cannot be judged.


@pytest.mark.parametrize(
    "rule", [{"at_most": 3}, {"at_least": 3}, {"within": (1, 3)}, {"equals": 3}]
)
@pytest.mark.parametrize(
    "measured",
    [
        NAN,
        np.float32(NAN),
        [1.0, NAN],
        np.array([[3.0, 3.0], [3.0, NAN]]),
        [],
        np.empty((0, 3)),
        "",
        None,
        [None, 3],
        np.array([3, None], dtype=object),
        np.array([3, NAN], dtype=object),
        [np.ones(2), np.array([NAN])],
        [[3], [None]],
        {"a": 3},
        {1, 2},
        3 + 0j,
        np.datetime64("2020-01-01"),
    ],
    ids=repr,
)
def test_unjudgeable_values_are_refused(measured, rule):
    if isinstance(measured, str) and "equals" in rule:
        assert judge(measured=measured, **rule) is NO  # an empty text is a text
    else:
        assert_refused(measured=measured, **rule)


@pytest.mark.parametrize(
    "measured",
    [
        np.ma.masked_all(1),
        np.ma.array([0.0, 0.0], mask=[False, True]),
        [np.ma.masked_all(1)],
        [0.0, np.ma.masked],
        [NAN, "nan"],
        ["nan", 1],
    ],
    ids=repr,
)
def test_missing_values_do_not_hide_in_arrays(measured):
    for value in (0.0, "nan"):
        assert_refused(measured=measured, equals=value)


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"at_most": None},
        {"at_most": 3, "at_least": 1},
        {"within": (1, 3), "equals": 2},
        {"at_most": 3, "at_least": 1, "within": (1, 3), "equals": 2},
        {"at_most": NAN},
        {"at_least": NAN},
        {"at_most": np.float32(NAN)},
        {"within": (NAN, 3)},
        {"within": (1, NAN)},
        {"within": (NAN, NAN)},
        {"within": (3, 1)},
        {"within": (INF, -INF)},
        {"equals": NAN},
        {"equals": np.float64(NAN)},
        {"equals": np.float32(NAN)},
        {"equals": [NAN]},
        {"equals": []},
        {"equals": [2]},
        {"equals": np.array([2, 2])},
        {"equals": 2 + 0j},
        {"within": (1, "3")},
        {"within": (None, 3)},
        {"at_least": True},
        {"within": (1,)},
        {"within": (1, 2, 3)},
        {"within": 3},
        {"at_most": [3, 4]},
        {"at_most": "three"},
        {"at_most": {"book": None}},
    ],
    ids=repr,
)
def test_unusable_rules_are_refused(rules):
    assert_refused(measured=2, **rules)


@pytest.mark.parametrize("rule", [{"at_most": 3}, {"at_least": 0}, {"within": (0, 3)}])
def test_text_is_judged_by_equals_only(rule):
    assert_refused(measured="2", **rule)


def test_an_error_names_the_claim():
    with pytest.raises(LedgerError, match=r"^C7: .*NaN"):
        check(new(), "C7", measured=NAN, at_most=3)


def test_a_claim_without_parts_is_not_reproduced():
    ledger = new()
    with pytest.raises(LedgerError):
        check(ledger, measured=NAN, at_most=3)
    assert ledger.records() == [] or ledger["C1"].verdict is NO
    assert check(ledger, measured=1, at_most=3) is YES  # the repaired cell, run again
    assert ledger["C1"].verdict is YES


def test_an_error_does_not_leave_an_earlier_pass_of_the_same_part():
    ledger = new()
    check(ledger, measured=1, at_most=3)
    with pytest.raises(LedgerError):
        check(ledger, measured=NAN, at_most=3)
    assert ledger["C1"].verdict is NO
    (part,) = ledger["C1"].parts
    assert part.remark == "could not be judged"
    assert str(YES) not in repr(ledger).replace(str(NO), "")


@pytest.mark.parametrize(
    "arguments",
    [
        {"measured": NAN, "at_most": 3},
        {"measured": [], "at_most": 3},
        {"measured": 1},
        {"measured": 1, "at_most": NAN},
        {"measured": 1, "at_most": {"smoke": 3}},
        {"measured": 1, "at_most": 3, "smoke": NAN},
        {"measured": 1, "at_most": 3, "interval": (2, 1)},
        {"measured": 1, "at_most": 3, "expected_from": "huge"},
    ],
    ids=repr,
)
def test_a_refused_part_loses_its_own_pass_only(arguments):
    ledger = new()
    for part in ("level", "slope", "offset"):
        check(ledger, part=part, measured=1, at_most=3)
    with pytest.raises(LedgerError, match=r"^C1: "):
        check(ledger, part="slope", **arguments)
    passed = [part.name for part in ledger["C1"].parts if part.verdict == YES]
    assert passed == ["level", "offset"]


# Properties over all floats.

floats = st.floats(allow_nan=True, allow_infinity=True)
values = st.one_of(
    floats,
    st.lists(floats, min_size=1, max_size=4),
    st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=4),
)


@settings(max_examples=200, deadline=None)
@given(values, floats, floats, st.sampled_from(["at_most", "at_least", "within", "equals"]))
def test_only_values_inside_the_bounds_are_reproduced(measured, a, b, name):
    sample = measured if isinstance(measured, list) else [measured]
    low, high = {
        "at_most": (-INF, a),
        "at_least": (a, INF),
        "within": (a, b),
        "equals": (a, a),
    }[name]
    judgeable = low <= high and not any(map(math.isnan, sample))
    ledger = new()
    try:
        verdict = check(ledger, measured=measured, **{name: (a, b) if name == "within" else a})
    except LedgerError:
        assert not judgeable
        assert ledger.records() == [] or ledger["C1"].verdict is NO
    else:
        assert judgeable
        inside = all(low <= value <= high for value in sample)
        if name == "equals":
            inside = inside and all(isinstance(value, float) for value in sample)
        assert (verdict is YES) == inside
        assert ledger["C1"].verdict is verdict


# Rules and verdicts by profile.


@pytest.mark.parametrize(
    ("profile", "verdict"), [("smoke", YES), ("book", NO), ("paper", NO), ("default", None)]
)
def test_a_rule_by_profile(profile, verdict):
    if verdict is None:
        with pytest.raises(ValueError, match="profile must be one of smoke, book, paper"):
            new(profile)
    else:
        assert judge(profile, measured=7, at_most=5, smoke=10) is verdict


@pytest.mark.parametrize(
    ("name", "smoke", "book", "measured"),
    [
        ("at_least", 1, 5, 3),
        ("within", (0, 9), (0, 1), 3),
        ("equals", 3, 4, 3),
        ("equals", "yes", "no", "yes"),
    ],
)
def test_every_rule_may_differ_by_profile(name, smoke, book, measured):
    rule = {name: book}
    assert judge("smoke", measured=measured, **rule, smoke=smoke) is YES
    assert judge("smoke", measured=measured, **rule, paper=smoke) is NO
    assert judge("paper", measured=measured, **rule, paper=smoke) is YES
    assert judge("book", measured=measured, **rule, smoke=smoke, paper=smoke) is NO


@pytest.mark.parametrize("own", [NAN, (3, 1), [], "three", {"smoke": 3}], ids=repr)
@pytest.mark.parametrize("profile", ["smoke", "paper"])
def test_a_profiles_own_bounds_are_checked_in_every_run(profile, own):
    assert_refused(measured=3, at_most=3, **{profile: own})


def test_a_profiles_own_bounds_need_a_rule():
    assert_refused(measured=3, smoke=3)


@pytest.mark.parametrize(
    ("profile", "expected_from", "measured", "verdict"),
    [
        ("smoke", "book", 4, SCALE),
        ("smoke", "paper", 4, SCALE),
        ("book", "paper", 4, SCALE),
        ("book", "book", 4, NO),
        ("paper", "book", 4, NO),
        ("smoke", "smoke", 4, NO),
        ("smoke", None, 4, NO),
        ("smoke", "book", 2, YES),
        ("book", "paper", 2, YES),
    ],
)
def test_expected_from_excuses_only_smaller_runs(profile, expected_from, measured, verdict):
    assert judge(profile, measured=measured, at_most=3, expected_from=expected_from) is verdict


@pytest.mark.parametrize("measured", [4, 2])
def test_expected_from_must_be_a_profile(measured):
    with pytest.raises(LedgerError, match=r"^C1: .*huge"):
        judge(measured=measured, at_most=3, expected_from="huge")


def test_a_ledger_needs_a_chapter():
    with pytest.raises(ValueError, match="part/slug"):
        Ledger("")


# Intervals.


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((-2.1, -1.9), YES), ((-2.2, -1.8), YES), ((-2.2, -1.79), NO), ((-INF, INF), NO)],
)
def test_an_interval_wider_than_the_rule_decides_nothing(interval, verdict):
    ledger = new()
    assert check(ledger, measured=-2.0, within=(-2.2, -1.8), interval=interval) is verdict
    (part,) = ledger["C1"].parts
    assert part.interval == [v if math.isfinite(v) else str(v) for v in interval]
    assert ("undecided: the interval is wider than the rule" in repr(ledger)) == (verdict is NO)
    assert bool(part.remark) == (verdict is NO)


def test_the_interval_is_held_against_the_rule_of_the_profile():
    arguments = {"measured": -2.0, "within": (-2.2, -1.8), "smoke": (-4, 0), "interval": (-3, -1)}
    assert judge("smoke", **arguments) is YES
    assert judge("book", **arguments) is NO
    assert judge("book", **arguments, expected_from="paper") is SCALE


def test_a_narrow_interval_does_not_save_a_value_outside():
    assert judge(measured=-3.0, within=(-2.2, -1.8), interval=(-2.1, -1.9)) is NO


def test_an_interval_beside_another_rule_is_only_shown():
    ledger = new()
    assert check(ledger, measured=1.0, at_most=3, interval=(-100, 100)) is YES
    assert "1 [-100, 100]; rule: at most 3" in repr(ledger)


@pytest.mark.parametrize(
    ("rule", "interval", "close"),
    [
        ({"within": (-2.2, -1.8)}, (-2.2, -1.8), False),
        ({"within": (-2.2, -1.8)}, (-2.05, -1.75), True),
        ({"within": (-2.2, -1.8)}, (-2.25, -1.95), True),
        ({"at_most": -1.9}, (-2.5, -1.9), False),
        ({"at_most": -1.9}, (-2.1, -1.8), True),
        ({"at_least": -2.1}, (-2.1, 0.0), False),
        ({"at_least": -2.1}, (-2.2, -1.9), True),
    ],
)
def test_an_interval_that_reaches_past_the_rule_is_said(rule, interval, close):
    ledger = new()
    assert check(ledger, measured=-2.0, **rule, interval=interval) is YES
    remark = "close: the interval reaches past the rule"
    assert (remark in repr(ledger)) == close
    assert (remark in ledger._repr_mimebundle_()[0]["text/html"]) == close


def test_a_failed_part_is_not_called_close():
    ledger = new()
    check(ledger, measured=-1.7, within=(-2.2, -1.8), interval=(-1.9, -1.6))
    assert "close" not in repr(ledger)


@pytest.mark.parametrize(
    "interval",
    [
        (2, 1),
        (NAN, 1),
        (1, NAN),
        (1,),
        (1, 2, 3),
        (),
        (1, None),
        1.0,
        ("low", "high"),
    ],
    ids=repr,
)
def test_an_interval_is_low_and_high(interval):
    assert_refused(measured=1.5, within=(1, 2), interval=interval)


# Claims of several parts.


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        ({"a": 1, "b": 1, "c": 1}, YES),
        ({"a": 1, "b": 9, "c": 1}, SCALE),
        ({"a": 1, "b": 9, "c": 9}, NO),
        ({"a": 9, "b": 1, "c": 1}, NO),
    ],
)
def test_a_claim_is_as_strong_as_its_weakest_part(measured, verdict):
    ledger = new("smoke")
    expected_from = {"a": None, "b": "book", "c": "smoke"}
    for part, value in measured.items():
        check(ledger, part=part, measured=value, at_most=3, expected_from=expected_from[part])
    assert ledger["C1"].verdict is verdict
    assert ledger.records()[0]["verdict"] == str(verdict)


def test_a_part_checked_again_is_replaced_in_place():
    ledger = new()
    check(ledger, part="level", measured=9, at_most=3)
    check(ledger, part="slope", measured=1, at_most=3)
    assert ledger["C1"].verdict is NO
    check(ledger, part="level", measured=2, at_most=3)
    assert [(part.name, part.measured) for part in ledger["C1"].parts] == [
        ("level", 2),
        ("slope", 1),
    ]
    assert ledger["C1"].verdict is YES
    check(ledger, part="level", measured=9, at_most=3)
    assert ledger["C1"].verdict is NO


@pytest.mark.parametrize("empty", ["id", "statement", "source"])
def test_a_claim_states_what_and_where(empty):
    words = {"id": "C1", "statement": "falls", "source": "Theorem 1"} | {empty: ""}
    with pytest.raises(LedgerError, match=f"{empty} must be a text, got ''"):
        new().claim(words.pop("id"), **words)


def test_a_claim_that_nothing_was_checked_of_is_not_reproduced():
    ledger = new()
    ledger.claim("C2", "falls", source="Theorem 1")
    check(ledger, "C1", measured=1, at_most=3)
    assert [record["verdict"] for record in ledger.records()] == [YES, NO]
    assert "C2: not reproduced" in repr(ledger)


def test_a_claim_declared_again_starts_anew():
    ledger = new()
    check(ledger, measured=1, at_most=3)
    again = ledger.claim("C1", "a statement", source="Theorem 1")
    assert again.verdict is NO
    assert ledger["C1"] is again


def test_statements_show_what_is_claimed_before_any_evidence():
    ledger = new()
    ledger.claim("C10", "rises", source="Figure 2")
    ledger.claim("C2", "falls as <T>", source="Theorem 1", paper="slope -2")
    assert repr(ledger.statements).splitlines() == [
        "C2: falls as <T> (Theorem 1)",
        "C10: rises (Figure 2)",
    ]
    markup = ledger.statements._repr_html_()
    assert "falls as &lt;T&gt;" in markup
    assert "slope -2" in markup


# Claims about a data set.


@pytest.mark.parametrize(
    ("profile", "used", "measured", "verdict"),
    [
        ("book", "mnist", 1, YES),
        ("book", "mnist", 9, NO),
        ("smoke", "mnist", 9, SCALE),
        ("book", "digits", 1, YES),
        ("book", "digits", 9, DATA),
        ("smoke", "digits", 9, DATA),
    ],
)
def test_another_data_set_can_reproduce_a_claim_but_not_refute_it(profile, used, measured, verdict):
    ledger = new(profile)
    claim = declare(ledger, data="mnist")
    claim.judged_on(used)
    assert claim.check("level", measured, at_most=3, expected_from="book") is verdict
    assert claim.verdict is verdict
    for text in (repr(claim), claim._repr_html_(), ledger_html(ledger.records())):
        assert f"judged on {used}" in text
        assert ("REPRISE_DATA" in text) == (used == "digits")  # how to get the right one
    assert ledger.records()[0]["data"].startswith(f"judged on {used}")


def test_a_claim_about_data_must_be_told_the_data_first():
    ledger = new()
    claim = declare(ledger, data="mnist")
    with pytest.raises(LedgerError, match="judged_on must name the data"):
        claim.check("level", 1, at_most=3)
    assert claim.verdict is NO


def test_a_claim_about_no_data_is_judged_on_none():
    with pytest.raises(LedgerError, match="data must be given with the claim"):
        declare(new()).judged_on("digits")


def test_claims_are_found_by_id():
    ledger = new()
    check(ledger, "C1", measured=1, at_most=3)
    check(ledger, "C2", measured=4, at_most=3)
    assert [ledger[id].verdict for id in ("C1", "C2")] == [YES, NO]
    with pytest.raises(KeyError):
        ledger["C3"]


# Text and HTML.


@pytest.mark.parametrize(
    ("measured", "shown"),
    [
        (1.23456, "1.23"),
        (123456.0, "1.23e+05"),
        (0.000123456, "0.000123"),
        (np.float32(1.23456), "1.23"),
        (123456, "123456"),
        (np.int64(123456), "123456"),
        (True, "True"),
        (INF, "inf"),
        ([1, INF], "1 to inf (2 values)"),
        ([1.23456, 7.6543, 3.0], "1.23 to 7.65 (3 values)"),
        ([12345, 1], "1 to 12345 (2 values)"),
    ],
)
def test_text_rounds_to_three_significant_digits(measured, shown):
    ledger = new()
    check(ledger, measured=measured, at_least=0)
    assert repr(ledger).splitlines()[-1].strip(" +-") == f"{shown}; rule: at least 0"
    assert repr(ledger["C1"]).splitlines()[-1].strip(" +-") == f"{shown}; rule: at least 0"
    (part,) = ledger["C1"].parts
    assert (part.values(), part.text()) == (shown, f"{shown}; rule: at least 0")


def test_digits_that_vary_are_marked_and_judged_alike():
    ledger = Ledger("part/slug")
    check(ledger, measured=[0.91, 0.94], at_least=0.9, varies=True)
    check(ledger, part="steady", measured=3, equals=3)
    varies, steady = ledger["C1"].parts
    assert varies.values() == "≈ 0.91 to 0.94 (2 values)"
    assert varies.verdict == steady.verdict == Verdict.REPRODUCED
    assert steady.values() == "3"
    assert "≈ 0.91 to 0.94" in ledger._repr_mimebundle_()[0]["text/html"]


def test_a_part_is_one_line():
    ledger = new()
    interval = (-2.12345, -1.0)
    check(ledger, part="slope", measured=-2.0, within=(-2.2, -1.8), interval=interval)
    check(ledger, part="name", measured=["a", "b", "a"], equals="a")
    check(ledger, measured=True, equals=True)
    slope, name, only = ledger["C1"].parts
    assert slope.values() == "-2 [-2.12, -1]"
    remark = "(undecided: the interval is wider than the rule)"
    assert slope.text() == f"slope: -2 [-2.12, -1]; rule: in [-2.2, -1.8] {remark}"
    assert name.text() == "name: a, b (3 values); rule: equals a"
    assert only.text() == "True; rule: equals True"


@pytest.mark.parametrize(
    ("measured", "rule", "shown"),
    [
        (2.2001, {"at_most": 2.2}, "2.2001"),
        (2.2000012, {"at_most": 2.2}, "2.200001"),
        ([1.0, 2.2001], {"at_most": 2.2}, "1 to 2.2001 (2 values)"),
        (0.9999, {"at_least": 1}, "0.9999"),
        (-1.7999, {"within": (-2.2, -1.8)}, "-1.7999"),
        (-2.2001, {"within": (-2.2, -1.8)}, "-2.2001"),
        (0.3001, {"equals": 0.3}, "0.3001"),
        (2.3456, {"at_most": 2.2}, "2.35"),  # no need
        (2.1999, {"at_most": 2.2}, "2.2"),  # a pass reads like one
    ],
)
def test_a_value_just_beyond_its_bound_does_not_read_like_it(measured, rule, shown):
    ledger = new()
    verdict = check(ledger, measured=measured, **rule)
    (part,) = ledger["C1"].parts
    assert part.values() == shown
    assert (part.verdict == YES) == (verdict is YES) == (shown == "2.2")


TIES = [0.8125, -0.8125, 1.125, 2.375, 1.005, 10.25, 1234.5, 99.95, 3.125e-7, [0.8125, 2.375]]


@pytest.mark.parametrize(
    "value", [*TIES, 1.2341, -123.456, 6.022e23, 1.1e-7, 0.3333, [0.1, 0.2, 1e5 / 3]]
)
@pytest.mark.parametrize("change", [1 + 1e-9, 1 - 1e-9])
def test_text_does_not_see_a_relative_change_of_1e_9(value, change):
    texts = []
    for factor in (1.0, change):
        ledger = new()
        measured = np.asarray(value) * factor
        interval = (measured.min() - abs(0.456 * factor), measured.max() + 0.456 * factor)
        check(ledger, measured=measured, at_least=-1e3, interval=interval)
        check(ledger, part="missed", measured=measured, at_least=1e30)
        record = ledger.records()[0]
        texts.append((repr(ledger), repr(ledger["C1"]), ledger_html([record]), record["measured"]))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"at_most": -1.9}, "at most -1.9"),
        ({"at_least": 0.12345}, "at least 0.12345"),
        ({"within": (-2.25, 1e-9)}, "in [-2.25, 1e-09]"),
        ({"equals": 17}, "equals 17"),
        ({"equals": True}, "equals True"),
        ({"equals": 0.12345}, "equals 0.12345"),
    ],
)
def test_a_rule_is_shown_as_it_was_written(rule, text):
    ledger = new()
    check(ledger, measured=1, **rule)
    assert ledger.records()[0]["rule"] == text


def test_text_of_a_ledger():
    ledger = new("smoke")
    check(ledger, "C1", part="slope", measured=-2.0, within=(-2.2, -1.8), interval=(-2.12, -1.91))
    check(ledger, "C1", part="level", measured=[1, 9], at_most=3, expected_from="book")
    check(ledger, "C2", measured="bird", equals="bird")
    assert repr(ledger).splitlines() == [
        "part/slug, profile smoke: 1 reproduced, 1 not reproduced at this scale",
        "C1: not reproduced at this scale",
        "    + slope: -2 [-2.12, -1.91]; rule: in [-2.2, -1.8]",
        "    - level: 1 to 9 (2 values); rule: at most 3",
        "C2: reproduced",
        "    + bird; rule: equals bird",
    ]


def test_tally_counts_verdicts():
    assert tally([]) == "no claims"
    records = [{"verdict": v} for v in ("not reproduced", "reproduced", "not reproduced")]
    assert tally(records) == "1 reproduced, 2 not reproduced"


def markup_of(ledger):
    return [ledger._repr_mimebundle_()[0]["text/html"], ledger["C1"]._repr_html_()]


def test_html_escapes_what_a_chapter_says():
    ledger = new()
    claim = ledger.claim("C1", "<b>x</b> & y", source="<i>S&T</i>", paper="<u>2</u>")
    claim.check("<em>p</em>", "<s>1</s>", equals="<a>")
    for markup in markup_of(ledger):
        assert "&lt;b&gt;x&lt;/b&gt; &amp; y" in markup
        assert all(f"&lt;{tag}&gt;" in markup for tag in ("em", "s", "a"))
        assert not re.search("<(b>x|i>|u>|em>|s>|a>)", markup)


def test_html_has_one_row_a_claim():
    ledger = new()
    for id in ("C1", "C2", "C3"):
        check(ledger, id, part="level", measured=1, at_most=3)
        check(ledger, id, part="slope", measured=1, at_most=3)
    body = re.search("<tbody>(.*)</tbody>", markup_of(ledger)[0])[1]
    assert body.count("<tr>") == body.count("</tr>") == 3
    assert re.findall("scope='row'>([^<]*)<", body) == ["C1", "C2", "C3"]
    assert body.count("<li>") == 6
    claim = re.search("<tbody>(.*)</tbody>", markup_of(ledger)[1])[1]
    assert claim.count("<tr>") == 2  # one a part


@pytest.mark.parametrize(
    ("profile", "expected_from", "measured", "kind"),
    [("smoke", None, 1, "yes"), ("smoke", None, 9, "no"), ("smoke", "book", 9, "scale")],
)
def test_html_says_the_verdict_in_words(profile, expected_from, measured, kind):
    ledger = new(profile)
    verdict = check(ledger, measured=measured, at_most=3, expected_from=expected_from)
    for markup in markup_of(ledger):
        assert f'<span class="reprise-verdict reprise-{kind}">{verdict}</span>' in markup


def test_the_papers_number_may_be_a_number():
    ledger = new()
    declare(ledger, paper=-2).check("slope", -1.9, at_most=-1.8)
    assert "-2" in markup_of(ledger)[0]


# Records and the way through a notebook.

KEYS = {"chapter", "id", "statement", "source", "paper", "measured", "rule", "verdict", "profile"}
KEYS |= {"data"}

FIRST = """
import numpy as np
from reprise.ledger import Ledger
ledger = Ledger("part/slug", profile="smoke")
C1 = ledger.claim("C1", "falls as <T>", source="Theorem 1", paper="slope -2")
C2 = ledger.claim("C2", "is a bird", source="Figure 2")
C3 = ledger.claim("C3", "holds", source="Figure 3")
C1.check("slope", np.float32(-2.0123), within=np.array([-2.2, -1.8]),
         interval=np.array([-2.1, -1.9]))
ledger
"""
SECOND = """
C1.check("level", np.array([[1, 2], [3, 4]]), at_most=np.int64(4))
C2.check("kind", np.str_("cat"), equals="bird", expected_from="book")
C3.check("holds", np.bool_(True), equals=np.True_)
"""


@pytest.fixture(scope="module")
def built():
    """The ledger that the notebook builds, built here."""
    names = {}
    exec(FIRST + SECOND, names)
    return names["ledger"]


def test_records_have_the_documented_keys(built):
    for record in built.records():
        assert set(record) >= KEYS
        assert all(isinstance(record[key], str) for key in KEYS)
    assert [record["verdict"] for record in built.records()] == [YES, SCALE, YES]
    first = built.records()[0]
    assert first["chapter"] == "part/slug"
    assert first["profile"] == "smoke"
    assert first["paper"] == "slope -2"
    assert first["measured"] == "slope: -2.01 [-2.1, -1.9]; level: 1 to 4 (4 values)"
    assert first["rule"] == "slope: in [-2.2, -1.8]; level: at most 4"


def test_records_of_numpy_values_are_json(built):
    assert json.loads(json.dumps(built.records(), allow_nan=False)) == built.records()


@pytest.mark.parametrize(
    "measured",
    [
        1,
        2.5,
        "bird",
        True,
        [1, 2],
        np.arange(3, dtype=np.uint8),
        np.float16(1),
        np.float64(1),
        np.int32(1),
        np.bool_(True),
        np.array(["bird", "cat"]),
        np.str_("bird"),
        np.longdouble(1),
        INF,
        [1, -INF],
        np.array([INF, 2.0]),
    ],
    ids=repr,
)
def test_records_are_json(measured):
    ledger = new()
    check(ledger, measured=measured, equals="something else")
    check(ledger, part="open", measured=1, at_most=INF, interval=(-INF, np.float32(INF)))
    assert json.loads(json.dumps(ledger.records(), allow_nan=False)) == ledger.records()


def test_infinities_are_stored_as_text():
    ledger = new()
    check(ledger, measured=[2.5, INF], at_least=1, interval=(-INF, 3))
    (part,) = ledger.records()[0]["parts"]
    assert (part["measured"], part["interval"]) == ([2.5, "inf"], ["-inf", 3])


def notebook_of(*ledgers):
    """A notebook that has shown these ledgers, one a cell."""
    cells = [nbformat.v4.new_markdown_cell("# Title"), nbformat.v4.new_code_cell("pass")]
    for ledger in ledgers:
        data, metadata = ledger._repr_mimebundle_()
        output = nbformat.v4.new_output("execute_result", data=data, metadata=metadata)
        cells.append(nbformat.v4.new_code_cell("ledger", outputs=[output]))
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A tiny notebook, run by a real kernel, that shows its ledger twice."""
    cells = [nbformat.v4.new_code_cell(source) for source in (FIRST, SECOND, "ledger", "1 + 1")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(Path(reprise.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    return notebook


def test_an_executed_notebook_gives_its_records_back(executed, built):
    assert read_ledgers(executed) == built.records()


def test_a_notebook_file_gives_its_records_back(executed, built, tmp_path):
    path = tmp_path / "slug.ipynb"
    nbformat.write(executed, path)
    assert read_ledgers(path) == read_ledgers(str(path)) == built.records()


def test_a_notebook_shows_text_and_html_of_its_ledger(executed, built):
    (output,) = executed.cells[2].outputs
    assert output["data"]["text/plain"] == repr(built)
    assert output["data"]["text/html"] == ledger_html(built.records())


def test_a_ledger_shown_twice_counts_once(executed):
    shown = [o for c in executed.cells for o in c.outputs if METADATA_KEY in o.get("metadata", {})]
    assert len(shown) == 2
    assert [record["id"] for record in read_ledgers(executed)] == ["C1", "C2", "C3"]


def test_the_last_of_two_ledgers_counts():
    old, other, last = new(), Ledger("part/other"), new()
    check(old, "C1", measured=1, at_most=3)
    check(old, "C2", measured=1, at_most=3)
    check(other, "C1", measured=1, at_most=3)
    check(last, "C1", measured=9, at_most=3)
    records = read_ledgers(notebook_of(old, other, last))
    assert records == last.records() + other.records()


@pytest.mark.parametrize("ledgers", [(), (new(),)], ids=["none", "empty"])
def test_a_notebook_without_claims_is_an_error(ledgers):
    with pytest.raises(LedgerError, match="must show its ledger"):
        read_ledgers(notebook_of(*ledgers))
