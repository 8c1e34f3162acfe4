"""Audits find every change that no transaction explains, say where, and survive kills and full disks."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from hauberk.cli.main import run
from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.data.manifest import building
from hauberk.data.manifest.hashing import digests
from hauberk.data.poison import screening
from hauberk.data.poison.screening import Screening
from hauberk.lifecycle.datasets.auditing import audit
from hauberk.lifecycle.datasets.sets import register, registered
from hauberk.project import scheduling
from hauberk.records import lineage
from hauberk.records.reader import read_publics
from hauberk.records.workshop import Workshop

SCHEMA = """
version = 1
[columns.income]
type = "float"
min = 0
[columns.age]
type = "integer"
[columns.paid]
type = "text"
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "x")
    monkeypatch.setenv("HAUBERK_STATE", str(tmp_path / "seen.json"))
    folder = tmp_path / "project"
    folder.mkdir()
    Keyring.make(folder / ".hauberk" / "keyring", b"x", cost=Cost(1, 64, 1))
    rows(400).write_parquet(folder / "loans.parquet", row_group_size=100)
    for number in range(6):
        (folder / "pictures" / "a").mkdir(parents=True, exist_ok=True)
        (folder / "pictures" / "a" / f"{number}.png").write_bytes(b"picture %d" % number)
    return folder


def rows(count, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    income = rng.normal(50 + shift, 9, count).clip(1)
    paid = np.where(income > 50, "yes", "no")
    return pl.DataFrame({"income": income, "age": rng.integers(18, 80, count), "paid": paid})


@pytest.fixture
def call(project, capsys):
    def run_one(command, *arguments, code=0):
        place = [str(project)] if command == "audit" else ["--project", str(project)]
        capsys.readouterr()
        assert run(["data", command, *arguments, *place, "--json"]) == code, capsys.readouterr()
        return json.loads(capsys.readouterr().out)

    return run_one


@pytest.fixture
def loans(project, call):
    return call("import", str(project / "loans.parquet"), "--name", "loans")


def opened(project, disk=None):
    return Workshop.open(
        project / ".hauberk", name="project", keys_uri=f"keyring:{project}/.hauberk/keyring",
        passphrase=lambda: b"x", seen=Seen(project / "seen.json"), disk=disk,
    )  # fmt: skip


def test_a_set_that_is_as_recorded_passes_and_the_audit_is_attested(project, loans, call):
    assert loans["entry"] == 0
    told = call("audit")
    (one,) = told["sets"]
    assert told["ok"]
    assert (one["root"], one["unexplained"], one["entry"]) == (loans["root"], False, 1)
    assert one["metrics"]["hashed"] == (project / "loans.parquet").stat().st_size
    audits = [t for t in lineage.read(project / ".hauberk") if t.event == lineage.AUDITED]
    assert [t.inputs[0].sha256 for t in audits] == [loans["root"]]


def test_a_change_nobody_recorded_is_an_alarm_that_names_the_row_group(project, loans, call):
    assert loans
    path = project / "loans.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    (one,) = call("audit", "--no-screening", code=1)["sets"]
    assert one["unexplained"]
    critical = [finding for finding in one["findings"] if finding["severity"] == "critical"]
    assert len(critical) == 1
    assert "row group" in critical[0]["what"]
    assert "of loans.parquet" in critical[0]["what"]
    call("import", str(path), "--name", "loans", "--source", "somebody meant it")
    assert call("audit", "--no-screening")["ok"]


def test_an_older_state_put_back_is_an_alarm_that_names_its_entry(project, loans, call):
    assert loans
    path, old = project / "loans.parquet", (project / "loans.parquet").read_bytes()
    rows(500, seed=1).write_parquet(path)
    call("import", str(path), "--name", "loans")
    path.write_bytes(old)
    call("import", str(path), "--name", "another set of the same bytes")
    (one,) = call("audit", "--set", "loans", code=1)["sets"]
    assert "older state, recorded as entry 0" in one["findings"][0]["advice"]


def test_missing_files_and_added_images_are_alarms_and_do_not_stop_the_audit(project, loans, call):
    assert loans
    call("import", str(project / "pictures"), "--name", "signs")
    (project / "loans.parquet").unlink()
    (project / "pictures" / "a" / "x.png").write_bytes(b"new")
    told = call("audit", code=1)
    assert [one["set"] for one in told["sets"]] == ["loans", "signs"]
    assert all(one["unexplained"] for one in told["sets"])
    assert "image a/x.png was added" in told["sets"][1]["findings"][0]["what"]
    assert call("audit", "--set", "signs", code=1)["sets"][0]["set"] == "signs"
    call("audit", "--set", "nobody", code=2)


def test_the_registered_schema_is_verified_and_drift_measured_since_the_audit_before(project, call):
    (project / "schema.toml").write_text(SCHEMA)
    path, how = project / "loans.parquet", ["--name", "loans"]
    call("import", str(path), *how, "--schema", str(project / "schema.toml"))
    assert call("audit")["ok"]
    rows(400, seed=2, shift=30).write_parquet(path)
    call("import", str(path), *how)
    (one,) = call("audit")["sets"]
    assert any(finding["where"]["name"] == "income" and "drifted" in finding["what"] for finding in one["findings"])
    assert one["metrics"]["drifted"] >= 1
    bad = rows(400, seed=2).with_columns(income=pl.lit(-1.0))
    bad.write_parquet(path)
    call("import", str(path), *how)
    (one,) = call("audit", code=1)["sets"]
    assert one["metrics"]["rules_broken"] >= 1
    assert not one["unexplained"]


def test_of_what_looks_like_poison_the_new_rows_are_told(project, call, monkeypatch):
    asked = []

    def flagging(rows, **_how):
        count = len(rows.side)
        asked.append(count)
        flags = np.isin(np.arange(count), [3, 399, 400, 401, 420, 459] if count > 400 else [])
        return Screening(
            scores=flags * 4.0, flags=flags, detectors=np.array(["floods"] * count),
            reasons={400: "one of 60 copies"}, suggested=np.full(count, -1), classes=("no", "yes"),
            false_alarms=0.0001, sources=(), notes=(), seconds={},
        )  # fmt: skip

    path, how = project / "loans.parquet", ["--name", "loans", "--target", "paid"]
    call("import", str(path), *how)
    monkeypatch.setattr(screening, "screen_rows", flagging)
    call("audit")
    pl.concat([rows(400), rows(60, seed=9)]).write_parquet(path, row_group_size=100)
    call("import", str(path), *how)
    assert call("audit", "--no-screening")["ok"]  # which does not count as a look at the new rows
    (one,) = call("audit", code=1)["sets"]
    assert asked == [400, 460]  # beside honest rows
    assert one["metrics"]["flagged"] == 4  # of the six, those in the row group that is new
    assert any("4 new rows look like poison" in finding["what"] for finding in one["findings"])
    assert any(finding["what"] == "one of 60 copies" for finding in one["findings"])
    (again,) = call("audit", code=1)["sets"]
    assert again["findings"] == one["findings"]  # poison that nobody acted upon is not forgotten
    assert asked == [400, 460]


@pytest.mark.slow
def test_screening_runs_for_real(project, call):
    call("import", str(project / "loans.parquet"), "--name", "loans", "--target", "paid")
    assert call("audit")["sets"][0]["metrics"]["screened"] == 400


def test_what_cannot_be_evaluated_is_a_finding(project, loans, call):
    assert loans
    (project / "schema.toml").write_text("version = 1\n[columns.absent]\ntype = 'float'\n")
    call("import", str(project / "loans.parquet"), "--name", "loans", "--schema", str(project / "schema.toml"))
    call("audit", code=1)
    (project / "schema.toml").write_text("not toml at all")
    call("import", str(project / "loans.parquet"), "--name", "loans", "--schema", str(project / "schema.toml"))
    (one,) = call("audit", code=1)["sets"]
    assert any("could not be evaluated" in finding["what"] for finding in one["findings"])


def test_a_tampered_manifest_in_the_store_stops_the_audit(project, loans, call):
    assert loans
    for path in (project / ".hauberk" / "store").rglob("*"):
        if path.is_file() and b"data-manifest" in path.read_bytes() and b"envelope" not in path.read_bytes():
            data = path.read_bytes()
            if data.startswith(b'{"_type"'):
                path.write_bytes(data.replace(b"row group 1", b"row group 7"))
    call("audit", code=1)


def test_nothing_registered_is_said_so(call):
    assert "no set is registered" in call("audit", code=2)["error"]["message"]


class Full(Disk):
    """Has no space left from the n-th write on."""

    def __init__(self, after):
        self.left = after

    def store(self, descriptor, data):
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "no space left")
        super().store(descriptor, data)


def test_a_full_disk_at_any_write_leaves_the_ledger_sound_and_the_import_can_be_repeated(project):
    with opened(project):
        pass
    done = False
    for after in range(1, 40):
        try:
            with opened(project, Full(after)) as workshop:
                register(workshop, "loans", [str(project / "loans.parquet")], folder=project)
                done = True
        except Unavailable:
            assert not done
        publics = read_publics(project / ".hauberk" / "ledger.pub")
        with Ledger.open(project / ".hauberk" / "ledger", publics=publics) as ledger:
            ledger.audit(publics[0])
        if done:
            break
    assert done
    assert after > 3
    with opened(project) as workshop:
        again = register(workshop, "loans", [str(project / "loans.parquet")], folder=project)
        assert again.entry is None
        assert set(registered(lineage.read(project / ".hauberk"), workshop.artifacts)) == {"loans"}
        (found,) = audit(workshop, folder=project)
        assert found.ok


@pytest.mark.slow
@pytest.mark.parametrize("command", ["import", "audit"])
def test_kill_9_half_way_leaves_what_was_finished(project, call, command):
    for number in range(3):
        (project / f"big-{number}.bin").write_bytes(os.urandom(1 << 20) * 48)
        if command == "audit":
            call("import", str(project / f"big-{number}.bin"), "--name", f"big{number}")
    code = "from hauberk.cli.main import main; main()"
    arguments = ["audit", str(project)] if command == "audit" else [
        "import", *(str(project / f"big-{n}.bin") for n in range(3)), "--name", "all", "--project", str(project)
    ]  # fmt: skip
    before = len(lineage.read(project / ".hauberk")) if command == "audit" else 0
    for wait in (0.35, 0.6, 0.9):
        process = subprocess.Popen([sys.executable, "-c", code, "data", *arguments], stdout=subprocess.DEVNULL)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (project / ".hauberk" / "ledger.pub").exists():
            (key,) = read_publics(project / ".hauberk" / "ledger.pub")
            with Ledger.open(project / ".hauberk" / "ledger", publics=[key]) as ledger:
                ledger.audit(key)
                assert len(lineage.read(project / ".hauberk")) >= before
    if command == "audit":
        told = call("audit")
        assert [one["set"] for one in told["sets"]] == ["big0", "big1", "big2"]
    else:
        call("import", *arguments[1:4], "--name", "all")
    assert call("audit")["ok"]


def test_a_set_moves_with_its_project(project, loans, capsys):
    assert loans
    moved = project.parent / "moved"
    project.rename(moved)
    capsys.readouterr()
    assert run(["data", "audit", str(moved), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]


def test_fast_imports_say_what_they_believed(project, loans, call):
    assert loans
    (project / "pictures" / "a" / "0.png").write_bytes(b"other")
    first = call("import", str(project / "pictures"), "--name", "signs")
    assert first["believed"] == 0
    (project / "pictures" / "a" / "7.png").write_bytes(b"seven")
    second = call("import", str(project / "pictures"), "--name", "signs", "--fast")
    assert (second["hashed"], second["believed"]) == (5, first["bytes"])
    assert [change["says"] for change in second["changes"]] == ["image a/7.png was added"]
    assert call("import", str(project / "pictures"), "--name", "signs")["entry"] is None
    call("import", str(project / "pictures"), "--name", "a\nb", code=2)


def test_schedules_are_cron_and_the_clock_decides():
    at = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
    assert scheduling.next_due("0 3 * * *", at) == at.replace(hour=3, minute=0)
    assert scheduling.is_due("0 3 * * *", None, at)
    assert not scheduling.is_due("0 3 * * *", at - timedelta(hours=1), at)
    assert scheduling.is_due("0 3 * * *", at - timedelta(hours=1), at + timedelta(hours=1))
    for wrong in ("every day", "61 * * * *", "0 0 30 2 *", ""):
        with pytest.raises(InvalidInput):
            scheduling.next_due(wrong, at)


def test_a_watch_works_at_each_time_and_sleeps_between():
    now = [datetime(2026, 3, 1, 2, 30, tzinfo=UTC)]
    done, due = [], []

    def sleep(seconds):
        assert 0 < seconds <= 30
        now[0] += timedelta(seconds=seconds)

    def work():
        done.append(now[0])
        now[0] += timedelta(minutes=90)  # longer than the hour between: the time that passed is not made up for

    scheduling.watch("0 * * * *", work, clock=lambda: now[0], sleep=sleep, rounds=3, told=due.append)
    assert [at.hour for at in done] == [3, 5, 7]
    assert due == done


def test_watching_needs_a_schedule_and_a_schedule_without_it_asks_whether_it_is_due(loans, call, monkeypatch):
    assert loans
    call("audit", "--watch", code=2)
    call("audit", "--schedule", "tomorrow", code=2)
    assert call("audit", "--schedule", "0 3 1 1 *")["sets"]
    assert call("audit", "--schedule", "0 3 1 1 *") == {
        "ok": True, "due": False, "next": scheduling.next_due("0 3 1 1 *", datetime.now().astimezone()).isoformat(), "sets": [],
    }  # fmt: skip

    def interrupted(*_arguments, **_how):
        raise KeyboardInterrupt

    monkeypatch.setattr(scheduling, "watch", interrupted)
    call("audit", "--schedule", "* * * * *", "--watch", code=130)


def test_watching_prints_a_line_for_each_audit(project, loans, monkeypatch, capsys):
    assert loans

    def twice(_schedule, work, **_how):
        work()
        monkeypatch.setenv("HAUBERK_PASSPHRASE", "[/wrong]")
        work()

    monkeypatch.setattr(scheduling, "watch", twice)
    for as_json in ([], ["--json"]):
        monkeypatch.setenv("HAUBERK_PASSPHRASE", "x")
        capsys.readouterr()
        assert run(["data", "audit", str(project), "--schedule", "* * * * *", "--watch", *as_json]) == 0
    found, failed = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert found["ok"]
    assert not failed["ok"]


def test_a_set_that_is_being_written_to_is_no_alarm_and_no_pass(project, loans, call, monkeypatch):
    assert loans
    call("import", str(project / "pictures"), "--name", "signs")
    numbers = iter(range(100))

    def read_meanwhile(*arguments, **how):
        (project / "pictures" / "a" / f"new-{next(numbers)}.png").write_bytes(b"new")
        return digests(*arguments, **how)

    monkeypatch.setattr(building, "digests", read_meanwhile)
    (one,) = call("audit", "--set", "signs", code=1)["sets"]
    assert (one["unexplained"], one["findings"][0]["severity"]) == (False, "high")
    assert "was added while the set was being read" in one["findings"][0]["what"]


@pytest.mark.parametrize("name", ["[/]x", "[red]y"])
def test_a_name_is_told_as_it_is(project, name, capsys):
    assert run(["data", "import", str(project / "loans.parquet"), "--name", name, "--project", str(project)]) == 0
    assert name in capsys.readouterr().out
