from __future__ import annotations

import os
import random
import shutil
import sqlite3
import threading
from datetime import UTC, datetime

import pytest

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput
from hauberk.custody import statements
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.entries import read_entry
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.records import _index_file, index
from hauberk.records.index import Question
from hauberk.records.reader import open_records

from .records_log import Log, MemorySigner, digest, event, evidence


def found(records, **question):
    return [one.index for one in records.find(Question(**question))]


def moment(second):
    return datetime(2026, 1, 2, 3, second // 60, second % 60, tzinfo=UTC)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A ledger of 250 entries whose labels, metrics and times are drawn."""
    draw, log = random.Random(7), Log.create(tmp_path_factory.mktemp("drawn"))
    log.log(
        *(
            event(draw.choice(["data.used", "data.sealed"]), at=draw.randrange(600))
            if draw.random() < 0.3
            else evidence(
                draw.choice(["evasion", "leakage", "drift"]),
                draw.choice(["plain", "hardened"]),
                practice=draw.choice(["1a", "2a"]),
                by=draw.choice(["ana", "ben"]),
                at=draw.randrange(600),
                about=draw.choice(["one", "two", "three"]),
                metrics={name: draw.random() for name in draw.sample(["robust", "clean", "rows"], 2)},
            )
            for _ in range(250)
        )
    )
    return log


@pytest.fixture
def many(drawn, tmp_path, monkeypatch):
    """A copy of that ledger for one test; copies of the index are kept early."""
    monkeypatch.setattr(index, "_WRITE_AFTER", 32)
    ignored = shutil.ignore_patterns("index", "ledger")
    shutil.copytree(drawn.home, tmp_path / ".hauberk", copy_function=os.link, ignore=ignored)
    shutil.copytree(drawn.home / "ledger", tmp_path / ".hauberk" / "ledger")
    return Log.at(tmp_path)


def scan(records, question):
    """The slow, obvious twin: every entry and every envelope."""
    hits = []
    for number, data in enumerate(records.ledger.entries()):
        entry = read_entry(data, what="entry")
        said = statements.open_attestation(records.artifacts.get(entry.envelope), records.signers, what="it")
        if question.holds(number, entry, said):
            hits.append(number)
    return hits


QUESTIONS = [
    {"control": "evasion"},
    {"practice": "1a", "role": "hardened"},
    {"by": "ben"},
    {"by": "nobody"},
    {"kinds": ("data.used", "data.sealed")},
    {"types": (statements.EVIDENCE,), "first": 150},
    {"subject": digest("two")},
    {"subject": digest("never")},
    {"metric": "robust"},
    {"metric": "robust", "least": 0.9},
    {"metric": "clean", "most": 0.1, "control": "drift"},
    {"metric": "none"},
    {"since": moment(100), "until": moment(200)},
    {"until": moment(30), "role": "plain"},
    {
        "control": "leakage",
        "by": "ana",
        "subject": digest("one"),
        "metric": "rows",
        "least": 0.5,
        "since": moment(60),
    },
]


@pytest.mark.parametrize("selective", [0, 2, 100_000])
@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_an_answer_is_what_a_full_scan_gives(drawn, monkeypatch, question, selective):
    monkeypatch.setattr(index, "_SELECTIVE", selective)  # where the search begins must not change what it gives
    records = drawn.open()
    wanted = scan(records, Question(**question))
    assert found(records, **question) == wanted
    assert [one.index for one in records.find(Question(**question), newest=3)] == wanted[-3:]


def test_questions_of_the_tests_have_answers(drawn):
    records = drawn.open()
    empty = [question for question in QUESTIONS if not found(records, **question)]
    assert empty == [{"by": "nobody"}, {"subject": digest("never")}, {"metric": "none"}]


def test_a_question_without_conditions_gives_every_entry(drawn):
    assert found(drawn.open()) == list(range(250))


def test_new_entries_are_added_to_what_is_known(many):
    assert len(found(many.open(), metric="robust", least=2.0)) == 0
    kept = many.copy.read_bytes()
    (new,) = many.log(evidence("evasion", metrics={"robust": 3.0}))
    records = many.open()
    assert found(records, metric="robust", least=2.0) == [new]
    assert many.copy.read_bytes() == kept, "one entry more is not worth writing the file again"


def test_the_copy_is_used_and_not_built_again(many, monkeypatch):
    found(many.open(), metric="robust")
    added, plain = [], index._add_entries

    def counted(base, ledger, size):
        added.append(size - index._state(base, "size"))
        plain(base, ledger, size)

    monkeypatch.setattr(index, "_add_entries", counted)
    many.log(event())
    assert len(found(many.open(), control="evasion")) > 0
    assert added == [1], "only what came since"


# --- a copy that somebody changed


def rewritten(log, change):
    """Change the database in the copy, as somebody who does not have the key would: the code is left as it was."""
    data = log.copy.read_bytes()
    start = len(_index_file.MAGIC) + 32
    base = sqlite3.connect(":memory:")
    base.deserialize(data[start:])
    with base:
        assert base.execute(change).rowcount > 0
    log.copy.write_bytes(data[:start] + base.serialize())


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM entries WHERE entry = (SELECT max(entry) FROM entries)",
        "DELETE FROM metrics WHERE entry > 50",
        "DELETE FROM subjects WHERE entry < 200",
        "UPDATE entries SET label = 1 + label % 3",
        "UPDATE entries SET time = time + 100000000",
        "UPDATE metrics SET value = 5",
        "UPDATE names SET name = name || 'x'",
        "UPDATE state SET value = 1000000 WHERE name = 'size'",
    ],
)
def test_a_changed_row_hides_nothing_and_adds_nothing(many, change):
    questions = [
        {"metric": "robust", "least": 0.5},
        {"subject": digest("two")},
        {"by": "ben", "since": moment(300)},
    ]
    wanted = [found(many.open(), **question) for question in questions]
    rewritten(many, change)
    assert [found(many.open(), **question) for question in questions] == wanted


@pytest.mark.parametrize(
    "data", [b"", b"garbage", _index_file.MAGIC, _index_file.MAGIC + bytes(32) + b"SQLite format 3\0"]
)
def test_a_damaged_copy_is_replaced(many, data):
    wanted = found(many.open(), metric="robust")
    good = many.copy.read_bytes()
    many.copy.write_bytes(data)
    assert found(many.open(), metric="robust") == wanted
    assert len(many.copy.read_bytes()) == len(good)


def test_any_changed_byte_of_the_copy_is_noticed(many):
    found(many.open(), metric="robust")
    file = _index_file.IndexFile(many.home, (many.seen.place / "index.key"), Disk())
    good, draw = many.copy.read_bytes(), random.Random(1)
    assert file.read() is not None
    for place in [0, 20, 40, *draw.sample(range(len(good)), 50)]:
        many.copy.write_bytes(good[:place] + bytes([good[place] ^ 1 << draw.randrange(8)]) + good[place + 1 :])
        assert file.read() is None


def test_a_missing_copy_and_a_missing_key_cost_time_only(many):
    wanted = found(many.open(), by="ana")
    many.copy.unlink()
    assert found(many.open(), by="ana") == wanted
    (many.seen.place / "index.key").unlink()
    assert found(many.open(), by="ana") == wanted


def test_an_older_copy_of_the_same_ledger_is_brought_up_to_date(many):
    found(many.open(), metric="robust")
    old = many.copy.read_bytes()
    new = many.log(*(evidence("late", metrics={"robust": 0.5}) for _ in range(100)))
    assert found(many.open(), control="late") == new
    assert many.copy.read_bytes() != old
    many.copy.write_bytes(old)
    assert found(many.open(), control="late", metric="robust") == new


def test_the_copy_of_another_ledger_is_not_used(many, tmp_path):
    """Same user, same key, same name of the log: only the root tells them apart."""
    found(many.open(), metric="robust")
    other = tmp_path / "other"
    other.mkdir()
    for name in ("signing.pub", "ledger.pub"):
        shutil.copy(many.home / name, other / name)
    Ledger.create(other / "ledger", "hauberk/test", many.logger).close()
    many.home, original = other, many.home
    many.log(*(evidence("other") for _ in range(450)))
    (other / "index").mkdir()
    for file in (original / "index").iterdir():
        shutil.copy(file, other / "index" / file.name)
    records = many.open()
    assert found(records, control="other") == list(range(450))
    assert found(records, control="evasion") == []


def test_an_index_ahead_of_the_ledger_that_is_read_is_not_used(many):
    """A snapshot of the ledger from before: its answers must not contain entries that it does not have."""
    before = many.open()
    many.log(*(evidence("late") for _ in range(100)))
    assert len(found(many.open(), control="late")) == 100
    assert found(before, control="late") == []


# --- where nothing can be written, and at once


def test_without_the_right_to_write_the_index_is_in_memory(many):
    class ReadOnly(Disk):
        def write(self, path, *_data, **_mode):
            raise InvalidInput(f"cannot write {path}: read-only file system.")

    records = many.open(disk=ReadOnly())
    assert found(records, control="evasion") == scan(records, Question(control="evasion"))
    assert not (many.home / "index").exists()


def test_two_users_keep_copies_of_their_own(many, tmp_path):
    for name in ("ana", "ben"):
        open_records(many.home, seen=Seen(tmp_path / name)).find(Question(control="none"))
    files = sorted((many.home / "index").iterdir())
    assert len(files) == 2
    before = [file.read_bytes() for file in files]
    open_records(many.home, seen=Seen(tmp_path / "ana")).find(Question(control="none"))
    assert [file.read_bytes() for file in files] == before
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_many_threads_ask_one_index(many):
    records, wrong = many.open(), []
    wanted = [(question, scan(records, Question(**question))) for question in QUESTIONS[:3]]

    def ask(number):
        for question, answer in wanted[number % 3 :] + wanted[: number % 3]:
            if found(records, **question) != answer:
                wrong.append(question)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- what entries and envelopes hold


def test_a_subject_that_the_entry_does_not_show_is_found(log):
    log.log(event(subjects=[f"file {number}" for number in range(40)]), event())
    assert found(log.open(), subject=digest("file 39")) == [0]


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5]])
def test_a_metric_that_is_no_number_is_none(log, value):
    log.log(evidence(metrics={"robust": value, "clean": 0.25}))
    records = log.open()
    assert found(records, metric="robust") == []
    assert found(records, metric="clean", least=0.25, most=0.25) == [0]


def test_an_entry_without_a_time_is_in_no_range(log):
    log.log(event(time="yesterday"), event(time=7), event(at=5))
    assert found(log.open(), until=moment(10)) == [2]
    assert found(log.open()) == [0, 1, 2]


def test_a_missing_envelope_is_an_error_and_no_silence(log):
    log.log(evidence(metrics={"robust": 0.5}), event())
    (envelope,) = [one.digest for one in log.open().find(Question(control="evasion"))]
    log.home.joinpath("store", "sha256", envelope[:2], envelope[2:]).unlink()
    records = log.open()
    assert found(records, kinds=("data.used",)) == [1], "what does not need it goes on"
    with pytest.raises(InvalidInput, match="there is no artifact"):
        found(records, metric="robust")


def test_an_entry_of_another_version_is_an_error_and_no_silence(log):
    with Ledger.open(log.home / "ledger", log.logger) as ledger:
        ledger.append(b'{"envelope":"aa","version":3}')
    with pytest.raises(InvalidInput, match="has version 3"):
        found(log.open(), control="evasion")


def test_equal_beginnings_of_digests_are_told_apart(log, monkeypatch):
    monkeypatch.setattr(index, "_key", lambda _digest: 1)
    log.log(event(subjects=["one"]), event(subjects=["two"]))
    assert found(log.open(), subject=digest("two")) == [1]


def test_the_index_is_one_of_the_ledger_alone(log):
    """An envelope in the store that was never logged is not an answer."""
    log.log(event())
    stray = statements.attest(evidence(), MemorySigner(1))
    Artifacts(log.home / "store").put(stray)
    assert found(log.open(), control="evasion") == []
