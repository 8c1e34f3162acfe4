"""Places read back as they were written, say where they are in words, and damaged ones are refused."""

import pytest

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.findings import Finding, Kind, Place, Severity


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(Kind.ROW, "training", 17), "training row 17"),
        (Place(Kind.ROW, index=0), "row 0"),
        (Place(Kind.COLUMN, "age"), "column age"),
        (Place(Kind.COLUMN, "age", 3), "column age, row 3"),
        (Place(Kind.BYTE, "model.onnx", 512), "model.onnx byte 512"),
        (Place(Kind.ROWS, "held out"), "rows held out"),
        (Place(Kind.TABLE), "table"),
        (Place(Kind.CLIENT, "10.0.0.1"), "client 10.0.0.1"),
    ],
)
def test_a_place_says_where_it_is_and_reads_back_from_signed_bytes(place, words):
    assert str(place) == words
    assert Place.read(canonical.decode(canonical.encode(place.to_json()), what="a place")) == place


@pytest.mark.parametrize(
    "told",
    ["row 17", None, {}, {"kind": "row", "name": "x", "index": True}, {"kind": "moon", "name": "", "index": None}],
)
def test_a_place_of_another_form_is_refused(told):
    with pytest.raises(InvalidInput, match="a place has a kind"):
        Place.read(told)


def test_a_finding_reads_back_from_signed_bytes():
    made = Finding("odd", Place(Kind.CLASS, "cat"), Severity.HIGH, "look", "poisoning", 0.5, None, "share")
    assert Finding.read(canonical.decode(canonical.encode(made.to_json()), what="a finding")) == made


def test_a_finding_of_another_form_is_refused():
    told = Finding("odd", Place(Kind.MODEL), Severity.LOW, "look").to_json()
    for damaged in ({**told, "severity": "fatal"}, {**told, "more": 1}, {**told, "where": "model"}):
        with pytest.raises(InvalidInput):
            Finding.read(damaged)
