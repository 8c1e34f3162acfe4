from __future__ import annotations

import json

import pytest

from hauberk.core import canonical
from hauberk.core.evidence import Subject
from hauberk.custody import statements
from hauberk.custody.entries import entry_of, kind_of, time_of
from hauberk.custody.statements import Statement

TIME = "2026-01-02T03:04:05.000Z"
DATA = Subject("dataset", "ab" * 32)
SAID = {
    statements.EVIDENCE: ({"control": "evasion", "role": "plain", "finished": TIME}, "evasion (plain)"),
    statements.EVENT: ({"event": "data.loaded", "time": TIME}, "data.loaded"),
    statements.RELEASE: ({"made": TIME}, "release"),
    statements.VSA: ({"timeVerified": TIME}, "verdict"),
    statements.PROVENANCE: ({"runDetails": {"metadata": {"finishedOn": TIME}}}, "provenance"),
}


@pytest.mark.parametrize("kind", SAID)
def test_every_kind_of_statement_has_a_name_and_a_time(kind):
    predicate, name = SAID[kind]
    statement = Statement((DATA,), kind, predicate)
    assert (kind_of(statement), time_of(statement)) == (name, TIME)


@pytest.mark.parametrize("predicate", [{}, {"finished": 7}, {"runDetails": None}, {"runDetails": {"metadata": []}}])
@pytest.mark.parametrize("kind", SAID)
def test_a_statement_that_says_no_time_has_none(kind, predicate):
    assert time_of(Statement((DATA,), kind, predicate)) == ""


def test_an_entry_is_a_function_of_the_envelope_and_fits_the_log():
    many = tuple(Subject(f"{'x' * 500}{i}", "cd" * 32) for i in range(2000))
    statement = Statement(many, statements.EVENT, {"event": "e" * 5000, "time": TIME})
    entry = entry_of(b"envelope", statement)
    assert entry == entry_of(b"envelope", statement)
    assert entry != entry_of(b"envelopf", statement)
    assert len(entry) < 65_536
    assert json.loads(entry)["envelope"] == canonical.sha256(b"envelope")
