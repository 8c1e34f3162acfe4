"""The lineage as a graph and as pictures: tied by digests, and safe to show whatever names say."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from hauberk.cli.main import run
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject
from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring
from hauberk.records import lineage
from hauberk.records.lineage import Transaction
from hauberk.records.lineage_graph import about, folded, graph
from hauberk.report import lineage_picture

ROWS = {"train": {"rows": 9}, "test": {"rows": 1}}


def made(index, event, inputs, outputs, **details):
    subjects = [tuple(Subject(name, digit * 64) for name, digit in group) for group in (inputs, outputs)]
    return Transaction(index, "2026-01-01T00:00:00Z", event, "ana", "", *subjects, details, "0" * 64)


CHAIN = [
    made(0, lineage.IMPORTED, [], [("claims", "a")], set="claims", files=1, bytes=10),
    made(1, lineage.IMPORTED, [], [("other", "b")], set="other", files=2, bytes=20),
    made(2, lineage.IMPORTED, [("claims", "a")], [("claims", "c")], set="claims", files=1, bytes=11),
    made(4, lineage.SPLIT, [("claims", "c"), ("other", "b")], [("train rows", "d")], rows=ROWS),
    made(7, lineage.USED, [("train rows", "d")], [("model.onnx", "e")], rows=ROWS, role="plain"),
    made(8, lineage.IMPORTED, [], [("<script>alert(1)</script>", "f")], set="odd\u202e", files=1, bytes=1),
]


def test_an_input_is_tied_to_what_put_it_out_last():
    nodes = graph(CHAIN)
    assert {node.of.index: (node.parents, node.depth) for node in nodes} == {
        0: ((), 0), 1: ((), 0), 2: ((0,), 1), 4: ((1, 2), 2), 7: ((4,), 3), 8: ((), 0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "entries"),
    [("claims", [0, 2, 4, 7]), ("other", [1, 4, 7]), ("plain", [0, 1, 2, 4, 7]), ("", [0, 1, 2, 4, 7, 8])],
)
def test_a_name_gives_what_led_there_and_what_came_of_it(name, entries):
    assert [node.of.index for node in about(graph(CHAIN), name)] == entries
    with pytest.raises(InvalidInput, match="knows nothing named 'x'"):
        about(graph(CHAIN), "x")


def test_pictures_show_each_box_and_arrow_and_no_name_becomes_code():
    picture = str(lineage_picture.svg(graph(CHAIN)))
    root = ET.fromstring(picture)
    assert len(root.findall(".//{*}rect")) == len(CHAIN)
    assert len(root.findall(".//{*}path")) == 2 * 4
    page = lineage_picture.page(graph(CHAIN), "Lineage")
    for text in (picture, page):
        assert "<script>" not in text
        assert "\u202e" not in text
    assert "f" * 64 in page


def test_the_tree_names_every_entry_once():
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(lineage_picture.tree(graph(CHAIN), "x"))
    said = console.export_text()
    assert [said.count(f"entry {index}") for index in (0, 2, 4, 7, 8)] == [1, 1, 1, 1, 1]
    assert "also from entry 1" in said


def test_the_command_writes_what_the_ledger_tells(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "x")
    monkeypatch.setenv("HAUBERK_STATE", str(tmp_path / "seen.json"))
    Keyring.make(tmp_path / ".hauberk" / "keyring", b"x", cost=Cost(1, 64, 1))
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    place = ["--project", str(tmp_path)]
    assert run(["data", "history", *place]) == 2
    assert "nothing was recorded" in capsys.readouterr().err
    for text, code in (("1,2", None), ("1,2", None), ("3,4", None)):
        (tmp_path / "a.csv").write_text(f"x,y\n{text}\n")
        assert run(["data", "import", str(tmp_path / "a.csv"), "--name", "a", "--by", "bo", *place]) == (code or 0)
    capsys.readouterr()
    pictures = ["--svg", str(tmp_path / "l.svg"), "--html", str(tmp_path / "l.html")]
    assert run(["data", "history", "a", *place, *pictures, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["transactions"]
    assert [(one["entry"], one["parents"], one["by"]) for one in found] == [(0, [], "bo"), (1, [0], "bo")]
    assert ET.parse(tmp_path / "l.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "l.html").read_text().startswith("<!doctype html>")
    (envelope,) = [
        path for path in (tmp_path / ".hauberk/store").rglob("*") if path.name == found[0]["envelope"][2:]
    ]
    envelope.write_bytes(envelope.read_bytes().replace(b"a", b"b", 1))
    assert run(["data", "history", *place]) == 1


def test_audits_in_a_row_that_found_nothing_are_one_and_an_alarm_stands_alone():
    def audited(index, *severities, set="claims"):  # noqa: A002 - as the parameter is called
        findings = [{"severity": severity} for severity in severities]
        return made(index, lineage.AUDITED, [(set, "a")], [], findings=findings, parameters={"set": set})

    audits = [audited(n) for n in (1, 2, 3)] + [
        audited(4, "critical"),
        audited(5),
        audited(6, set="other"),
        audited(7),
    ]
    nodes = folded(graph([CHAIN[0], *audits]))
    assert [(node.of.index, node.times) for node in nodes] == [(0, 1), (3, 3), (4, 1), (6, 1), (7, 2)]
    assert nodes[1].says == "as recorded; 3 times in a row"
    assert nodes[2].says == "alarm"
    assert folded(graph(CHAIN)) == graph(CHAIN)
