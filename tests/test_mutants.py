"""Every broken implementation of ``mutants/`` turns the verdict that it is listed for.

A ledger that still said "reproduced" would have no power. A claim is run alone, by its own cells,
so that these tests also show that it can be.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from reprise import book
from reprise.ledger import Verdict
from reprise.running import run_claims

CHAPTERS = {c.id: c for c in book.chapters(Path(__file__).parents[1])}
TABLES = {id: importlib.import_module(f"mutants.{id.replace('/', '.')}") for id in CHAPTERS}
CASES = [
    pytest.param(id, mutant, id=f"{id}-{mutant}", marks=pytest.mark.xdist_group(id))
    for id, table in TABLES.items()
    for mutant in table.MUTANTS
]


@pytest.fixture(scope="session")
def right_verdicts():
    """Claims with nothing broken, each judged once."""
    known = {}

    def right(chapter, mutant):
        key = (chapter.id, mutant.claim, mutant.profile, repr(sorted(mutant.changes.items())))
        if key not in known:
            known[key] = judged(chapter, mutant)
        return known[key]

    return right


def judged(chapter, mutant):
    """The mutant's claim, run by its own cells."""
    return run_claims(chapter, [mutant.claim], mutant.profile, mutant.changes)[mutant.claim]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("id", "mutant"), CASES)
def test_a_broken_implementation_loses_the_claim(id, mutant, right_verdicts, monkeypatch):
    """A part that holds in the right implementation fails; of the named ones, each."""
    held = holding(right_verdicts(CHAPTERS[id], mutant))
    assert held, "nothing to lose: give a larger profile or other parameters"
    mutant.patch(monkeypatch)
    try:
        broken = judged(CHAPTERS[id], mutant)
    except Exception as error:
        if mutant.raises is None or not isinstance(error, mutant.raises):
            raise
        return
    lost = held - holding(broken)
    assert lost, broken
    assert lost >= set(mutant.parts), broken


@pytest.mark.parametrize("id", CHAPTERS)
def test_every_claim_has_a_mutant(id):
    tags = {t for cell in CHAPTERS[id].notebook().cells for t in cell.metadata.get("tags", [])}
    claims = {tag for tag in tags if re.fullmatch(r"C\d+", tag)}
    assert claims == {mutant.claim for mutant in TABLES[id].MUTANTS}


def holding(claim):
    """Names of the parts that hold."""
    return {part.name for part in claim.parts if part.verdict == Verdict.REPRODUCED}
