from __future__ import annotations

import json

import pytest

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject
from hauberk.custody import statements
from hauberk.custody.entries import by_of, entry_of, kind_of, read_entry, time_of
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
def test_a_statement_without_a_time_has_none(kind, predicate):
    assert time_of(Statement((DATA,), kind, predicate)) == ""


def test_an_entry_is_a_function_of_the_envelope_and_fits_the_log():
    many = tuple(Subject(f"{'x' * 500}{i}", "cd" * 32) for i in range(2000))
    statement = Statement(many, statements.EVENT, {"event": "e" * 5000, "time": TIME})
    entry = entry_of(b"envelope", statement)
    assert entry == entry_of(b"envelope", statement)
    assert entry != entry_of(b"envelopf", statement)
    assert len(entry) < 65_536
    assert json.loads(entry)["envelope"] == canonical.sha256(b"envelope")


def test_an_entry_of_evidence_says_what_measured_and_who_ran_it():
    predicate = {"control": "evasion", "practice": "2a", "role": "plain", "finished": TIME}
    by = {"id": "ana@bank", "kind": "person", "known": "said"}
    entry = read_entry(
        entry_of(b"e", Statement((DATA,), statements.EVIDENCE, predicate | {"by": by})), what="entry"
    )
    assert (entry.control, entry.practice, entry.role, entry.by) == ("evasion", "2a", "plain", "ana@bank")
    assert (entry.kind, entry.time, entry.subjects, entry.complete) == ("evasion (plain)", TIME, (DATA,), True)
    assert entry.envelope == canonical.sha256(b"e")


def test_an_event_has_a_principal_and_no_control():
    statement = Statement((DATA,), statements.EVENT, {"event": "x", "control": "no", "by": "ana@bank"})
    record = json.loads(entry_of(b"e", statement))
    assert record["version"] == 2
    assert record["by"] == "ana@bank"
    assert not {"control", "practice", "role"} & record.keys()


@pytest.mark.parametrize("by", [None, 7, [], {}, {"id": 7}, {"name": "ana"}])
def test_a_principal_of_another_form_counts_as_none(by):
    statement = Statement((DATA,), statements.EVENT, {"event": "x", "by": by})
    assert by_of(statement) == ""
    assert "by" not in json.loads(entry_of(b"e", statement))


def test_an_entry_with_as_many_subjects_as_it_shows_may_have_more():
    some = tuple(Subject(str(i), "cd" * 32) for i in range(16))
    for count, complete in ((15, True), (16, False)):
        entry = entry_of(b"e", Statement(some[:count], statements.EVENT, {"event": "x"}))
        assert read_entry(entry, what="entry").complete is complete


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"not json", "not valid JSON"),
        (b"[]", "not the entry of an attestation"),
        (b'{"envelope":"aa"}', "has version 1; this release of Hauberk reads version 2"),
        (b'{"envelope":"aa","version":3}', "has version 3"),
        (b'{"envelope":"aa","version":2}', "does not have the fields"),
        (b'{"envelope":"aa","kind":"","predicateType":"","subjects":[7],"time":"","version":2}', "does not have"),
    ],
)
def test_bytes_of_another_form_or_version_are_refused_with_a_reason(data, says):
    with pytest.raises(InvalidInput, match=says):
        read_entry(data, what="entry 7")
